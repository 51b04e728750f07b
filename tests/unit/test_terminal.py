"""What a person at a terminal sees of a study: its progress, its counts so far, its answer."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warmup.config import grid
from warmup.terminal import so_far, study
from warmup.terminal.progress import Progress, clock


def under_way() -> Progress:
    """Eight trainings, two at once, of which three are finished; one of two further steps."""
    progress = Progress(began=100.0)
    progress.plan({"train": 8, "optima": 1, "figures": 1, "total": 10})
    for first, began in ((0, 100.0), (2, 110.0)):
        for job in (first, first + 1):
            progress.start(job, "train", {"architecture": "gpt2", "seed": str(job)}, now=began)
        for job in (first, first + 1)[: 2 if first == 0 else 1]:
            progress.finish(job, now=began + 10)
    progress.start(9, "optima", {}, now=120.0)
    progress.finish(9, now=124.0)
    return progress


def test_the_line_says_what_is_done_and_what_is_left() -> None:
    # five trainings of 10 s and a step of 4 s, less the 14 s that one has run already, two at once: 20 s
    line = under_way().line(now=124.0, width=200)
    assert line == "trainings 3 of 8  |  steps 1 of 2  |  0:24 gone, about 0:20 left  |  now: train gpt2/3"


def test_the_line_is_never_wider_than_the_terminal() -> None:
    progress = under_way()
    assert all(len(progress.line(now=120.0, width=width)) <= width for width in range(1, 120))


def test_nothing_is_estimated_from_nothing() -> None:
    progress = Progress(began=0.0)
    assert progress.line(now=5.0, width=80) == "planning  |  0:05 gone"
    progress.plan({"train": 2, "total": 2})
    progress.start(1, "train", {}, now=5.0)
    assert progress.seconds_left(now=6.0) is None
    assert "left" not in progress.line(now=6.0, width=80)


def test_a_failure_is_counted_and_named() -> None:
    progress = under_way()
    assert progress.fail(3) == "train gpt2/3"
    assert "1 failed" in progress.line(now=120.0, width=200)
    assert progress.running == {}


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0:00"), (59.6, "1:00"), (754, "12:34"), (3725, "1:02:05")])
def test_durations_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.fixture
def half_finished(tiny: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Settings of a study of which every other run is finished, the first of them diverged."""
    settings = {**tiny, "results": str(tmp_path)}
    for number, run in enumerate(grid.runs(settings)):
        if number % 2 == 0:
            folder = tmp_path / settings["scale"] / "runs" / run.folder()
            folder.mkdir(parents=True)
            (folder / "summary.json").write_text(json.dumps({"status": "diverged" if number == 0 else "finished"}))
    return settings


def test_counts_name_every_cell_and_what_went_wrong_in_it(half_finished: dict[str, Any]) -> None:
    lines = list(so_far.counts(half_finished))
    runs = grid.runs(half_finished)
    cells = {(run.architecture, run.task) for run in runs}
    assert len(lines) == len(cells) + 3
    assert lines[2].split() == ["gpt2", "language", "adamw", "2", "of", "4", "1", "diverged"]
    assert lines[-1] == f"{len(runs) // 2} of {len(runs)} runs are finished"


def test_the_last_answer_is_shown_or_its_absence_said(half_finished: dict[str, Any]) -> None:
    assert list(so_far.answer(half_finished)) == ["no answer yet: it is written once all runs are finished"]
    folder = Path(half_finished["results"], half_finished["scale"], "studies", half_finished["study"])
    folder.mkdir(parents=True)
    (folder / "answer.txt").write_text("In short\n")
    lines = list(so_far.answer(half_finished))
    assert lines[0].startswith("answer of ") and lines[-1] == "In short"


