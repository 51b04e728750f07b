"""One look for all figures: colours, sizes, deterministic SVG, self-contained interactive HTML."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair
import matplotlib
import polars

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot
from matplotlib.figure import Figure

from warmup.files import replace_atomically

Tables = Mapping[str, polars.DataFrame]
"""Tables of a figure by their names."""
Labels = Mapping[str, str]
"""What a figure calls an architecture, a task, a recipe."""
Words = Mapping[str, Any]
"""Labels, units and the settings that sentences tell."""


PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#6a3d9a", "#7f7f7f", "#b2182b", "#1b7837")
"""Okabe-Ito and friends: distinguishable for colour-blind readers and in print."""

BASE: Any = {
    "svg.hashsalt": "warmup-sweep",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "figure.dpi": 110,
}


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, the same whatever else is drawn as long as the order of names is."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(dict.fromkeys(names))}


def figure(
    rows: int = 1, columns: int = 1, *, width: float = 3.2, height: float = 2.5, **options: Any
) -> tuple[Figure, Any]:
    """A grid of axes, `width` x `height` inches each; axes come as a 2-D array [rows, columns]."""
    with matplotlib.rc_context(BASE):
        options.setdefault("layout", "constrained")
        return pyplot.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False, **options)


def save(drawing: Figure, path: str | Path) -> None:
    """Write `drawing` as SVG without a date (equal data, equal bytes) and close it."""
    with matplotlib.rc_context(BASE):
        replace_atomically(
            path,
            lambda temporary: drawing.savefig(temporary, format="svg", metadata={"Date": None}, bbox_inches="tight"),
        )
    pyplot.close(drawing)


def save_interactive(chart: Any, path: str | Path) -> None:
    """Write an Altair chart as one HTML file that needs no network."""
    altair.data_transformers.disable_max_rows()
    replace_atomically(path, lambda temporary: chart.save(str(temporary), format="html", inline=True))
