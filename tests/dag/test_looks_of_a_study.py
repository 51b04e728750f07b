"""An adaptive design in Snakemake: looks follow one another within a start, and nothing holds less for their runs.

Trainings are stood in for by numbers drawn from a run's coordinates, so that a study takes seconds; everything else is
the workflow's own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from dag.studies import Study, copy_checkout, rules, trainings

from warmup.provenance import why

CONFIGURATION = {
    "design": "adaptive",
    "study": "looks",
    "warmups": [0, 0.1, 0.25],
    "looks": {"seeds": [2, 3, 4, 6]},
    "studies": {"looks": {"selections": [{"architectures": ["gpt2", "mamba"], "tasks": ["language", "images"]}]}},
    "statistics": {"margins": {"default": {"relative": 0.01}, "images": {"relative": 0.01}}},
}
TARGETS = ("train_all", "looks_table", "optima")

TRAINING = """
import json, random, time
from pathlib import Path
settings = snakemake.params.settings
code = settings.pop("code")
at = settings["coordinates"]
world = random.Random(str((at["architecture"], at["task"], at["seed"])))
noise = random.Random(str(sorted(at.items())))
# no warmup costs ten margins with GPT-2, nothing with Mamba, whose text is too noisy to tell; 25 % costs three
cost = {"0": 10.0 if at["architecture"] == "gpt2" else 0.0, "0.25": 3.0}.get(at["warmup"], 0.1)
noisy = 3.0 if (at["architecture"], at["task"]) == ("mamba", "language") else 0.02
loss = 100 + world.gauss(0, 1) + cost + noisy * noise.gauss(0, 1) + settings["training"]["steps"] / 1e6
summary = {"coordinates": at, "settings": settings, "code": code, "status": "finished",
    "metric": None, "versions": {},
    "warmup_steps": settings["warmup_steps"], "steps": 1, "best_step": 0, "parameters": 1,
    "initial_validation_loss": 200.0, "best_validation_loss": loss,
    "final_validation_loss": loss, "final_training_loss": loss,
    "best_validation_error": 0.01, "validation_stretches": 10}
time.sleep(0.02)
for path in snakemake.output:
    Path(path).write_text(json.dumps(summary))
with open("trained.txt", "a") as stream:
    print(*snakemake.wildcards, file=stream)
