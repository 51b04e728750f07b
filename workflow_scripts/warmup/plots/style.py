"""One look for all figures: colours, sizes, deterministic SVG, self-contained interactive HTML."""

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair
import matplotlib
import polars

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot
from matplotlib.figure import Figure
from PIL import Image

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
    written = io.StringIO()
    with matplotlib.rc_context(BASE):
        drawing.savefig(written, format="svg", metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(drawing)
    svg = smaller(written.getvalue())
    replace_atomically(path, lambda temporary: temporary.write_text(svg))


def smaller(svg: str) -> str:
    """The same drawing in fewer bytes: coordinates to a hundredth of a point, pictures of few colours with a palette.

    Matplotlib writes six decimals, most of what a drawing of many points weighs, and four bytes for every pixel.
    """
    svg = _COORDINATES.sub(lambda found: _LONG_NUMBER.sub(_hundredths, found[0]), svg)
    return _PICTURE.sub(lambda found: found[1] + _with_palette(found[2]), svg)


_COORDINATES = re.compile(r'\sd="[^"]*"|<use [^>]*>')
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_PICTURE = re.compile(r"(data:image/png;base64,)([A-Za-z0-9+/=\s]+)")
_COLOURS = 256
"""As many as a palette can hold."""


def _hundredths(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 2):g}" if abs(float(number[0])) < 1000 else f"{float(number[0]):.2f}"


def _with_palette(encoded: str) -> str:
    """A PNG in base64, its pixels as they are; left alone where it has more colours than a palette holds."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA")
    transparent = picture.getchannel("A").getextrema() != (255, 255)
    if transparent or picture.getcolors(_COLOURS) is None:
        return encoded
    written = io.BytesIO()
    picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def save_interactive(chart: Any, title: str, path: str | Path) -> None:
    """Write an Altair chart as one HTML file that needs no network, with a `title` and names for its controls."""
    altair.data_transformers.disable_max_rows()
    written = io.StringIO()
    chart.save(written, format="html", inline=True)
    page = _named(written.getvalue(), title)
    replace_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))


_HEAD = """<html lang="en">
<head>
  <title>{title}</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <style>body {{ font: 15px system-ui, sans-serif }} h1 {{ font-size: 1.25rem }} #wide {{ overflow-x: auto }}</style>"""
_DRAWING = '<div class="vega-visualization" id="vis"></div>'
_PAGE = """<main><h1>{title}</h1><div id="wide" role="region" tabindex="0" aria-label="Drawing">{drawing}</div></main>
  <script>
    new MutationObserver(function () {{
      document.querySelectorAll("summary").forEach(function (menu) {{ menu.ariaLabel = "Save or view this drawing" }});
      // A mark with nothing to draw has no name, and needs none.
      document.querySelectorAll("g[role=graphics-symbol]").forEach(function (mark) {{
        mark.ariaHidden = mark.childElementCount ? null : "true";
      }});
    }}).observe(document.getElementById("vis"), {{ childList: true, subtree: true }});
  </script>"""


def _named(page: str, title: str) -> str:
    """Altair's page with a language, a title and a heading, names for its controls; what is wide scrolls in itself.

    Raises ValueError where Altair writes its pages in another way than this one reads.
    """
    for old, new in (("<html>\n<head>", _HEAD), (_DRAWING, _PAGE)):
        if page.count(old) != 1:
            raise ValueError(f"altair {altair.__version__} writes pages without {old!r}: adapt warmup/plots/style.py")
        page = page.replace(old, new.format(title=html.escape(title), drawing=_DRAWING))
    return page
