"""Resampling behind the correlation: seeds within cells, clusters of architectures, permutations of their labels.

In: `Points`. Out: coefficients, draws of them, intervals and p-values as plain numbers; nothing here decides what may
be said.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from warmup.statistics.correlation import association
from warmup.statistics.correlation.association import Floats, Ints, Points

EXACT_PERMUTATIONS = 7
"""Up to this many architectures all permutations of their labels are looked at; beyond, `most` random ones."""
OWN_RESIDUALS = 5
"""A cell with fewer seeds than this borrows the residuals of the other cells of its task."""
FEWEST_RESIDUALS = 4
RANDOM_SEED = 20_260_716
"""One fixed stream: equal data, equal table."""


def pairs(points: Points, folds: int) -> tuple[Floats, Floats]:
    """Cross-fitted (spike, optimum) [folds, cells]."""
    return association.fold_values(points.x, points.y, points.warmups, folds)


def estimate(measure: str, points: Points, folds: int) -> float | None:
    """The coefficient with `folds` folds (1: no cross-fitting); None where it is undefined."""
    value = float(
        association.pooled(measure, *pairs(points, folds), association.task_matrix(points.tasks), points.offset)
    )
    return value if math.isfinite(value) else None


def folds_of(points: Points, settings: Mapping[str, Any]) -> int:
    """Folds that the cell with the fewest seeds allows."""
    return max(1, min(settings["folds"], points.seeds))


def residual_pools(points: Points) -> list[tuple[Floats, Floats]] | None:
    """Per cell, residuals (x [P], y [P, W]) to draw seeds from.

    Its own, or those of its task where it has fewer than 5 seeds; scaled by sqrt(S / (S - 1)), so that their variance
    is unbiased. None if a cell has fewer than 4 to draw from.
    """
    own = []
    for x, y in zip(points.x, points.y, strict=True):
        scale = math.sqrt(len(x) / (len(x) - 1)) if len(x) > 1 else 0.0
        own.append(((x - x.mean()) * scale, (y - y.mean(0)) * scale))
    pools = []
    for index, (x, y) in enumerate(own):
        if len(x) < OWN_RESIDUALS:
            alike = [
                other
                for other, (task, grid) in enumerate(zip(points.tasks, points.warmups, strict=True))
                if task == points.tasks[index]
                and np.array_equal(grid, points.warmups[index])
                and len(own[other][0]) > 1
            ]
            if not alike:
                return None
            x = np.concatenate([own[other][0] for other in alike])
            y = np.concatenate([own[other][1] for other in alike])
        if len(x) < FEWEST_RESIDUALS:
            return None
        pools.append((x, y))
    return pools


def draw_seeds(
    points: Points, pools: list[tuple[Floats, Floats]], draws: int, rng: np.random.Generator
) -> tuple[list[Floats], list[Floats]]:
    """New seeds for every cell: its means plus residuals drawn with replacement.

    Returns per cell x [draws, S] and y [draws, S, W].
    """
    x, y = [], []
    for values, outcome, (rx, ry) in zip(points.x, points.y, pools, strict=True):
        chosen = rng.integers(0, len(rx), (draws, len(values)))
        x.append(values.mean() + rx[chosen])
        y.append(outcome.mean(0) + ry[chosen])
    return x, y


def seed_draws(
    measure: str, points: Points, pools: list[tuple[Floats, Floats]], folds: int, draws: int, rng: np.random.Generator
) -> Floats:
    """Bootstrap draws [draws] of the coefficient when seeds are resampled within cells."""
    x, y = draw_seeds(points, pools, draws, rng)
    spike, best = association.fold_values(x, y, points.warmups, folds)
    return association.pooled(measure, spike, best, association.task_matrix(points.tasks), points.offset)


def basic(draws: Floats, value: float, confidence: float) -> tuple[float | None, float | None]:
    """Basic bootstrap interval on Fisher's z scale, which undoes the pull of seed noise towards 0.

    None if 5 % of the draws are undefined.
    """
    good = draws[np.isfinite(draws)]
    if len(good) < 0.95 * len(draws) or len(good) == 0:
        return None, None
    z = np.arctanh(np.clip(good, -association.LIMIT, association.LIMIT))
    centre = 2.0 * np.arctanh(np.clip(value, -association.LIMIT, association.LIMIT))
    upper, lower = np.quantile(z, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(np.tanh(centre - lower)), float(np.tanh(centre - upper))


def cluster_weights(points: Points, draws: int, rng: np.random.Generator) -> Floats:
    """How often each cell is drawn [draws, cells] when architectures are drawn with replacement."""
    names = points.names
    counts = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=draws)
    return counts[:, [names.index(name) for name in points.architectures]].astype(np.float64)


def fisher(value: float, clusters: int, confidence: float) -> dict[str, Any]:
    """Fisher's z interval with the architectures as the only independent points: the cautious reading of the design."""
    if clusters < 4:
        return {"note": f"{clusters} architectures: Fisher's interval needs 4"}
    z = float(np.arctanh(np.clip(value, -association.LIMIT, association.LIMIT)))
    half = float(special.ndtri(0.5 + confidence / 2)) / math.sqrt(clusters - 3)
    return {"low": math.tanh(z - half), "high": math.tanh(z + half)}


def permutations(
    count: int, most: int, rng: np.random.Generator, exact: int = math.factorial(EXACT_PERMUTATIONS)
) -> tuple[Ints, bool]:
    """Orders [p, count], the identity first, and whether they are all there are: so where those are at most `exact`,
    else `most` random ones. A p that counts the identity once is valid either way."""
    if math.factorial(count) <= exact:
        return np.array(list(itertools.permutations(range(count))), dtype=np.int64), True
    drawn = rng.permuted(np.tile(np.arange(count), (most - 1, 1)), axis=1)
    return np.vstack([np.arange(count), drawn]), False


def permuted(points: Points, order: Ints) -> tuple[Ints, Floats]:
    """For each order, which cell's spike ratio each cell receives [p, cells].

    And weights: 0 where the giver has no such cell.
    """
    names = points.names
    columns = list(dict.fromkeys(zip(points.tasks, points.recipes, strict=True)))
    where = np.full((len(names), len(columns)), -1)
    row = np.array([names.index(name) for name in points.architectures])
    column = np.array([columns.index(pair) for pair in zip(points.tasks, points.recipes, strict=True)])
    where[row, column] = np.arange(points.cells)
    giver = where[order[:, row], column]
    return np.maximum(giver, 0), (giver >= 0).astype(np.float64)


def permutation_p(draws: Floats, value: float) -> dict[str, float]:
    """One-sided (positive association) and two-sided p; undefined permutations count as at least as extreme."""
    slack = 1e-9
    return {
        "p_value": float((~(draws < value - slack)).mean()),
        "p_two_sided": float((~(np.abs(draws) < abs(value) - slack)).mean()),
    }
