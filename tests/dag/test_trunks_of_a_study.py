"""A run that continues another one: its trunk is trained first, a change of it trains both, and nothing else again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dag.studies import CONFIGURATION, Finished, Study, rules, trainings

CONTINUES = {"recipe": "base", "warmup": 0.25, "optimizer": "kept"}
BRANCHES: dict[str, Any] = {
    "recipes": {
        "base": {"based_on": "adamw", "schedule": "constant", "steps": 12},
        "branch": {"based_on": "adamw", "continues": CONTINUES},
    },
    "studies": {
        "provenance": {
            "selections": [
                {"architectures": ["gpt2", "mamba"], "tasks": ["language"], "recipes": ["adamw", "wsd"]},
                {"architectures": ["gpt2"], "tasks": ["images"], "recipes": ["adamw"]},
                {"architectures": ["gpt2"], "tasks": ["language"], "recipes": ["branch"], "warmups": [0, 0.25]},
            ]
        }
    },
}
"""Beside the finished study: two branches of one trunk, which no selection names."""


@pytest.fixture(scope="module")
def branched(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study with its branches trained."""
    folder = tmp_path_factory.mktemp("branched") / "study"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    (folder / "branches.yaml").write_text(yaml.safe_dump(BRANCHES))
    command = [sys.executable, "-m", "snakemake", "train_all", "--cores", "2", "--quiet", "--configfile"]
    files = [*CONFIGURATION, "branches.yaml"]
    done = subprocess.run([*command, *files], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return folder


@pytest.fixture
def copied(branched: Path, tmp_path: Path) -> Study:
    return Study(shutil.copytree(branched, tmp_path / "study", symlinks=True))


def planned(study: Study, **recipes: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(rule, recipe, warmup) of trainings that would run, with these changes of recipes."""
    merged = {
        name: BRANCHES["recipes"].get(name, {}) | recipes.get(name, {}) for name in {**BRANCHES["recipes"], **recipes}
    }
    plan = study.plan(configuration=BRANCHES | {"recipes": merged})
    assert plan.warnings == []
    named = [job for job in plan.jobs if job.rule in ("train", "trunk_run", "probe_run")]
    return {(job.rule, job.wildcards["recipe"], job.wildcards["warmup"]) for job in named}


TRUNK = ("trunk_run", "base", "0.25")
BOTH = {("train", "branch", "0"), ("train", "branch", "0.25")}


def test_a_branch_plans_its_trunk_once_and_no_other_training(study: Study) -> None:
    plan = study.plan(configuration=BRANCHES)
    assert [run["recipe"] for run in trainings(plan)].count("base") == 1
    assert planned(study) == {TRUNK, *BOTH}
    assert "prepare_data" not in rules(plan)


def test_trained_branches_began_with_what_their_trunk_left_and_nothing_is_to_be_trained(branched: Path) -> None:
    results = branched / "results/tiny"
    cell = "architecture=gpt2/task=language"
    trunk = results / "trunks" / cell / "recipe=base/warmup=0.25/seed=0"
    assert (trunk / "last.checkpoint").exists()
    assert not list((results / "runs").rglob("last.checkpoint"))
    before = json.loads((trunk / "summary.json").read_text())
    for warmup in ("0", "0.25"):
        summary = json.loads((results / f"runs/{cell}/recipe=branch/warmup={warmup}/seed=0/summary.json").read_text())
        assert summary["initial_validation_loss"] == before["final_validation_loss"]
        assert summary["settings"]["continues"]["updates_before"] == 12
    assert planned(Study(branched)) == set()


@pytest.mark.parametrize(
    ("recipe", "change", "trained"),
    [
        ("base", {"weight_decay": 0.05}, {TRUNK, *BOTH}),
        ("branch", {"weight_decay": 0.05}, BOTH),
        ("branch", {"continues": CONTINUES | {"optimizer": "reset"}}, BOTH),
        ("wsd", {"weight_decay": 0.05}, {("train", "wsd", "0"), ("train", "wsd", "0.25")}),
    ],
)
def test_a_changed_recipe_trains_itself_and_what_continues_it(
    recipe: str, change: dict[str, Any], trained: set[tuple[str, str, str]], copied: Study
) -> None:
    assert planned(copied, **{recipe: change}) == trained


def test_code_that_the_trunk_alone_uses_trains_it_and_its_branches(copied: Study) -> None:
    copied.append("schedules/constant.py", "EDITED = True")
    assert planned(copied) == {TRUNK, *BOTH}


def test_another_warmup_of_the_trunk_is_another_trunk(copied: Study) -> None:
    other = {"continues": CONTINUES | {"warmup": 0.5}}
    assert planned(copied, branch=other) == {("trunk_run", "base", "0.5"), *BOTH}
