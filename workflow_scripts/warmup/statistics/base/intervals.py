"""Intervals and corrections shared by all statistics: Wilson, t, Holm, Bonferroni.

What comes in: plain numbers or numpy arrays. What goes out: an `Interval`, which either holds numbers or says in words
why there are none ("cannot say"). Only numpy and scipy.special are imported here, so that a rule starts quickly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

CANNOT_SAY = "cannot say"
"""The word that stands in a `verdict` column where the data do not support a number."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its limits, or a reason why there is none.

    `low` and `high` are None together, and then `note` says why; `estimate` may be known without limits (one seed).
    `n` counts the independent values behind it; `confidence` is two-sided, e.g. 0.95.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    confidence: float
    note: str = ""

    @property
    def known(self) -> bool:
        """True where the limits are numbers."""
        return self.low is not None and self.high is not None

    @property
    def verdict(self) -> str:
        """`ok`, or `cannot say`: the value of a table's `verdict` column."""
        return "ok" if self.known else CANNOT_SAY

    def columns(self, name: str) -> dict[str, Any]:
        """Table cells `<name>`, `<name>_low`, `<name>_high`."""
        return {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}


def unknown(reason: str, *, n: int, confidence: float, estimate: float | None = None) -> Interval:
    """An interval without limits, for the stated reason."""
    return Interval(estimate, None, None, n, confidence, f"{CANNOT_SAY}: {reason}")


def t_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t with `freedom` degrees of freedom (not necessarily whole)."""
    return float(special.stdtrit(freedom, probability))


def t_p_value(statistic: float, freedom: float) -> float:
    """Two-sided p of a t statistic."""
    return float(2.0 * special.stdtr(freedom, -abs(statistic)))


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, without continuity correction)."""
    if trials < 1:
        return unknown("no trials", n=trials, confidence=confidence)
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    z = float(special.ndtri(0.5 + confidence / 2.0))
    share = successes / trials
    scale = 1.0 + z * z / trials
    centre = (share + z * z / (2.0 * trials)) / scale
    half = z / scale * (share * (1.0 - share) / trials + z * z / (4.0 * trials * trials)) ** 0.5
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(share, low, high, trials, confidence)


def paired_t(differences: ArrayLike, confidence: float = 0.95) -> Interval:
    """t interval of the mean of `differences` [n]: one per seed, or any independent values, all of them finite."""
    sample = _finite(differences)
    n = len(sample)
    if n == 0:
        return unknown("no values", n=0, confidence=confidence)
    estimate = float(sample.mean())
    if n == 1:
        return unknown("one value has no spread", n=1, confidence=confidence, estimate=estimate)
    variance = float(sample.var(ddof=1))
    if not variance > _round_off(sample):
        return unknown("the values do not vary", n=n, confidence=confidence, estimate=estimate)
    half = t_quantile(0.5 + confidence / 2.0, n - 1) * (variance / n) ** 0.5
    return Interval(estimate, estimate - half, estimate + half, n, confidence)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p of one family; None (no test) stays None and still counts in the family's size."""
    size = len(p_values)
    adjusted: list[float | None] = [None] * size
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    running = 0.0
    for rank, (p, index) in enumerate(order):
        running = max(running, min(1.0, (size - rank) * p))
        adjusted[index] = running
    return adjusted


def bonferroni(p_values: Sequence[float | None]) -> list[float | None]:
    """Bonferroni's adjusted p of one family; None (no test) stays None and still counts in the family's size."""
    return [None if p is None else min(1.0, len(p_values) * p) for p in p_values]


def _finite(sample: ArrayLike) -> Floats:
    values = np.asarray(sample, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError("values must be finite: leave missing ones out first")
    return values


def _round_off(sample: Floats) -> float:
    """Variance that arithmetic alone could leave in values of this size."""
    return float((8.0 * np.finfo(np.float64).eps * max(1e-300, float(np.abs(sample).max(initial=0.0)))) ** 2)
