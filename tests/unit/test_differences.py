"""What separates a stored result from the present, in words."""

import json
from typing import Any

import pytest

from warmup.provenance.differences import differences, fingerprint

SETTINGS: dict[str, Any] = {
    "coordinates": {"scale": "tiny", "architecture": "gpt2", "task": "language", "recipe": "adamw", "seed": "0"},
    "architecture": {"settings": {"n_layer": 2}},
    "task": {"sequence_length": 64, "source": {"name": "text_file"}},
    "data": {"sequence_length": 64},
    "recipe": {"weight_decay": 0.1, "betas": [0.9, 0.95], "clip": None},
    "training": {"steps": 200},
    "code": {"train.py": "a1", "warmup/training/loop.py": "b2"},
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
        (changed(code={"warmup/training/loop.py": "b3"}), ["warmup/training/loop.py changed"]),
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
