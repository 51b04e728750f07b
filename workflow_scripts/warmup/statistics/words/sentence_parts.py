"""Parts of sentences that all answers share: names, numbers with their noun, warmups in percent."""

from collections.abc import Mapping, Sequence
from typing import Any

from warmup.statistics.base.intervals import CANNOT_SAY

Words = Mapping[str, Any]
Row = Mapping[str, Any]


def label(name: str, words: Words) -> str:
    """What the configuration calls it."""
    return str(words["labels"].get(name, name))


def place(row: Row, words: Words) -> str:
    """ "GPT-2 on text"."""
    return f"{label(row['architecture'], words)} on {label(row['task'], words)}"


def percent(warmup: float) -> str:
    """A fraction of training."""
    return f"{100 * warmup:.3g} %"


def listed(warmups: Sequence[float]) -> str:
    """ "0, 2 and 10 %"."""
    numbers = [f"{100 * warmup:.3g}" for warmup in warmups]
    return (", ".join(numbers[:-1]) + " and " if len(numbers) > 1 else "") + f"{numbers[-1]} %"


def counts(values: Sequence[int]) -> str:
    """ "3", or "2 to 3" where they differ."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def number(count: int, noun: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def rates(values: Sequence[float]) -> str:
    """One rate, or the range of several."""
    low, high = min(values), max(values)
    return f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"


def reason(note: str) -> str:
    """Why nothing can be said, without the verdict before it."""
    return note.removeprefix(f"{CANNOT_SAY}: ")