def test_the_last_look_at_each_cell_is_shown_with_its_verdict_and_the_answer_so_far(
    half_finished: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**half_finished, "design": "adaptive"}
    first = grid.runs(settings)[0]
    arm = {"mean": 2.0, "regret": 0.0, "regret_low": 0.0, "regret_high": 0.01, "not_excluded": True, "n": 3}
    arms = [{"warmup": warmup, "demonstrated": warmup > 0, "possible_best": True, **arm} for warmup in (0.0, 0.1)]
    record = {"architecture": first.architecture, "task": first.task, "recipe": first.recipe, "seeds": 3, "n": 3}
    record |= {"arms": arms, "margin": 0.02, "method": "paired t", "recommended": 0.1, "recommended_high": 0.01}
    record |= {"reference": 0.0, "reference_verdict": "undecided", "verdict": "goes on", "projected": 9.0, "note": ""}
    record |= {"looked_at": [0.0, 0.1], "dropped": [], "opens": {"look": 2, "arms": [0.0, 0.1], "seeds": 5}}
    folder = Path(settings["results"], settings["scale"], "studies", settings["study"], "looks", "architecture=x")
    folder.mkdir(parents=True)
    for look in (1, 2):
        (folder / f"look={look}.json").write_text(json.dumps(record | {"look": look, "seeds": 2 * look + 1}))
    monkeypatch.setattr(so_far.configuration, "effective", lambda _: settings)
    assert so_far.main([]) == 0
    said = capsys.readouterr().out
    assert "look 2, 5 seeds: goes on" in said
    assert "after the last look at each of 1 cells" in said
    assert "10 % does" in said and "take 10 %" in said


def test_a_mistake_in_the_configuration_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert so_far.main(["--config", "scale=enormous"]) == 1
    assert "enormous" in capsys.readouterr().err


def test_settings_of_ones_own_are_read_as_snakemake_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"results: {tmp_path}/elsewhere\nwarmups: [0, 0.1]\ndesign: fixed\nseeds: 2\n")
    assert so_far.main(["--configfile", str(mine), "--config", "seeds=3"]) == 0
    said = capsys.readouterr().out
    assert "scale laptop, study warmup" in said
    assert "gpt2          language  adamw   0 of 6\n" in said  # two warmups, three seeds
    assert so_far.main(["--configfile", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml" in capsys.readouterr().err


SNAKEFILE = """
rule all:
    input: "good", "bad"
rule good:
    output: "good"
    shell: "touch {output}"
rule bad:
    output: "bad"
    log: "bad.log"
    shell: "echo 12:00:00 error: no such thing > {log}; false"
"""


@pytest.fixture
def run_study(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs `make`'s command on a workflow with a rule that fails, in a terminal or in a pipe."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)

    def run(*prefix: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "warmup.terminal.study", "--cores", "1", "--keep-going"]
        words = " ".join(command) if prefix else command
        environment = {
            "PYTHONPATH": str(study.SCRIPTS),
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "COLUMNS": "90",
        }
        whole = [*prefix, words] if prefix else words
        return subprocess.run(
            whole, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    return run


def test_in_a_terminal_a_failure_is_one_line_and_all_else_is_in_a_file(
    run_study: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    done = run_study("script", "--quiet", "--return", "/dev/null", "--command")
    assert done.returncode == 1
    assert "failed: bad: no such thing (bad.log)" in done.stdout
    assert "steps 1 of 3  |  1 failed" in done.stdout
    assert "Error in rule bad" not in done.stdout
    (log,) = (tmp_path / ".snakemake" / "log").glob("*.make.log")
    assert "Error in rule bad" in log.read_text() and str(log.relative_to(tmp_path)) in done.stdout


def test_in_a_pipe_everything_is_as_snakemake_says_it(
    run_study: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    done = run_study()
    assert done.returncode == 1
    assert "Error in rule bad" in done.stdout + done.stderr
    assert "\x1b[2K" not in done.stdout + done.stderr
    assert list((tmp_path / ".snakemake" / "log").glob("*.make.log")) == []
