"""Recipes that continue another run: which runs they begin with, what is in their settings, and what is refused."""

from typing import Any

import pytest

from warmup.config import configuration, grid
from warmup.errors import ConfigurationError

TRUNK = {"recipe": "trunk", "warmup": 0.25, "optimizer": "kept"}


def recipes(**branch: Any) -> dict[str, Any]:
    return {
        "trunk": {"based_on": "adamw", "schedule": "constant", "steps": 12},
        "branch": {"based_on": "adamw", "continues": TRUNK, **branch},
    }


def of_study(
    tiny_config: dict[str, Any], entries: dict[str, Any], names: list[str] | None = None, **more: Any
) -> dict[str, Any]:
    """Effective settings of a study of the recipe `branch` (or `names`) on text."""
    selection = {"architectures": ["gpt2"], "tasks": ["language"], "recipes": names or ["branch"], "warmups": [0, 0.25]}
    changes = {"study": "branches", "studies": {"branches": {"selections": [selection | more]}}, "recipes": entries}
    return configuration.effective(configuration.merge(tiny_config, changes))


def test_all_warmups_of_a_branch_begin_with_one_trunk_of_their_seed(tiny_config: dict[str, Any]) -> None:
    settings = of_study(tiny_config, recipes())
    runs = grid.runs(settings)
    assert len(runs) == 4
    assert grid.trunk_runs(settings, runs) == [
        grid.Run("gpt2", "language", "trunk", "0.25", seed) for seed in ("0", "1")
    ]


def test_a_trunk_may_continue_a_trunk_and_updates_add_up(tiny_config: dict[str, Any]) -> None:
    entries = recipes() | {"twig": {"based_on": "branch", "continues": {"recipe": "branch", "warmup": 0}}}
    settings = of_study(tiny_config, entries, ["twig"], seeds=1)
    runs = grid.runs(settings)
    assert [run.recipe for run in grid.trunk_runs(settings, runs)] == ["branch", "trunk"]
    assert grid.run_settings(settings, runs[0])["continues"]["updates_before"] == 24 + 12


def test_a_branch_knows_its_trunk_and_no_other_run_has_a_word_of_it(tiny_config: dict[str, Any]) -> None:
    before = configuration.effective(tiny_config)
    settings = of_study(tiny_config, recipes())
    branch, trunk = (
        grid.run_settings(settings, grid.Run("gpt2", "language", name, "0.25", "0")) for name in ("branch", "trunk")
    )
    assert branch["continues"] == {
        **{"task": "language", "recipe": "trunk", "warmup": "0.25"},
        **{"optimizer": "kept", "updates_before": 12},
    }
    assert "continues" not in trunk and "continues" not in branch["recipe"]
    run = grid.Run("gpt2", "language", "adamw", "0.25", "0")
    assert grid.run_settings(settings, run) == grid.run_settings(before, run)


def test_a_task_that_is_a_variant_is_trained_only_where_a_study_names_it(tiny_config: dict[str, Any]) -> None:
    plain = grid.runs(configuration.effective(tiny_config))
    other = tiny_config["scales"]["tiny"]["tasks"]["language"] | {"kind": "language", "role": "variant"}
    tiny_config["scales"]["tiny"]["tasks"]["other"] = other
    assert grid.runs(configuration.effective(tiny_config)) == plain
    settings = of_study(tiny_config, recipes(continues=TRUNK | {"task": "language"}), tasks=["other"])
    runs = grid.runs(settings)
    assert {run.task for run in runs} == {"other"}
    assert {run.task for run in grid.trunk_runs(settings, runs)} == {"language"}
    assert "role" not in grid.run_settings(settings, runs[0])["task"]
    assert "role" not in grid.run_settings(settings, runs[0])["data"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": "trunkk"}, r"recipes\.branch\.continues\.recipe: 'trunkk' is not known \(did you mean trunk\?\)"),
        ({"task": "languages"}, r"recipes\.branch\.continues\.task: 'languages' is not known"),
        ({"recipe": "branch"}, r"recipes\.branch\.continues\.recipe: branch -> branch goes round in a circle"),
        ({"warmup": 1}, r"recipes\.branch\.continues\.warmup: 1 warms up for all 12 steps"),
        ({"optimizer": "lost"}, r"recipes\.branch\.continues\.optimizer: 'lost' is not known"),
        ({"recipe": "muon"}, r"recipes\.branch\.continues\.optimizer: kept needs one optimizer in trunk and branch"),
        ({"task": "images"}, r"recipes\.branch\.continues\.task: 'images' is classification, but .* continues it on"),
    ],
)
def test_what_cannot_be_continued_is_refused_when_planning(
    change: dict[str, Any], said: str, tiny_config: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        of_study(tiny_config, recipes(continues=TRUNK | change))


def test_a_trunk_by_another_optimiser_may_be_continued_without_its_state(tiny_config: dict[str, Any]) -> None:
    settings = of_study(tiny_config, recipes(continues={"recipe": "muon", "warmup": 0, "optimizer": "reset"}))
    assert [run.recipe for run in grid.trunk_runs(settings, grid.runs(settings))] == ["muon", "muon"]


@pytest.mark.parametrize("missing", ["recipe", "warmup", "optimizer"])
def test_an_entry_that_lacks_a_key_is_refused(missing: str, tiny_config: dict[str, Any]) -> None:
    entry = {key: value for key, value in TRUNK.items() if key != missing}
    with pytest.raises(ConfigurationError, match=rf"recipes\.branch\.continues\.{missing}: this key is missing"):
        of_study(tiny_config, recipes(continues=entry))
