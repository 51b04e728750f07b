"""Spike ratios and companions: their definitions, their refusals, and their tables."""

from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from known_truth.trained_tables import write_run

from warmup.errors import DataError
from warmup.statistics.prediction import spikes

SETTINGS = {"stable_from": 0.1, "early_spikes": [10, 50]}


def norms_with_spike(steps: int = 400, at: int = 3, size: float = 12.0) -> np.ndarray:
    values = np.full(steps, 2.0)
    values[at] = size
    return values


def series(norms: np.ndarray, steps: int | None = None, status: str = "finished") -> dict[str, object]:
    return spikes.series_spikes(norms, steps or len(norms), status, SETTINGS)


def test_spike_ratio_is_the_maximum_over_the_mean_of_the_last_nine_tenths() -> None:
    norms = np.arange(1.0, 101.0)[::-1].copy()
    found = series(norms)
    assert found["spike_ratio"] == pytest.approx(100.0 / norms[10:].mean())
    assert found["spike_step"] == 0
    assert found["log_spike_ratio"] == pytest.approx(np.log(100.0 / norms[10:].mean()))


@given(st.integers(20, 300), st.floats(1e-6, 1e6), st.randoms(use_true_random=False))
def test_spike_ratio_does_not_depend_on_the_unit_of_the_norm(steps: int, unit: float, random: object) -> None:
    norms = np.array([random.uniform(0.5, 5.0) for _ in range(steps)])  # type: ignore[attr-defined]
    assert series(norms * unit)["spike_ratio"] == pytest.approx(series(norms)["spike_ratio"])


def test_early_spike_compares_with_the_median_of_the_last_four_fifths_of_the_first_steps() -> None:
    norms = np.concatenate([[30.0, 9.0], np.linspace(1, 3, 48), np.full(100, 7.0)])
    assert series(norms)["early_spike_10"] == pytest.approx(30.0 / np.median(norms[2:10]))
    assert series(norms)["early_spike_50"] == pytest.approx(30.0 / np.median(norms[10:50]))
    assert series(norms[:40], steps=150)["early_spike_50"] is None


def naive_spike_score(norms: np.ndarray) -> float:
    """The definition, one step at a time."""
    hits = [x > w.mean() + 6 * w.std() for x, w in ((norms[t], norms[t - 128 : t]) for t in range(128, len(norms)))]
    return float(np.mean(hits))


@pytest.mark.parametrize("steps", [129, 1000, spikes.BLOCK + 128, spikes.BLOCK + 129, 2 * spikes.BLOCK + 400])
def test_spike_score_agrees_with_its_definition_across_blocks(steps: int) -> None:
    rng = np.random.default_rng(steps)
    norms = np.exp(rng.normal(0, 0.1, steps))
    norms[rng.integers(128, steps, 5)] *= 20.0
    assert spikes.spike_score(norms) == pytest.approx(naive_spike_score(norms))


def test_spike_score_forgets_a_huge_spike_once_its_window_has_passed() -> None:
    norms = np.exp(np.random.default_rng(0).normal(0, 0.01, 600))
    norms[200], norms[450] = 1e12, 3.0
    assert spikes.spike_score(norms) == pytest.approx(2 / (600 - 128))


def test_constant_norms_have_ratio_one_and_no_spikes() -> None:
    found = series(np.full(300, 0.1))
    assert found["spike_ratio"] == pytest.approx(1.0)
    assert (found["spike_score"], found["gss_count"]) == (0.0, 0)


def test_gss_counts_steps_above_fifty_times_the_mean() -> None:
    norms = norms_with_spike(5000, 7, 2000.0)
    assert series(norms)["gss_count"] == 1


@pytest.mark.parametrize(
    ("norms", "steps", "status", "words"),
    [
        (norms_with_spike(30), 400, "diverged", "diverged after 30 of 400 steps"),
        (np.r_[np.ones(30), np.nan, np.ones(9)], 40, "diverged", "not finite, at step 30"),
        (np.zeros(50), 50, "finished", "zero over the stable window"),
        (np.array([]), 50, "diverged", "not finite, at step 0"),
    ],
)
def test_a_ratio_that_is_undefined_is_null_with_a_note(norms: np.ndarray, steps: int, status: str, words: str) -> None:
    found = series(norms, steps, status)
    assert found["spike_ratio"] is None
    assert words in str(found["note"])


