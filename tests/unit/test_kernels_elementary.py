"""Elementary functions of registers against higher precision."""

from collections.abc import Callable

import numpy as np
import pytest
from numba import njit

from warmup.kernels import elementary, simd


def applied(function: Callable, x: np.ndarray) -> np.ndarray:
    """`function` of registers over an array whose size is a multiple of 16."""

    @njit
    def apply(x: np.ndarray, out: np.ndarray) -> None:
        for index in range(0, x.size, simd.width(x)):
            simd.store(out, index, function(simd.load(x, index)))

    out = np.empty_like(x)
    apply(x, out)
    return out


def exact(name: str, x: np.ndarray) -> np.ndarray:
    x = x.astype(np.longdouble)
    functions: dict[str, Callable] = {
        "exp": np.exp,
        "exp2": np.exp2,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softplus": lambda x: np.logaddexp(np.longdouble(0), x),
    }
    return functions[name](x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["exp", "exp2", "sigmoid", "softplus"])
def test_functions_are_accurate_over_their_whole_range(name: str, dtype: type) -> None:
    limits = np.finfo(dtype)
    reach = 90.0 if dtype == np.float32 else 700.0
    near = np.concatenate([np.linspace(-reach, reach, 160_000), np.linspace(-1, 1, 16_000)]).astype(dtype)
    expected = exact(name, near)
    normal = (expected > 1.5 * limits.tiny) & (expected < limits.max)
    assert normal.mean() > 0.9
    with np.errstate(over="ignore"):
        relative = np.abs(applied(getattr(elementary, name), near)[normal] / expected[normal] - 1)
    assert relative.max() <= 2.5 * limits.eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ends_are_exact_and_nan_stays(dtype: type) -> None:
    ends = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e30, -1e30, 1] * 2, dtype=dtype)
    expected = {
        "exp": [np.nan, np.inf, 0, 1, 1, np.inf, 0],
        "exp2": [np.nan, np.inf, 0, 1, 1, np.inf, 0],
        "sigmoid": [np.nan, 1, 0, 0.5, 0.5, 1, 0],
        "softplus": [np.nan, np.inf, 0, np.log(2), np.log(2), 1e30, 0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(applied(getattr(elementary, name), ends)[:7], values, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("rows", "lanes"), [(5, 16), (5, 7), (1, 1)])
@pytest.mark.parametrize("along_lanes", [True, False])
def test_tiles_carry_strided_memory_there_and_back(rows: int, lanes: int, along_lanes: bool) -> None:
    source = np.arange(1, 401, dtype=np.float32)
    row_stride, lane_stride = (20, 1) if along_lanes else (1, 11)
    tile, target = np.full(5 * 16, np.nan, np.float32), np.zeros(400, np.float32)

    @njit
    def carry(source: np.ndarray, tile: np.ndarray, target: np.ndarray) -> None:
        simd.read_tile(source, 3, row_stride, lane_stride, rows, lanes, tile)
        simd.write_tile(tile, rows, lanes, target, 3, row_stride, lane_stride)

    carry(source, tile, target)
    index = 3 + row_stride * np.arange(rows)[:, None] + lane_stride * np.arange(lanes)
    assert np.array_equal(tile[: rows * 16].reshape(rows, 16)[:, :lanes], source[index])
    assert not tile[: rows * 16].reshape(rows, 16)[:, lanes:].any()
    expected = np.zeros_like(target)
    expected[index] = source[index]
    assert np.array_equal(target, expected)
