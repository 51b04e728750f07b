"""Branches: a run that continues another one is the rest of it, and what it does not take over is gone."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest
import torch

from warmup.config import grid
from warmup.errors import ConfigurationError, StaleResultError
from warmup.training import checkpoints, loop
from warmup.training.checkpoint_folders import LAST, digest

pytestmark = pytest.mark.usefixtures("one_thread")
Settings = Callable[..., dict[str, Any]]
TRUNK, BRANCH, WHOLE = 12, 12, 24
RAMP = 3
"""Updates of the trunk, of the branch, of both in one; of their warmup."""

OTHERS: dict[str, dict[str, Any]] = {
    "adamw2": {"options": {"tau": 0.01, "scope": "all_matrices"}},
    **{name: {} for name in ("gi_adam", "lion", "muon", "radam", "schedule_free")},
}
"""Optimisers beside AdamW, with the options that they need."""


@pytest.fixture
def three(run_settings: Settings) -> Settings:
    """Function (architecture, kept of the optimiser, **recipe) -> settings of a trunk, its branch, and both in one."""

    def settings(
        architecture: str = "gpt2", kept: str = "kept", branch: dict[str, Any] | None = None, **recipe: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        recipes = {
            "whole": {"based_on": "adamw", "schedule": "constant", "steps": WHOLE, **recipe},
            "trunk": {"based_on": "whole", "steps": TRUNK},
            "branch": {
                **{"based_on": "whole", "steps": BRANCH},
                "continues": {"recipe": "trunk", "warmup": RAMP / TRUNK, "optimizer": kept},
                **(branch or {}),
            },
        }
        warmups = {"trunk": RAMP / TRUNK, "branch": 0, "whole": RAMP / WHOLE}
        made = [
            run_settings(architecture, recipe=name, warmup=grid.warmup_label(warmup), recipes=recipes)
            for name, warmup in warmups.items()
        ]
        made[0]["keep_last"] = True
        made[1]["continues"]["trunk"] = digest(made[0])
        return made[0], made[1] | {"keep_last": True}, made[2] | {"keep_last": True}

    return settings


def train(settings: dict[str, Any], prepared: Path, folder: Path, trunk: Path | None = None) -> Path:
    operation = loop.Operation(folder / "checkpoints", 10, None, 60)
    loop.run(settings, prepared / "language", folder / "run", operation, trunk)
    return folder / "run"


def begun(settings: dict[str, Any], prepared: Path, trunk: Path) -> loop.Training:
    training = loop.Training(settings, prepared / "language", torch.device("cpu"))
    loop.trunks.begin(training, trunk / LAST, settings["continues"])
    return training


def last(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    return checkpoints.read(folder / LAST, digest(settings))[1]


def assert_same(one: Any, other: Any, path: str = "") -> None:
    """Equal to the last bit, at every depth."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other) and one.dtype == other.dtype, path
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list):
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{path}.{index}")
    else:
        assert one == other, path


@pytest.mark.parametrize(
    ("architecture", "optimizer"),
    [*((name, "adamw") for name in ("gpt2", "mamba", "jamba", "rwkv")), *(("gpt2", name) for name in OTHERS)],
)
def test_a_branch_that_keeps_all_and_rewarms_nothing_is_the_rest_of_the_uninterrupted_run_byte_for_byte(
    architecture: str, optimizer: str, three: Settings, prepared: Path, tmp_path: Path
) -> None:
    trunk, branch, whole = three(architecture, optimizer=optimizer, **OTHERS.get(optimizer, {}))
    first = train(trunk, prepared, tmp_path / "trunk")
    rest = train(branch, prepared, tmp_path / "branch", first / LAST)
    uninterrupted = train(whole, prepared, tmp_path / "whole")

    rows, all_rows = (polars.read_parquet(folder / "log.parquet") for folder in (rest, uninterrupted))
    assert rows["step"].to_list() == list(range(BRANCH))
    assert rows.drop("step").equals(all_rows.drop("step")[TRUNK:])
    assert polars.read_parquet(first / "log.parquet").equals(all_rows[:TRUNK])

    checks, all_checks = (polars.read_parquet(folder / "evaluation.parquet") for folder in (rest, uninterrupted))
    moved = checks.with_columns(polars.col("step") + polars.lit(TRUNK, polars.Int32)).drop("example_losses")
    shared = moved.filter(polars.col("step").is_in(all_checks["step"].to_list()))
    assert shared.height >= 3 and shared["step"][-1] == WHOLE
    assert shared.equals(all_checks.filter(polars.col("step").is_in(shared["step"].to_list())).drop("example_losses"))
    assert checks["example_losses"][-1].equals(all_checks["example_losses"][-1])

    end, whole_end = last(rest, branch), last(uninterrupted, whole)
    for part in ("model", "optimizer", "diverged", "untrained_loss"):
        assert_same(end[part], whole_end[part], part)


