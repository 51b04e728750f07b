"""Why something would run again, on a workflow of three rules and real Snakemake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from warmup.provenance import why

SNAKEFILE = """
import json
SETTINGS = json.load(open("settings.json"))

def settings(wildcards):
    return {
        "coordinates": {"recipe": wildcards.recipe, "seed": wildcards.seed},
        "recipe": SETTINGS["recipes"][wildcards.recipe],
        "code": SETTINGS["code"],
    }

RUNS = expand("results/runs/recipe={recipe}/seed={seed}/{{file}}", recipe=SETTINGS["recipes"], seed=["0", "1"])

rule all:
    input:
        [run.format(file=file) for run in RUNS for file in ("log.txt", "resources.json")],
        "results/table.txt",

rule train:
    output:
        log="results/runs/recipe={recipe}/seed={seed}/log.txt",
        resources="results/runs/recipe={recipe}/seed={seed}/resources.json",
    params:
        settings=settings,
    shell:
        "echo x > {output.log}; echo '{{\\"seconds\\": 180{wildcards.seed}}}' > {output.resources}"

rule table:
    input:
        [run.format(file="log.txt") for run in RUNS],
    output:
        "results/table.txt",
    benchmark:
        "results/benchmarks/table.tsv"
    params:
        settings={"title": "a; b, now: c"},
    shell:
        "cat {input} > {output}"
"""
ORIGINAL = {"recipes": {"adamw": {"weight_decay": 0.1}, "wsd": {"tail": "x"}}, "code": {"warmup/training/loop.py": "a"}}
OPTIONS = ["--rerun-triggers", "mtime", "params", "input"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow, run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "settings.json").write_text(json.dumps(ORIGINAL))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", *OPTIONS]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def study(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished workflow in its first state, as the current folder."""
    monkeypatch.chdir(finished)
    (finished / "settings.json").write_text(json.dumps(ORIGINAL))
    why._median.cache_clear()
    return finished


def lines(*options: str) -> list[str]:
    return list(why.report(why.planned([*OPTIONS, *options]), why.hours_of))


@pytest.mark.usefixtures("study")
def test_nothing_to_run_is_said() -> None:
    assert lines() == ["nothing to run: every result is up to date"]


def test_a_changed_setting_is_told_with_its_old_and_new_value_and_its_cost(study: Path) -> None:
    settings = json.loads(json.dumps(ORIGINAL))
    settings["recipes"]["adamw"]["weight_decay"] = 0.05
    (study / "settings.json").write_text(json.dumps(settings))
    found = lines()
    assert sorted(line for line in found if line.startswith("train recipe")) == [
        "train recipe=adamw seed=0: recipe adamw: weight_decay 0.1 -> 0.05 [0.5 h]",
        "train recipe=adamw seed=1: recipe adamw: weight_decay 0.1 -> 0.05 [0.5 h]",
    ]
    assert any(line.startswith("table: follows from: results/runs/recipe=adamw/seed=") for line in found)
    assert "train: 2 job(s), 1.0 h" in found
    assert found[-1].startswith("in all: 3 job(s), 1.0 h")


def test_a_changed_module_is_named(study: Path) -> None:
    (study / "settings.json").write_text(json.dumps({**ORIGINAL, "code": {"warmup/training/loop.py": "b"}}))
    assert "train recipe=wsd seed=1: warmup/training/loop.py changed [0.5 h]" in lines()


def test_a_new_run_is_told_and_costs_what_its_like_cost(study: Path) -> None:
    recipes = {**ORIGINAL["recipes"], "radam": {"weight_decay": 0.1}}
    (study / "settings.json").write_text(json.dumps({**ORIGINAL, "recipes": recipes}))
    found = lines()
    assert "train recipe=radam seed=0: new: never made, or deleted [0.5 h]" in found
    assert any(line.startswith("table: ") and "follows from: results/runs/recipe=radam" in line for line in found)


