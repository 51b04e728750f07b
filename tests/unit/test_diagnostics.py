"""Diagnostics see no step beyond their budget, agree with their formulas, and say why they have no value."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
from known_truth.trained_tables import write_run

from warmup.statistics.prediction import diagnostics, spikes

STEPS = 400
SETTINGS: dict[str, Any] = {
    "budgets": [1, 10, 100, 500],
    "diagnostics": list(diagnostics.DIAGNOSTICS),
    "cap_tau": 0.01,
}


def row(step: int, quantity: str, value: float, module: str = "") -> dict[str, object]:
    return {"step": step, "module": module, "layer": -1, "head": -1, "quantity": quantity, "value": value}


def table(folder: Path, probes: list[dict[str, object]] | None = None, **options: Any) -> polars.DataFrame:
    norms = np.full(STEPS, 2.0)
    norms[2] = 10.0
    run = write_run(folder, {"global": norms}, probes=probes or [], **options)
    return diagnostics.diagnostic_table([run], SETTINGS)


def value(found: polars.DataFrame, name: str, budget: int) -> tuple[float | None, str | None]:
    rows = found.filter(polars.col("diagnostic") == name, polars.col("budget") == budget)
    assert rows.height == 1
    return rows["value"][0], rows["note"][0]


def test_budgets_stay_below_half_of_the_run() -> None:
    assert diagnostics.budgets(400, SETTINGS) == [1, 10, 100]
    assert diagnostics.budgets(200, SETTINGS) == [1, 10]
    assert diagnostics.budgets(50_000, SETTINGS) == [1, 10, 100, 500]


def test_every_diagnostic_has_a_row_at_each_of_its_budgets(tmp_path: Path) -> None:
    found = table(tmp_path)
    by_need = {"recipe": 1, "early": 3, "run": 1}
    for name, diagnostic in diagnostics.DIAGNOSTICS.items():
        assert found.filter(polars.col("diagnostic") == name).height == by_need[diagnostic.needs], name


def test_runs_with_warmup_are_left_out(tmp_path: Path) -> None:
    assert table(tmp_path, where={"warmup": "0.05"}).is_empty()


def test_untuned_is_two_over_one_minus_beta2(tmp_path: Path) -> None:
    assert value(table(tmp_path, recipe={"betas": [0.9, 0.95]}), "untuned", 0)[0] == pytest.approx(40.0)


@pytest.mark.parametrize("beta2", [0.9, 0.99, 0.999])
def test_rectified_agrees_with_torch_radam(tmp_path: Path, beta2: float) -> None:
    """RAdam's step on a constant gradient is lr x omega_t (and unrectified, lr alone, while omega is undefined)."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.RAdam([weight], lr=1.0, betas=(0.0, beta2), eps=0.0)
    omegas = []
    for t in range(1, STEPS + 1):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        longest = 2 / (1 - beta2) - 1
        rectified = longest - 2 * t * beta2**t / (1 - beta2**t) > 5  # torch waits for 5, the paper for 4
        omegas.append(before - weight.item() if rectified else None)
    run = table(tmp_path, recipe={"betas": [0.9, beta2]})
    known = sum(1.0 - omega for omega in omegas if omega is not None)
    unknown = sum(omega is None for omega in omegas)
    found = value(run, "rectified", 0)[0]
    assert found is not None
    assert 2 * known + 2 * (unknown - 2) <= found <= 2 * (known + unknown)


def test_early_spike_sees_only_the_first_steps(tmp_path: Path) -> None:
    norms = np.full(STEPS, 2.0)
    norms[2], norms[50] = 10.0, 80.0
    found = diagnostics.diagnostic_table([write_run(tmp_path, {"global": norms}, probes=[])], SETTINGS)
    assert value(found, "early_spike", 10)[0] == pytest.approx(5.0)
    assert value(found, "early_spike", 100)[0] == pytest.approx(40.0)
    assert value(found, "early_spike", 1) == (None, "needs 5 steps")
    assert value(found, "initial_norm", 1)[0] == pytest.approx(2.0)


