"""Does warmup raise the learning rate that can be used, and does the best warmup change once the rate is tuned?

In: the runs table of a study whose recipes differ in their peak rate alone. Out: `RATES`, a row per architecture, task
and warmup, and `RATE_ANSWERS`, one per architecture and task. Two estimands stand side by side:
  - *fixed*: outcomes of every warmup at one rate, that of the lowest mean over all warmups, so that the rate is chosen
    without comparing warmups;
  - *tuned*: outcomes of every warmup at its own best rate. For the mean each seed is measured at the rate that the
    other seeds choose, so that a rate's luck does not count for it. Limits rest on all rates and warmups at once: a
    warmup's regret is the smallest of its rates' regrets, so the smallest of their limits bound it (docs/questions.md).
Pairing, limits and margins are those of plateaus; runs of one seed share initial weights and batches over all rates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base.blocks import Block, block
from warmup.statistics.base.intervals import CANNOT_SAY, Floats, holm, paired_t, t_p_value
from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.base.pairing import paired_errors
from warmup.statistics.effect.best import EXCLUDED, UNDECIDED, WITHIN, Judgement, Regrets, judge
from warmup.statistics.effect.plateau import margin

PLACE = ("architecture", "task")


@dataclass(frozen=True)
class Sweep:
    """Outcomes of one architecture and task `values` [seeds, rates, warmups] of the seeds that have them all; `rates`
    ascending, `recipes` their names, `diverged` alike.
    """

    architecture: str
    task: str
    recipes: tuple[str, ...]
    rates: tuple[float, ...]
    warmups: tuple[float, ...]
    values: Floats
    diverged: NDArray[np.bool_]

    @property
    def fixed_rate(self) -> int:
        """Index of the rate with the lowest mean over all warmups and seeds."""
        return int(self.values.mean(axis=(0, 2)).argmin())

    @property
    def fixed(self) -> Block:
        """Warmups at the fixed rate."""
        return self._block(self.warmups, self.values[:, self.fixed_rate], self.diverged[:, self.fixed_rate])

    @property
    def tuned(self) -> Block:
        """Warmups, each seed at the rate that is best for that warmup on the other seeds."""
        total = self.values.sum(axis=0)
        chosen = (total[None] - self.values).argmin(axis=1)[:, None, :]  # [seeds, 1, warmups]
        values = np.take_along_axis(self.values, chosen, axis=1)[:, 0]
        return self._block(self.warmups, values, np.take_along_axis(self.diverged, chosen, axis=1)[:, 0])

    @property
    def whole(self) -> Block:
        """All pairs of rate and warmup."""
        arms, seeds = [(recipe, warmup) for recipe in self.recipes for warmup in self.warmups], len(self.values)
        return self._block(arms, self.values.reshape(seeds, -1), self.diverged.reshape(seeds, -1))

    def at_rate(self, index: int) -> Block:
        """Warmups at one rate."""
        return self._block(self.warmups, self.values[:, index], self.diverged[:, index])

    def at_warmup(self, index: int) -> Block:
        """Rates, by the names of their recipes, at one warmup."""
        return self._block(self.recipes, self.values[:, :, index], self.diverged[:, :, index])

    def _block(self, arms: Sequence[Any], values: Floats, diverged: NDArray[np.bool_]) -> Block:
        return Block(tuple(arms), np.arange(len(values)), values, diverged)


def rate_tables(runs: polars.DataFrame, settings: Mapping[str, Any]) -> tuple[polars.DataFrame, polars.DataFrame]:
    """The tables RATES and RATE_ANSWERS; `settings`: outcome, confidence, margins, equivalence_margins, reference."""
    table = with_outcome(runs, settings["outcome"])
    sweeps = [sweep(part) for part in table.partition_by(list(PLACE), maintain_order=True)]
    rows: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for one in sweeps:
        lines, answer = _place(one, [other for other in sweeps if other.task == one.task], settings)
        rows += lines
        answers.append(answer)
    for row, corrected in zip(rows, holm([row.get("benefit_p") for row in rows]), strict=True):
        row["benefit_p_holm"] = corrected
    return polars.DataFrame(rows, schema=RATES), polars.DataFrame(answers, schema=RATE_ANSWERS)


def sweep(part: polars.DataFrame) -> Sweep:
    """The runs of one architecture and task (with a column `outcome`) as a Sweep."""
    named = sorted(set(part.select("peak_learning_rate", "recipe").iter_rows()))
    recipes, warmups = tuple(name for _, name in named), tuple(sorted(set(part["warmup"])))
    whole = block(part, ["recipe", "warmup"], [(recipe, warmup) for recipe in recipes for warmup in warmups])
    complete = np.isfinite(whole.values).all(axis=1)
    shape = (int(complete.sum()), len(recipes), len(warmups))
    return Sweep(
        architecture=part["architecture"][0],
        task=part["task"][0],
        recipes=recipes,
        rates=tuple(rate for rate, _ in named),
        warmups=warmups,
        values=whole.values[complete].reshape(shape),
        diverged=whole.diverged[complete].reshape(shape),
    )


def _place(
    one: Sweep, others: Sequence[Sweep], settings: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of an architecture and task, and its answer."""
    key = {"architecture": one.architecture, "task": one.task}
    answer: dict[str, Any] = key | {"n": len(one.values), "rates": list(one.rates)}
    reason = _refusal(one)
    if reason:
        return [], answer | {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {reason}"}
    level = 1.0 - settings["confidence"]
    delta = margin(settings, one.task, float(one.values.mean(axis=0).min()))

    def judged(name: str, *at: int, share: int = 1) -> Judgement | None:
        """A block of this sweep by name, judged beside its like; `share`: how many judgements share the level."""
        of = [getattr(other, name)(*at) if at else getattr(other, name) for other in (one, *others)]
        errors = paired_errors(of[0], of[1:])
        return judge(of[0], errors, delta, 1.0 - level / share, settings["reference"]) if errors.known else None

    fixed, whole = judged("fixed"), judged("whole")
    if fixed is None or whole is None:
        return [], answer | {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: outcomes do not vary between seeds"}
    estimands = {"fixed": fixed, "tuned": _tuned(one, whole, delta, settings["reference"])}
    usable = [_usable(judged("at_warmup", index, share=len(one.warmups)), one) for index in range(len(one.warmups))]
    rows = []
    for index, warmup in enumerate(one.warmups):
        row = key | {"warmup": warmup, "n": len(one.values), "fixed_rate": one.rates[one.fixed_rate]}
        row |= {"tuned_rate": one.rates[int(one.values.mean(axis=0)[:, index].argmin())]}
        for name, found in estimands.items():
            row |= _arm(name, getattr(one, name), found, index)
        rows.append(row | dict(zip(("usable_low", "usable_high"), usable[index], strict=True)) | _benefit(one, index))
    at_rates = [judged("at_rate", index, share=len(one.rates)) for index in range(len(one.rates))]
    answer |= {"margin": delta, "fixed_rate": one.rates[one.fixed_rate], "verdict": "ok", "note": ""}
    for name, found in estimands.items():
        answer |= {f"{name}_recommended": found.recommended, f"{name}_recommended_high": found.recommended_high}
        answer |= {f"{name}_reference": found.reference}
    return rows, answer | _moves(one, at_rates) | _raises(one, usable, settings["reference"])


def _refusal(one: Sweep) -> str:
    if len(one.rates) < 2 or len(set(one.rates)) < len(one.rates):
        return "its recipes do not differ in their peak rate"
    if len(one.warmups) < 2:
        return "one warmup only"
    return ("no seed has every rate and warmup", "one seed has no spread", "")[min(2, len(one.values))]


def _tuned(one: Sweep, whole: Judgement, delta: float, reference: float) -> Judgement:
    """Warmups at their best rates, from the judgement of all rates and warmups together."""
    limits = whole.regrets.low, whole.regrets.high
    low, high = (values.reshape(len(one.rates), len(one.warmups)).min(axis=0) for values in limits)
    possible: NDArray[np.bool_] = whole.regrets.possible_best.reshape(len(one.rates), len(one.warmups)).max(axis=0)
    means = one.tuned.values.mean(axis=0)
    best = int(high.argmin())
    verdict = CANNOT_SAY
    if reference in one.warmups:
        at = one.warmups.index(reference)
        verdict = EXCLUDED if low[at] > delta else WITHIN if high[at] <= delta else UNDECIDED
    return Judgement(
        regrets=Regrets(means - means.min(), low, high, low, possible),
        not_excluded=low <= delta,
        demonstrated=high <= delta,
        recommended=one.warmups[best],
        recommended_high=float(high[best]),
        reference=verdict,
        p_reference=None,
        flat=bool((high <= delta).all()),
    )


def _arm(name: str, arms: Block, found: Judgement, index: int) -> dict[str, Any]:
    return {
        f"{name}_mean": float(arms.complete[:, index].mean()),
        f"{name}_regret": float(found.regrets.estimate[index]),
        f"{name}_regret_low": float(found.regrets.low[index]),
        f"{name}_regret_high": float(found.regrets.high[index]),
        f"{name}_not_excluded": bool(found.not_excluded[index]),
        f"{name}_demonstrated": bool(found.demonstrated[index]),
    }


def _usable(found: Judgement | None, one: Sweep) -> tuple[float | None, float | None]:
    """Highest rate that is demonstrated, and that is not excluded, to be as good as the best rate of one warmup."""
    if found is None:
        return None, None
    ends = [np.flatnonzero(members) for members in (found.demonstrated, found.not_excluded)]
    low, high = (one.rates[int(members[-1])] if len(members) else None for members in ends)
    return low, high


def _benefit(one: Sweep, index: int) -> dict[str, Any]:
    """What the highest rate costs over the lowest at one warmup, less what it costs at the smallest: < 0, it costs less
    with warmup.
    """
    if index == 0:
        return {}
    cost = one.values[:, -1] - one.values[:, 0]  # [seeds, warmups]
    gain = cost[:, index] - cost[:, 0]
    found = paired_t(gain)
    columns = found.columns("benefit")
    if found.low is None or found.high is None or found.estimate is None:
        return columns
    return columns | {"benefit_p": t_p_value(found.estimate / (gain.std(ddof=1) / len(gain) ** 0.5), len(gain) - 1)}


def _moves(one: Sweep, at_rates: Sequence[Judgement | None]) -> dict[str, Any]:
    """Whether two rates share no warmup that is not excluded, and the warmups demonstrated at every rate."""
    known = [found for found in at_rates if found is not None]
    if len(known) < len(at_rates):
        return {}
    apart = any(not (a.not_excluded & b.not_excluded).any() for a in known for b in known)
    everywhere = np.logical_and.reduce([found.demonstrated for found in known])
    return {"best_moves": apart, "everywhere": [w for w, inside in zip(one.warmups, everywhere, strict=True) if inside]}


def _raises(one: Sweep, usable: Sequence[tuple[float | None, float | None]], reference: float) -> dict[str, Any]:
    """Whether some warmup is shown to be good with a higher rate than any that is not excluded without warmup."""
    if reference not in one.warmups:
        return {}
    without_low, without_high = usable[one.warmups.index(reference)]
    others = [ends for warmup, ends in zip(one.warmups, usable, strict=True) if warmup != reference]
    raised = without_high is not None and any(low is not None and low > without_high for low, _ in others)
    lowered = without_low is not None and any(high is not None and without_low > high for _, high in others)
    return {"raises": raised, "lowers": lowered}


def _estimand(name: str) -> dict[str, Any]:
    reals = dict.fromkeys((f"{name}_{end}" for end in ("mean", "regret", "regret_low", "regret_high")), polars.Float64)
    return {**reals, **dict.fromkeys((f"{name}_not_excluded", f"{name}_demonstrated"), polars.Boolean)}


RATES: dict[str, Any] = {
    **dict.fromkeys(PLACE, polars.String),
    "warmup": polars.Float64,
    "n": polars.Int64,
    "fixed_rate": polars.Float64,
    **_estimand("fixed"),
    "tuned_rate": polars.Float64,
    **_estimand("tuned"),
    **dict.fromkeys(("usable_low", "usable_high"), polars.Float64),
    **dict.fromkeys(("benefit", "benefit_low", "benefit_high", "benefit_p", "benefit_p_holm"), polars.Float64),
}
"""Columns: outcomes and regrets in the outcome's unit, rates as peak learning rates. `fixed_rate` is the same for all
warmups of an architecture and task, `tuned_rate` the best of each; `usable_low`, `usable_high`: the highest rate that
is demonstrated, and that is not excluded, to lie within the margin of the warmup's best (all warmups together).
`benefit`: what the highest rate costs over the lowest, less what it costs without warmup; Holm over the study.
"""
RATE_ANSWERS: dict[str, Any] = {
    **dict.fromkeys(PLACE, polars.String),
    "n": polars.Int64,
    "rates": polars.List(polars.Float64),
    **dict.fromkeys(("margin", "fixed_rate"), polars.Float64),
    **dict.fromkeys(
        (f"{a}_{b}" for a in ("fixed", "tuned") for b in ("recommended", "recommended_high")), polars.Float64
    ),
    **dict.fromkeys(("fixed_reference", "tuned_reference"), polars.String),
    **dict.fromkeys(("raises", "lowers", "best_moves"), polars.Boolean),
    "everywhere": polars.List(polars.Float64),
    **dict.fromkeys(("verdict", "note"), polars.String),
}
"""Columns: `raises`, `lowers`: some warmup is shown to go with a higher (lower) rate than training without;
`best_moves`: two rates share no warmup that is not excluded; `everywhere`: warmups demonstrated at every rate."""
