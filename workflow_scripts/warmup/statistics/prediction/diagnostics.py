"""Diagnostics: what the first steps of a run without warmup, or its recipe alone, say about the warmup it needs.

In: folders of no-warmup runs (of the study, or short probe runs). Out: one row per run, diagnostic and budget
(`diagnostic_table`). A budget of n means that nothing after the n-th step is looked at; budget 0 is the recipe alone.
All values are positive and oriented so that a larger one should mean more warmup. What cannot be computed is null
with a note.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base import gradient_norms, run_folders
from warmup.statistics.base.implied_caps import implied_caps
from warmup.statistics.prediction import spikes

Needs = Literal["recipe", "early", "run"]


@dataclass(frozen=True)
class Early:
    """What is known of a run after `budget` steps.

    Gradient norms and learning rates [<= budget], probe rows before that step, the recipe. `whole_run` is what the
    whole run says, for the one diagnostic that needs it.
    """

    budget: int
    steps: int
    status: str
    norms: NDArray[np.float64]
    rates: NDArray[np.float64]
    probes: polars.DataFrame
    recipe: Mapping[str, Any]
    settings: Mapping[str, Any]
    whole_run: "Reading"

    def quantity(self, name: str) -> polars.DataFrame:
        """Finite scalar rows of one probed quantity, by step."""
        return self.probes.filter(polars.col("quantity") == name).sort("step")


@dataclass(frozen=True)
class Reading:
    """A diagnostic's value, or null and why."""

    value: float | None
    note: str | None = None


@dataclass(frozen=True)
class Diagnostic:
    """A way to read warmup off a run: `in_steps` if the value is itself a number of warmup steps."""

    read: Callable[[Early], Reading]
    needs: Needs
    in_steps: bool = False


def diagnostic_table(
    folders: Sequence[str | Path], settings: Mapping[str, Any], spike_ratios: polars.DataFrame | None = None
) -> polars.DataFrame:
    """Every diagnostic of every no-warmup run among `folders`, at every budget below half of its steps.

    Columns: architecture, task, recipe, warmup, seed, steps, diagnostic, budget, value, note. `settings` is the
    section `prediction`; `spike_ratios` the table of `spikes.spike_table` (none for probe runs, which stop early).
    """
    whole = _spike_ratios(spike_ratios)
    rows: list[dict[str, Any]] = []
    for folder in folders:
        run = run_folders.read(folder)
        if run.warmup == 0:
            rows += run_diagnostics(run, settings, whole.get(tuple(run.coordinates.values()), UNMEASURED))
    return polars.DataFrame(rows, schema=SCHEMA, orient="row")


def run_diagnostics(
    run: run_folders.RunFolder, settings: Mapping[str, Any], whole_run: "Reading"
) -> list[dict[str, Any]]:
    """Rows of one run. Logs are read for their global norm and rates, probe rows up to the largest budget."""
    longest = budgets(run.steps, settings)
    norms = gradient_norms.of_run(run)
    log = polars.read_parquet(run.log, columns=["learning_rate"])
    rates = log["learning_rate"].cast(polars.Float64).to_numpy()
    probes = _probes(run.attention, max(longest, default=0))
    rows = []
    for name in settings["diagnostics"]:
        diagnostic = DIAGNOSTICS[name]
        for budget in {"recipe": [0], "early": longest, "run": [run.steps]}[diagnostic.needs]:
            early = Early(
                budget=budget,
                steps=run.steps,
                status=run.status,
                norms=norms[:budget],
                rates=rates[:budget],
                probes=probes.filter(polars.col("step") < budget),
                recipe=run.settings["recipe"],
                settings=settings,
                whole_run=whole_run,
            )
            reading = diagnostic.read(early)
            if reading.value is not None and not (np.isfinite(reading.value) and reading.value > 0):
                reading = Reading(None, f"not a positive number: {reading.value:g}")
            rows.append(
                {**run.coordinates, "steps": run.steps, "diagnostic": name, "budget": budget}
                | {"value": reading.value, "note": reading.note}
            )
    return rows


def budgets(steps: int, settings: Mapping[str, Any]) -> list[int]:
    """Budgets of early steps that a run of `steps` steps allows: those below half of it."""
    return [budget for budget in settings["budgets"] if 2 * budget < steps]


def untuned(early: Early) -> Reading:
    """2 / (1 - beta2) steps: the rule of thumb for Adam's warmup (Ma & Yarats 1910.04209, section 5)."""
    return Reading(2.0 / (1.0 - early.recipe["betas"][1]))


