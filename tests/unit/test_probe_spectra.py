"""Spectra per head against a full SVD; effective ranks of gradients and inputs; sizes of updates."""

import math
from typing import Any

import pytest
import torch
from probing import Wrapped, architecture, backbone, built, language_task, look_at, probe_settings, values

from warmup.architectures import model, roles, spectral_norm
from warmup.architectures.projections import attention_projections
from warmup.optimizers import adamw2
from warmup.probes import gradients, spectra, updates

DRAW = torch.Generator().manual_seed(4)
TOKENS = torch.randint(0, 256, (2, 20), generator=DRAW)
IMAGES = torch.randn(2, 1, 28, 28, generator=DRAW)
RECIPE = {"peak_learning_rate": 1e-2, "betas": [0.9, 0.999], "epsilon": 1e-8, "options": {"tau": 1e-2}}


def head_weights(module: Any, head: int) -> tuple[torch.Tensor, torch.Tensor]:
    """W_q and W_k [head size, width] of one head, read from the modules by hand."""
    if type(module).__name__ == "GPT2Attention":
        query, key, _ = module.c_attn.weight.T.split(module.split_size)
        groups = 1
    else:
        query, key = module.q_proj.weight, module.k_proj.weight
        groups = len(query) // len(key)
    size = module.head_dim
    place = head // groups
    return query[head * size : (head + 1) * size], key[place * size : (place + 1) * size]


@pytest.mark.parametrize("name", ["gpt2", "llama", "jamba", "vit", "swin"])
@torch.no_grad()
def test_concentration_and_ranks_agree_with_a_full_svd(name: str) -> None:
    wrapped = Wrapped(backbone(name, "sdpa"))
    rows = spectra.before_update(look_at(wrapped, IMAGES if name in ("vit", "swin") else TOKENS, {}))
    checked = 0
    for module_name, module, projections in attention_projections(wrapped):
        for head in range(projections.heads):
            query, key = head_weights(module, head)
            sigma = torch.linalg.svdvals((query.T @ key).double())
            squares = sigma.square()
            place = (module_name, head)
            assert values(rows, "sec_1")[place] == pytest.approx(float(squares[0] / squares.sum()), rel=1e-4)
            assert values(rows, "sec_4")[place] == pytest.approx(float(squares[:4].sum() / squares.sum()), rel=1e-4)
            assert values(rows, "stable_rank")[place] == pytest.approx(float(squares.sum() / squares[0]), rel=1e-4)
            assert values(rows, "sigma_1_query_key")[place] == pytest.approx(float(sigma[0]), rel=1e-4)
            shares = sigma / sigma.sum()
            rank = float(torch.special.entr(shares).sum().exp())
            assert values(rows, "spectral_rank")[place] == pytest.approx(rank, rel=1e-3)
            stored = next(
                r["values"] for r in rows if (r["module"], r["head"], r["quantity"]) == (*place, "singular_values")
            )
            torch.testing.assert_close(torch.tensor(stored), sigma[: len(stored)].float(), rtol=1e-3, atol=1e-5)
            checked += 1
    assert checked == {"gpt2": 8, "llama": 8, "jamba": 4, "vit": 8, "swin": 12}[name]


def test_sec_of_a_rank_one_product_is_one() -> None:
    query = torch.randn(1, 8, 1, generator=DRAW) @ torch.randn(1, 1, 32, generator=DRAW)
    sigma = spectra.query_key_singular_values(query, torch.randn(1, 8, 32, generator=DRAW))
    assert float(sigma[0, 0] ** 2 / sigma.square().sum()) == pytest.approx(1.0)


def test_heads_wider_than_the_model_are_handled() -> None:
    query, key = (torch.randn(2, 9, 5, generator=DRAW) for _ in range(2))
    expected = torch.linalg.svdvals(query.mT @ key)
    torch.testing.assert_close(spectra.query_key_singular_values(query, key), expected, rtol=1e-4, atol=1e-4)


