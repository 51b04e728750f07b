"""What figures and sentences call things: labels and units, from the effective settings; and names nobody knows."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

UNITS = {
    "language": "nats per token",
    "classification": "nats",
    "forecasting": "mean squared error, standardised",
}
"""Unit of the loss of each kind of task."""


def labels(settings: Mapping[str, Any]) -> dict[str, str]:
    """Label of every architecture, task and recipe of the configuration."""
    sections = (settings[section] for section in ("architectures", "tasks", "recipes"))
    return {name: entry["label"] for section in sections for name, entry in section.items()}


def units(settings: Mapping[str, Any]) -> dict[str, str]:
    """Unit of the loss of every task of the configuration."""
    return {task: UNITS[entry["kind"]] for task, entry in settings["tasks"].items()}


def unknown(key: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that stands at `key` and is not among those that are known."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{key}: {name!r} is not known{hint}; known are {', '.join(known)}"
