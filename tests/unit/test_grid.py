"""The grid: which runs there are, what their paths and settings are, and what they share."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from warmup.config import configuration, feasibility, grid
from warmup.errors import ConfigurationError


def test_the_paper_scale_is_four_architectures_seven_warmups_three_tasks_ten_seeds(config: dict[str, Any]) -> None:
    runs = grid.runs(configuration.effective({**config, "scale": "paper"}))
    axes = {axis: {getattr(run, axis) for run in runs} for axis in grid.Run._fields}
    assert {axis: len(values) for axis, values in axes.items()} == {
        "architecture": 4,
        "task": 3,
        "recipe": 1,
        "warmup": 7,
        "seed": 10,
    }
    assert len(runs) == len(set(runs)) == 840


def test_a_run_folder_is_its_coordinates() -> None:
    run = grid.Run("gpt2", "language", "adamw", "0.05", "3")
    assert run.folder() == "architecture=gpt2/task=language/recipe=adamw/warmup=0.05/seed=3"


@pytest.mark.parametrize(
    ("warmup", "label"), [(0, "0"), (0.0, "0"), (0.005, "0.005"), (0.05, "0.05"), (0.2, "0.2"), (1, "1")]
)
def test_warmup_labels_are_shortest_decimals(warmup: float, label: str) -> None:
    assert grid.warmup_label(warmup) == label


@given(some.floats(0, 1), some.integers(10, 100_000))
def test_warmup_steps_round_to_the_nearest_step(warmup: float, steps: int) -> None:
    assert abs(feasibility.warmup_steps(warmup, steps) - warmup * steps) <= 0.5 + 1e-6


def test_an_entry_alone_adds_an_architecture_to_the_study_and_touches_no_other_run(tiny_config: dict[str, Any]) -> None:
    before = configuration.effective(tiny_config)
    entry = yaml.safe_load(
        "architectures: {llama: {model_type: llama, settings: {hidden_size: 16, num_attention_heads: 2}}}"
    )
    after = configuration.effective(configuration.merge(tiny_config, entry))
    old, new = grid.runs(before), grid.runs(after)
    assert {run.architecture for run in set(new) - set(old)} == {"llama"}
    assert all(grid.run_settings(before, run) == grid.run_settings(after, run) for run in old)


RATES = """
recipes:
  adamw: {peak_learning_rate: 1.0e-3, peak_learning_rates: {mamba: {language: 4.0e-3}}}
  low: {based_on: adamw, learning_rate_factor: 0.3}
  slow: {based_on: low, peak_learning_rate: 1.0e-5}
architectures:
  mamba_wide: {based_on: mamba, role: variant, settings: {hidden_size: 32}}
