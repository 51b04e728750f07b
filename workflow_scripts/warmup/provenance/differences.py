"""What separates two states of a rule's settings, in words.

Settings here are the mapping a rule depends on: sections of the configuration, and under `code` digests by module.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

AXES = ("architecture", "task", "recipe")
"""Sections of a run's settings that are entries of the configuration, named by the run's coordinates."""

LONGEST_VALUE = 60
"""Characters of a value shown in a message."""

LONGEST_LIST = 10
"""Items named in a message before "and N more"."""

CODE = "code"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line per difference: "recipe adamw: weight_decay 0.1 -> 0.05", "warmup/training/loop.py changed".

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


def fingerprint(settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that are equal for equal settings, whatever the order of keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def listed(items: list[str], longest: int = LONGEST_LIST) -> str:
    """The first items, and how many more there are."""
    more = len(items) - longest
    return ", ".join(items[:longest]) + (f" and {more} more" if more > 0 else "")


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
