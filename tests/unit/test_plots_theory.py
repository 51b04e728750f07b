"""Figures of theory and schedules: they draw what the tables say, completely and reproducibly."""

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import yaml
from known_truth.plateau_tables import compare as compare_heights
from known_truth.plateau_tables import runs as height_runs
from theory_landscapes import ROOT, section

from warmup import registry
from warmup.config import configuration
from warmup.plots import schedules, style, theory
from warmup.theory import study


@pytest.fixture(scope="module")
def tables() -> dict[str, polars.DataFrame]:
    options = section()
    options["search"] |= {"cells": 150, "plateaus": 40}
    options["quench"] |= {"cells": 150}
    options["decay"] |= {"cells": 100, "plateaus": 6, "lengths": 5}
    options["simulation"] |= {"walkers": 200, "until": 0.02, "moments": 2, "cells": 200}
    found = study.spectra(options)
    found |= study.quenches_and_decays(options, found["landscapes"])
    return found | {"simulation": study.simulations(options, found["landscapes"])}


def test_every_figure_shows_every_landscape_and_equal_tables_give_equal_bytes(
    tables: dict[str, polars.DataFrame], tmp_path: Path
) -> None:
    labels = {name: entry["label"] for name, entry in section()["landscapes"].items()}
    for name, drawing in theory.figures(tables, labels).items():
        style.save(drawing, tmp_path / f"{name}.svg")
        text = (tmp_path / f"{name}.svg").read_text()
        assert all(label in text for label in labels.values()), name
    for attempt in ("first", "second"):
        style.save(theory.amplitudes(tables, labels), tmp_path / f"{attempt}.svg")
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_strong_points_are_written_beside_their_marks(tables: dict[str, polars.DataFrame], tmp_path: Path) -> None:
    style.save(theory.amplitudes(tables, {}), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for ratio in tables["strong_points"].filter("established")["ratio"]:
        assert f"× {ratio:.4f}" in text
    assert text.count("no strong point") == (tables["landscapes"]["strong_points"] == 0).sum()


def test_the_figure_of_plateau_heights_shows_every_seed(tmp_path: Path) -> None:
    arms, differences = compare_heights(height_runs({"h0.5": 0.0, "h1": -0.05, "h2": 0.1}))
    drawing = theory.plateau_heights(arms, differences, {"gpt2": "GPT-2"})
    points = [line for line in drawing.axes[0].lines if line.get_marker() == "."]
    assert sum(len(line.get_xdata()) for line in points) == 18
    filled = [line for line in drawing.axes[0].lines if line.get_marker() == "o"]
    assert np.concatenate([line.get_xdata() for line in filled]).tolist() == [1.0]
    style.save(drawing, tmp_path / "heights.svg")
    assert "GPT-2" in (tmp_path / "heights.svg").read_text()


# The schedule gallery


@pytest.fixture(scope="module")
def recipes() -> dict[str, Any]:
    settings = configuration.effective(yaml.safe_load((ROOT / "config.yaml").read_text()))
    return {"recipes": settings["recipes"], "steps": 200, "warmups": [0, 0.05, 0.3]}


def test_the_table_of_the_common_recipe_is_reproduced() -> None:
    found = dict(schedules.common_recipe_table().rows())
    assert found == pytest.approx({0: 0.0, 500: 2.5e-5, 1000: 5e-5, 2000: 1e-4})


def test_every_schedule_and_every_warmup_is_drawn(recipes: dict[str, Any]) -> None:
    frame, missing = schedules.curves(recipes)
    assert set(frame["schedule"]) == set(registry.names("schedules"))
    assert set(frame["warmup"]) == {"0", "0.05", "0.3"}
    assert missing == []


def test_a_recipe_that_does_not_fit_a_warmup_is_named_not_hidden(recipes: dict[str, Any]) -> None:
    wsd = {"wsd": {**recipes["recipes"]["wsd"], "schedule_options": {"decay_fraction": 0.9}}}
    frame, missing = schedules.curves(recipes | {"recipes": recipes["recipes"] | wsd})
    assert len(missing) == 1 and "warmup 0.3" in missing[0] and "decay_fraction" in missing[0]
    assert frame.filter(polars.col("schedule") == "wsd", polars.col("warmup") == "0.05").height


def test_the_corners_of_warmup_and_decay_are_among_the_points_drawn(recipes: dict[str, Any]) -> None:
    frame, _ = schedules.curves(recipes | {"steps": 50_000, "warmups": [0.0101]})
    label = recipes["recipes"]["wsd"]["label"]
    updates = frame.filter(recipe=label)["update"].to_list()
    assert 505 in updates and 40_000 in updates


def test_roles_that_a_recipe_tells_apart_are_drawn_with_the_rates_that_they_train_at(recipes: dict[str, Any]) -> None:
    frame = schedules.role_curves(recipes).filter(warmup="0.05")
    label = recipes["recipes"]["warm_all_but_norms"]["label"]
    part = frame.filter(recipe=label)
    assert set(part["role"]) == {"norms", "every other role"}
    peak = recipes["recipes"]["adamw"]["peak_learning_rate"]
    risen, held = (part.filter(role=role).sort("update") for role in ("every other role", "norms"))
    assert held.filter(polars.col("update") <= 10)["learning_rate"].unique().to_list() == pytest.approx([peak])
    assert risen["learning_rate"][0] == pytest.approx(peak / 10)
    late = polars.col("update") >= 10
    assert risen.filter(late)["learning_rate"].to_list() == held.filter(late)["learning_rate"].to_list()
    assert label not in set(schedules.curves(recipes)[0]["recipe"])


def test_the_page_needs_no_network(recipes: dict[str, Any], tmp_path: Path) -> None:
    style.save_interactive(schedules.gallery(recipes), "Schedules", tmp_path / "schedules.html")
    text = (tmp_path / "schedules.html").read_text()
    assert 'src="http' not in text
    assert "updates done: 2.50e-05" in text and "cos \\u03c0s" in text
