"""Reference distributions of studentised differences, simulated under no difference with a fixed random stream.

In: how many seeds a block and the blocks beside it have, and the relative spreads of its arms. Out: a `Null`: critical
values and p for one difference, for all pairs of arms together, and for one arm against all others. Also the
arithmetic of paired variances that the simulation shares with `pairing`, so that both use the same estimator.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from warmup.statistics.base.intervals import Floats

PRIOR_FREEDOM = 4.0
"""Weight of the pooled shape, in degrees of freedom of a block's own."""
DRAWS = 40_000
"""Simulated null studies; the 95 % point is then known to about 0.5 %."""
MOST_NUMBERS = 2_000_000
"""Numbers drawn at once."""


def covariances(values: Floats) -> Floats:
    """Covariance over seeds [..., arms, arms] of `values` [..., seeds, arms]."""
    centred = values - values.mean(axis=-2, keepdims=True)
    return np.asarray(np.swapaxes(centred, -1, -2) @ centred / (values.shape[-2] - 1))


def paired_variances(covariance: Floats) -> Floats:
    """Variance over seeds of the difference of each pair of arms [..., arms, arms]."""
    own = np.diagonal(covariance, axis1=-2, axis2=-1)
    return np.maximum(own[..., :, None] + own[..., None, :] - 2.0 * covariance, 0.0)


def mean_square(variances: Floats) -> Floats:
    """Mean square [...] after the seeds' and the arms' means are taken out, from paired variances [..., arms, arms].

    Half the mean paired variance over pairs: the same number as that of the two-way layout.
    """
    arms = variances.shape[-1]
    return np.asarray(variances.sum(axis=(-2, -1)) / (2.0 * arms * (arms - 1)))


def shrunk(own: Floats, shapes: Floats, seeds: int) -> Floats:
    """Shape [..., arms, arms]: a block's `own`, shrunk towards the mean of all `shapes` [..., blocks, arms, arms]."""
    weight = seeds - 1.0
    return (PRIOR_FREEDOM * shapes.mean(axis=-3) + weight * own) / (PRIOR_FREEDOM + weight)


@dataclass(frozen=True, eq=False)
class Null:
    """Sorted draws of the largest |t| of each pair, of all pairs, and of one arm against the others.

    `single` [pairs, draws]; `largest` [draws]: over all pairs; `above` [arms, draws]: largest t of mean(arm) -
    mean(other), with its sign; `apart` [arms, draws]: largest |t| of that arm's differences.
    """

    single: Any
    largest: Any
    above: Any
    apart: Any


def point(draws: Any, confidence: float) -> Any:
    """Quantile of sorted `draws` [..., draws], one Monte-Carlo error on the safe side."""
    count = draws.shape[-1]
    safe = confidence + (confidence * (1.0 - confidence) / count) ** 0.5
    return draws[..., min(count - 1, int(np.ceil(safe * (count + 1))) - 1)]


def tail(draws: Any, statistic: float) -> float:
    """Share of sorted `draws` [draws] at or above `statistic`, one Monte-Carlo error on the safe side; never zero."""
    above = len(draws) - int(np.searchsorted(draws, statistic, side="left"))
    share = (above + 1.0) / (len(draws) + 1.0)
    return float(min(1.0, share + (share * (1.0 - share) / len(draws)) ** 0.5))


def pairs_of(arms: int) -> list[tuple[int, int]]:
    """Pairs of arms in the order in which everything here keeps them."""
    return list(combinations(range(arms), 2))


@lru_cache(maxsize=512)
def null_distribution(seeds: int, peers: tuple[int, ...], spread: tuple[float, ...], draws: int = DRAWS) -> Null:
    """The studentised differences when no arm differs: normal outcomes, any scale of the blocks.

    `peers`: complete seeds of the blocks beside it; `spread`: relative sd of the arms.
    """
    normal, ratio = simulate(seeds, peers, spread, draws)
    t = normal / ratio
    arms = len(spread)
    above = np.full((arms, draws), -np.inf, dtype=np.float32)
    apart = np.zeros((arms, draws), dtype=np.float32)
    for row, (first, second) in zip(t, pairs_of(arms), strict=True):
        np.maximum(above[first], row, out=above[first])
        np.maximum(above[second], -row, out=above[second])
        for arm in (first, second):
            np.maximum(apart[arm], np.abs(row), out=apart[arm])
    largest = apart.max(axis=0)
    single = np.abs(t)
    for each in (single, largest, above, apart):
        each.sort(axis=-1)
    return Null(single, largest, above, apart)


@lru_cache(maxsize=16)
def simulate(seeds: int, peers: tuple[int, ...], spread: tuple[float, ...], draws: int = DRAWS) -> tuple[Any, Any]:
    """A difference over its true error, and its estimated error over the true one, both [pairs, draws] (float32)."""
    generator = np.random.default_rng(20_260_717)
    scale = np.array(spread)
    first, second = np.array(pairs_of(len(scale))).T
    true = np.sqrt(scale[first] ** 2 + scale[second] ** 2)
    normal = np.empty((len(first), draws), dtype=np.float32)
    ratio = np.empty_like(normal)
    batch = max(1, MOST_NUMBERS // ((1 + len(peers)) * len(scale) ** 2))
    for start in range(0, draws, batch):
        stop = min(start + batch, draws)
        variances = [paired_variances(_covariance(generator, stop - start, size, scale)) for size in (seeds, *peers)]
        squares = [mean_square(each) for each in variances]
        shapes = np.stack([a / b[:, None, None] for a, b in zip(variances, squares, strict=True)], axis=1)
        estimated = squares[0][:, None, None] * shrunk(shapes[:, 0], shapes, seeds)
        mean = generator.standard_normal((stop - start, len(scale))) * scale
        normal[:, start:stop] = ((mean[:, first] - mean[:, second]) / true).T
        ratio[:, start:stop] = (np.sqrt(estimated[:, first, second]) / true).T
    return normal, ratio


def _covariance(generator: np.random.Generator, draws: int, seeds: int, scale: Floats) -> Floats:
    """Sample covariances [draws, arms, arms] of `seeds` independent normal rows with sd `scale`.

    With more seeds than arms by Bartlett's decomposition of the Wishart distribution, whose cost does not grow with
    them.
    """
    freedom, arms = seeds - 1, len(scale)
    if freedom <= arms:
        rows = generator.standard_normal((draws, freedom, arms)) * scale
        return np.asarray(np.swapaxes(rows, -1, -2) @ rows / freedom)
    root = np.tril(generator.standard_normal((draws, arms, arms)), -1)
    root[:, range(arms), range(arms)] = np.sqrt(generator.chisquare(freedom - np.arange(arms), (draws, arms)))
    root *= scale[:, None]
    return np.asarray(root @ np.swapaxes(root, -1, -2) / freedom)
