"""Looks at a growing cell: which warmups go on, when it stops, what it found; replayed from its runs alone.

In: a cell's Block (rows: its seeds in order), a pilot's Blocks that lend the shape of errors, settings. Out: the record
of each look. A look is a pure function of these: it uses the first seeds of the arms that are still in, whatever else
lies on disk, and no run of another cell.

  - A look judges the arms that are still in (`best.judge`) at an error rate of its own, so that all looks together keep
    the confidence asked for. What one look has shown holds for the later ones: limits are the tightest so far.
  - Arms that cannot be the best are dropped; the declared arm (no warmup) stays until it is judged.
  - A cell is *decided* when some warmup is demonstrated to lie within the margin and the declared arm is judged;
    *futile* when the seeds that judging it would take (where it is judged: that demonstrating some warmup would),
    projected over the looks to come and their error rates, exceed `futile` times the cap; *open at the cap* after the
    last look.
  - Extensions, looks added after the declared ones were taken, go on from any cell that is not decided, at error rates
    reserved for them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import CANNOT_SAY, Floats
from warmup.statistics.base.nulls import DRAWS
from warmup.statistics.base.pairing import paired_errors
from warmup.statistics.effect import best
from warmup.statistics.effect.plateau import comparison_limits, margin

GOES_ON, DECIDED, FUTILE, AT_THE_CAP = "goes on", "decided", "futile", "open at the cap"

RESERVED = 0.1
"""Share of the error rate kept for extensions; the first takes half of it, each further one half of the rest."""

LATE, EVEN = "late", "even"
"""How looks spend the error rate: little at first and most at the last one, or alike."""

LATE_POWER = 3
"""Kim & DeMets 1987: up to a share t of the last look's seeds, t to this power of the error rate is spent. The rates of
all looks add up to it, so that nothing has to be calibrated."""

CALIBRATED_FOR = 0.95
LEVELS = {(3, 5, 7, 10): 0.009}
"""Error rate of each look by the declared looks where all spend alike, such that all together err in at most
(1 - RESERVED) of 5 % of cells: `benchmarks/looks.py --levels` simulates it. Other looks share the rate equally."""


def levels(settings: Mapping[str, Any]) -> list[float]:
    """Error rate that each look may spend, declared looks first, then extensions; `settings`: those of `replay`."""
    declared, extensions = settings["looks"]["seeds"], settings["looks"]["extensions"]
    alpha = 1.0 - settings["confidence"]
    whole = alpha * (1.0 - RESERVED)
    if settings["looks"]["spending"] == LATE:
        spent = whole * (np.array([0, *declared]) / declared[-1]) ** LATE_POWER
        each = np.diff(spent).tolist()
    else:
        calibrated = LEVELS.get(tuple(declared)) if settings["confidence"] == CALIBRATED_FOR else None
        each = [calibrated or whole / len(declared)] * len(declared)
    return [*each, *(alpha * RESERVED / 2.0 ** (number + 1) for number in range(len(extensions)))]


@dataclass
class Record:
    """What one look found; `arms` has a row for every arm of the cell, those dropped before with what stands of them.

    `opens`: the next look, the arms that go on and the seeds each is to have; None where the cell stops.
    """

    look: int
    seeds: int
    level: float
    extension: bool
    n: int
    """Complete seeds: those that all arms looked at share."""
    margin: float | None
    looked_at: list[float]
    dropped: list[float]
    arms: list[dict[str, Any]]
    recommended: float | None
    recommended_high: float | None
    reference: float
    reference_verdict: str
    verdict: str
    projected: float | None
    """Seeds after which the cell would have its next verdict, if what was found so far were true; infinite is None."""
    method: str
    note: str
    opens: dict[str, Any] | None


@dataclass
class _State:
    """What stands after the looks so far: arms still in, the tightest limits of each, who was shown what."""

    arms: list[float]
    rows: dict[float, dict[str, Any]]
    reference_verdict: str = best.UNDECIDED
    demonstrated: set[float] = field(default_factory=set)


def replay(
    block: Block, pilot: Sequence[Block], settings: Mapping[str, Any], until: int | None = None, draws: int = DRAWS
) -> list[Record]:
    """Records of the looks at a cell, up to number `until` (from 1; by default all that it takes).

    `settings`: looks (seeds, extensions, futile, spending), confidence, reference, and `margin`, the task's entry of
    the section statistics.margins. `draws`: simulated null studies behind critical values.
    """
    seeds = [*settings["looks"]["seeds"], *settings["looks"]["extensions"]]
    spent, declared = levels(settings), len(settings["looks"]["seeds"])
    state = _State([float(arm) for arm in block.arms], {float(arm): {"warmup": float(arm)} for arm in block.arms})
    found: list[Record] = []
    number = 1
    while True:
        later = [(count, 1.0 - level) for count, level in zip(seeds, spent, strict=True)][number:declared]
        look = _look(state, block, pilot, settings, number, seeds[number - 1], spent[number - 1], later, draws)
        look.extension = number > declared
        following = _following(look, number, declared, len(seeds))
        if following is not None:
            look.opens = {"look": following, "arms": list(state.arms), "seeds": seeds[following - 1]}
        found.append(look)
        if following is None or number == until:
            return found
        number = following


def _following(look: Record, number: int, declared: int, last: int) -> int | None:
    """Number of the look that comes next; its verdict is completed where none of the declared ones does."""
    if look.verdict == GOES_ON and number >= declared:
        look.verdict = AT_THE_CAP
    if look.verdict == DECIDED:
        return None
    following = number + 1 if look.verdict == GOES_ON else max(number, declared) + 1
    return following if following <= last else None


def _look(
    state: _State,
    block: Block,
    pilot: Sequence[Block],
    settings: Mapping[str, Any],
    number: int,
    seeds: int,
    level: float,
    later: Sequence[tuple[int, float]],
    draws: int,
) -> Record:
    """One look: judges the arms still in, tightens what stands in `state`, drops arms from it."""
    looked_at, reference = list(state.arms), float(settings["reference"])
    now = _part(block, looked_at, seeds)
    lenders = [_part(other, looked_at, len(other.seeds)) for other in pilot if set(looked_at) <= set(other.arms)]
    errors = paired_errors(now, lenders, draws)
    projected: float | None = math.inf
    delta, verdict, note = None, GOES_ON, f"{CANNOT_SAY}: {errors.note}" if errors.note else ""
    if errors.known:
        delta = margin({"margins": {"default": settings["margin"]}}, "", float(now.complete.mean(axis=0).min()))
        judged = best.judge(now, errors, delta, 1.0 - level, reference)
        _tighten(state, now, judged, delta, comparison_limits(errors.reach(settings["confidence"])))
        projected = best.seeds_to_next_verdict(
            now.complete.mean(axis=0),
            errors,
            delta,
            1.0 - level,
            demonstrated=bool(state.demonstrated),
            reference=now.arms.index(reference) if state.reference_verdict == best.UNDECIDED else None,
            later=later,
        )
        if state.demonstrated and state.reference_verdict in (best.EXCLUDED, best.WITHIN):
            verdict = DECIDED
        elif projected > settings["looks"]["futile"] * settings["looks"]["seeds"][-1]:
            verdict = FUTILE
        else:
            keep = set(np.array(looked_at)[judged.regrets.possible_best].tolist())
            if state.reference_verdict not in (best.EXCLUDED, best.WITHIN):
                keep.add(reference)
            state.arms = [arm for arm in looked_at if arm in keep]
    known = [row for row in state.rows.values() if "regret_high" in row]
    pick: dict[str, Any] = min(known, key=lambda row: row["regret_high"], default={})
    return Record(
        look=number,
        seeds=seeds,
        level=level,
        extension=False,
        n=len(now.complete),
        margin=delta,
        looked_at=looked_at,
        dropped=[arm for arm in looked_at if arm not in state.arms],
        arms=[dict(row) for row in state.rows.values()],
        recommended=pick.get("warmup"),
        recommended_high=pick.get("regret_high"),
        reference=reference,
        reference_verdict=state.reference_verdict,
        verdict=verdict,
        projected=None if projected is None or math.isinf(projected) else projected,
        method=errors.method,
        note=note,
        opens=None,
    )


def _part(block: Block, arms: Sequence[float], seeds: int) -> Block:
    """The first seeds of some arms of a block."""
    columns = [[float(arm) for arm in block.arms].index(arm) for arm in arms]
    return Block(tuple(arms), block.seeds[:seeds], block.values[:seeds][:, columns], block.diverged[:seeds][:, columns])


def _tighten(state: _State, now: Block, judged: best.Judgement, delta: float, half: Floats) -> None:
    """Put what this look found beside what stood: the tightest limits, what was ever shown; `half` is for drawing."""
    found, means = judged.regrets, now.complete.mean(axis=0)
    for i, arm in enumerate(now.arms):
        row = state.rows[arm]
        row |= {"n": len(now.complete), "mean": float(means[i]), "regret": float(found.estimate[i]), "margin": delta}
        row["regret_high"] = min(float(found.high[i]), row.get("regret_high", math.inf))
        for name, limit in (("regret_low", found.low[i]), ("regret_low_alone", found.low_alone[i])):
            row[name] = max(float(limit), row.get(name, 0.0))
        row["possible_best"] = bool(found.possible_best[i])
        row["demonstrated"] = bool(judged.demonstrated[i]) or row.get("demonstrated", False)
        row |= {"mean_low": float(means[i] - half[i]), "mean_high": float(means[i] + half[i])}
        row["not_excluded"] = bool(judged.not_excluded[i]) and row.get("not_excluded", True)
        if row["demonstrated"]:
            state.demonstrated.add(arm)
    if state.reference_verdict == best.UNDECIDED and judged.reference in (best.EXCLUDED, best.WITHIN):
        state.reference_verdict = judged.reference
