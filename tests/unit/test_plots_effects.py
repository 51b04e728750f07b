"""Figures of the effect: drawn whole from any table, every seed in them, nothing estimated on the way."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib.pyplot as pyplot
import numpy as np
import polars
import pytest
from known_truth.answered_study import WORDS, study, tables

from warmup.plots import effects, effects_interactive, style


@pytest.fixture(scope="module")
def found() -> dict[str, polars.DataFrame]:
    return tables(study(divergence=0.2))


def texts(path: Path) -> str:
    return " ".join(
        "".join(element.itertext()) for element in ElementTree.parse(path).iter() if element.tag.endswith("text")
    )


def test_every_static_figure_is_drawn_with_its_labels(found: dict[str, Any], tmp_path: Path) -> None:
    for name, drawing in effects.figures(found, WORDS).items():
        style.save(drawing, tmp_path / f"{name}.svg")
        words = texts(tmp_path / f"{name}.svg")
        assert "Mamba" in words and "digits" in words, name
    assert "warmup (% of training)" in texts(tmp_path / "regret.svg")
    assert "cannot" not in texts(tmp_path / "comparisons.svg")


def test_figures_are_the_same_bytes_for_the_same_tables(found: dict[str, Any], tmp_path: Path) -> None:
    for turn in ("first", "second"):
        style.save(effects.loss_against_warmup(found, WORDS), tmp_path / f"{turn}.svg")
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_every_run_is_a_point_and_every_divergence_a_cross(found: dict[str, Any]) -> None:
    drawing = effects.loss_against_warmup(found, WORDS)
    points = crosses = 0
    for axis in drawing.axes:
        for line in axis.lines:
            points += len(line.get_xdata()) if line.get_marker() == "o" and line.get_markersize() == 3 else 0
            crosses += len(line.get_xdata()) if line.get_marker() == "x" else 0
    pyplot.close(drawing)
    assert points == found["runs"].height
    assert crosses == found["runs"].filter(status="diverged").height > 0


def test_bands_are_the_plateau_sets() -> None:
    assert effects._stretches([0.0, 0.02, 0.3], [0.0, 0.02, 0.1, 0.3]) == [(0.0, 0.02), (0.3, 0.3)]
    assert effects._stretches([], [0.0, 0.02]) == []


@pytest.mark.parametrize("table", [study(seeds=1), study().with_columns(status=polars.lit("diverged"))])
def test_figures_of_studies_that_cannot_say_are_drawn_and_say_so(table: polars.DataFrame, tmp_path: Path) -> None:
    empty = tables(table)
    for name, drawing in effects.figures(empty, WORDS).items():
        style.save(drawing, tmp_path / f"{name}.svg")
        assert "cannot say" in texts(tmp_path / f"{name}.svg"), name
    assert effects_interactive.chart(empty, WORDS).to_dict()


def test_studies_of_other_shapes_are_drawn(tmp_path: Path) -> None:
    one = study(architectures=1, tasks=1, regret=0.0)
    recipes = polars.concat([one, one.with_columns(recipe=polars.lit("wsd"))])
    gap = study().filter(~((polars.col("architecture") == "a01") & (polars.col("task") == "t1")))
    for index, table in enumerate((one, recipes, gap)):
        for name, drawing in effects.figures(tables(table), WORDS).items():
            style.save(drawing, tmp_path / f"{name}{index}.svg")
    assert "wsd" in texts(tmp_path / "loss_against_warmup1.svg")


def test_the_interactive_figure_holds_every_run_with_its_tooltip(found: dict[str, Any], tmp_path: Path) -> None:
    chart = effects_interactive.chart(found, WORDS)
    style.save_interactive(chart, "Loss", tmp_path / "chart.html")
    html = (tmp_path / "chart.html").read_text()
    assert "https://cdn" not in html
    specification = json.dumps(chart.to_dict())
    assert "loss of this run" in specification
    panels = chart.to_dict()["vconcat"]
    assert [len(panel["data"]["values"]) for panel in panels] == [80, 80]


def test_round_numbers_are_few_and_within() -> None:
    for low, high in ((0.013, 0.2), (0.02, 30.0), (1.0, 3.0)):
        numbers = effects._round_numbers(low, high)
        assert 1 <= len(numbers) <= 6 and np.all((np.array(numbers) >= low) & (np.array(numbers) <= high))