"""


@pytest.mark.parametrize(
    ("architecture", "task", "recipe", "rate"),
    [
        ("gpt2", "language", "adamw", 1.0e-3),
        ("mamba", "images", "adamw", 1.0e-3),
        ("mamba", "language", "adamw", 4.0e-3),
        ("mamba_wide", "language", "adamw", 4.0e-3),  # its lineage's
        ("mamba", "language", "low", 1.2e-3),
        ("gpt2", "language", "low", 3.0e-4),
        ("mamba", "language", "slow", 1.0e-5),  # one rate for all, said by itself
    ],
)
def test_a_peak_rate_is_the_recipes_for_this_architecture_and_task(
    architecture: str, task: str, recipe: str, rate: float, tiny_config: dict[str, Any]
) -> None:
    settings = configuration.effective(configuration.merge(tiny_config, yaml.safe_load(RATES)))
    run = grid.run_settings(settings, grid.Run(architecture, task, recipe, "0", "0"))["recipe"]
    assert run["peak_learning_rate"] == rate
    assert not {"peak_learning_rates", "learning_rate_factor"} & set(run)


def test_the_rate_of_one_architecture_touches_no_run_of_another(tiny_config: dict[str, Any]) -> None:
    before = configuration.effective(tiny_config)
    rates = {"recipes": {"adamw": {"peak_learning_rates": {"gpt2": {"images": 1.0e-3}}}}}
    after = configuration.effective(configuration.merge(tiny_config, rates))
    runs = grid.runs(before)
    changed = {run for run in runs if grid.run_settings(before, run) != grid.run_settings(after, run)}
    assert {(run.architecture, run.task) for run in changed} == {("gpt2", "images")}
    assert grid.models_settings(before, runs) == grid.models_settings(after, runs)


def test_one_rate_given_above_a_scale_holds_instead_of_the_scales_many(tiny_config: dict[str, Any]) -> None:
    many = {"scales": {"tiny": {"recipes": {"adamw": {"peak_learning_rates": {"gpt2": {"images": 1.0e-3}}}}}}}
    one = {"recipes": {"adamw": {"peak_learning_rate": 5.0e-5}}}
    settings = configuration.effective(configuration.merge(configuration.merge(tiny_config, many), one))
    assert {grid.peak_learning_rate(settings, run) for run in grid.runs(settings)} == {5.0e-5}


@pytest.mark.parametrize("scale", ["laptop", "workstation", "paper"])
def test_lower_and_higher_rate_are_shares_of_the_recipes_rate(scale: str, config: dict[str, Any]) -> None:
    settings = configuration.effective({**config, "scale": scale, "study": "learning_rate"})
    rates = {
        recipe: {grid.peak_learning_rate(settings, run) for run in grid.runs(settings) if run.recipe == recipe}
        for recipe in ("low_rate", "adamw", "high_rate")
    }
    for low, middle, high in zip(*map(sorted, rates.values()), strict=True):
        assert (low, high) == (pytest.approx(0.3 * middle), pytest.approx(3 * middle))
    assert scale != "paper" or rates["adamw"] == {6.0e-4}  # one rate for all, as the study has it


def test_studies_share_runs(config: dict[str, Any]) -> None:
    settings = configuration.effective({**config, "design": "fixed"})
    assert set(grid.runs(settings, "warmup")) < set(grid.runs(settings, "learning_rate"))


def test_a_pilot_with_a_first_seed_of_its_own_shares_no_run_with_the_study(tiny_config: dict[str, Any]) -> None:
    changes = yaml.safe_load(
        "{first_seed: 5, seeds: 2, studies: {pilot: {selections: [{recipes: [adamw], seeds: 3, first_seed: 1000}]}}}"
    )
    settings = configuration.effective(configuration.merge(tiny_config, changes))
    study, pilot = grid.runs(settings, "warmup"), grid.runs(settings, "pilot")
    assert {run.seed for run in study} == {"5", "6"}
    assert {run.seed for run in pilot} == {"1000", "1001", "1002"}
    assert not set(study) & set(pilot)


@pytest.mark.parametrize(
    ("change", "value"),
    [("progress_seconds", 7), ("checkpoint_minutes", 7), ("checkpoint_steps", 7), ("start", "cold")],
)
def test_how_a_run_is_operated_is_no_part_of_its_settings(change: str, value: Any, tiny_config: dict[str, Any]) -> None:
    before = configuration.effective(tiny_config)
    after = configuration.effective(configuration.merge(tiny_config, {"training": {change: value}}))
    run = grid.runs(before)[0]
    assert before["training"][change] != after["training"][change]
    assert grid.run_settings(before, run) == grid.run_settings(after, run)


def test_a_micro_batch_of_one_architecture_and_task_concerns_their_trainings_alone(tiny_config: dict[str, Any]) -> None:
    before = configuration.effective(tiny_config)
    entry = {"architectures": {"gpt2": {"micro_batch": {"language": 2}}}}
    after = configuration.effective(configuration.merge(tiny_config, entry))
    changed = {
        (run.architecture, run.task)
        for run in grid.runs(before)
        if grid.run_settings(before, run) != grid.run_settings(after, run)
    }
    assert changed == {("gpt2", "language")}
    assert grid.models_settings(before, grid.runs(before)) == grid.models_settings(after, grid.runs(after))
    ours = grid.run_settings(after, grid.Run("gpt2", "language", "adamw", "0", "0"))
    assert ours["training"]["micro_batch"] == 2


def test_settings_of_a_run_do_not_depend_on_other_recipes_tasks_or_labels(tiny_config: dict[str, Any]) -> None:
    before = configuration.effective(tiny_config)
    changes = yaml.safe_load(
        "{recipes: {wsd: {weight_decay: 0.2}}, tasks: {images: {batch_size: 4}}, architectures: {gpt2: {label: Other}}}"
    )
    after = configuration.effective(configuration.merge(tiny_config, changes))
    run = grid.Run("gpt2", "language", "adamw", "0", "0")
    assert grid.run_settings(before, run) == grid.run_settings(after, run)


def test_settings_of_a_run_are_builtin_and_survive_json(tiny: dict[str, Any]) -> None:
    settings = grid.run_settings(tiny, grid.runs(tiny)[0])
    assert json.loads(json.dumps(settings)) == settings


def test_architectures_to_predict_get_probe_runs_and_no_sweep(tiny_config: dict[str, Any]) -> None:
    entry = yaml.safe_load("architectures: {new: {based_on: gpt2, role: predict}}")
    settings = configuration.effective(configuration.merge(tiny_config, entry))
    runs = grid.runs(settings)
    probes = grid.probe_runs(settings, runs)
    assert "new" not in {run.architecture for run in runs}
    assert {(run.architecture, run.warmup) for run in probes} == {("new", "0")}
    assert 2 * grid.probe_steps(settings) < settings["training"]["steps"]


def test_choices_name_the_modules_a_run_uses(tiny: dict[str, Any]) -> None:
    choices = grid.run_choices(tiny, grid.Run("jamba", "series", "wsd", "0", "0"))
    assert choices["architectures.families"] == ["jamba"]
    assert choices["tasks"] == ["forecasting"]
    assert choices["schedules"] == ["wsd"]
    assert choices["optimizers"] == ["adamw"]


def test_a_recipe_that_would_read_more_tokens_than_are_prepared_is_refused(config: dict[str, Any]) -> None:
    long = {"recipes": {"long": {"based_on": "adamw", "batch_sizes": {"language": 64}}}, "scale": "paper"}
    studies = {"one": {"selections": [{"recipes": ["adamw", "long"]}]}}
    refused = configuration.merge(config, {**long, "studies": studies, "study": "one"})
    with pytest.raises(ConfigurationError, match=r"recipes\.long: its trainings read .* tokens of task 'language'"):
        configuration.effective(refused)
    configuration.effective(configuration.merge(config, long))  # nobody trains it


OWN_LENGTH = """
recipes:
  adamw: {}
  long: {based_on: adamw, steps: 60, batch_sizes: {language: 8}}
