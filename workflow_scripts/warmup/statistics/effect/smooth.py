"""Smooth optimum: the lowest point of a quadratic in log(W + W0), with a bootstrap interval and censoring flags.

W is the warmup as a fraction of training and W0 (`smooth.offset`) keeps no warmup finite. Fitted to outcomes paired by
seed: with a seed effect and complete seeds, ordinary least squares is the fit to the arms' means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
from scipy import special

from warmup.statistics.base.intervals import Floats, Interval, percentile, unknown
from warmup.statistics.base.outcomes import Cell
from warmup.statistics.base.pairing import PairedErrors, residual_mean_square

FEWEST_WARMUPS = 4
"""A quadratic through three points fits whatever they are."""
MISFIT = 0.01
"""p of the lack-of-fit test below which the quadratic is not believed."""


@dataclass(frozen=True)
class SmoothOptimum:
    """Lowest point of the fitted curve, as a fraction of training.

    `censoring`: "left" (lowest at the smallest warmup: what lies below is not seen), "right" (at the largest), "none";
    "" where nothing can be said. `reaches_left`, `reaches_right`: the interval ends at that end of the grid.
    """

    interval: Interval
    censoring: str = ""
    reaches_left: bool | None = None
    reaches_right: bool | None = None


def axis(warmups: Floats, offset: float) -> Floats:
    """log(W + W0), centred: the abscissa of the fit."""
    return numpy.log(warmups + offset) - float(numpy.log(warmups + offset).mean())


def lowest_point(means: Floats, x: Floats) -> Floats:
    """Abscissae [...] where the quadratics fitted to `means` [..., arms] at `x` [arms] are lowest within the grid."""
    design = numpy.vander(x, 3)  # x^2, x, 1
    curvature, slope, _ = numpy.moveaxis(means @ numpy.linalg.pinv(design).T, -1, 0)
    ends = numpy.array([x.min(), x.max()])
    convex = curvature > 0
    vertex = -slope / (2.0 * numpy.where(convex, curvature, 1.0))
    at_ends = curvature[..., None] * ends**2 + slope[..., None] * ends
    lower_end = numpy.where(at_ends[..., 0] <= at_ends[..., 1], ends[0], ends[1])
    return numpy.where(convex, numpy.clip(vertex, *ends), lower_end)


def smooth_optimum(cell: Cell, errors: PairedErrors, settings: Mapping[str, Any]) -> SmoothOptimum:
    """Smooth optimum of a cell.

    The interval is a parametric bootstrap of the arms' means (`parametric_draws`). Resampling the seeds themselves was
    tried: with five seeds it covers 0.85, with ten 0.90 of the 0.95 asked for (docs/statistics.md).
    """
    confidence, offset = settings["confidence"], settings["smooth"]["offset"]
    values = cell.block.complete
    if not errors.known:
        return SmoothOptimum(unknown(errors.note, n=errors.seeds, confidence=confidence))
    if values.shape[1] < FEWEST_WARMUPS:
        reason = f"a quadratic needs {FEWEST_WARMUPS} warmups, there are {values.shape[1]}"
        return SmoothOptimum(unknown(reason, n=errors.seeds, confidence=confidence))
    if cell.block.diverged.any():
        reason = "runs diverged, and a quadratic does not describe a jump"
        return SmoothOptimum(unknown(reason, n=errors.seeds, confidence=confidence))
    x = axis(cell.warmups, offset)
    means = values.mean(axis=0)
    misfit = lack_of_fit(values, x)
    if misfit < MISFIT:
        reason = f"a quadratic in log(W + W0) does not fit (p = {misfit:.1g})"
        return SmoothOptimum(unknown(reason, n=errors.seeds, confidence=confidence))
    at = float(lowest_point(means, x))
    noise = parametric_draws(errors, settings["bootstrap"]["resamples"], settings["bootstrap"]["seed"])
    draws = lowest_point(means + noise, x)
    found = percentile(draws, at, n=errors.seeds, confidence=confidence)
    shift = float(numpy.log(cell.warmups + offset).mean())

    def fraction(position: float | None) -> float | None:
        return None if position is None else round(float(max(0.0, numpy.exp(position + shift) - offset)), 9)

    limits = [fraction(end) for end in (found.estimate, found.low, found.high)]
    ends = x.min() + 1e-9, x.max() - 1e-9
    low, high = (found.low if found.low is not None else at), (found.high if found.high is not None else at)
    return SmoothOptimum(
        Interval(limits[0], limits[1], limits[2], found.n, confidence, found.note),
        "left" if at < ends[0] else "right" if at > ends[1] else "none",
        bool(low < ends[0]),
        bool(high > ends[1]),
    )


def lack_of_fit(values: Floats, x: Floats) -> float:
    """p of the F test that the arms of `values` [seeds, arms] lie on a quadratic in `x` [arms], seeds taken out."""
    seeds, arms = values.shape
    beyond = numpy.linalg.qr(numpy.vander(x, 3), mode="complete")[0][
        :, 3:
    ]  # what no quadratic reaches [arms, arms - 3]
    square = seeds * float(((values.mean(axis=0) @ beyond) ** 2).sum()) / (arms - 3)
    return float(special.fdtrc(arms - 3, (seeds - 1) * (arms - 1), square / residual_mean_square(values)))


def parametric_draws(errors: PairedErrors, resamples: int, seed: int) -> Floats:
    """Errors of the arms' means [resamples, arms], up to a constant per draw (which moves no lowest point).

    Normal with the paired errors' covariance, and in scale as uncertain as those errors are (Student's t, or its
    simulated counterpart where cells are pooled). The covariance of means without their common part follows from the
    squared errors of differences by double centring (Gower 1966); where averaging over cells made it indefinite, its
    negative part is left out.
    """
    arms = len(errors.errors)
    centre = numpy.eye(arms) - 1.0 / arms
    spectrum, vectors = numpy.linalg.eigh(-0.5 * centre @ errors.errors**2 @ centre)
    root = vectors * numpy.sqrt(numpy.maximum(spectrum, 0.0))
    generator = numpy.random.default_rng(seed)
    normal = generator.standard_normal((resamples, arms)) @ root.T
    return normal / errors.ratio_draws(resamples, generator)[:, None]
