"""Figures and pages are drawn for a full study and for one with nothing in it, the same bytes each time."""

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from known_truth import trained_tables as synthetic

from warmup.plots import pages, prediction, style
from warmup.statistics.correlation import correlation
from warmup.statistics.effect import optimum, plateau
from warmup.statistics.prediction import leaderboard, spikes
from warmup.statistics.words import claims

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "log_offset": 0.005,
    "folds": 5,
    "maps": ["log_linear"],
    "shuffles": 3,
    "constants": {"fractions": [0], "steps": [2000]},
    "bootstrap": 100,
    "permutations": 100,
    "seed_replicates": 20,
    "cluster_replicates": 30,
    "icc": 0.9,
    "lineage_icc": 0.5,
    "coverage_tolerance": 0.02,
}
STATISTICS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "reference": 0.0,
    "margins": {"default": {"relative": 0.005}},
    "log_offset": 0.005,
    "bootstrap": {"resamples": 199, "seed": 1},
}
LABELS = {"net00": "GPT-2", "task0": "Text"}


def tables(design: synthetic.Design, none: bool = False) -> dict[str, polars.DataFrame]:
    rng = np.random.default_rng(1)
    runs, ratios = synthetic.runs(design, rng), synthetic.spike_ratios(design, rng)
    diagnostics = synthetic.diagnostics(design, rng)
    if none:
        runs, ratios, diagnostics = runs.head(0), ratios.head(0), diagnostics.head(0)
    plateaus = plateau.plateaus(runs, STATISTICS)[0]
    early = [
        polars.DataFrame({"step": range(20), "value": np.linspace(9, 1 + seed, 20)}).with_columns(
            architecture=polars.lit(name),
            task=polars.lit("task0"),
            recipe=polars.lit("adamw"),
            warmup=polars.lit(0.0),
            seed=polars.lit(seed),
            group=polars.lit(group),
        )
        for name in design.architectures
        for seed in (0, 1)
        for group in ("global", "embedding", "block00.mixer", "final_norm")
    ]
    return {
        "spikes": spikes.cell_spike_ratios(ratios, 0.95),
        "early": polars.concat(early[: 0 if none else None] or [early[0].head(0)]),
        "correlation": correlation.correlation_table(runs, ratios, SETTINGS),
        "leaderboard": leaderboard.leaderboard(runs, diagnostics, plateaus, SETTINGS)[0],
        "optima": optimum.optima(runs, STATISTICS),
        "plateaus": plateaus,
    }


@pytest.fixture(scope="module")
def full() -> dict[str, polars.DataFrame]:
    return tables(synthetic.Design(tasks=2, seeds=3))


def test_every_figure_is_drawn_with_labels_and_units(full: dict[str, polars.DataFrame], tmp_path: Path) -> None:
    drawn = prediction.figures(full, LABELS)
    assert list(drawn) == ["spike_and_optimum", "early_norms", "leaderboard", "budget_curve"]
    words = {}
    for name, drawing in drawn.items():
        style.save(drawing, tmp_path / f"{name}.svg")
        words[name] = (tmp_path / f"{name}.svg").read_text()
    assert "optimal warmup (% of training)" in words["spike_and_optimum"]
    assert "GPT-2" in words["spike_and_optimum"]
    assert "gradient norm" in words["early_norms"]
    assert "diagnostic chosen by cross-validation" in words["leaderboard"]
    assert "always 2000 steps" in words["leaderboard"]
    assert "best constant" in words["budget_curve"]


def test_equal_tables_give_equal_bytes(full: dict[str, polars.DataFrame], tmp_path: Path) -> None:
    for at in "ab":
        style.save(prediction.leaderboard(full["leaderboard"]), tmp_path / f"{at}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("design", [synthetic.Design(), synthetic.Design(needs=(0.02,), seeds=1, tasks=1)])
def test_an_empty_or_tiny_study_says_what_it_cannot(design: synthetic.Design, tmp_path: Path) -> None:
    found = tables(design, none=design.seeds > 1)
    for name, drawing in prediction.figures(found, LABELS).items():
        style.save(drawing, tmp_path / f"{name}.svg")
    assert "Cannot say" in (tmp_path / "budget_curve.svg").read_text()
    style.save_interactive(prediction.interactive(found, LABELS), "Spikes", tmp_path / "chart.html")


def test_the_interactive_chart_holds_every_cell(full: dict[str, polars.DataFrame]) -> None:
    values = prediction.interactive(full, LABELS).to_dict()["data"]["values"]
    assert len(values) == 8
    assert {row["architecture"] for row in values} == {"GPT-2", "net01", "net02", "net03"}
    assert all(row["spike_ratio"] > 0 for row in values)


def test_the_claims_page_escapes_what_the_configuration_says() -> None:
    row = dict.fromkeys(claims.CLAIMS, None) | {
        "claim": "c",
        "source": "S0",
        "statement": "a < b & <script>",
        "verdict": "supported",
        "scale": "laptop",
        "measured": "x: 1 to 2; y: 2 to 3",
    }
    page = pages.claims(polars.DataFrame([row], schema=claims.CLAIMS))
    assert "a &lt; b &amp; &lt;script&gt;" in page
    assert "x: 1 to 2<br>y: 2 to 3" in page
    assert 'class="tag supported"' in page
    assert "no claims are configured" in pages.claims(polars.DataFrame(schema=claims.CLAIMS))


def test_limits_of_a_claim_are_drawn_beside_what_its_rule_allows() -> None:
    row = dict.fromkeys(claims.CLAIMS, None) | {
        "measured": "in words",
        "verdict": "inconclusive",
        "n": 3,
        "test": "above 1",
    }
    row |= {"name": ["x", "y", "z"], "value": [0.5, None, 3.0], "lows": [0.0, 1.0, None], "highs": [1.0, 2.0, None]}
    page = pages.claims(polars.DataFrame([row | {"allowed_low": 1.0}], schema=claims.CLAIMS))
    assert page.count("<path") == 2 and page.count("<circle") == 1  # the third has no limits, the second no estimate
    assert 'aria-label="2 intervals between 0 and 2; shaded: above 1"' in page
    assert "<summary>3 in numbers</summary>in words" in page
    assert '<rect x="90.0" width="90.0"' in page  # from 1 to the right end


def test_the_predictions_page_shows_advice_and_says_when_there_is_none() -> None:
    row = {"architecture": "net00", "task": "task0", "recipe": "adamw", "verdict": "ok", "note": "no interval"}
    row |= {"advice": "For net00 on task0, warm up over 2 %."}
    page = pages.predictions([row], LABELS)
    assert "For GPT-2 on Text, warm up over 2 %." in page
    assert "no interval" in page
    assert "<code>predict</code>" in pages.predictions([], LABELS)
