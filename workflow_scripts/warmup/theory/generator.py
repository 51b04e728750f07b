"""Finite volumes for dy = -F'(y) dt + sqrt(2 eta) dW between reflecting walls, with detailed balance to rounding.

Rates between neighbouring cells are those of Scharfetter & Gummel (Chang & Cooper 1970 for Fokker-Planck equations):
with z = (F(y_{i+1}) - F(y_i)) / eta and B(z) = z / (e^z - 1),

    k(i -> i+1) = (eta / h^2) B(z),    k(i+1 -> i) = (eta / h^2) B(-z),    B(-z) = e^z B(z),

so pi_i k(i -> i+1) = pi_{i+1} k(i+1 -> i) holds exactly for pi ~ exp(-F / eta), for any cell width h; the scheme is of
second order in h and needs only differences of F, never pi itself, which underflows.
"""

import numpy as np

from warmup.theory.landscapes import Array, Landscape


def bernoulli(z: Array) -> Array:
    """z / (e^z - 1), 1 at 0, without cancellation or overflow."""
    with np.errstate(all="ignore"):
        return np.where(np.abs(z) < 1e-12, 1 - z / 2, z / np.expm1(z))


def rates(landscape: Landscape, eta: float, cells: int) -> tuple[Array, Array]:
    """Rates of jumps up (i -> i+1) and down (i+1 -> i) per unit of the landscape's clock, [cells - 1] each."""
    z = np.diff(landscape.exponent(eta, landscape.centres(cells)))
    width = (landscape.high - landscape.low) / cells
    scale = landscape.speed(eta) * eta / width**2
    return scale * bernoulli(z), scale * bernoulli(-z)


def backward_bands(up: Array, down: Array) -> Array:
    """Bands of the backward operator, (L u)_i = sum_j k(i -> j) (u_j - u_i), in scipy.linalg.solve_banded's form."""
    bands = np.zeros((3, len(up) + 1))
    bands[0, 1:] = up
    bands[2, :-1] = down
    bands[1, :-1] -= up
    bands[1, 1:] -= down
    return bands


def dense(up: Array, down: Array) -> Array:
    """The backward operator as a matrix (rows sum to zero); its transpose moves probabilities."""
    matrix = np.diag(up, 1) + np.diag(down, -1)
    return matrix - np.diag(matrix.sum(axis=1))
