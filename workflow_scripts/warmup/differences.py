"""What separates a stored result from the present, in words; and runs that no longer match what made them.

Settings here are the mapping a rule depends on: sections of the configuration, and under `code` digests by module.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from warmup.errors import DataError, StaleResultError

AXES = ("architecture", "task", "recipe")
"""Sections of a run's settings that are entries of the configuration, named by the run's coordinates."""

LONGEST_VALUE = 60
"""Characters of a value shown in a message."""

LONGEST_LIST = 10
"""Runs named in a message before "and N more"."""

CODE = "code"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line per difference: "recipe adamw: weight_decay 0.1 -> 0.05", "warmup/training.py changed".

    A difference that stands in several sections (a task's settings are part of its data's) is told once.
    """
    names = {**_mapping(old.get("coordinates")), **_mapping(new.get("coordinates"))}
    lines, told = [], set()
    for key in _keys(old, new):
        if key == CODE:
            continue
        head = f"{key} {names[key]}" if key in AXES and key in names else key
        for path, change in _changes(old.get(key, _NOTHING), new.get(key, _NOTHING), ""):
            if not path or (path, change) not in told:
                lines.append(f"{head}: {path} {change}" if path else f"{head} {change}")
            told.add((path, change))
    return lines + code_differences(_mapping(old.get(CODE)), _mapping(new.get(CODE)))


def code_differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """One line per module that changed, came, or went."""
    return [
        f"{module} changed" if module in old and module in new
        else f"{module} is now used" if module in new
        else f"{module} is no longer used"
        for module in _keys(old, new)
        if old.get(module) != new.get(module)
    ]  # fmt: skip


def stale(summary: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Differences between what a run recorded in its summary.json and what a run would be made with now.

    `expected`: present settings, `code` included. Empty if the run is up to date.
    """
    return differences(recorded_settings(summary), json.loads(json.dumps(expected)))


def recorded_settings(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The settings a summary.json says its run was made with, `code` included."""
    try:
        return {**summary["settings"], CODE: summary[CODE]}
    except KeyError as missing:
        raise DataError(f"a run's summary has no {missing}: it was not written by this workflow") from missing


def fingerprint(settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that are equal for equal settings, whatever the order of keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def stale_runs(expected: Mapping[str, str]) -> list[str]:
    """Those summary.json files, of `expected` {path: fingerprint of present settings}, made by something else.

    A file that does not exist is no stale result: it is left to Snakemake.
    """
    found = []
    for path, wanted in expected.items():
        summary = read_summary(path)
        if summary is not None and fingerprint(recorded_settings(summary)) != wanted:
            found.append(path)
    return found


def refuse_stale(paths: Iterable[str]) -> None:
    """Raise StaleResultError naming the runs, if there are any."""
    folders = [str(Path(path).parent) for path in paths]
    if folders:
        raise StaleResultError(
            f"{len(folders)} of the runs were made by other code or settings than the present ones: {listed(folders)}. "
            "`make why` says what differs. Delete these folders to train them again, "
            "or go back to the code and settings that made them."
        )


def read_summary(path: str | Path) -> dict[str, Any] | None:
    """A run's summary.json; None if there is none."""
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON ({error}); delete the run's folder to train it again") from error


def listed(items: list[str]) -> str:
    """The first items, and how many more there are."""
    more = len(items) - LONGEST_LIST
    return ", ".join(items[:LONGEST_LIST]) + (f" and {more} more" if more > 0 else "")


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def _changes(old: Any, new: Any, path: str) -> Iterable[tuple[str, str]]:
    """(dotted path, "old -> new") of every leaf that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in _keys(old, new):
            deeper = f"{path}.{key}" if path else str(key)
            yield from _changes(old.get(key, _NOTHING), new.get(key, _NOTHING), deeper)
    elif old is _NOTHING:
        yield path, f"{_shown(new)} is new"
    elif new is _NOTHING:
        yield path, f"{_shown(old)} is gone"
    elif type(old) is not type(new) or old != new:
        yield path, f"{_shown(old)} -> {_shown(new)}"


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*old, *new]))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
