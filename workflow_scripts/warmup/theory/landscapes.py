"""Landscapes of the valley-river model: entries of the configuration -> c(y), ln a(y), domain, final learning rate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.errors import ConfigurationError
from warmup.theory import expressions
from warmup.theory.expressions import Curve

Array = NDArray[np.float64]


def constant(value: float = 0.0) -> Curve:
    """The same everywhere."""
    return lambda y: np.full(y.shape, float(value))


def step(left: float, right: float, centre: float, width: float) -> Curve:
    """left + (right - left) / (1 + exp(-(y - centre) / width)): one value giving way to another."""
    return lambda y: left + (right - left) * 0.5 * (1 + np.tanh((y - centre) / (2 * width)))


def double_well(barrier: float, tilt: float) -> Curve:
    """barrier (y^2 - 1)^2 + tilt y: wells near -1 and +1, the left one deeper for tilt > 0."""
    return lambda y: barrier * (y**2 - 1) ** 2 + tilt * y


def shoulder(barrier: float, tilt: float, height: float, centre: float, half_width: float, softness: float) -> Curve:
    """A double well whose outer wall gives way to a flat shoulder: the soft minimum of the two,

    -softness ln( exp(-well / softness) + exp(-box / softness) ), box = height + ((y - centre) / half_width)^8.
    """
    well = double_well(barrier, tilt)
    return lambda y: (
        -softness * np.logaddexp(-well(y) / softness, -(height + ((y - centre) / half_width) ** 8) / softness)
    )


FAMILIES: dict[str, Callable[..., Curve]] = {
    "constant": constant,
    "step": step,
    "double_well": double_well,
    "shoulder": shoulder,
}
"""Curves by name; their keyword arguments are the other keys of the config entry."""


@dataclass(frozen=True)
class Landscape:
    """c(y) and ln a(y) on [low, high] between reflecting walls; `final` is the learning rate eta_b after the decay.

    `clock` says what time is: the integral of the learning rate ("integral", as in the stochastic differential
    equation) or optimiser steps ("steps": everything runs eta times as fast).
    """

    name: str
    label: str
    potential: Curve
    log_sharpness: Curve
    low: float
    high: float
    final: float
    clock: str = "integral"

    def speed(self, eta: float) -> float:
        """Units of the stochastic equation's time per unit of this landscape's clock, at learning rate eta."""
        return eta if self.clock == "steps" else 1.0

    def widened(self, share: float) -> "Landscape":
        """The same curves with `share` of the domain's width added on either side."""
        more = share * (self.high - self.low)
        return replace(self, low=self.low - more, high=self.high + more)

    def centres(self, cells: int) -> Array:
        """Midpoints of `cells` equal cells of the domain."""
        width = (self.high - self.low) / cells
        return self.low + width * (np.arange(cells, dtype=np.float64) + 0.5)

    def exponent(self, eta: Array | float, y: Array) -> Array:
        """F_eta(y) / eta = c(y) / eta + ln a(y) / 2, shape of eta then of y; ConfigurationError where not finite."""
        c, log_a = self.potential(y), self.log_sharpness(y)
        for key, values in (("potential", c), ("log_sharpness", log_a)):
            if not np.all(np.isfinite(values)):
                where = y[~np.isfinite(values)][0]
                raise ConfigurationError(
                    f"theory.landscapes.{self.name}.{key}: no finite value at y = {where:.4g}; "
                    "the curve must be defined on the domain and a margin around it (theory.widening)"
                )
        return c / np.asarray(eta, dtype=np.float64)[..., None] + 0.5 * log_a

    def stationary(self, eta: Array | float, y: Array) -> Array:
        """Probabilities of the cells around `y` (equally spaced) at rest: ~ a^(-1/2) exp(-c / eta), rows sum to 1."""
        exponent = self.exponent(eta, y)
        weights = np.exp(-(exponent - exponent.min(axis=-1, keepdims=True)))
        return weights / weights.sum(axis=-1, keepdims=True)

    def log_stationary(self, eta: float, y: Array) -> Array:
        """Logarithm of `stationary` for one eta, finite where the probability itself underflows."""
        exponent = -self.exponent(eta, y)
        return exponent - np.logaddexp.reduce(exponent)


def landscape(name: str, entry: Mapping[str, Any], clock: str = "integral") -> Landscape:
    """The landscape of config entry theory.landscapes.<name>; ConfigurationError names the key that is wrong."""
    key = f"theory.landscapes.{name}"
    low, high = entry["domain"]
    if not low < high:
        raise ConfigurationError(f"{key}.domain: {low:g} is not below {high:g}")
    if not entry["final"] > 0:
        raise ConfigurationError(f"{key}.final: {entry['final']:g} is not a positive learning rate")
    made = Landscape(
        name=name,
        label=entry.get("label", name),
        potential=_curve(entry["potential"], f"{key}.potential"),
        log_sharpness=_curve(entry.get("log_sharpness", {"family": "constant"}), f"{key}.log_sharpness"),
        low=float(low),
        high=float(high),
        final=float(entry["final"]),
        clock=clock,
    )
    made.exponent(made.final, np.linspace(low, high, 1001))
    return made


def _curve(entry: Mapping[str, Any], key: str) -> Curve:
    if "expression" in entry:
        if len(entry) > 1:
            raise ConfigurationError(f"{key}: an expression stands alone; remove {sorted(set(entry) - {'expression'})}")
        return expressions.parse(str(entry["expression"]), f"{key}.expression")
    family, options = entry.get("family"), {name: value for name, value in entry.items() if name != "family"}
    if family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ConfigurationError(f"{key}: give `expression`, or `family` as one of {known} (is {family!r})")
    try:
        return FAMILIES[family](**{name: float(value) for name, value in options.items()})
    except TypeError as error:
        raise ConfigurationError(f"{key}: {error}") from None