def rectified(early: Early) -> Reading:
    """Twice the effective length sum_t (1 - omega_t) of RAdam's rectification, in steps.

    A linear warmup of W steps has effective length W / 2 (Ma & Yarats 1910.04209, definition 4.1), hence the 2.
    omega_t is RAdam's r_t, 0 while it is undefined (Liu 1908.03265, algorithm 2). The sum runs over the planned
    steps.
    """
    beta2 = early.recipe["betas"][1]
    t = np.arange(1, early.steps + 1, dtype=np.float64)
    longest = 2.0 / (1.0 - beta2) - 1.0
    power = beta2**t
    length = longest - 2.0 * t * power / (1.0 - power)
    defined = length > 4.0
    safe = np.where(defined, length, 5.0)
    square = (
        (safe - 4.0) * (safe - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * safe)
        if longest > 4
        else 0.0 * safe
    )
    omega = np.where(defined, np.sqrt(square), 0.0)
    return Reading(float(2.0 * (1.0 - omega).sum()))


def initial_norm(early: Early) -> Reading:
    """Global gradient norm at step 0: the only thing that one step can show without probes."""
    if not early.norms.size or not np.isfinite(early.norms[0]):
        return Reading(None, "the norm at step 0 is not finite")
    return Reading(float(early.norms[0]))


def early_spike(early: Early) -> Reading:
    """max over the first n steps / median over steps n/5 .. n of the global gradient norm."""
    if early.budget < MINIMUM_SPIKE_BUDGET:
        return Reading(None, f"needs {MINIMUM_SPIKE_BUDGET} steps")
    value = spikes.early_spike(early.norms, early.budget)
    return Reading(value, None if value else f"no {early.budget} steps with finite, non-zero norms")


def whole_spike_ratio(early: Early) -> Reading:
    """The spike ratio of the whole run, as [S0] has it: it needs the very run that a diagnostic would save."""
    return early.whole_run


def critical_rate(early: Early) -> Reading:
    """peak learning rate / critical learning rate, the largest within the budget (critical sharpness / 2 x peak).

    The critical rate is the smallest along the step's update that raises the loss on the same batch (2601.16979).
    Where the search ended without one, the last rate tried bounds it and the note says so.
    """
    named = polars.col("quantity").str.starts_with(CRITICAL_RATE)
    rows = early.probes.filter(named, polars.col("value") > 0).sort("value")
    if rows.is_empty():
        return _unprobed(early, CRITICAL_RATE)
    name, rate = rows["quantity"][0], float(rows["value"][0])
    note = None if name == CRITICAL_RATE else f"a bound: the critical rate lies {name.rpartition('_')[2]} {rate:.3g}"
    return Reading(early.recipe["peak_learning_rate"] / rate, note)


def relative_update(early: Early) -> Reading:
    """Median over matrices of lr |U| / |W|, its mean over the budget, as a multiple of AdamW's equilibrium.

    Equilibrium sqrt(2 lr wd (1 - b1) / (1 + b1)) (Kosson 2305.17212, 2410.23922); undefined without weight decay.
    """
    rows = early.quantity("relative_update")
    if rows.is_empty():
        return _unprobed(early, "relative_update")
    decay, beta1 = early.recipe["weight_decay"], early.recipe["betas"][0]
    if decay == 0:
        return Reading(None, "without weight decay there is no equilibrium")
    equilibrium = np.sqrt(2.0 * early.recipe["peak_learning_rate"] * decay * (1.0 - beta1) / (1.0 + beta1))
    ratio = _per_step(rows, polars.col("value").median()).mean() / equilibrium
    return Reading(float(ratio), _started_at_zero(early))


def noise_scale(early: Early) -> Reading:
    """Gradient noise scale in examples (McCandlish 1812.06162), the median of those measured within the budget."""
    rows = early.quantity("gradient_noise_scale")
    if rows.is_empty():
        return _unprobed(early, "gradient_noise_scale")
    return Reading(float(np.median(rows["value"].to_numpy())))


def cap_release(early: Early) -> Reading:
    """Steps until AdamW^2's cap would let the median matrix step at the full rate.

    1 + the last probed step at which it binds. cap = tau sigma_1(W) / (lr sigma_1(U)) (2505.21910); from `cap` rows
    where the optimiser logs them, else from the sigma_1 of weights and updates and `cap_tau`. If it still binds at
    the end of the budget, the budget is a lower bound, and the note says so.
    """
    rows = early.quantity("cap")
    if rows.is_empty():
        rows = implied_caps(early.probes, early.rates, early.settings["cap_tau"])
    if rows.is_empty():
        return _unprobed(early, "cap, nor sigma_1 of weights and updates")
    caps = rows.group_by("step").agg(polars.col("value").median()).sort("step")
    binding = caps.filter(polars.col("value") < 1.0)
    if binding.is_empty():
        return Reading(1.0, "the cap never binds")
    last = int(binding["step"].max())  # type: ignore[arg-type]  # a column of whole numbers
    if last == caps["step"].max():
        return Reading(float(early.budget), f"a lower bound: the cap still binds at step {last}")
    return Reading(float(last + 1), _started_at_zero(early))