"""
STAND_IN = "from pathlib import Path\nfor path in snakemake.output: Path(path).write_text('{}')\n"

pytestmark = pytest.mark.slow


class Looks(Study):
    """A checkout whose trainings are stood in for."""

    def start(self, *options: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """A real start of Snakemake with these options; `changes` lie over CONFIGURATION."""
        return subprocess.run(
            self.command(*options, **changes), cwd=self.folder, capture_output=True, text=True, check=False
        )

    def command(self, *options: str, **changes: Any) -> list[str]:
        """The command of such a start."""
        files = ["tests/config.tiny.yaml", self.configured(**changes)]
        return [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *files, *options, "--", *TARGETS]

    def configured(self, **changes: Any) -> str:
        """Name of a file with CONFIGURATION and the changes."""
        path = self.folder / "changed.yaml"
        path.write_text(json.dumps(CONFIGURATION | changes))
        return path.name

    def planned(self, **changes: Any) -> why.Plan:
        """What would be run now."""
        files = ["tests/config.tiny.yaml", self.configured(**changes)]
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            return why.planned(["--cores", "2", "--configfile", *files, "--", *TARGETS])
        finally:
            os.chdir(before)

    def trained(self) -> Counter[str]:
        """How often each run was trained."""
        file = self.folder / "trained.txt"
        return Counter(file.read_text().splitlines() if file.exists() else [])

    def records(self) -> dict[str, dict[str, Any]]:
        """{path below looks/: record} of all looks, without what depends on when they were taken."""
        folder = self.folder / "results/tiny/studies/looks/looks"
        found = {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("*.json")}
        return dict(sorted(found.items()))

    def verdicts(self) -> dict[str, tuple[int, str]]:
        """{cell: (look, verdict)} of the last look at each cell."""
        last: dict[str, tuple[int, str]] = {}
        for record in self.records().values():
            cell = f"{record['architecture']} {record['task']}"
            last[cell] = max(last.get(cell, (0, "")), (record["look"], record["verdict"]))
        return last


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Looks:
    """A finished adaptive study."""
    study = checkout(tmp_path_factory.mktemp("looks"))
    done = study.start()
    assert done.returncode == 0, done.stderr[-5000:]
    return study


@pytest.fixture
def study(taken: Looks, tmp_path: Path) -> Looks:
    """A copy of it, to do anything to."""
    shutil.copytree(taken.folder, tmp_path / "study", symlinks=True)
    return Looks(tmp_path / "study")


def checkout(folder: Path) -> Looks:
    """A checkout without results."""
    copy_checkout(folder)
    scripts = folder / "workflow_scripts"
    (scripts / "train.py").write_text(TRAINING)
    for name in ("prepare_data.py", "check_models.py"):
        (scripts / name).write_text(STAND_IN)
    return Looks(folder)


def test_looks_follow_one_another_within_one_start_and_each_cell_stops_by_itself(taken: Looks) -> None:
    verdicts = taken.verdicts()
    assert verdicts["gpt2 language"][1] == verdicts["gpt2 images"][1] == verdicts["mamba images"][1] == "decided"
    assert verdicts["mamba language"][1] in ("futile", "open at the cap")
    assert len({look for look, _ in verdicts.values()}) > 1
    assert set(taken.trained().values()) == {1}


def test_a_finished_study_has_nothing_to_do(study: Looks) -> None:
    assert study.planned().jobs == []


def test_a_changed_parameter_trains_every_run_of_every_look_again(study: Looks) -> None:
    plan = study.planned(training={"collapse_share": 0.97})
    assert {" ".join(run.values()) for run in trainings(plan)} == set(study.trained())
    assert "look" in rules(plan)


def test_a_deleted_record_of_looks_costs_no_training_and_changes_no_verdict(study: Looks) -> None:
    before, runs = study.records(), study.trained()
    shutil.rmtree(study.folder / "results/tiny/studies/looks/looks")
    assert trainings(study.planned()) == []
    done = study.start()
    assert done.returncode == 0, done.stderr[-5000:]
    assert study.records() == before
    assert study.trained() == runs


def test_snakemake_killed_between_looks_trains_no_run_twice_and_ends_in_the_same_verdicts(
    taken: Looks, tmp_path: Path
) -> None:
    study = checkout(tmp_path)
    for _ in range(3):
        before = len(study.records())
        start = subprocess.Popen(
            study.command(),
            cwd=study.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while len(study.records()) <= before and start.poll() is None:
            time.sleep(0.05)
        os.killpg(start.pid, signal.SIGKILL)
        start.wait()
        subprocess.run(study.command("--unlock"), cwd=study.folder, capture_output=True, check=False)
    done = study.start()
    assert done.returncode == 0, done.stderr[-5000:]
    assert study.verdicts() == taken.verdicts()
    assert study.records() == taken.records()
    finished = Counter(study.trained())
    # a run that was under way when Snakemake was killed is incomplete and is made again; at most two ran at a time
    assert sum(count - 1 for count in finished.values()) <= 2 * 3


def test_one_more_declared_look_trains_only_seeds_of_cells_that_are_not_decided(study: Looks) -> None:
    plan = study.planned(looks={"seeds": [2, 3, 4, 6], "extensions": [8]})
    assert {(run["architecture"], run["task"]) for run in trainings(plan)} <= {("mamba", "language")}


def test_another_margin_takes_looks_again_and_trains_nothing_that_is_there(study: Looks) -> None:
    plan = study.planned(statistics={"margins": {"default": {"relative": 0.011}, "images": {"relative": 0.011}}})
    assert trainings(plan) == []
    assert "look" in rules(plan)


def test_a_new_architecture_trains_its_own_runs_only(study: Looks) -> None:
    selection = {"architectures": ["gpt2", "mamba", "rwkv"], "tasks": ["language", "images"]}
    plan = study.planned(studies={"looks": {"selections": [selection]}})
    assert {run["architecture"] for run in trainings(plan)} == {"rwkv"}


def test_a_report_refuses_looks_taken_by_other_rules(study: Looks) -> None:
    refusal = "look(s) were not taken at the present runs"
    # the study stops before its figures, so that a report fails either way; what matters is who refuses it
    assert refusal not in study.start("--report", "report.zip").stderr
    margins = {"default": {"relative": 0.011}, "images": {"relative": 0.011}}
    assert refusal in study.start("--report", "report.zip", statistics={"margins": margins}).stderr


def test_a_budget_in_device_hours_takes_its_prices_from_the_bill_within_the_same_start(tmp_path: Path) -> None:
    study = checkout(tmp_path)
    cells = [f"{name},{task},adamw,0.5" for name in ("gpt2", "mamba") for task in ("language", "images")]
    rows = "\n".join(["architecture,task,recipe,run_hours", *cells])
    script = f"from pathlib import Path\nfor path in snakemake.output: Path(path).write_text({rows!r})\n"
    (study.folder / "workflow_scripts" / "bill.py").write_text(script)
    bounded = {"seeds": [2, 3, 4, 6], "budget": {"device_hours": 13.5}}
    assert len(trainings(study.planned(looks=bounded))) == 24
    done = study.start(looks=bounded)
    assert done.returncode == 0, done.stderr[-5000:]
    assert 24 < sum(study.trained().values()) <= 27
    assert study.planned(looks=bounded).jobs == []


def test_a_budget_of_runs_bounds_the_study_and_the_cheapest_cells_go_first(tmp_path: Path) -> None:
    study = checkout(tmp_path)
    done = study.start(looks={"seeds": [2, 3, 4, 6], "budget": {"runs": 27}})
    assert done.returncode == 0, done.stderr[-5000:]
    assert sum(study.trained().values()) <= 27
    bounded = {"seeds": [2, 3, 4, 6], "budget": {"runs": 27}}
    assert study.planned(looks=bounded).jobs == []
    # looks that the budget did not grant are not missing: no report is refused for their sake
    assert "look(s) were not taken" not in study.start("--report", "report.zip", looks=bounded).stderr