def test_nothing_after_the_budget_changes_an_early_diagnostic(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(1, 2, STEPS)
    other = np.where(np.arange(STEPS) < 100, first, rng.uniform(50, 90, STEPS))
    names = ["relative_entropy", "critical_learning_rate", "gradient_noise_scale", "relative_update", "sec_1", "cap"]
    early = [row(step, name, 0.5 + 0.001 * step) for name in names for step in (0, 5, 60)]
    late = [row(step, name, 77.0) for name in names for step in (100, 200)]
    one = diagnostics.diagnostic_table([write_run(tmp_path / "a", {"global": first}, probes=early)], SETTINGS)
    two = diagnostics.diagnostic_table([write_run(tmp_path / "b", {"global": other}, probes=early + late)], SETTINGS)
    known = polars.col("budget") < STEPS
    assert one.filter(known).equals(two.filter(known))


def test_critical_rate_is_peak_over_the_smallest_critical_rate(tmp_path: Path) -> None:
    probes = [row(0, "critical_learning_rate", 4e-3), row(8, "critical_learning_rate", 5e-4)]
    found = table(tmp_path, probes)
    assert value(found, "critical_rate", 1)[0] == pytest.approx(0.25)
    assert value(found, "critical_rate", 10)[0] == pytest.approx(2.0)


def test_a_critical_rate_that_was_not_found_is_a_bound(tmp_path: Path) -> None:
    found = table(tmp_path, [row(0, "critical_learning_rate_above", 1e-2)])
    reading, note = value(found, "critical_rate", 1)
    assert reading == pytest.approx(0.1)
    assert note is not None and "a bound: the critical rate lies above 0.01" in note


def test_relative_update_is_in_units_of_adamw_s_equilibrium(tmp_path: Path) -> None:
    probes = [row(0, "relative_update", size, module) for module, size in (("a", 0.1), ("b", 0.3), ("c", 9.0))]
    equilibrium = math.sqrt(2 * 1e-3 * 0.1 * 0.1 / 1.9)
    assert value(table(tmp_path, probes), "relative_update", 1)[0] == pytest.approx(0.3 / equilibrium, rel=1e-6)
    without = table(tmp_path, probes, recipe={"weight_decay": 0.0})
    assert value(without, "relative_update", 1) == (None, "without weight decay there is no equilibrium")


def test_cap_release_is_the_step_after_the_last_binding_one(tmp_path: Path) -> None:
    caps = [row(step, "cap", 0.5 if step < 6 else 1.0, module) for step in (0, 3, 5, 8, 20) for module in "abc"]
    found = table(tmp_path, caps)
    assert value(found, "cap_release", 10)[0] == pytest.approx(6.0)
    assert value(found, "cap_release", 1) == (1.0, "a lower bound: the cap still binds at step 0")


def test_cap_release_is_read_off_spectral_norms_where_no_caps_are_logged(tmp_path: Path) -> None:
    probes = [row(step, "sigma_1_weight", 1.0, "a") for step in (0, 4, 9)]
    probes += [row(step, "sigma_1_update", size, "a") for step, size in ((0, 100.0), (4, 20.0), (9, 2.0))]
    assert value(table(tmp_path, probes), "cap_release", 10)[0] == pytest.approx(5.0)


def test_the_implied_cap_is_that_of_the_rate_at_its_step_not_of_the_peak(tmp_path: Path) -> None:
    probes = [row(step, name, size, "a") for step in (0, 4, 9) for name, size in (("sigma_1_weight", 1.0),)]
    probes += [row(step, "sigma_1_update", 20.0, "a") for step in (0, 4, 9)]
    assert value(table(tmp_path, probes), "cap_release", 10) == (10.0, "a lower bound: the cap still binds at step 9")
    falling = np.where(np.arange(STEPS) < 5, 1e-3, 4e-4)  # 0.01 x 1 / (4e-4 x 20) > 1: it has let go
    assert value(table(tmp_path, probes, rates=falling), "cap_release", 10) == (5.0, None)


def test_entropy_drop_takes_the_mixing_entropy_where_there_is_no_attention(tmp_path: Path) -> None:
    probes = [row(step, "mixing_relative_entropy", entropy) for step, entropy in ((0, 0.8), (5, 0.2), (9, 0.4))]
    found = table(tmp_path, probes)
    assert value(found, "entropy_drop", 10)[0] == pytest.approx(0.75)
    reading, note = value(found, "entropy_drop", 1)
    assert reading is None
    assert note == "mixing_relative_entropy probed once within the first 1 steps"


def test_entropy_that_only_rises_counts_as_the_smallest_drop(tmp_path: Path) -> None:
    found = table(tmp_path, [row(0, "relative_entropy", 0.2), row(5, "relative_entropy", 0.9)])
    assert value(found, "entropy_drop", 10)[0] == diagnostics.SMALLEST_DROP


@pytest.mark.parametrize(
    "name", ["critical_rate", "relative_update", "noise_scale", "cap_release", "entropy_drop", "spectral_concentration"]
)
def test_a_diagnostic_without_its_probe_is_null_and_says_so(tmp_path: Path, name: str) -> None:
    reading, note = value(table(tmp_path), name, 10)
    assert reading is None
    assert note is not None and "among the probes of the first 10 steps" in note


def test_a_run_without_probe_file_still_has_the_others(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"global": np.linspace(3, 1, STEPS)})
    found = diagnostics.diagnostic_table([run], SETTINGS)
    assert value(found, "early_spike", 10)[0] is not None
    assert value(found, "noise_scale", 10)[0] is None


def test_a_probe_run_that_stops_early_keeps_its_planned_length(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"global": np.linspace(3, 1, 101)}, steps=STEPS, probes=[], where={"seed": "3"})
    found = diagnostics.diagnostic_table([run], SETTINGS)
    assert value(found, "early_spike", 100)[0] is not None
    reading, note = value(found, "spike_ratio", STEPS)
    assert reading is None
    assert note == "the run stops before its spike ratio is defined"


def test_the_spike_ratio_is_the_one_that_was_measured_on_the_whole_run(tmp_path: Path) -> None:
    norms = np.full(STEPS, 2.0)
    norms[2] = 10.0
    run = write_run(tmp_path, {"global": norms, "block": norms / 2}, probes=[])
    measured = spikes.spike_table([run], {"stable_from": 0.1, "early_spikes": [10]})
    found = diagnostics.diagnostic_table([run], SETTINGS, measured)
    assert value(found, "spike_ratio", STEPS) == (pytest.approx(5.0), None)
    diverged = measured.with_columns(spike_ratio=None, note=polars.lit("diverged after 3 of 400 steps"))
    found = diagnostics.diagnostic_table([run], SETTINGS, diverged)
    assert value(found, "spike_ratio", STEPS) == (None, "diverged after 3 of 400 steps")


def test_an_early_divergence_leaves_later_budgets_null(tmp_path: Path) -> None:
    norms = np.r_[np.linspace(1, 5, 30), np.nan]
    run = write_run(tmp_path, {"global": norms}, steps=STEPS, status="diverged", probes=[])
    found = diagnostics.diagnostic_table([run], SETTINGS)
    assert value(found, "early_spike", 10)[0] is not None
    assert value(found, "early_spike", 100)[0] is None
    assert value(found, "spike_ratio", STEPS)[0] is None
