"""What separates a stored result from the present, in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from warmup.differences import differences, fingerprint, refuse_stale, stale, stale_runs
from warmup.errors import DataError, StaleResultError

SETTINGS: dict[str, Any] = {
    "coordinates": {"scale": "tiny", "architecture": "gpt2", "task": "language", "recipe": "adamw", "seed": "0"},
    "architecture": {"settings": {"n_layer": 2}},
    "task": {"sequence_length": 64, "source": {"name": "text_file"}},
    "data": {"sequence_length": 64},
    "recipe": {"weight_decay": 0.1, "betas": [0.9, 0.95], "clip": None},
    "training": {"steps": 200},
    "code": {"train.py": "a1", "warmup/training.py": "b2"},
}


def changed(**sections: Any) -> dict[str, Any]:
    """SETTINGS with some keys of some sections changed; ... removes a key."""
    new = json.loads(json.dumps(SETTINGS))
    for section, values in sections.items():
        for key, value in values.items():
            if value is ...:
                del new[section][key]
            else:
                new[section][key] = value
    return new


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (changed(), []),
        (changed(recipe={"weight_decay": 0.05}), ["recipe adamw: weight_decay 0.1 -> 0.05"]),
        (changed(recipe={"clip": 1.0}), ["recipe adamw: clip None -> 1.0"]),
        (changed(recipe={"betas": [0.9, 0.99]}), ["recipe adamw: betas [0.9, 0.95] -> [0.9, 0.99]"]),
        (changed(recipe={"scope": "qk"}), ["recipe adamw: scope qk is new"]),
        (changed(recipe={"clip": ...}), ["recipe adamw: clip None is gone"]),
        (changed(architecture={"settings": {"n_layer": 3}}), ["architecture gpt2: settings.n_layer 2 -> 3"]),
        (changed(training={"steps": 300}), ["training: steps 200 -> 300"]),
        (changed(task={"sequence_length": 32}, data={"sequence_length": 32}),
         ["task language: sequence_length 64 -> 32"]),
        (changed(code={"warmup/training.py": "b3"}), ["warmup/training.py changed"]),
        (changed(code={"warmup/new.py": "c"}), ["warmup/new.py is now used"]),
        (changed(code={"train.py": ...}), ["train.py is no longer used"]),
        (changed(recipe={"weight_decay": 0}, code={"train.py": "z"}),
         ["recipe adamw: weight_decay 0.1 -> 0", "train.py changed"]),
    ],
)  # fmt: skip
def test_each_difference_is_one_line(new: dict[str, Any], lines: list[str]) -> None:
    assert differences(SETTINGS, new) == lines
    assert bool(lines) == (fingerprint(SETTINGS) != fingerprint(new))


def test_sections_without_coordinates_are_named_by_their_key() -> None:
    assert differences({"a": {"b": 1}, "c": 1, "e": 1}, {"a": {"b": 2}, "c": 2, "d": {}}) == [
        "a: b 1 -> 2",
        "c 1 -> 2",
        "e 1 is gone",
        "d {} is new",
    ]


def test_a_whole_number_is_not_its_float() -> None:
    """Snakemake compares what is written; so is it told."""
    assert differences({"a": 1}, {"a": 1.0}) == ["a 1 -> 1.0"]
    assert differences({"a": 1}, {"a": True}) == ["a 1 -> True"]


def test_long_values_are_cut() -> None:
    (line,) = differences({"a": "x" * 100}, {"a": "y"})
    assert line == "a " + "x" * 57 + "... -> y"


def test_the_order_of_keys_does_not_matter_to_a_fingerprint() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})


def summary(folder: Path, settings: dict[str, Any]) -> str:
    folder.mkdir(parents=True)
    path = folder / "summary.json"
    code = settings["code"]
    path.write_text(json.dumps({"settings": {k: v for k, v in settings.items() if k != "code"}, "code": code}))
    return str(path)


def test_a_run_is_compared_with_what_would_make_it_now(tmp_path: Path) -> None:
    recorded = json.loads(Path(summary(tmp_path / "run", SETTINGS)).read_text())
    assert stale(recorded, {**SETTINGS, "recipe": {**SETTINGS["recipe"], "betas": (0.9, 0.95)}}) == []
    assert stale(recorded, changed(code={"train.py": "zz"})) == ["train.py changed"]


def test_stale_runs_are_those_made_by_something_else(tmp_path: Path) -> None:
    fresh = summary(tmp_path / "fresh", SETTINGS)
    old_code = summary(tmp_path / "old_code", changed(code={"train.py": "old"}))
    old_settings = summary(tmp_path / "old_settings", changed(training={"steps": 100}))
    absent = str(tmp_path / "absent" / "summary.json")
    expected = dict.fromkeys([fresh, old_code, old_settings, absent], fingerprint(SETTINGS))
    assert stale_runs(expected) == [old_code, old_settings]


def test_stale_runs_are_refused_by_name() -> None:
    refuse_stale([])
    paths = [f"results/tiny/runs/seed={seed}/summary.json" for seed in range(12)]
    with pytest.raises(StaleResultError, match=r"12 of the runs .*seed=0, .*seed=9 and 2 more.*make why"):
        refuse_stale(paths)


def test_a_summary_that_cannot_be_judged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text('{"settings": {')
    with pytest.raises(DataError, match="not valid JSON"):
        stale_runs({str(path): ""})
    path.write_text('{"settings": {}}')
    with pytest.raises(DataError, match="no 'code'"):
        stale_runs({str(path): ""})