def entropy_drop(early: Early) -> Reading:
    """Largest fall of the mean relative entropy within the budget, as a share of its first value.

    Of attention, or of the mixing of layers without attention.
    """
    for name in ENTROPIES:
        rows = early.quantity(name)
        if not rows.is_empty():
            curve = _per_step(rows, polars.col("value").mean())
            if curve.size < 2:
                return Reading(None, f"{name} probed once within the first {early.budget} steps")
            drop = float((curve[0] - curve.min()) / curve[0])
            return Reading(max(drop, SMALLEST_DROP))
    return _unprobed(early, " nor ".join(ENTROPIES))


def spectral_concentration(early: Early) -> Reading:
    """Mean over heads of SEC(1) of W_q^T W_k at the last probed step within the budget ([S1])."""
    rows = early.quantity(CONCENTRATION)
    if rows.is_empty():
        return _unprobed(early, CONCENTRATION)
    return Reading(float(_per_step(rows, polars.col("value").mean())[-1]), _started_at_zero(early))


def _spike_ratios(table: polars.DataFrame | None) -> dict[tuple[Any, ...], Reading]:
    """Spike ratio of every run of the table by its coordinates."""
    if table is None:
        return {}
    rows = table.filter(polars.col("group") == gradient_norms.GLOBAL)
    columns = ("architecture", "task", "recipe", "warmup", "seed", "spike_ratio", "note")
    return {row[:5]: Reading(*row[5:]) for row in rows.select(columns).iter_rows()}


def _probes(path: Path, budget: int) -> polars.DataFrame:
    """Finite scalar probe rows of the first `budget` steps; none if the run has no probe file."""
    empty = {"step": polars.Int32, "module": polars.String, "quantity": polars.String, "value": polars.Float64}
    if not path.exists():
        return polars.DataFrame(schema=empty)
    return (
        polars.scan_parquet(path)
        .filter(polars.col("step") < budget, polars.col("value").is_finite())
        .select("step", "module", "quantity", polars.col("value").cast(polars.Float64))
        .collect()
    )


def _per_step(rows: polars.DataFrame, statistic: polars.Expr) -> NDArray[np.float64]:
    return rows.group_by("step").agg(statistic).sort("step")["value"].to_numpy()


def _started_at_zero(early: Early) -> str | None:
    count = early.quantity(STARTS_AT_ZERO)["module"].n_unique()
    return f"without {count} matrices that start at zero, where they are zero" if count else None


def _unprobed(early: Early, name: str) -> Reading:
    return Reading(None, f"no {name} among the probes of the first {early.budget} steps")


UNMEASURED = Reading(None, "the run stops before its spike ratio is defined")
MINIMUM_SPIKE_BUDGET = 5
"""Below this many steps the median of n/5 .. n is over the spike itself."""
SMALLEST_DROP = 1e-4
"""An entropy that does not fall at all counts as this share, since diagnostics enter as logarithms."""
CRITICAL_RATE = "critical_learning_rate"
ENTROPIES = ("relative_entropy", "mixing_relative_entropy")
CONCENTRATION = "sec_1"
STARTS_AT_ZERO = "starts_at_zero"

DIAGNOSTICS: dict[str, Diagnostic] = {
    "untuned": Diagnostic(untuned, "recipe", in_steps=True),
    "rectified": Diagnostic(rectified, "recipe", in_steps=True),
    "initial_norm": Diagnostic(initial_norm, "early"),
    "early_spike": Diagnostic(early_spike, "early"),
    "spike_ratio": Diagnostic(whole_spike_ratio, "run"),
    "critical_rate": Diagnostic(critical_rate, "early"),
    "relative_update": Diagnostic(relative_update, "early"),
    "noise_scale": Diagnostic(noise_scale, "early"),
    "cap_release": Diagnostic(cap_release, "early", in_steps=True),
    "entropy_drop": Diagnostic(entropy_drop, "early"),
    "spectral_concentration": Diagnostic(spectral_concentration, "early"),
}
"""All diagnostics by name; `prediction.diagnostics` of the configuration says which are used."""

SCHEMA = {
    "architecture": polars.String,
    "task": polars.String,
    "recipe": polars.String,
    "warmup": polars.Float64,
    "seed": polars.Int64,
    "steps": polars.Int64,
    "diagnostic": polars.String,
    "budget": polars.Int64,
    "value": polars.Float64,
    "note": polars.String,
}
