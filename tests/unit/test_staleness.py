"""Runs that the present code and settings would not give."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from warmup.errors import DataError, StaleResultError
from warmup.provenance.differences import fingerprint
from warmup.provenance.staleness import (
    Survey,
    read_summary,
    refuse_stale,
    snakemakes_fingerprint,
    stale,
    stale_runs,
    survey,
)

SETTINGS: dict[str, Any] = {
    "coordinates": {"architecture": "gpt2", "seed": "0"},
    "recipe": {"betas": [0.9, 0.95], "clip": None},
    "code": {"train.py": "a1"},
}
OLD = {**SETTINGS, "code": {"train.py": "old"}}


def summary(folder: Path, settings: dict[str, Any], **more: Any) -> str:
    """A run's summary.json, as a training writes it."""
    folder.mkdir(parents=True)
    path = folder / "summary.json"
    sections = {key: value for key, value in settings.items() if key != "code"}
    path.write_text(json.dumps({"settings": sections, "code": settings["code"], **more}))
    return str(path)


def record(records: Path, path: str, settings: dict[str, Any]) -> None:
    """Snakemake's record of an output, as its file persistence writes it."""
    name = urlsafe_b64encode(path.encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    file = records.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"params": [repr(settings)]}))


def test_a_run_is_compared_with_what_would_make_it_now(tmp_path: Path) -> None:
    recorded = json.loads(Path(summary(tmp_path / "run", SETTINGS)).read_text())
    assert stale(recorded, {**SETTINGS, "recipe": {"betas": (0.9, 0.95), "clip": None}}) == []
    assert stale(recorded, OLD) == ["train.py changed"]


def test_stale_runs_are_those_made_by_something_else(tmp_path: Path) -> None:
    fresh = summary(tmp_path / "fresh", SETTINGS)
    old_code = summary(tmp_path / "old_code", OLD)
    old_settings = summary(tmp_path / "old_settings", {**SETTINGS, "recipe": {"clip": 1.0}})
    absent = str(tmp_path / "absent" / "summary.json")
    expected = dict.fromkeys([fresh, old_code, old_settings, absent], fingerprint(SETTINGS))
    assert stale_runs(expected, tmp_path / "records") == [old_code, old_settings]


@pytest.mark.parametrize("deep", ["", "x" * 200 + "/" + "y" * 200])
def test_snakemakes_record_tells_whether_a_stale_run_is_planned_accepted_or_unseen(tmp_path: Path, deep: str) -> None:
    records = tmp_path / "records"
    unseen, planned, accepted = (summary(tmp_path / deep / name, OLD) for name in ("unseen", "planned", "accepted"))
    record(records, planned, OLD)
    record(records, accepted, SETTINGS)
    found = survey(dict.fromkeys([unseen, planned, accepted], fingerprint(SETTINGS)), records=records)
    assert found.unseen == [unseen]
    assert found.planned == [planned]
    assert found.stale == [unseen, planned]


def test_a_record_that_cannot_be_read_is_no_record(tmp_path: Path) -> None:
    path = "results/a"
    assert snakemakes_fingerprint(path, tmp_path) is None
    record(tmp_path, path, SETTINGS)
    assert snakemakes_fingerprint(path, tmp_path) == fingerprint(SETTINGS)
    (file,) = tmp_path.iterdir()
    for text in ("", "{}", '{"params": null}', '{"params": ["nan"]}', '{"params": ["1", "2"]}'):
        file.write_text(text)
        assert snakemakes_fingerprint(path, tmp_path) is None


def test_unseen_runs_are_warned_of_by_name_and_planned_ones_are_not() -> None:
    said = Survey(unseen=["runs/seed=0/summary.json"], planned=["runs/seed=1/summary.json"]).warnings()
    assert len(said) == 1 and "runs/seed=0." in said[0] and "seed=1" not in said[0]
    assert Survey(planned=["runs/seed=1/summary.json"]).warnings() == []


def test_other_versions_are_counted_and_told(tmp_path: Path) -> None:
    expected = {}
    for number, torch in enumerate(["2.8", "2.8", "2.9", "absent"]):
        versions = {"torch": torch, "mamba-ssm": "2.2"}
        expected[summary(tmp_path / str(number), SETTINGS, versions=versions)] = fingerprint(SETTINGS)
    found = survey(expected, {"torch": "2.9", "mamba-ssm": "absent", "numpy": "2.3"}, tmp_path)
    assert found.other_versions == {"torch 2.8 (now 2.9)": 2}
    assert found.stale == []
    (said,) = found.warnings()
    assert "2 with torch 2.8 (now 2.9)" in said and "invalidate" in said


def test_stale_runs_are_refused_by_name() -> None:
    refuse_stale([])
    paths = [f"results/tiny/runs/seed={seed}/summary.json" for seed in range(12)]
    with pytest.raises(StaleResultError, match=r"12 run\(s\) .*seed=0, .*seed=9 and 2 more"):
        refuse_stale(paths)


@pytest.mark.parametrize("text", ['{"settings": {', "", "[]", '{"settings": {}}', "\xff"])
def test_a_summary_that_cannot_be_judged_is_told_and_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(text.encode("latin-1"))
    found = survey({str(path): ""}, records=tmp_path)
    assert found.unreadable == found.stale == [str(path)]
    assert found.warnings() == [f"1 summary file(s) cannot be read: {path}. Delete them."]


def test_a_summary_of_another_kind_is_an_error_where_it_alone_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no 'code'"):
        stale({"settings": {}}, SETTINGS)
    with pytest.raises(FileNotFoundError):
        read_summary(tmp_path / "none.json")
