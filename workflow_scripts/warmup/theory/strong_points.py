"""Where a hotter plateau excites the slowest mode less (weak effect), and where not at all (strong points).

Both are read off a_2(eta) over a range of plateaus. A zero of a_2 counts as a strong point only if it is still there
on finer grids and on a wider domain, within a stated tolerance; otherwise it is reported as not established.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from warmup.theory.landscapes import Array, Landscape
from warmup.theory.spectrum import Spectrum, amplitudes, slopes, slow_modes

NOISE = 1e-9
"""|a_2| below this, all through the range, is rounding: the slowest mode is not excited at all (a symmetry)."""

AT_THE_END = 1e-3
"""Half-width, in ln(eta / eta_b), of the neighbourhood of eta_b where a_2 vanishes by definition."""


ASYMPTOTIC = 1.5
"""Observed order of convergence above which the last change of a zero is read as that of a second-order scheme."""


@dataclass(frozen=True)
class StrongPoint:
    """A zero of a_2 other than the final rate. Errors are relative; `order` is the observed order of convergence."""

    eta: float
    refinement_error: float
    widening_error: float
    order: float | None
    established: bool
    note: str


@dataclass(frozen=True)
class Analysis:
    """What a landscape says about plateaus: amplitudes over `etas`, intervals of the weak effect, strong points.

    `best` is the plateau above the final rate that excites the slowest mode least beyond the first maximum of |a_2|,
    `reference` that maximum: the cooler plateau `best` is to beat. Both are None without a weak effect above eta_b.
    """

    spectrum: Spectrum
    rate_errors: Array
    etas: Array
    amplitudes: Array
    weak: list[tuple[float, float]]
    strong: list[StrongPoint]
    best: float | None
    reference: float | None
    note: str


def analyse(
    landscape: Landscape, *, cells: int, modes: int, etas: Array, widening: float, tolerance: float
) -> Analysis:
    """Spectrum, weak ranges and strong points of `landscape`, looked for among the plateaus `etas` (ascending).

    Computed on `cells`, 2 x `cells` and 4 x `cells` cells, the finest being reported; errors are Richardson's (a third
    of the last change; all of it where convergence is not yet of second order) and the shift on a domain wider by
    `widening` on either side at the middle resolution.
    """
    coarse, middle, fine = (slow_modes(landscape, cells * factor, modes) for factor in (1, 2, 4))
    values = amplitudes(landscape, fine, etas)
    rate_errors = np.abs(fine.rates - middle.rates) / 3 / fine.rates
    if np.abs(values[0]).max() < NOISE:
        note = "the slowest mode is not excited by any plateau (symmetry): no Mpemba effect to speak of"
        return Analysis(fine, rate_errors, etas, values, [], [], None, None, note)
    wide = landscape.widened(widening)
    wider = slow_modes(wide, 2 * round(cells * (1 + 2 * widening)), 1)
    found = [
        zeros(land, modes_, etas)
        for land, modes_ in ((landscape, coarse), (landscape, middle), (landscape, fine), (wide, wider))
    ]
    strong = [_judged(eta, found, tolerance) for eta in found[2]]
    weak = weak_ranges(landscape, fine, etas)
    best, reference = _best(landscape, fine, weak, [point.eta for point in strong if point.established])
    note = _summary(strong, weak, found, landscape.final)
    return Analysis(fine, rate_errors, etas, values, weak, strong, best, reference, note)


def zeros(landscape: Landscape, spectrum: Spectrum, etas: Array) -> list[float]:
    """All zeros of a_2 between the ends of `etas` except the final rate itself, ascending.

    Sign changes of a_2(eta) / ln(eta / eta_b), which is smooth and has no zero of its own at eta_b, refined by Brent's
    method; two zeros between neighbouring plateaus of `etas` are missed.
    """

    def reduced(log_ratio: float) -> float:
        eta = landscape.final * math.exp(log_ratio)
        if abs(log_ratio) < AT_THE_END:
            return float(slopes(landscape, spectrum, np.array([eta]))[0]) * eta
        return float(amplitudes(landscape, spectrum, np.array([eta]))[0, 0]) / log_ratio

    return [landscape.final * math.exp(root) for root in _roots(reduced, np.log(etas / landscape.final))]


def weak_ranges(landscape: Landscape, spectrum: Spectrum, etas: Array) -> list[tuple[float, float]]:
    """Intervals of plateaus above the final rate in which |a_2| falls as the plateau gets hotter."""
    above = etas[etas > landscape.final * math.exp(AT_THE_END)]

    def slope(log_eta: float) -> float:
        return float(slopes(landscape, spectrum, np.array([math.exp(log_eta)]))[0])

    zero = [eta for eta in zeros(landscape, spectrum, etas) if eta > above[0]]
    turns = [math.exp(root) for root in _roots(slope, np.log(above))]
    ends = sorted({above[0], above[-1], *zero, *turns})
    falling = []
    for low, high in itertools.pairwise(ends):
        inside = np.array([math.sqrt(low * high)])
        if amplitudes(landscape, spectrum, inside)[0, 0] * slopes(landscape, spectrum, inside)[0] < 0:
            falling.append((float(low), float(high)))
    return falling


def _roots(function: Callable[[float], float], grid: Array) -> list[float]:
    values = np.array([function(x) for x in grid])
    exact = [float(x) for x, value in zip(grid, values, strict=True) if value == 0]
    crossings = np.nonzero(values[:-1] * values[1:] < 0)[0]
    return sorted(exact + [scipy.optimize.brentq(function, grid[i], grid[i + 1], xtol=1e-12) for i in crossings])


def _judged(eta: float, found: list[list[float]], tolerance: float) -> StrongPoint:
    """Whether the zero `eta` of the finest grid has partners on the coarser grids and on the wider domain."""
    coarse, middle, _, wider = found
    partners = [_nearest(eta, zeros_) for zeros_ in (coarse, middle, wider)]
    steps = [abs(math.log(partner / eta)) if partner else math.inf for partner in partners]
    widening = abs(math.log(partners[2] / partners[1])) if partners[1] and partners[2] else math.inf
    order = None
    if partners[0] and partners[1] and steps[1] > 0 and abs(math.log(partners[0] / partners[1])) > 0:
        order = math.log2(abs(math.log(partners[0] / partners[1])) / steps[1])
    # A third of the last change is left (Richardson) only if changes do fall by four.
    refinement = steps[1] / 3 if order is not None and order > ASYMPTOTIC else steps[1]
    reasons = []
    if not refinement <= tolerance:
        reasons.append("it moves or vanishes when the grid is refined")
    if not widening <= tolerance:
        reasons.append("it moves or vanishes when the domain is widened")
    return StrongPoint(eta, refinement, widening, order, not reasons, "; ".join(reasons))


def _nearest(eta: float, candidates: list[float]) -> float | None:
    return min(candidates, key=lambda other: abs(math.log(other / eta)), default=None)


def _best(
    landscape: Landscape, spectrum: Spectrum, weak: list[tuple[float, float]], strong: list[float]
) -> tuple[float | None, float | None]:
    if not weak:
        return None, None
    start = weak[0][0]
    hotter = [eta for eta in strong if eta > start]
    ends = [high for _, high in weak]
    size = np.abs(amplitudes(landscape, spectrum, np.array(ends))[0])
    return (hotter[0] if hotter else float(ends[int(np.argmin(size))])), float(start)


def _summary(strong: list[StrongPoint], weak: list[tuple[float, float]], found: list[list[float]], final: float) -> str:
    _, middle, _, wider = found
    kept = [point for point in strong if point.established]
    above = [point for point in kept if point.eta > final]
    parts = [f"{len(above)} strong point(s) above the final rate" if above else "no strong point above the final rate"]
    if len(kept) > len(above):
        parts.append(f"{len(kept) - len(above)} below it (heating)")
    if len(strong) > len(kept):
        parts.append(f"{len(strong) - len(kept)} zero(s) of a_2 not established")
    if len(wider) > len(strong):
        parts.append("a zero of a_2 appears when the domain is widened: give a wider domain")
    if len(middle) > len(strong):
        parts.append("a zero of a_2 on the coarser grid vanished on the finer one")
    parts.append("weak effect" if weak else "no weak effect in the range searched")
    return "; ".join(parts)
