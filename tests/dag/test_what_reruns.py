"""What a change invalidates: the table of docs/provenance.md, row by row, on real Snakemake and a finished study."""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import black
import pytest
from dag.studies import Study, rules, trainings

RUNS = 10
"""Trainings of the study: (2 architectures x 2 recipes on language + 1 on images) x 2 warmups x 1 seed."""

EDIT = "EDITED = True"
"""A statement that changes what a module means, added to its end."""


def test_a_finished_study_has_nothing_to_do(study: Study) -> None:
    plan = study.plan()
    assert plan.jobs == []
    assert plan.warnings == []


def test_touching_every_file_reruns_nothing(study: Study) -> None:
    files = [path for path in study.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    random.Random(4).shuffle(files)
    for number, path in enumerate(files):
        os.utime(path, (1.9e9 + number, 1.9e9 + number))
    assert study.plan().jobs == []


def test_a_fresh_clone_with_copied_results_reruns_nothing(study: Study, tmp_path: Path) -> None:
    clone = tmp_path / "elsewhere" / "clone"
    shutil.copytree(study.folder, clone, copy_function=shutil.copyfile)
    assert Study(clone).plan().jobs == []


def test_comments_docstrings_and_formatting_rerun_nothing(study: Study) -> None:
    for path in study.sources():
        text = path.read_text()
        if path.parent.name == "warmup":
            text = black.format_str(text, mode=black.Mode(line_length=70))
        assert '"""' in text, path
        path.write_text("# A comment.\n" + text.replace('"""', '"""Another docstring. ', 1) + "\n# The end.\n")
    assert study.plan().jobs == []


def test_a_plotting_function_redraws_figures_and_trains_nothing(study: Study) -> None:
    study.append("plots/effects.py", EDIT)
    found = rules(study.plan())
    assert found and not found & {"prepare_data", "check_models", "train", "probe_run", "runs_table", "optima"}


def test_the_style_of_figures_trains_nothing(study: Study) -> None:
    study.append("plots/style.py", EDIT)
    plan = study.plan()
    assert plan.jobs and not trainings(plan)
    assert not rules(plan) & {"prepare_data", "check_models", "runs_table", "optima"}


def test_the_statistics_of_the_optimum_rerun_from_there_on_and_train_nothing(study: Study) -> None:
    study.append("statistics/effect/optimum.py", EDIT)
    found = rules(study.plan())
    assert "optima" in found
    assert not found & {"prepare_data", "check_models", "train", "probe_run", "runs_table", "spike_ratios"}


@pytest.mark.parametrize("module", ["architectures/families/mamba.py", "kernels/selective_scan.py"])
def test_code_that_only_mamba_uses_trains_mamba_alone(study: Study, module: str) -> None:
    study.append(module, EDIT)
    plan = study.plan()
    assert [run["architecture"] for run in trainings(plan)] == ["mamba"] * 4
    assert {"runs_table", "optima"} <= rules(plan)
    assert "prepare_data" not in rules(plan)


def test_the_training_loop_trains_everything(study: Study) -> None:
    study.append("training/loop.py", EDIT)
    plan = study.plan()
    assert len(trainings(plan)) == RUNS
    assert "prepare_data" not in rules(plan)


def test_an_edited_schedule_trains_only_recipes_that_use_it(study: Study) -> None:
    study.append("schedules/wsd.py", EDIT)
    assert [run["recipe"] for run in trainings(study.plan())] == ["wsd"] * 4


def test_code_that_no_run_uses_trains_nothing(study: Study) -> None:
    unused = ["schedules/inverse_square_root.py", "optimizers/adamw2.py", "architectures/families/rwkv.py"]
    for module in [*unused, "kernels/wkv.py", "tasks/forecasting.py", "data/sources/etth1.py"]:
        study.append(module, EDIT)
    assert trainings(study.plan()) == []


@pytest.mark.parametrize(
    ("module", "prepared_again"),
    [("data/sources/sklearn_digits.py", [{"task": "images"}]), ("tasks/classification.py", [])],
)
def test_an_edited_data_loader_trains_only_its_task(
    study: Study, module: str, prepared_again: list[dict[str, str]]
) -> None:
    study.append(module, EDIT)
    plan = study.plan()
    assert [run["task"] for run in trainings(plan)] == ["images"] * 2
    assert [job.wildcards for job in plan.jobs if job.rule == "prepare_data"] == prepared_again


def test_one_more_seed_trains_that_seed_alone(study: Study) -> None:
    plan = study.plan(configuration={"seeds": 2})
    assert [run["seed"] for run in trainings(plan)] == ["1"] * RUNS
    assert "prepare_data" not in rules(plan)


def selection(**more: Any) -> dict[str, Any]:
    """The study's selections, and one more."""
    known = [
        {"architectures": ["gpt2", "mamba"], "tasks": ["language"], "recipes": ["adamw", "wsd"]},
        {"architectures": ["gpt2"], "tasks": ["images"], "recipes": ["adamw"]},
    ]
    return {"provenance": {"selections": [*known, more]}}


def test_a_new_architecture_entry_trains_that_architecture_alone(study: Study) -> None:
    wider = {"model_type": "gpt2", "settings": {"n_embd": 24, "n_layer": 1, "n_head": 2, "n_positions": 32}}
    plan = study.plan(
        configuration={
            "architectures": {"wider": wider},
            "studies": selection(architectures=["wider"], tasks=["language"], recipes=["adamw"]),
        }
    )
    assert [run["architecture"] for run in trainings(plan)] == ["wider"] * 2
    assert "prepare_data" not in rules(plan)


def test_a_new_recipe_trains_no_other_recipe(study: Study) -> None:
    plan = study.plan(
        configuration={
            "recipes": {"slow": {"based_on": "adamw", "peak_learning_rate": 1.0e-4}},
            "studies": selection(architectures=["gpt2"], tasks=["images"], recipes=["slow"]),
        }
    )
    assert [run["recipe"] for run in trainings(plan)] == ["slow"] * 2


def test_a_changed_recipe_trains_that_recipe_alone(study: Study) -> None:
    plan = study.plan(configuration={"recipes": {"wsd": {"weight_decay": 0.05}}})
    assert [run["recipe"] for run in trainings(plan)] == ["wsd"] * 4


def test_another_scale_touches_no_result_of_this_one(study: Study) -> None:
    changed = {"seeds": 7, "warmups": [0, 0.5], "training": {"steps": 99}, "recipes": {"adamw": {"weight_decay": 0.7}}}
    assert study.plan(configuration={"scales": {"paper": changed, "laptop": changed}}).jobs == []


def test_labels_train_nothing(study: Study) -> None:
    labels = {
        "architectures": {"gpt2": {"label": "G"}},
        "tasks": {"images": {"label": "I"}},
        "recipes": {"wsd": {"label": "W"}},
    }
    assert trainings(study.plan(configuration=labels)) == []


def test_how_a_training_is_operated_trains_nothing(study: Study) -> None:
    """Pages that show the configuration, or the bill of it, are made again."""
    operated = {
        "training": {"checkpoint_minutes": 1, "checkpoint_steps": 3, "start": "cold"},
        "checkpoints": "elsewhere",
    }
    assert rules(study.plan(configuration=operated)) <= {"setup", "bill", "bill_compared"}


def test_resource_requests_rerun_nothing(study: Study) -> None:
    study.change("rules/data.smk", "mem_mb=4000", "mem_mb=4001")
    requests = ["--set-resources", "train:mem_mb=12345", "train:runtime=77", "--default-resources", "disk_mb=5"]
    assert study.plan(*requests).jobs == []


def test_a_profile_reruns_nothing(study: Study, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "profile.yaml").write_text(
        "keep-going: true\nretries: 3\nlatency-wait: 60\ndefault-resources: {mem_mb: 999}\n"
    )
    assert study.plan("--profile", str(profile)).jobs == []


def test_an_environment_file_reruns_nothing(study: Study) -> None:
    for file in (study.folder / "envs").glob("*.yaml"):
        file.write_text(f"{file.read_text()}\n# another environment\n")
    assert study.plan().jobs == []


@pytest.mark.parametrize("name", ["log.parquet", "evaluation.parquet", "attention.parquet", "summary.json"])
def test_deleting_a_file_of_a_run_trains_that_run_alone(study: Study, name: str) -> None:
    run = {"architecture": "gpt2", "task": "language", "recipe": "wsd", "warmup": "0.25", "seed": "0"}
    folder = study.folder / "results/tiny/runs" / "/".join(f"{axis}={value}" for axis, value in run.items())
    (folder / name).unlink()
    assert trainings(study.plan()) == [run]


def test_an_edit_reverted_before_anything_ran_reruns_nothing(study: Study) -> None:
    path = study.folder / "workflow_scripts/warmup/training/loop.py"
    original = path.read_text()
    study.append("training/loop.py", EDIT)
    assert len(trainings(study.plan())) == RUNS
    path.write_text(original)
    assert study.plan().jobs == []
