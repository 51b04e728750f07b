"""The machine's peak of float32 arithmetic: independent fused multiply-adds that never leave the registers."""

import time

import numpy as np
from numba import njit

from warmup.kernels import runtime
from warmup.kernels.simd import load, store

CHAINS = 8
"""Independent chains: enough to cover the latency of an addition on current processors."""

TURNS = 1_000_000


@njit(nogil=True)
def _turn(first, last, x):  # type: ignore[no-untyped-def]
    for unit in range(first, last):
        factor, place = load(x, 0), 16 * (1 + unit * 8)
        a, b, c, d = load(x, place), load(x, place + 16), load(x, place + 32), load(x, place + 48)
        e, f, g, h = load(x, place + 64), load(x, place + 80), load(x, place + 96), load(x, place + 112)
        for _ in range(TURNS):
            a = a * factor + factor
            b = b * factor + factor
            c = c * factor + factor
            d = d * factor + factor
            e = e * factor + factor
            f = f * factor + factor
            g = g * factor + factor
            h = h * factor + factor
        store(x, place, a + b + c + d + e + f + g + h)


def flops_per_second(threads: int, repeats: int = 15) -> float:
    """Operations per second of `threads` threads together, the best of several measurements."""
    runtime.set_threads(threads)
    units = 4 * threads
    x = np.full(16 * (1 + 8 * units), 0.5, dtype=np.float32)
    runtime.spread(_turn, units, x)
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        runtime.spread(_turn, units, x)
        best = max(best, units * TURNS * CHAINS * 16 * 2 / (time.perf_counter() - started))
    return best