studies: {one: {selections: [{recipes: [adamw, long]}]}}
study: one
"""


def test_a_recipe_of_its_own_length_and_batch_changes_its_own_runs_alone(tiny_config: dict[str, Any]) -> None:
    before = configuration.effective(tiny_config)
    after = configuration.effective(configuration.merge(tiny_config, yaml.safe_load(OWN_LENGTH)))
    old = {run: grid.run_settings(before, run) for run in grid.runs(before)}
    new = {run: grid.run_settings(after, run) for run in grid.runs(after)}
    assert all(new[run] == settings for run, settings in old.items())
    longer = {run: settings for run, settings in new.items() if run.recipe == "long"}
    assert len(longer) == len(old)
    for run, settings in longer.items():
        twin = old[run._replace(recipe="adamw")]
        assert settings["training"] == {**twin["training"], "steps": 60}
        assert settings["warmup_steps"] == feasibility.warmup_steps(float(run.warmup), 60)
        assert settings["data"] == twin["data"]  # no data are prepared again
        assert settings["task"]["batch_size"] == (8 if run.task == "language" else twin["task"]["batch_size"])
        assert not {"steps", "batch_sizes"} & set(settings["recipe"])
    assert grid.models_settings(after, list(new))["steps"]["long"] == 60


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"steps": 10}, "warms up for all 10 steps; leave at least one for the decay"),
        ({"batch_sizes": {"langage": 4}}, r"recipes.own.batch_sizes: 'langage' is not known \(did you mean language"),
        ({"steps": 1}, r"training.evaluations: .* are more than recipes.own.steps \(1\)"),
    ],
)
def test_a_length_or_batch_that_cannot_be_is_told_when_planning(
    tiny_config: dict[str, Any], entry: dict[str, Any], told: str
) -> None:
    own = {"recipes": {"own": {"based_on": "adamw", **entry}}, "study": "one"}
    own |= {"studies": {"one": {"selections": [{"recipes": ["own"], "warmups": [0, 0.96]}]}}}
    with pytest.raises(ConfigurationError, match=told):
        configuration.effective(configuration.merge(tiny_config, own))