def test_weights_that_are_not_finite_give_null_not_a_crash() -> None:
    wrapped = Wrapped(backbone("gpt2", "sdpa"))
    with torch.no_grad():
        next(wrapped.backbone.parameters()).fill_(0)
        wrapped.backbone.h[0].attn.c_attn.weight[0, 0] = math.nan  # type: ignore[index,union-attr]
    rows = spectra.before_update(look_at(wrapped, TOKENS, {}))
    assert values(rows, "sec_1")["backbone.h.0.attn", 0] is None
    assert values(rows, "sec_1")["backbone.h.1.attn", 0] is not None


def test_sigma_reparametrised_weights_are_measured_as_they_act(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    model = built("gpt2", task, interventions={"sigma_reparametrisation": True})
    rows = spectra.before_update(look_at(model, TOKENS, {}))
    module = model.backbone.h[0].attn
    with torch.no_grad():
        parts = module.c_attn.weight.T.split(32)
        vectors = module.c_attn.sigma_right.T
        query, key = (
            gain * part / (part @ vector).norm()
            for part, vector, gain in zip(parts[:2], vectors[:2], module.c_attn.sigma_gain[:2], strict=True)
        )
        expected = torch.linalg.svdvals(query[:8].T @ key[:8])[0]
    assert values(rows, "sigma_1_query_key")["backbone.h.0.attn", 0] == pytest.approx(float(expected), rel=1e-4)


def stepped(tmp_path: Any, settings: dict[str, Any]) -> tuple[Any, dict[str, torch.Tensor], Any]:
    """A look after one AdamW^2 step of a Jamba (it has stacks), with the old weights."""
    task = language_task(tmp_path)
    model = built("jamba", task)
    inputs, targets = task.batch(0, 0)
    task.loss(model(inputs), targets).backward()
    optimizer = adamw2.create(roles.parameter_groups(model, 0.1), RECIPE)
    look = look_at(model, inputs, settings, task=task, targets=targets)
    look.old = {name: parameter.detach().clone() for name, parameter in roles.trained(model)}
    optimizer.step()
    look.optimizer, look.learning_rate = optimizer, 1e-2
    return look, dict(look.old), optimizer


def test_update_sizes_and_norms_agree_with_torch(tmp_path: Any) -> None:
    look, old, optimizer = stepped(tmp_path, {})
    rows = updates.after_update(look)
    new = {name: parameter.detach() for name, parameter in roles.trained(look.model)}
    stacks = 0
    for (name, _), found in values(rows, "sigma_1_weight").items():
        move = new[name] - old[name]
        assert found == pytest.approx(float(torch.linalg.matrix_norm(old[name], 2).max()), rel=1e-3)
        update = values(rows, "sigma_1_update")[name, -1]
        assert update == pytest.approx(float(torch.linalg.matrix_norm(move, 2).max()) / 1e-2, rel=1e-3)
        relative = values(rows, "relative_update")[name, -1]
        assert relative == pytest.approx(float(move.norm() / old[name].norm()), rel=1e-4)
        stacks += old[name].ndim == 3
    assert stacks == 4
    groups = values(rows, "group_relative_update")
    head = [name for name in new if name.startswith("input_adapter")]
    moved = sum(float((new[name] - old[name]).square().sum()) for name in head) ** 0.5
    size = sum(float(old[name].square().sum()) for name in head) ** 0.5
    assert groups["embedding", -1] == pytest.approx(moved / size, rel=1e-4)
    assert {name: found for (name, _), found in values(rows, "cap").items()} == pytest.approx(optimizer.caps())


def test_matrices_that_start_at_zero_have_no_relative_update_and_no_cap_and_are_named(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    started = model.build(architecture("rwkv"), task, 0)
    inputs, targets = task.batch(0, 0)
    task.loss(started(inputs), targets).backward()
    optimizer = adamw2.create(roles.parameter_groups(started, 0.1), RECIPE)
    look = look_at(started, inputs, {}, task=task, targets=targets)
    look.old = {name: parameter.detach().clone() for name, parameter in roles.trained(started)}
    optimizer.step()
    look.optimizer, look.learning_rate = optimizer, 1e-2
    rows = updates.after_update(look)
    zero = {name for name, old in look.old.items() if old.ndim == 2 and not old.any()}
    assert len(zero) == 10  # five of each of two blocks
    assert {name for name, _ in values(rows, "starts_at_zero")} == zero
    assert not zero & {name for name, _ in values(rows, "relative_update")}
    assert {row["module"] for row in rows if row["quantity"] == "cap" and row["value"] is None} >= zero
    assert all(0 < value < math.inf for _, value in values(rows, "relative_update").items())
    look.step = 3
    assert not values(updates.after_update(look), "starts_at_zero")


def test_attention_that_starts_at_zero_has_no_concentration_and_no_ranks(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    network = built("gpt2", task)
    first = network.backbone.h[0].attn
    torch.nn.init.zeros_(first.c_attn.weight)
    rows = spectra.before_update(look_at(network, task.batch(0, 0)[0], {}))
    named = {name for name, _ in values(rows, "starts_at_zero")}
    assert named == {"backbone.h.0.attn"}
    for quantity in ("sec_1", "stable_rank", "spectral_rank"):
        found = {row["module"]: row["value"] for row in rows if row["quantity"] == quantity}
        assert found["backbone.h.0.attn"] is None and found["backbone.h.1.attn"] > 0


def test_between_its_steps_the_probe_of_updates_records_caps_alone(tmp_path: Any) -> None:
    look, _, _ = stepped(tmp_path, {})
    look.old = {}
    assert {row["quantity"] for row in updates.after_update(look)} == {"cap"}


def test_sigma_of_matrices_of_any_size() -> None:
    matrices = [torch.randn(shape, generator=DRAW) for shape in ((3, 5), (300, 400), (400, 20))]
    matrices.append(torch.zeros(4, 4))
    found = spectral_norm.largest(matrices)
    expected = [float(torch.linalg.matrix_norm(matrix, 2)) for matrix in matrices]
    assert found == pytest.approx(expected, rel=1e-2)
    assert math.isnan(spectral_norm.largest([torch.full((2, 2), math.nan)])[0])


def test_effective_ranks_of_gradients_and_inputs_agree_with_the_svd(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    model = built("gpt2", task)
    inputs, targets = task.batch(0, 0)
    task.loss(model(inputs), targets).backward()
    look = look_at(model, inputs, probe_settings()["gradients"])
    rows = gradients.before_update(look)
    found = values(rows, "gradient_rank")
    assert len(found) == 8
    for (name, _), rank in found.items():
        shares = torch.linalg.svdvals(model.get_parameter(name).grad.double())  # type: ignore[union-attr]
        shares = shares / shares.sum()
        assert rank == pytest.approx(float(torch.special.entr(shares).sum().exp()), rel=1e-4)
    states = look.captured.inputs["backbone.h.1"].flatten(0, 1).double()
    shares = torch.linalg.svdvals(states) / torch.linalg.svdvals(states).sum()
    expected = float(torch.special.entr(shares).sum().exp())
    assert values(rows, "input_rank")["backbone.h.1", -1] == pytest.approx(expected, rel=1e-4)


def test_matrices_too_large_to_decompose_are_named() -> None:
    wrapped = Wrapped(backbone("gpt2", "sdpa"))
    for parameter in wrapped.parameters():
        parameter.grad = torch.ones_like(parameter)
    rows = gradients.before_update(look_at(wrapped, TOKENS, {"largest_matrix": 31}))
    assert {row["quantity"] for row in rows} == {"input_rank", "not_probed"}
