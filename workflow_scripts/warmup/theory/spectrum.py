"""The slowest modes of the backward operator at the final learning rate, and how much of each a plateau excites.

L u_n = -lambda_n u_n, u_1 = 1. The eigenvalues come from the symmetric form of L (Sturm sequences; needs products of
rates only). The eigenfunctions do not: dividing its eigenvectors by sqrt(pi) is noise where pi is tiny, and there
invents strong points. They are found by inverse iteration on L itself, where u_n is smooth however small pi is.

Normalisation: sum_i pi_i u_n(i)^2 = 1, u_n > 0 at the right wall. u_2 rises from wall to wall (Sturm), and
a_n(eta) = sum_i pi_eta(i) u_n(i) is the amplitude with which a river at rest at eta enters
p(t) = pi_b + sum_n a_n pi_b u_n exp(-lambda_n t).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from warmup.theory import generator
from warmup.theory.landscapes import Array, Landscape

SWEEPS = 4
"""Inverse iterations; each gains the factor (distance to the next eigenvalue) / (error of this one), so two suffice."""


@dataclass(frozen=True)
class Spectrum:
    """Modes 2, 3, ...: `rates` lambda_n [modes], `functions` u_n [modes, cells] on midpoints `y`; `pi`: law at rest."""

    y: Array
    pi: Array
    rates: Array
    functions: Array


def slow_modes(landscape: Landscape, cells: int, count: int) -> Spectrum:
    """The `count` slowest decaying modes of `landscape` at its final learning rate on `cells` cells."""
    y = landscape.centres(cells)
    pi = landscape.stationary(landscape.final, y)
    up, down = generator.rates(landscape, landscape.final, cells)
    bands = generator.backward_bands(up, down)
    guesses = scipy.linalg.eigh_tridiagonal(
        -bands[1], np.sqrt(up * down), eigvals_only=True, select="i", select_range=(1, count)
    )
    functions = np.array([_function(bands, pi, guess, mode) for mode, guess in enumerate(guesses, start=2)])
    # Dirichlet form: keeps full relative precision where lambda_2 is far below the rounding of L's largest rates.
    slopes = np.diff(functions, axis=1)
    return Spectrum(y=y, pi=pi, rates=(slopes**2 * (pi[:-1] * up)).sum(axis=1), functions=functions)


def amplitudes(landscape: Landscape, spectrum: Spectrum, etas: Array) -> Array:
    """a_n(eta), [modes, len(etas)]: expectation of u_n in the stationary law of each eta."""
    return spectrum.functions @ landscape.stationary(np.asarray(etas), spectrum.y).T


def slopes(landscape: Landscape, spectrum: Spectrum, etas: Array) -> Array:
    """d a_2 / d eta, [len(etas)]: the covariance of u_2 and c under pi_eta, over eta^2."""
    etas = np.asarray(etas)
    laws, c = landscape.stationary(etas, spectrum.y), landscape.potential(spectrum.y)
    deviation = c - (laws @ c)[:, None]
    return (laws * deviation) @ spectrum.functions[0] / etas**2


def _function(bands: Array, pi: Array, guess: float, mode: int) -> Array:
    shifted = bands.copy()
    # A shift a hair beside the eigenvalue keeps the solve finite; what it costs is made good by the next sweep.
    shifted[1] += guess * (1 + 1e-10)
    u = np.cos(np.pi * (mode - 1) * (np.arange(len(pi)) + 0.5) / len(pi))
    for _ in range(SWEEPS):
        u = scipy.linalg.solve_banded((1, 1), shifted, u)
        u -= pi @ u
        u /= np.sqrt(pi @ u**2)
    return u * np.sign(u[-1])