def test_a_missing_file_is_named(study: Path) -> None:
    log = study / "results/runs/recipe=wsd/seed=1/log.txt"
    kept = log.read_bytes()
    log.unlink()
    try:
        assert "train recipe=wsd seed=1: missing file: log.txt [0.5 h]" in lines()
    finally:
        log.write_bytes(kept)


@pytest.mark.usefixtures("study")
def test_a_forced_job_is_told() -> None:
    assert any(line.startswith("table: forced on the command line [0.000") for line in lines("--forcerun", "table"))


@pytest.mark.usefixtures("study")
def test_a_plan_that_fails_says_what_snakemake_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert why.main(["no_such_target"]) == 1
    assert "no_such_target" in capsys.readouterr().err
    assert why.main(["--no-such-option"]) == 1
    assert "unrecognized arguments: --no-such-option" in capsys.readouterr().err


def job(reason: str) -> why.Job:
    return why.Job("train", {}, reason, ["results/none.txt"], None)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Missing output files: results/none.txt", ["new: never made, or deleted"]),
        ("Updated input files: a, b", ["input changed: a, b"]),
        ("Incomplete output files: a", ["was interrupted: a"]),
        ("Set of input files has changed since last execution", ["its set of inputs changed (runs added or removed)"]),
        (
            "Updated input files: a; Params have changed since last execution: Union of exclusive params before "
            "and now across all output: before: {'x': '; now: 1'} now: {'x': 'y; Params'} ",
            ["input changed: a", "x ; now: 1 -> y; Params"],
        ),
        (
            "Params have changed since last execution: Union of exclusive params before and now across all output: "
            "before: {'x': 1},{'x': 2} now: {'x': 3} ",
            ["x 1 -> 3", "x 2 -> 3"],
        ),
        (
            "Params have changed since last execution: Union of exclusive params before and now across all output: "
            "before: {'x': nan} now: {'x': 3} ",
            ["its parameters changed"],
        ),
        (
            "Params have changed since last execution: Union of exclusive params before and now across all output: "
            "before: {'x': 1, 'y': 2} now: {'y': 2, 'x': 1} ",
            ["its parameters are recorded in another order"],
        ),
        ("Something Snakemake will say one day", ["Something Snakemake will say one day"]),
        ("", ["requested"]),
    ],
)
def test_each_reason_of_snakemake_is_put_in_plain_words(
    reason: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert why.causes(job(reason)) == told


@pytest.mark.parametrize(
    ("hours", "text"), [(None, "no estimate"), (0.001, "0.0010 h (4 s)"), (2.25, "2.2 h"), (120.0, "120.0 h")]
)
def test_hours_are_readable(hours: float | None, text: str) -> None:
    assert why.duration(hours) == text


def test_the_cost_of_a_job_is_taken_from_the_nearest_of_its_like(tmp_path: Path) -> None:
    def run(seed: int, architecture: str) -> Path:
        return tmp_path / f"architecture={architecture}" / "task=t" / f"seed={seed}" / "resources.json"

    for path, seconds in ((run(0, "a"), 3600), (run(1, "a"), 7200), (run(0, "b"), 36000)):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"seconds": seconds}))

    def hours(seed: int, architecture: str) -> float | None:
        return why.hours_of(why.Job("train", {}, "", [str(run(seed, architecture))], None))

    assert hours(0, "a") == 1.0
    assert hours(7, "a") == 1.5
    assert hours(0, "c") == 2.0
    assert why.hours_of(why.Job("train", {}, "", [str(tmp_path / "x" / "resources.json")], None)) is None


def test_the_cost_of_a_job_without_resources_is_its_benchmark(tmp_path: Path) -> None:
    benchmark = tmp_path / "architecture=a" / "seed=0.tsv"
    benchmark.parent.mkdir()
    benchmark.write_text("s\th:m:s\n1800.0\t0:30:00\n")
    assert why.hours_of(why.Job("optima", {}, "", ["x"], str(benchmark))) == 0.5
    assert why.hours_of(why.Job("optima", {}, "", ["x"], str(benchmark.with_name("seed=1.tsv")))) == 0.5
