"""`warmup judge`: planted answers come out, null tables stay undecided, and what is missing is said."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars
import pytest

from warmup.command import answer
from warmup.command.__main__ import main

WARMUPS = (0.0, 0.02, 0.1, 0.3)
SEEDS = 8


def table(means: dict[str, tuple[float, ...]], noise: float, seeds: int = SEEDS) -> polars.DataFrame:
    """Runs of each cell with these mean outcomes by warmup: seeds differ much, warmups of one seed by `noise`."""
    draws = np.random.default_rng(0)
    rows = []
    for model, planted in means.items():
        common = draws.normal(0, 0.2, seeds)
        for warmup, mean in zip(WARMUPS, planted, strict=True):
            own = draws.normal(0, noise, seeds)
            rows += [
                {"model": model, "ramp": warmup, "run": seed, "loss": mean + common[seed] + own[seed]}
                for seed in range(seeds)
            ]
    return polars.DataFrame(rows)


COLUMNS = ("--cell", "model", "--treatment", "ramp", "--seed", "run", "--outcome", "loss")


def judged(
    runs: polars.DataFrame, capsys: pytest.CaptureFixture[str], folder: Path, *options: str, code: int | None = 0
) -> dict[str, Any]:
    runs.write_csv(folder / "runs.csv")
    found = main(["judge", str(folder / "runs.csv"), *COLUMNS, *options, "--json"])
    assert code is None or found == code
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    assert reply["answered"] == (found == 0)
    return reply


def test_a_planted_table_gives_the_planted_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = table({"one": (3.4, 3.2, 3.0, 3.2), "two": (3.0, 3.0, 3.0, 3.0)}, noise=0.01)
    reply = judged(runs, capsys, tmp_path, "--margin", "2%")
    one, two = reply["cells"]
    assert (one["cell"], one["verdict"], one["possible_best"], one["recommended"]) == ("one", "best", ["0.1"], "0.1")
    assert one["not_excluded"] == ["0.1"] and one["reference_verdict"] == "excluded"
    assert {pair["verdict"] for pair in one["pairs"]} >= {"different"}
    first = one["pairs"][0]
    assert (first["treatment"], first["other"]) == ("0", "0.02") and first["difference"] == pytest.approx(0.2, abs=0.02)
    assert (two["verdict"], two["demonstrated"]) == ("alike", ["0", "0.02", "0.1", "0.3"])
    assert {pair["verdict"] for pair in two["pairs"]} == {"equivalent"}


def test_a_null_table_is_undecided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = judged(table({"one": (3.0,) * 4}, noise=0.1, seeds=4), capsys, tmp_path, code=3)
    (cell,) = reply["cells"]
    assert cell["verdict"] == "undecided" and cell["reference_verdict"] == "undecided"
    assert {pair["verdict"] for pair in cell["pairs"]} == {"undecided"}
    assert cell["seeds_for_two_margins"] is None or cell["seeds_for_two_margins"] > 4


def test_null_tables_hardly_ever_name_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """40 cells of one null, judged apart at 95 %: more than 6 with a false difference has a chance below 0.004."""
    runs = table({f"cell {number}": (3.0,) * 4 for number in range(40)}, noise=0.05, seeds=5)
    reply = judged(runs, capsys, tmp_path, code=None)
    false = sum(any(pair["verdict"] == "different" for pair in cell["pairs"]) for cell in reply["cells"])
    assert false <= 6


def test_a_larger_outcome_may_be_the_better_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = table({"one": (0.5, 0.6, 0.9, 0.6)}, noise=0.005)
    (cell,) = judged(runs, capsys, tmp_path, "--larger-is-better")["cells"]
    assert cell["possible_best"] == ["0.1"]
    assert [round(arm["mean"] - cell["treatments"][2]["mean"], 1) for arm in cell["treatments"]] == [
        -0.4,
        -0.3,
        0,
        -0.3,
    ]
    assert cell["against_reference"][1]["difference"] > 0.3 and cell["against_reference"][1]["verdict"] == "better"


def test_treatments_may_be_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = table({"one": (3.4, 3.2, 3.0, 3.2)}, noise=0.01)
    names = runs.with_columns(polars.col("ramp").replace_strict(dict(zip(WARMUPS, "abcd", strict=True))))
    (cell,) = judged(names, capsys, tmp_path, "--reference", "b")["cells"]
    assert cell["possible_best"] == ["c"] and cell["reference"] == "b" and cell["optimum_between"] is None


def test_one_seed_missing_runs_and_unpaired_seeds_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = table({"one": (3.4, 3.2, 3.0, 3.2)}, noise=0.01)
    (cell,) = judged(runs.filter(polars.col("run") == 0), capsys, tmp_path, code=3)["cells"]
    assert (cell["verdict"], cell["note"]) == ("cannot say", "one seed has no spread")
    gap = (polars.col("run") == 3) & (polars.col("ramp") == 0.1)
    (cell,) = judged(runs.with_columns(polars.when(~gap).then("loss").alias("loss")), capsys, tmp_path)["cells"]
    assert (cell["missing"], cell["complete_seeds"], cell["seeds"]) == (1, SEEDS - 1, SEEDS)
    apart = runs.with_columns(polars.col("run") + 100 * (polars.col("ramp") > 0.05))
    (cell,) = judged(apart, capsys, tmp_path, code=3)["cells"]
    assert cell["note"].startswith("no seed has every ramp") and "with the same ones" in cell["note"]


def test_a_diverged_run_counts_as_what_the_user_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = table({"one": (3.1, 3.1, 3.0, 3.1)}, noise=0.01)
    lost = runs.with_columns(polars.when(polars.col("ramp") == 0).then(float("inf")).otherwise("loss").alias("loss"))
    error = judged(lost, capsys, tmp_path, code=2)["error"]
    assert error.startswith(f"{SEEDS} runs have a loss that is no finite number")
    reply = judged(lost, capsys, tmp_path, "--diverged-as", "6")
    assert reply["diverged"] == SEEDS and reply["cells"][0]["treatments"][0]["mean"] == 6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--outcome", "los"), "column 'los' is not there; there are model, ramp, run, loss"),
        (("--outcome", "model"), "column 'model' holds text"),
        (("--cell", "loss"), ""),
        (("--margin", "much"), "--margin: 'much' should be"),
        (("--confidence", "95"), "--confidence: 95 is not between"),
        (("--reference", "7"), "--reference: '7' is not among the treatments, 0, 0.02, 0.1, 0.3"),
        (("--seed", "model"), "one has ramp 0, seed one twice"),
    ],
)
def test_wrong_input_is_one_sentence(
    options: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = table({"one": (3.4, 3.2, 3.0, 3.2)}, noise=0.01)
    if not sentence:  # every run its own cell: nothing to compare, which is no mistake
        assert {cell["verdict"] for cell in judged(runs, capsys, tmp_path, *options, code=3)["cells"]} == {"cannot say"}
        return
    assert judged(runs, capsys, tmp_path, *options, code=2)["error"].startswith(sentence)


def test_event_files_are_judged_like_the_table_they_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    runs = table({"one": (3.4, 3.2, 3.0, 3.2)}, noise=0.01, seeds=3)
    for run in runs.iter_rows(named=True):
        with SummaryWriter(str(tmp_path / "logs" / f"w{run['ramp']}-s{run['run']}")) as writer:
            for step, above in enumerate((1.0, 0.0, 0.5)):
                writer.add_scalar("val/loss", run["loss"] + above, step)
    options = ("--treatment", "warmup", "--pattern", r"w(?P<warmup>[\d.]+)-s(?P<seed>\d+)", "--json")
    assert main(["judge", str(tmp_path / "logs"), "--tag", "val/loss", *options]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    expected = runs.group_by("ramp").agg(polars.col("loss").mean()).sort("ramp")["loss"].to_list()
    assert [arm["mean"] for arm in cell["treatments"]] == pytest.approx(expected, rel=1e-6)
    assert main(["judge", str(tmp_path / "logs"), "--tag", "loss", "--json"]) == 2
    assert "there is no scalar 'loss'; it has val/loss" in json.loads(capsys.readouterr().out)["error"]


def test_text_and_page_say_the_same_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table({"<one>": (3.4, 3.2, 3.0, 3.2)}, noise=0.01).write_parquet(tmp_path / "runs.parquet")
    page = tmp_path / "page.html"
    assert main(["judge", str(tmp_path / "runs.parquet"), *COLUMNS, "--page", str(page)]) == 0
    assert "<one>: ramp 0.1 is the best" in capsys.readouterr().out
    assert "&lt;one&gt;</h2><p><b>ramp 0.1 is the best</b>" in page.read_text() and "<svg" in page.read_text()
