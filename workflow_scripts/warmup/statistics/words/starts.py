"""What the audit of the starts says, in sentences: what looks wrong in each architecture's, by rules that stand here.

In: the tables of rule audit_starts (see `architectures.start_audit`) and labels. Out: sentences per architecture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars

STEP_SIZES = (0.001, 0.1)
"""Delta of Mamba and its relatives is meant to start in here; a thousandth of either end is rounding."""
GROWTH = 2.0
"""A residual stream that is so many times as large after the last block as after the first grows with depth."""
FAR = 0.5
"""A first loss that differs by more from that of a network that knows nothing (nats, or variances) is far from it."""
ALL = 0.95
"""A layer group with more than this share of the first squared gradient norm has nearly all of it."""
NONE = 1e-12
WHOSE = {"authors": "its authors' start", "own": "its own class's start", "library": "the library's start"}
"""How the one whose start an architecture has is called."""
SHOWN = 6
"""Parameters named in a sentence; the others are counted."""


@dataclass(frozen=True)
class Start:
    """One architecture: its label, whose start it has, and what looks wrong in it (empty: nothing by these rules)."""

    name: str
    label: str
    drawn_by: str
    findings: list[str]

    @property
    def sentence(self) -> str:
        """All of it in one paragraph."""
        return f"{self.label} ({WHOSE[self.drawn_by]}): {'; '.join(self.findings) or 'nothing looks wrong'}."


def starts(parameters: polars.DataFrame, networks: polars.DataFrame, labels: Mapping[str, str] = {}) -> list[Start]:
    """One Start per architecture, in the order of the tables."""
    found = []
    for (name,), own in parameters.group_by("architecture", maintain_order=True):
        net = networks.filter(architecture=name)
        drawn = next(whose for whose in WHOSE if whose in own["drawn_by"].to_list())
        findings = [
            *_deviations(own),
            *_step_sizes(net),
            *_stream(net, labels),
            *_losses(net, labels),
            *_gradients(net, labels),
        ]
        found.append(Start(str(name), str(labels.get(str(name), name)), drawn, findings))
    return found


def deviating(parameters: polars.DataFrame) -> polars.DataFrame:
    """Parameters that lie farther from their authors' law than chance allows, each place once, the farthest layer."""
    off = parameters.filter(polars.col("distance") > polars.col("distance_by_chance"))
    first = off.sort("distance", descending=True, maintain_order=True)
    return first.unique(["architecture", "place"], keep="first", maintain_order=True)


def _deviations(own: polars.DataFrame) -> Iterator[str]:
    if own["law"].null_count() == own.height:
        yield "there is no specification of its authors' start to hold it against"
        return
    off = deviating(own)
    varied = polars.col("law_varies") & (polars.col("deviation") == 0)
    for row in off.filter(varied).iter_rows(named=True):
        yield f"{row['place']} is {row['mean']:.3g} everywhere, where its authors' formula varies ({row['law']})"
    rest = [
        f"{row['place']} (standard deviation {row['deviation']:.3g}; authors: {row['law']})"
        for row in off.filter(~varied).iter_rows(named=True)
    ]
    if rest:
        more = f" and {len(rest) - SHOWN} more" if len(rest) > SHOWN else ""
        yield f"differs from its authors in {', '.join(rest[:SHOWN])}{more}"


def _step_sizes(net: polars.DataFrame) -> Iterator[str]:
    steps = net.filter(quantity="step_size")
    if steps.is_empty():
        return
    low, high = float(steps["value"].min()), float(steps["value"].max())  # type: ignore[arg-type]
    if low < STEP_SIZES[0] * 0.999 or high > STEP_SIZES[1] * 1.001:
        range_ = f"{low:.3g}" if high - low < 1e-6 else f"{low:.3g} to {high:.3g}"
        yield f"step sizes Delta start at {range_}, outside of {STEP_SIZES[0]:g} to {STEP_SIZES[1]:g}"


def _stream(net: polars.DataFrame, labels: Mapping[str, str]) -> Iterator[str]:
    for (task,), part in net.filter(quantity="residual_rms").group_by("task", maintain_order=True):
        after = part.filter(polars.col("layer") >= 0).sort("layer")["value"].to_list()
        growth = after[-1] / after[0] if after and after[0] > 0 else 1.0
        if growth > GROWTH:
            yield f"on {_label(task, labels)} the residual stream grows {growth:.2g} times from first to last block"


def _losses(net: polars.DataFrame, labels: Mapping[str, str]) -> Iterator[str]:
    for (task,), part in net.group_by("task", maintain_order=True):
        first, uniform = (_value(part, name) for name in ("first_loss", "uniform_loss"))
        if first is not None and uniform is not None and abs(first - uniform) > FAR:
            yield (
                f"on {_label(task, labels)} its first loss is {first:.3g}, that of a network that knows nothing "
                f"{uniform:.3g}"
            )


def _gradients(net: polars.DataFrame, labels: Mapping[str, str]) -> Iterator[str]:
    shares = net.filter(quantity="gradient_share")
    for (task,), part in shares.group_by("task", maintain_order=True):
        largest = part.sort("value", descending=True).row(0, named=True)
        silent = part.filter(polars.col("value") <= NONE)["group"].to_list()
        if largest["value"] > ALL:
            yield (
                f"on {_label(task, labels)} {largest['value']:.1%} of the first squared gradient norm is that of "
                f"{largest['group']}"
            )
        if silent:
            yield f"on {_label(task, labels)} no first gradient reaches {', '.join(silent)}"


def _value(part: polars.DataFrame, quantity: str) -> float | None:
    found = part.filter(quantity=quantity)["value"].to_list()
    return float(found[0]) if found else None


def _label(task: object, labels: Mapping[str, str]) -> str:
    return str(labels.get(str(task), task)).lower()
