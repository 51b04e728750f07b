"""What is said of the unit of warmup where it is known, at the size of the study `unit`.

In: a unit (or none), how much a wrong warmup costs, the noise, both in margins. Out: runs, and shares of studies,
through the function that the rule `units` calls.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from known_truth.shares import Share
from warmup.statistics.unit import units
from warmup.statistics.unit.curves import UNITS, Corner

WARMUPS = (0.0, 0.025, 0.05, 0.1, 0.2, 0.4)
CORNERS = {f"c{i}": Corner(*sizes) for i, sizes in enumerate(product((80, 320), (8, 32), (0.9, 0.975)))}
MARGIN = 0.01
SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "margins": {"default": {"absolute": MARGIN}},
    "equivalence_margins": None,
}
FLAT: dict[str, dict[str, Any]] = {
    "flat": {},
    "flat, noise of 3 margins": {"noise": 3.0},
    "flat, architectures share 0.3 of the noise": {"common": 0.3},
}
"""Studies in which warmup does nothing; runs of one seed share batches over architectures, so they may share noise."""
SIZES = {name: {"t": (corner.steps, corner.batch_size, corner.beta2)} for name, corner in CORNERS.items()}


def truth(unit: str | None, depth: float, phase: float = 0.0) -> NDArray[np.float64]:
    """True costs [corners, warmups] in margins: a valley in log2 of the unit whose sides are `depth` high (0.4 of it
    one doubling beside the best warmup, 0.9 two doublings), no warmup at the top. `phase`: where the best lies between
    two warmups of the grid, in doublings.
    """
    costs = np.full((len(CORNERS), len(WARMUPS)), depth)
    if unit is None:
        return np.zeros_like(costs)
    scales = np.log2([corner.scale(unit) for corner in CORNERS.values()])
    places = np.log2(np.array(WARMUPS[1:]) / 0.1)[None] + (scales - scales.mean())[:, None] - phase
    costs[:, 1:] = depth * (1.0 - np.exp(-(places**2) / 2.0))
    return costs


def runs(
    costs: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    noise: float = 0.7,
    common: float = 0.0,
    seeds: int = 3,
    places: int = 2,
) -> polars.DataFrame:
    """A study of `places` architectures on one task; each corner has seeds of its own, each with a level of its own.

    `common`: share of the noise's variance that the architectures have in common.
    """
    shape = (places, len(CORNERS), seeds, len(WARMUPS))
    level = rng.standard_normal((*shape[:3], 1))
    own, shared = rng.standard_normal(shape), rng.standard_normal((1, *shape[1:]))
    disturbed = noise * ((1.0 - common) ** 0.5 * own + common**0.5 * shared)
    values = 2.0 + MARGIN * (costs[None, :, None] + 3.0 * level + disturbed)
    at = np.stack(np.meshgrid(*(range(size) for size in shape), indexing="ij"), -1).reshape(-1, 4)
    return polars.DataFrame(
        {
            "architecture": [f"a{place}" for place in at[:, 0]],
            "task": "t",
            "recipe": np.array(list(CORNERS))[at[:, 1]],
            "warmup": np.array(WARMUPS)[at[:, 3]],
            "seed": at[:, 2] + 10 * at[:, 1],
            "status": "finished",
            "initial_validation_loss": 5.0,
            "best_validation_loss": values.ravel(),
        }
    )


def tables(
    unit: str | None, seed: int, depth: float = 3.0, phase: float | None = None, **options: Any
) -> dict[str, polars.DataFrame]:
    """Tables of one study whose curves are the same in `unit` (None: flat); the best warmup may lie between two."""
    rng = np.random.default_rng(seed)
    costs = truth(unit, depth, rng.uniform(-0.5, 0.5) if phase is None else phase)
    return units.unit_tables(runs(costs, rng, **options), SIZES, SETTINGS)


def checks(seeds: int, studies: int) -> list[Share]:
    """Planted units that are named, other units that are named, answers of flat studies, limits that miss."""
    size, found = f"{seeds} seeds, 2 architectures", []
    for unit in UNITS:
        named = [answers(unit, seed, seeds=seeds) for seed in range(studies)]
        share = float(np.mean([answer[units.ALL] == unit for answer in named]))
        found.append(Share("planted unit of warmup is named", f"{size}: {unit}", "power", 0.9, share, studies))
        found += _wrong(named, unit, f"{size}: {unit}", "another unit than the planted one is named")
    for design, options in FLAT.items():
        named = [answers(None, seed, seeds=seeds, **options) for seed in range(studies)]
        found += _wrong(named, None, f"{size}: {design}", "a unit is named though warmup does nothing")
    for unit in (None, "steps"):
        missed = limits_missed(unit, studies, seeds=seeds)
        where = f"{size}: {unit or 'flat'}"
        found.append(Share("limits of a difference of two units miss", where, "size", 0.05, missed, studies))
    return found


def _wrong(named: Sequence[Mapping[str, str | None]], unit: str | None, design: str, what: str) -> list[Share]:
    """Shares of studies that name another unit, over all and for one architecture."""
    return [
        Share(f"{what} ({scope})", design, "size", 0.05, float(np.mean(wrong)), len(named))
        for scope, key in (("over all", units.ALL), ("one architecture", "a0"))
        for wrong in [[answer[key] not in (unit, None) for answer in named]]
    ]


def answers(unit: str | None, seed: int, **options: Any) -> dict[str, str | None]:
    """The unit named, by scope (architecture, or all)."""
    found = tables(unit, seed, **options)["unit_answers"]
    return dict(zip(found["architecture"], found["unit"], strict=True))


def limits_missed(unit: str | None, studies: int, **options: Any) -> float:
    """Share of limits of a difference over all that miss what the choices made truly cost."""
    costs, missed = truth(unit, 3.0, phase=0.2), []
    column = {warmup: index for index, warmup in enumerate(WARMUPS)}
    row = {recipe: index for index, recipe in enumerate(CORNERS)}
    for seed in range(studies):
        found = tables(unit, seed, phase=0.2, **options)
        true: dict[str, list[float]] = {}
        for recipe, name, chosen in found["unit_choices"].select("recipe", "unit", "warmups").iter_rows():
            true.setdefault(name, []).append(np.mean([costs[row[recipe], column[warmup]] for warmup in chosen]))
        whole = found["unit_differences"].filter(architecture=units.ALL)
        for one, other, low, high in whole.select("unit", "other", "low", "high").iter_rows():
            difference = float(np.mean(true[one]) - np.mean(true[other]))
            missed.append(not low - 1e-9 <= difference <= high + 1e-9)
    return float(np.mean(missed))
