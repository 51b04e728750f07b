"""`warmup advise`: a useful diagnostic is used, with its record; else it cannot say, and says what to take."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars
import pytest
import torch
import yaml
from known_truth import trained_tables as synthetic

from warmup import files
from warmup.advice import coverage, recorded, reference, say, short_runs, words
from warmup.command import answer
from warmup.command.__main__ import main
from warmup.config import configuration, grid
from warmup.errors import DataError
from warmup.record import EarlyDiagnostics
from warmup.statistics.effect import plateau
from warmup.statistics.prediction import leaderboard

NEEDS = tuple(np.geomspace(0.002, 0.15, 16).tolist())
BETAS = [0.9, 0.95]


ROOT = Path(__file__).resolve().parents[2]
SETTINGS = configuration.effective(yaml.safe_load((ROOT / "config.yaml").read_text()))


@cache
def known(informative: bool, steps: int = 1000) -> reference.Reference:
    """A reference of sixteen lineages, of which the early spike tells the need, or does not."""
    settings = SETTINGS
    design = synthetic.Design(needs=NEEDS, tasks=2, seeds=3, informative=informative, steps=steps)
    rng = np.random.default_rng(1)
    runs = synthetic.runs(design, rng)
    readings = synthetic.diagnostics(design, rng)
    runs = runs.with_columns(polars.col("task").replace("task0", "language"), lineage=polars.col("architecture"))
    readings = readings.with_columns(polars.col("task").replace("task0", "language"))
    chosen = {**reference.of_prediction(settings), "shuffles": 3, "maps": ["log_linear"], "budgets": [30, 70]}
    plateaus = plateau.plateaus(runs, settings["statistics"])[0]
    tables = {"runs": runs, "diagnostics": readings, "plateaus": plateaus}
    board, held_out = leaderboard.leaderboard(*tables.values(), chosen)
    tried = coverage.coverage(runs, readings, chosen)
    about = {
        **{"scale": "made up", "studies": ["made up"], "runs": runs.height, "lineages": list(NEEDS), "seeds": [3, 3]},
        **{"commit": "none", "command": "none", "steps": [steps], "peak_learning_rates": [6.0e-4], "settings": chosen},
        "recipes": {"adamw": {"optimizer": "adamw", "betas": BETAS}},
    }
    return reference.Reference({**tables, "leaderboard": board, "held_out": held_out, "coverage": tried}, about)


def probes(informative: bool = True) -> polars.DataFrame:
    design = synthetic.Design(needs=(0.03,), tasks=1, seeds=3, informative=informative)
    readings = synthetic.diagnostics(design, np.random.default_rng(2))
    return readings.with_columns(polars.lit("yours").alias("architecture"), polars.lit("language").alias("task"))


PLAN = {"steps": 1000, "peak_learning_rate": 6.0e-4, "optimizer": "adamw", "betas": BETAS}


def test_a_diagnostic_that_tells_is_used_with_its_record() -> None:
    found = say.advise(known(True), probes(), PLAN, 1024)
    assert found["verdict"] == "predicted" and found["warmup"]["fraction"] == pytest.approx(0.03, rel=0.5)
    assert found["warmup"]["tokens"] == 1024 * found["warmup"]["steps"]
    assert found["warmup"]["low"] < 0.03 < found["warmup"]["high"] < 1
    assert found["record"]["versus_constant"] < 0 and found["record"]["lineages"] == 16
    assert found["warmup"]["coverage"]["cells"] == 32 and found["warmup"]["coverage"]["held"] >= 20
    assert any(line.startswith("llama: warm up over") for line in say.lines(found, "llama"))


def test_without_one_it_cannot_say_and_names_what_costs_least() -> None:
    found = say.advise(known(False), probes(False), PLAN, None)
    assert found["verdict"] == "cannot say" and found["diagnostic"] == "best_constant"
    assert "was not shown to cost less" in found["note"]
    assert found["record"]["worst"] >= found["record"]["regret"] > 0
    text = "\n".join(say.lines(found, "llama"))
    assert "meanwhile take" in text and "tried on cells left out, it held in" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 100_000}, "steps 100000, where the reference tried 1000"),
        ({"peak_learning_rate": 6.0e-3}, "peak rate 0.006, where the reference tried 0.0006"),
        ({"optimizer": "SGD"}, "optimizer SGD"),
        ({"betas": [0.9, 0.999]}, "betas [0.9, 0.999]"),
    ],
)
def test_a_plan_that_the_reference_never_tried_is_not_predicted(change: dict[str, Any], said: str) -> None:
    found = say.advise(known(True), probes(), PLAN | change, None)
    assert found["verdict"] == "cannot say" and said in found["note"]


def test_a_lineage_takes_no_part_in_the_interval_that_it_is_tried_on() -> None:
    """Another outcome of one lineage moves the intervals of all others, and not its own."""
    made = known(True)
    own = polars.col("architecture") == "net03"
    reversed_ = polars.when(own).then(4.0 - polars.col("best_validation_loss")).otherwise("best_validation_loss")
    runs = made.tables["runs"].with_columns(reversed_.alias("best_validation_loss"))
    settings = {**made.settings, "diagnostics": ["early_spike"]}
    readings = made.tables["diagnostics"].filter(polars.col("diagnostic") == "early_spike", polars.col("budget") == 10)
    before, after = (coverage.coverage(table, readings, settings) for table in (made.tables["runs"], runs))
    ends = ["predictor", "budget", "architecture", "task", "low", "high"]
    assert before.filter(own).select(ends).equals(after.filter(own).select(ends))
    assert not before.filter(~own).select(ends).equals(after.filter(~own).select(ends))
    assert not before.filter(own)["optimum"].equals(after.filter(own)["optimum"])


@pytest.mark.parametrize("informative", [True, False])
def test_the_record_says_which_rules_were_shown_and_how_often_intervals_held(
    informative: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = written(known(informative), tmp_path / "reference")
    assert main(["advise", "--record", "--reference", place, "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    rules = {(rule["predictor"], rule["budget"]): rule for rule in reply["rules"]}
    assert next(iter(rules)) == ("best_constant", 0)
    assert (rules["early_spike", 100]["versus_constant_high"] < 0) == informative
    for rule in rules.values():
        tried = rule["coverage"]
        assert tried["cells"] == rule["cells"] == 32 and tried["held"] <= 32 and tried["lineages"] == 16
        assert tried["lineages_held"] >= 10, "80 % of 16 lineages are promised; 10 or fewer have a chance of 0.08"
    assert main(["advise", "--record", "--reference", place]) == 0
    *_, rests, alone = capsys.readouterr().out.splitlines()
    assert ("it is shown to cost less" in rests) == informative
    assert ("early spike" in alone) == informative


def test_rounding_excludes_no_warmup() -> None:
    assert not words.excludes(1.7e-18, 1.0)
    assert words.excludes(0.0, 0.99) and words.excludes(0.001, 1.0)


def written(known: reference.Reference, folder: Path) -> str:
    reference.write(known.tables, known.about, folder)
    return str(folder)


def record(path: Path, warmup: int = 0) -> None:
    """An own loop of 80 of 1,000 planned steps."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=tuple(BETAS), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / max(1, warmup)))
    EarlyDiagnostics(path, planned_steps=1000, first=80, peak_learning_rate=6e-4).attach(model, optimizer)
    for _ in range(80):
        model(torch.randn(16, 4)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()


def test_a_recorded_loop_gives_the_diagnostics_of_its_norms(tmp_path: Path) -> None:
    record(tmp_path / "early.parquet")
    table, facts = recorded.read(tmp_path / "early.parquet")
    rows = recorded.rows(table, facts, ("m", "language", "adamw"), known(True).settings)
    values = {(row["diagnostic"], row["budget"]): row["value"] for row in rows.iter_rows(named=True)}
    norms = table["gradient_norm"].to_numpy()
    assert values["initial_norm", 30] == pytest.approx(norms[0])
    assert values["untuned", 0] == pytest.approx(40)
    assert values["relative_update", 70] > 0 and values["early_spike", 70] > 0
    assert values["critical_rate", 70] is None and max(budget for _, budget in values) == 70


def test_advice_from_a_recorded_loop_and_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = written(known(True), tmp_path / "reference")
    record(tmp_path / "early.parquet")
    code = main(["advise", "--from", str(tmp_path / "early.parquet"), "--reference", place, "--json"])
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    assert reply["answered"] == (code == 0) and code in (0, 3)
    assert reply["warmup"]["steps"] == int(reply["warmup"]["fraction"] * 1000 + 0.5)
    record(tmp_path / "warmed.parquet", warmup=20)
    assert main(["advise", "--from", str(tmp_path / "warmed.parquet"), "--reference", place, "--json"]) == 3
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    assert "recorded during a warmup" in reply["note"] and reply["warmup"] is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give a configuration, or --from a recorded file, or --record, and one of them"),
        (["mine.yaml", "--record"], "give a configuration, or --from a recorded file, or --record, and one of them"),
        (["--from", "nowhere.parquet"], "--from: nowhere.parquet is no file"),
        (["none.yaml"], "none.yaml: cannot be read"),
        (["empty.yaml"], "--architecture: say which one; the file has no architectures"),
        (
            ["mine.yaml", "--reference", "nowhere"],
            "nowhere: there is no provenance.json; in a checkout `make",
        ),
        (["mine.yaml", "--confirm", "0"], "--confirm: 0 minutes are no time"),
        (["mine.yaml", "--task", "none"], "--task: 'none' is not there; there are language,"),
    ],
)
def test_wrong_input_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.yaml").write_text("seeds: 2")
    Path("mine.yaml").write_text("architectures: {own: {model_type: llama, settings: {}}}")
    assert main(["advise", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def studies(made: reference.Reference, folder: Path, **parts: polars.Expr) -> list[Path]:
    """Folders of finished studies that hold the runs chosen by `parts`, each with the diagnostics of its cells."""
    for name, chosen in parts.items():
        files.write_table(made.tables["runs"].filter(chosen), folder / name / "tables" / "runs.parquet")
        files.write_table(made.tables["diagnostics"], folder / name / "tables" / "diagnostics.parquet")
    return [folder / name for name in parts]


SHORT = {**SETTINGS, "prediction": {**SETTINGS["prediction"], "shuffles": 3, "maps": ["log_linear"]}}


def test_a_reference_is_made_of_studies_each_run_once(tmp_path: Path) -> None:
    """One of them adaptive: its looks dropped the two largest warmups after the second seed."""
    made = known(True)
    kept = (polars.col("seed") < 2) | (polars.col("warmup") < 0.08)
    few = polars.col("architecture").is_in(["net00", "net01"]) & (polars.col("seed") < 2)
    folders = studies(made, tmp_path, looked=kept, shared=few)
    tables = reference.build(folders, SHORT)
    assert tables["runs"].height == made.tables["runs"].filter(kept).height
    facts = reference.about(tables["runs"], folders[:1], {**SHORT, "tasks": {"language": {}, "task1": {}}})
    assert facts["seeds"] == [2, 2], "only two seeds have every warmup"
    reference.write(tables, facts, tmp_path / "made")
    again = reference.read(tmp_path / "made")
    assert again.about["steps"] == [1000] and again.about["command"].startswith(reference.COMMAND)
    plan = PLAN | {"betas": SETTINGS["recipes"]["adamw"]["betas"]}
    assert say.advise(again, probes(), plan, None)["verdict"] == "predicted"
    (tmp_path / "made" / "coverage.parquet").unlink()
    with pytest.raises(DataError, match=r"coverage\.parquet: missing; make this reference again"):
        reference.read(tmp_path / "made")


def test_stale_and_contradictory_runs_make_no_reference(tmp_path: Path) -> None:
    made = known(True)
    runs = made.tables["runs"]
    one, other = studies(made, tmp_path, one=polars.col("seed") < 3, other=polars.col("architecture") == "net00")
    loss = polars.col("best_validation_loss")
    for change, said in (
        (loss + 1, "same coordinates with different losses"),
        (polars.lit(True), "made by other code"),
    ):
        column = "best_validation_loss" if "losses" in said else "stale"
        changed = runs.filter(architecture="net00").with_columns(change.alias(column))
        files.write_table(changed, other / "tables" / "runs.parquet")
        with pytest.raises(DataError, match=said):
            reference.build([one, other], SHORT)


@pytest.mark.slow
def test_a_model_of_ones_own_is_advised_on_ones_own_text_and_swept(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a text file and an entry, in short runs, again without training anew, and as a sweep within a time."""
    (tmp_path / "my.txt").write_text((repository / "docs" / "LOG.md").read_text())
    place = written(known(True, steps=40), tmp_path / "reference")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    text = {"name": "text_file", "path": str(tmp_path / "my.txt")}
    mine = {
        "architectures": {"own": {"model_type": "llama", "settings": {**sizes, "intermediate_size": 16}}},
        "tasks": {"language": {"source": text, "sequence_length": 16}},
        "training": {"steps": 80, "evaluations": 2, "early_evaluations": 1},
        "recipes": {"adamw": {"peak_learning_rate": 6.0e-4, "betas": BETAS}},
        "warmups": [0, 0.1, 0.3],
        "looks": {"seeds": [2, 3]},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    command = ["advise", str(tmp_path / "mine.yaml"), "--folder", str(tmp_path / "kept"), "--json"]
    codes = []
    for _ in range(2):
        codes.append(main([*command, "--reference", place]))
        told = capsys.readouterr()
        reply = json.loads(told.out)
        jsonschema.validate(reply, answer.schema())
        assert (reply["how"], reply["steps"]) == ("predicted", 80) and reply["warmup"]["tokens"] is not None
    assert "of 2 runs" not in told.err, "the second time nothing is trained"
    assert main([*command, "--confirm", "5"]) in (0, 3)
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    assert reply["how"] == "swept" and reply["sweep"]["runs"] >= 6 and reply["warmup"]["fraction"] in (0, 0.1, 0.3)


def test_runs_of_ones_own_are_kept_as_long_as_settings_and_code_are_the_same(
    tmp_path: Path,
) -> None:
    order = short_runs._order(SETTINGS, grid.Run("gpt2", "language", "adamw", "0", "0"), tmp_path, 10)
    summary = {"settings": {k: v for k, v in order.settings.items() if k != "code"}, "code": order.settings["code"]}
    files.write_json(summary, Path(order.folder) / "summary.json")
    assert short_runs._finished(Path(order.folder), order)
    changed = replace(order, settings={**order.settings, "code": {"warmup/training/loop.py": "other"}})  # type: ignore
    assert not short_runs._finished(Path(order.folder), changed)