def test_only_a_run_that_others_continue_keeps_its_weights_and_its_other_files_are_those_of_any_run(
    three: Settings, prepared: Path, tmp_path: Path
) -> None:
    trunk, _, _ = three()
    plain = {key: value for key, value in trunk.items() if key != "keep_last"}
    kept, ordinary = train(trunk, prepared, tmp_path / "trunk"), train(plain, prepared, tmp_path / "plain")
    assert sorted(file.name for file in ordinary.iterdir()) == sorted(grid.RUN_FILES)
    assert sorted(file.name for file in kept.iterdir()) == sorted([*grid.RUN_FILES, LAST])
    for name in ("log.parquet", "evaluation.parquet", "attention.parquet"):
        assert polars.read_parquet(kept / name).equals(polars.read_parquet(ordinary / name)), name


def test_a_trunk_that_is_trained_again_keeps_the_same_bytes(three: Settings, prepared: Path, tmp_path: Path) -> None:
    trunk, _, _ = three()
    files = [train(trunk, prepared, tmp_path / name) / LAST for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("optimizer", ["adamw", *OTHERS])
def test_of_the_optimiser_a_branch_has_what_its_recipe_asks_for(
    optimizer: str, three: Settings, prepared: Path, tmp_path: Path
) -> None:
    own = {"optimizer": optimizer, **OTHERS.get(optimizer, {})}
    trunk, kept, _ = three(**own)
    folder = train(trunk, prepared, tmp_path)
    saved = last(folder, trunk)
    states = {"kept": begun(kept, prepared, folder)}
    states |= {how: begun(three(kept=how, **own)[1], prepared, folder) for how in ("reset", "moments_reset")}
    for training in states.values():
        assert_same(dict(training.model.state_dict()), dict(saved["model"]))
    assert_same(states["kept"].optimizer.state_dict()["state"], saved["optimizer"]["state"])
    assert not any(states["reset"].optimizer.state_dict()["state"].values())
    without = states["moments_reset"].optimizer.state_dict()["state"]
    assert without.keys() == saved["optimizer"]["state"].keys()
    zeroed = set()
    for index, before in saved["optimizer"]["state"].items():
        for key, value in before.items():
            if key in ("exp_avg", "exp_avg_sq", "momentum_buffer"):
                zeroed.add(key)
                assert value.any() and not without[index][key].any(), key
            else:
                assert_same(without[index][key], value, key)
    assert zeroed


def test_a_lost_count_of_updates_is_what_tells_a_reset_from_moments_at_zero(
    three: Settings, prepared: Path, tmp_path: Path
) -> None:
    """Without bias correction a first step is (1 - beta1) / sqrt(1 - beta2) times that of a new optimiser."""
    plain = {"weight_decay": 0.0, "epsilon": 1e-30}
    folder = train(three(**plain)[0], prepared, tmp_path)
    steps = {}
    for how in ("reset", "moments_reset"):
        training = begun(three(kept=how, **plain)[1], prepared, folder)
        for state in training.optimizer.state.values():
            state["step"].fill_(1e6)  # as after so many updates that nothing is left to correct
        before = [parameter.detach().clone() for parameter in training.model.parameters()]
        training.update()
        steps[how] = sum(
            float((new.detach() - old).abs().sum())
            for new, old in zip(training.model.parameters(), before, strict=True)
        )
    assert steps["moments_reset"] / steps["reset"] == pytest.approx(0.1 / math.sqrt(0.001), rel=1e-3)


def test_a_branch_has_its_own_rates_decay_and_betas(three: Settings, prepared: Path, tmp_path: Path) -> None:
    changed = {"betas": [0.8, 0.9], "weight_decay": 0.3, "peak_learning_rate": 1e-4, "schedule": "cosine"}
    trunk, branch, _ = three(branch=changed)
    training = begun(branch, prepared, train(trunk, prepared, tmp_path))
    for group in training.optimizer.param_groups:
        assert list(group["betas"]) == [0.8, 0.9]
        assert group["weight_decay"] in (0.0, 0.3)
    training.update()
    assert training.optimizer.param_groups[0]["lr"] == pytest.approx(training.rates[0]) and training.rates[0] < 1e-4


def test_a_branch_may_rewarm_some_roles_alone(three: Settings, prepared: Path, tmp_path: Path) -> None:
    """Then its parameters are grouped otherwise than the trunk's; each still gets its own moments."""
    trunk, branch, _ = three(branch={"warmup_roles": ["norms"]})
    folder = train(trunk, prepared, tmp_path)
    saved, training = last(folder, trunk), begun(branch, prepared, folder)
    assert len(training.optimizer.param_groups) > len(saved["optimizer"]["param_groups"])
    before = {
        name: saved["optimizer"]["state"][index]
        for group in saved["optimizer"]["param_groups"]
        for name, index in zip(group["names"], group["params"], strict=True)
    }
    for group in training.optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            assert_same(dict(training.optimizer.state[parameter]), before[name], name)


def test_a_branch_of_a_diverged_trunk_has_diverged_before_its_first_step(
    three: Settings, prepared: Path, tmp_path: Path
) -> None:
    trunk, branch, _ = three(peak_learning_rate=1e30)
    folder = train(trunk, prepared, tmp_path / "trunk")
    assert json.loads((folder / "summary.json").read_text())["status"] == "diverged"
    rest = train(branch, prepared, tmp_path / "branch", folder / LAST)
    summary = json.loads((rest / "summary.json").read_text())
    assert (summary["status"], summary["steps_done"]) == ("diverged", 0)
    assert polars.read_parquet(rest / "log.parquet").height == 0


def test_a_branch_that_no_longer_falls_is_not_called_collapsed(three: Settings, prepared: Path, tmp_path: Path) -> None:
    """Its loss is measured against that of the untrained network, which the trunk began with."""
    trunk, branch, _ = three(branch={"peak_learning_rate": 1e-9})
    folder = train(trunk, prepared, tmp_path / "trunk")
    rest = train(branch, prepared, tmp_path / "branch", folder / LAST)
    assert json.loads((rest / "summary.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("fault", ["missing", "damaged", "another run's"])
def test_a_checkpoint_that_is_not_the_trunks_is_refused(
    fault: str, three: Settings, prepared: Path, tmp_path: Path
) -> None:
    trunk, branch, _ = three()
    file = train(trunk, prepared, tmp_path / "trunk") / LAST
    if fault == "missing":
        file.unlink()
    elif fault == "damaged":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        branch["continues"]["trunk"] = digest(branch)
    with pytest.raises(StaleResultError, match="last checkpoint cannot be used"):
        train(branch, prepared, tmp_path / "branch", file)


def test_weights_that_do_not_fit_are_told_in_a_sentence(three: Settings, prepared: Path, tmp_path: Path) -> None:
    trunk, branch, _ = three()
    folder = train(trunk, prepared, tmp_path)
    branch["architecture"] = branch["architecture"] | {"settings": branch["architecture"]["settings"] | {"n_embd": 8}}
    with pytest.raises(
        ConfigurationError, match=r"recipes\.branch\.continues: the network of task 'language' does not"
    ):
        begun(branch, prepared, folder)


def test_an_interrupted_branch_ends_in_the_same_bytes(three: Settings, prepared: Path, tmp_path: Path) -> None:
    trunk, branch, _ = three("mamba", branch={"schedule": "cosine"})
    folder = train(trunk, prepared, tmp_path / "trunk")
    whole = train(branch, prepared, tmp_path / "whole", folder / LAST)
    store = loop.Store(tmp_path / "stopped" / "checkpoints", branch)
    with store.locked():
        training = begun(branch, prepared, folder)
        training.evaluate()
        for _ in range(5):
            training.update()
        store.save(training.step, training.state())
    resumed = train(branch, prepared, tmp_path / "stopped", folder / LAST)
    for name in ("log.parquet", "evaluation.parquet", "attention.parquet", "summary.json", LAST):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