@given(arrays(np.float64, st.integers(0, 200), elements=st.floats(0, 2.0**100, width=32)))
def test_no_series_of_norms_makes_it_fail(norms: np.ndarray) -> None:
    found = series(norms, 150)
    assert (found["spike_ratio"] is None) == (found["note"] is not None)


def test_rows_of_a_run_name_the_group_that_attains_the_spike(tmp_path: Path) -> None:
    small, large = norms_with_spike(size=3.0), norms_with_spike(size=9.0)
    run = write_run(tmp_path, {"global": norms_with_spike(), "embedding": small, "block00.mixer": large})
    table = spikes.spike_table([run], SETTINGS, threads=2)
    assert table["group"].to_list() == ["global", "embedding", "block00.mixer"]
    assert table["attained_by"].to_list() == ["block00.mixer", None, None]
    assert table["spike_ratio"].to_list() == pytest.approx([6.0, 1.5, 4.5])
    assert table.columns[-1] == "note"


def test_a_folder_without_summary_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"summary\.json: missing"):
        spikes.run_spikes(tmp_path, SETTINGS)


def test_a_log_without_global_norm_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"global": np.ones(20)})
    polars.DataFrame({"step": [0]}).write_parquet(run / "log.parquet")
    with pytest.raises(DataError, match="has no column gradient_norm"):
        spikes.run_spikes(run, SETTINGS)


def cell_rows(ratios: list[float | None], warmup: float = 0.0) -> polars.DataFrame:
    return polars.DataFrame(
        {
            "architecture": ["net"] * len(ratios),
            "task": ["task"] * len(ratios),
            "recipe": ["adamw"] * len(ratios),
            "warmup": [warmup] * len(ratios),
            "group": ["global"] * len(ratios),
            "log_spike_ratio": [None if ratio is None else float(np.log(ratio)) for ratio in ratios],
        },
        schema_overrides={"log_spike_ratio": polars.Float64},
    )


def test_a_cell_s_spike_ratio_is_the_geometric_mean_of_its_no_warmup_runs() -> None:
    rows = polars.concat([cell_rows([2.0, 8.0]), cell_rows([1000.0], warmup=0.05)])
    found = spikes.cell_spike_ratios(rows, 0.95).row(0, named=True)
    assert found["spike_ratio"] == pytest.approx(4.0)
    assert (found["runs"], found["undefined"]) == (2, 0)
    assert found["low"] < 4.0 < found["high"]
    assert found["error"] == pytest.approx(np.std(np.log([2, 8]), ddof=1) / np.sqrt(2))


def test_a_cell_half_of_whose_runs_have_no_ratio_cannot_say() -> None:
    found = spikes.cell_spike_ratios(cell_rows([2.0, None]), 0.95).row(0, named=True)
    assert found["spike_ratio"] is None
    assert "cannot say: 1 of 2" in found["note"]


def test_a_cell_with_few_undefined_runs_is_called_a_lower_bound() -> None:
    found = spikes.cell_spike_ratios(cell_rows([2.0, 8.0, None]), 0.95).row(0, named=True)
    assert found["spike_ratio"] == pytest.approx(4.0)
    assert "lower bound" in found["note"]


def test_one_seed_has_a_ratio_but_no_interval() -> None:
    found = spikes.cell_spike_ratios(cell_rows([3.0]), 0.95).row(0, named=True)
    assert found["spike_ratio"] == pytest.approx(3.0)
    assert (found["low"], found["note"]) == (None, "one run: no interval")


def test_early_norms_are_those_of_the_first_steps_without_warmup(tmp_path: Path) -> None:
    plain = write_run(tmp_path / "a", {"global": np.arange(30.0), "head": np.ones(30)})
    warm = write_run(tmp_path / "b", {"global": np.arange(30.0)}, where={"warmup": "0.05"})
    table = spikes.early_norms([plain, warm], 5)
    assert table.filter(polars.col("group") == "global")["value"].to_list() == [0, 1, 2, 3, 4]
    assert table["group"].unique().sort().to_list() == ["global", "head"]
    assert spikes.early_norms([warm], 5).is_empty()


def test_a_study_without_runs_gives_empty_tables() -> None:
    table = spikes.spike_table([], SETTINGS)
    assert table.is_empty()
    assert spikes.cell_spike_ratios(table, 0.95).is_empty()
