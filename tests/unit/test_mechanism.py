"""Lead and lag are found where they were put, and 'not related' where the norms of other seeds do as well."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_truth.mechanism_runs import STEPS, bump, write_run

from warmup.plots import mechanism as drawings
from warmup.statistics.mechanism import mechanism, spike_sources


def study(folder: Path, lag: int, seeds: int = 4, common: bool = False) -> list[Path]:
    """Runs whose entropy dips and whose norm peaks `lag` steps later, at a step of each seed's own (or of all)."""
    paths = []
    for seed in range(seeds):
        centre = 26 if common else 16 + 5 * seed
        noise = np.random.default_rng(seed).normal(0, 0.01, STEPS)
        norms = np.exp(2 * bump(centre + lag) + noise)
        paths.append(write_run(folder, seed, norms, 0.9 - 0.5 * bump(centre)))
    return paths


@pytest.mark.parametrize(("lag", "verdict"), [(5, "entropy first"), (-5, "gradient first")])
def test_the_lag_put_into_the_runs_is_found_with_its_sign(lag: int, verdict: str, tmp_path: Path) -> None:
    order = mechanism.entropy_order(study(tmp_path, lag))
    assert set(order["layer"]) == {-1, 0, 1} and set(order["mixer"]) == {"attention"}
    assert order["lag"].to_list() == pytest.approx([lag] * order.height, abs=1)
    summary = mechanism.order_summary(order, 0.95)
    assert summary["verdict"].to_list() == [verdict] * 3
    assert summary["n"].to_list() == [4] * 3


def test_simultaneous_events_are_together(tmp_path: Path) -> None:
    paths = [
        write_run(tmp_path, seed, np.exp(2 * bump(20 + 5 * seed + shift)), 0.9 - 0.5 * bump(20 + 5 * seed))
        for seed, shift in enumerate((-2, 2, -1, 1))
    ]
    summary = mechanism.order_summary(mechanism.entropy_order(paths), 0.95)
    assert set(summary["verdict"]) == {"together"}


def test_what_every_seed_shares_counts_as_not_related(tmp_path: Path) -> None:
    """Entropy and norm move together in all seeds at the same step: their own schedule explains it."""
    summary = mechanism.order_summary(mechanism.entropy_order(study(tmp_path, 5, common=True)), 0.95)
    assert set(summary["verdict"]) == {"not related"}
    assert summary["r"].min() > 0.9  # type: ignore[operator]


def test_one_seed_cannot_say(tmp_path: Path) -> None:
    summary = mechanism.order_summary(mechanism.entropy_order(study(tmp_path, 5, seeds=1)), 0.95)
    assert set(summary["verdict"]) == {"cannot say"} and summary["lag"].to_list() == pytest.approx([5] * 3, abs=1)


def test_norms_that_are_not_finite_give_a_note_not_a_number(tmp_path: Path) -> None:
    norms = np.ones(STEPS)
    norms[7] = np.nan
    order = mechanism.entropy_order([write_run(tmp_path, 0, norms, 0.5 + 0.1 * bump(20))])
    assert order["lag"].to_list() == [None] * 3
    assert "not finite" in order["note"][0]
    assert set(mechanism.order_summary(order, 0.95)["verdict"]) == {"cannot say"}


def test_the_resolution_is_the_widest_gap_between_probed_steps(tmp_path: Path) -> None:
    order = mechanism.entropy_order(study(tmp_path, 5, seeds=1))
    assert set(order["window"]) == {60} and set(order["resolution"]) == {6}


@settings(deadline=None, max_examples=30)
@given(shift=st.integers(-6, 6), seed=st.integers(0, 100))
def test_lagged_correlation_is_one_at_the_shift_of_a_copy(shift: int, seed: int) -> None:
    series = np.random.default_rng(seed).normal(size=80)
    copy = np.roll(series, shift)
    found = mechanism.lagged_correlations(series[10:70], copy[10:70], 8)
    assert int(found.argmax()) - 8 == shift and found.max() == pytest.approx(1.0)
    by_hand = np.corrcoef(series[10:68], copy[12:70])[0, 1]
    assert found[8 + 2] == pytest.approx(by_hand)


def test_curves_average_heads_and_leave_nulls_out(tmp_path: Path) -> None:
    curves = mechanism.probe_curves(study(tmp_path, 0, seeds=1))
    at = curves.filter(polars.col("quantity") == "relative_entropy", polars.col("step") == 5, polars.col("layer") == 0)
    assert at["count"].to_list() == [3]
    assert at["high"][0] - at["low"][0] == pytest.approx(0.02, abs=1e-6)
    assert "attention_map" not in set(curves["quantity"])


@pytest.mark.parametrize("steps", [1, 50, 240, 5000, 50_000])
def test_thinned_curves_keep_every_step_in_some_bin_and_the_peak(steps: int) -> None:
    edges = mechanism.bin_edges(steps)
    assert edges[0] == 0 and edges[-1] == steps and len(edges) <= mechanism.BINS + 1 + (steps <= mechanism.BINS)
    assert all(one < other for one, other in pairwise(edges))


def test_the_thinned_norm_keeps_its_spike(tmp_path: Path) -> None:
    norms = np.ones(STEPS)
    norms[123] = 50.0
    thinned = mechanism.norm_curves([write_run(tmp_path, 0, norms, 0.5 + 0.1 * bump(20))])
    assert thinned.filter(polars.col("value") == 50.0)["step"].to_list() == [123]


def spikes(rows: list[tuple[int, str | None, int | None, float]]) -> polars.DataFrame:
    return polars.DataFrame(
        [
            {
                "architecture": "gpt2", "task": "language", "recipe": "adamw", "warmup": warmup, "seed": seed,
                "group": "global", "spike_step": step, "attained_by": group,
            }
            for seed, group, step, warmup in rows
        ],
        schema_overrides={"attained_by": polars.String, "spike_step": polars.Int64},
    )  # fmt: skip


def test_spike_sources_count_runs_without_warmup_and_their_steps() -> None:
    unwarmed = [(0, "head", 0, 0.0), (1, "block00.mixer", 9, 0.0), (2, "head", 0, 0.0)]
    table = spike_sources.spike_sources(spikes([*unwarmed, (3, "head", 5, 0.1), (4, None, None, 0.0)]), 0.95)
    assert table["group"].to_list() == ["head", "block00.mixer"]
    assert table["runs"].to_list() == [2, 1] and table["of"].to_list() == [3, 3]
    assert table["at_start"].to_list() == [2, 0]
    assert table["share_low"][0] < 2 / 3 < table["share_high"][0]


def test_every_figure_is_drawn_and_says_so_where_there_is_nothing(tmp_path: Path) -> None:
    paths = study(tmp_path, 5)
    order = mechanism.order_summary(mechanism.entropy_order(paths), 0.95)
    tables = {
        "curves": mechanism.probe_curves(paths), "norms": mechanism.norm_curves(paths), "order": order,
        "matrices": mechanism.matrices(paths),
        "sources": spike_sources.spike_sources(spikes([(0, "head", 0, 0.0)]), 0.95),
    }  # fmt: skip
    drawn = drawings.figures(tables, {"gpt2": "GPT-2"})
    assert "GPT-2" in drawn["entropy_and_norm"].axes[0].get_title(loc="left")
    bare = drawings.figures({name: table.clear() for name, table in tables.items()}, {})
    assert set(bare) == set(drawn)
    assert "no run" in bare["which_first"].axes[0].texts[0].get_text()
