# ruff: noqa: ARG001  (numba prescribes the arguments of intrinsics and of what generates their code)
"""Elementary functions of registers: exp, exp2, sigmoid, softplus, accurate to about two units in the last place.

They take NaN and infinities as the scalar functions do, and never raise or trap.
"""

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit

from warmup.kernels.simd import intrinsic, layout, magnitude, ones, repeated, where_greater, zeros

LOG2_E = math.log2(math.e)

# 2^f on [-1/2, 1/2], lowest power first. float32: minimax polynomial, relative error 1e-8 before rounding, 8e-8 after;
# float64: the Taylor series, whose next term is below 1e-17.
_POWER_OF_TWO = {
    32: [1.0, 0.69314718, 0.24022652, 0.055503324, 0.009618022, 0.0013398874, 0.00015469732],
    64: [math.log(2) ** k / math.factorial(k) for k in range(15)],
}


# ln 2 in two parts (Cody and Waite): a whole number times the first has no rounding error.
_LN2 = {32: (0.693359375, -2.12194440e-4), 64: (6.93145751953125e-1, 1.42860682030941723e-6)}


def _clamped(builder: ir.IRBuilder, value: Any, low: float, high: float) -> Any:
    """`value` kept within [low, high]; NaN passes."""
    for comparison, bound in ((">", high), ("<", low)):
        edge = repeated(value.type, bound)
        value = builder.select(builder.fcmp_ordered(comparison, value, edge), edge, value)
    return value


def _power_of_two(builder: ir.IRBuilder, exponent: Any, fraction: Callable[[Any], Any]) -> Any:
    """2^exponent for exponents within [1 - limit, limit], whose ends give exactly 0 and infinity.

    The exponent is split into a whole number n and `fraction(n)`, which goes through the polynomial. n comes from
    adding 1.5 x 2^mantissa: that rounds, and leaves n in the low bits, to be added to the exponent bits of the result.
    """
    vector = exponent.type
    bits, mantissa, _ = layout(vector)
    integers = ir.VectorType(ir.IntType(bits), vector.count)
    magic = repeated(vector, 1.5 * 2.0**mantissa)
    shifted = builder.fadd(exponent, magic)
    remainder = fraction(builder.fsub(shifted, magic))
    highest, *lower = reversed(_POWER_OF_TWO[bits])
    power = repeated(vector, highest)
    for coefficient in lower:
        product = builder.fmul(power, remainder, flags=("contract",))
        power = builder.fadd(product, repeated(vector, coefficient), flags=("contract",))
    whole = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [mantissa] * vector.count))
    return builder.bitcast(builder.add(builder.bitcast(power, integers), whole), vector)


@intrinsic
def exp2(typing_context: Any, vector: Any) -> Any:
    """2 to the power of each lane: 2 units in the last place, exactly 0 and infinity beyond the ends."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        limit = layout(arguments[0].type)[2]
        exponent = _clamped(builder, arguments[0], 1 - limit, limit)
        return _power_of_two(builder, exponent, lambda whole: builder.fsub(exponent, whole))

    return vector(vector), generate


@intrinsic
def exp(typing_context: Any, vector: Any) -> Any:
    """e to the power of each lane: 2 units in the last place, exactly 0 and infinity beyond the ends."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        registers = arguments[0].type
        limit = layout(registers)[2]
        lowest, highest = (1.0 - limit) * math.log(2), limit * math.log(2) * (1 - 2.0**-23)
        x = _clamped(builder, arguments[0], lowest, highest)
        exponent = builder.fmul(x, repeated(registers, LOG2_E))
        high, low = _LN2[layout(registers)[0]]

        def fraction(whole: Any) -> Any:
            rest = builder.fsub(x, builder.fmul(whole, repeated(registers, high)))
            rest = builder.fsub(rest, builder.fmul(whole, repeated(registers, low)))
            return builder.fmul(rest, repeated(registers, LOG2_E))

        power = _power_of_two(builder, exponent, fraction)
        for comparison, bound, value in ((">", highest, math.inf), ("<", lowest, 0.0)):
            beyond = builder.fcmp_ordered(comparison, arguments[0], repeated(registers, bound))
            power = builder.select(beyond, repeated(registers, value), power)
        return power

    return vector(vector), generate


@njit
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)), without overflow."""
    small = exp(zeros(x) - magnitude(x))
    return where_greater(zeros(x), x, small, ones(x)) / (ones(x) + small)


# log(1 + e) = 2 artanh(e / (2 + e)); for e <= 1 the argument is at most 1/3 and the odd series converges fast.
_SERIES_TERMS = {32: 8, 64: 17}


@intrinsic
def _artanh_series(typing_context: Any, square: Any) -> Any:
    """artanh(s) / s from s squared, for s up to 1/3."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        registers = arguments[0].type
        terms = _SERIES_TERMS[layout(registers)[0]]
        result = repeated(registers, 1 / (2 * terms + 1))
        for term in reversed(range(terms)):
            product = builder.fmul(result, arguments[0], flags=("contract",))
            result = builder.fadd(product, repeated(registers, 1 / (2 * term + 1)), flags=("contract",))
        return result

    return square(square), generate


@njit
def softplus(x):  # type: ignore[no-untyped-def]
    """log(1 + exp(x)), without overflow and without loss where exp(x) is small."""
    small = exp(zeros(x) - magnitude(x))
    ratio = small / (ones(x) + ones(x) + small)
    return where_greater(x, zeros(x), x, zeros(x)) + (ratio + ratio) * _artanh_series(ratio * ratio)


@njit
def softplus_and_slope(x):  # type: ignore[no-untyped-def]
    """softplus(x) and its derivative sigmoid(x), from one exponential and one division."""
    small = exp(zeros(x) - magnitude(x))
    first, second = ones(x) + small, ones(x) + ones(x) + small
    inverse = ones(x) / (first * second)
    ratio = small * (inverse * first)
    value = where_greater(x, zeros(x), x, zeros(x)) + (ratio + ratio) * _artanh_series(ratio * ratio)
    return value, where_greater(zeros(x), x, small, ones(x)) * (inverse * second)
