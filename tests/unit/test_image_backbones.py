"""Image backbones whose states are maps and whose width differs from stage to stage."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from warmup.architectures import layers, model, own, roles
from warmup.architectures.small import small_settings
from warmup.cost import network as cost
from warmup.errors import ConfigurationError
from warmup.probes._capture import Watcher
from warmup.tasks import classification
from warmup.training import model_checks

WIDTH, SIDE = 32, 32
IN_STAGES = ["convnext", "convnextv2", "poolformer", "focalnet", "pvt", "pvt_v2", "segformer", "bit"]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> classification.Task:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "data.json").write_text(json.dumps({"classes": ["a", "b"]}))
    for part in ("train", "validation"):
        draws = np.random.default_rng(0)
        np.save(folder / f"{part}_images.npy", draws.integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8))
        np.save(folder / f"{part}_labels.npy", np.array([0, 1, 0, 1]))
    return classification.Task(
        {"kind": "classification", "patch_size": 4, "batch_size": 4, "validation_examples": 2}, folder
    )


def entry(model_type: str, **settings: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "input": "pixels",
        "tied_head": True,
        "settings": {**small_settings(model_type, WIDTH, 2), **settings},
        "interventions": {},
        "initialisation": "library",
    }


@pytest.mark.parametrize("model_type", IN_STAGES)
def test_a_backbone_in_stages_trains_at_the_wanted_width(model_type: str, task: classification.Task) -> None:
    described = model_checks.describe(entry(model_type), task)
    assert (described["width"], described["layers"]) == (WIDTH, 2)
    network = model.build(entry(model_type), task, seed=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    inputs, targets = task.batch(seed=0, step=0)
    losses = []
    for _ in range(3):
        loss = task.loss(network(inputs), targets)
        loss.backward()
        assert all(parameter.grad is not None for _, parameter in roles.trained(network))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[2] < losses[0]


@pytest.mark.parametrize("model_type", IN_STAGES)
def test_an_example_does_not_see_its_batch_and_leaves_no_trace(model_type: str, task: classification.Task) -> None:
    network = model.build(entry(model_type), task, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    inputs, _ = task.batch(seed=0, step=0)
    assert network.training
    assert torch.allclose(network(inputs)[1:2], network(inputs[1:2]), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("model_type", IN_STAGES)
def test_blocks_are_told_from_what_stands_between_stages(model_type: str, task: classification.Task) -> None:
    network = model.build(entry(model_type), task, seed=0, device="meta")
    groups = layers.layer_groups(network)
    expected = {"embedding", "head"} | {f"block0{n}.{part}" for n in (0, 1) for part in ("feed_forward", "norm")}
    if model_type != "poolformer":  # pools, and so mixes positions without a parameter; its last norm is a head's
        expected |= {"block00.mixer", "block01.mixer", "final_norm"}
    if model_type != "bit":  # its blocks reduce maps themselves
        expected |= {"between_stages"}
    assert {group for group in groups if not group.endswith(".other")} == expected
    others = [name for group, names in groups.items() if group.endswith(".other") for name in names]
    assert all("layer_scale" in name or "downsample" in name for name in others)
    assert all("embed" in name for name in groups["embedding"])
    assert all("norm" in name for name in groups.get("final_norm", []))


def test_maps_become_positions_row_by_row() -> None:
    maps = torch.randn(2, 5, 3, 4)
    states = own.positions(maps)
    assert states.shape == (2, 12, 5)
    assert all(
        torch.equal(states[:, 4 * row + column], maps[:, :, row, column]) for row in range(3) for column in range(4)
    )
    assert own.positions(states) is states


def test_the_mean_over_positions_is_that_of_the_maps(task: classification.Task) -> None:
    network = model.build(entry("poolformer"), task, seed=0)
    inputs, _ = task.batch(seed=0, step=0)
    maps = network.backbone(pixel_values=inputs).last_hidden_state
    assert maps.shape == (4, WIDTH, 4, 4)
    assert torch.allclose(network(inputs), network.output_adapter.projection(maps.mean((2, 3))), atol=1e-6)


def test_a_norm_of_the_pooled_state_keeps_its_place(task: classification.Task) -> None:
    network = model.build(entry("convnext"), task, seed=0)
    inputs, _ = task.batch(seed=0, step=0)
    maps = network.backbone(pixel_values=inputs).last_hidden_state
    pooled = network.backbone.layernorm(maps.mean((2, 3)))
    assert torch.allclose(network(inputs), network.output_adapter.projection(pooled), atol=1e-6)


def test_probes_see_the_maps_of_a_block_as_positions(task: classification.Task) -> None:
    network = model.build(entry("convnext"), task, seed=0)
    block = f"backbone.{layers.blocks(network.backbone)[0][1]}"
    captured = Watcher(network, [block]).forward(task.batch(seed=0, step=0)[0])
    assert captured.inputs[block].shape == (4, 64, WIDTH // 2)


def test_finding_the_width_draws_no_random_number(task: classification.Task, monkeypatch: pytest.MonkeyPatch) -> None:
    found = model.build(entry("focalnet", hidden_dropout_prob=0.5), task, seed=0)
    monkeypatch.setattr(model, "_states_width", lambda *_: WIDTH)
    told = model.build(entry("focalnet", hidden_dropout_prob=0.5), task, seed=0)
    pairs = zip(found.state_dict().values(), told.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert found.training


@pytest.mark.parametrize("model_type", ["resnet", "swiftformer"])
def test_statistics_of_batches_are_refused(model_type: str, task: classification.Task) -> None:
    with pytest.raises(ConfigurationError, match=rf"model_type: {model_type} normalises by statistics of its batches"):
        model_checks.describe(entry(model_type), task)


def test_a_backbone_that_takes_no_pictures_is_refused_in_a_sentence(task: classification.Task) -> None:
    with pytest.raises(ConfigurationError, match="PerceiverModel has no hidden_size and makes no states of a picture"):
        model.build(entry("perceiver"), task, seed=0, device="meta")


def test_the_bill_of_a_convnext_is_that_of_a_count_by_hand(task: classification.Task) -> None:
    first, last, patch = 16, 32, 4
    stem = 8 * 8 * first * 3 * patch**2
    blocks = sum(
        places * (7 * 7 * width + 2 * width * 4 * width)  # each channel's own kernel; up and down
        for places, width in ((8 * 8, first), (4 * 4, last))
    )
    reduction = 4 * 4 * last * first * 2**2
    by_hand = 2 * (stem + blocks + reduction + last * 2)
    assert cost.measure(entry("convnext"), task.settings, task.folder).matrix_flops == by_hand


def test_small_settings_of_stages_keep_what_fits_small_maps() -> None:
    found = small_settings("pvt", 64, 3)
    assert found["hidden_sizes"] == [32, 64]
    assert found["depths"] == [2, 1]
    assert found["num_attention_heads"] == [2, 4]
    assert found["strides"] == [4, 2]  # of the first stages
    assert found["sequence_reduction_ratios"] == [2, 1]  # of the last: 8 x 8 keys become 4 x 4
