# ruff: noqa: ARG001  (numba prescribes the arguments of intrinsics and of what generates their code)
"""Short vectors for numba: a register of 16 float32 (or 8 float64) numbers with arithmetic, exp, softplus and sigmoid.

Why: numba's automatic vectorisation gives up on the inner loops of the scans (arrays might overlap, `exp` is a library
call). With a vector as a value of its own the kernels read like the mathematics and compile to straight vector code on
every CPU: LLVM splits a vector where registers are narrower.

Arrays are flat (one-dimensional, contiguous) and are indexed by the position of the first of the consecutive numbers.
Multiplications and additions may be contracted to fused ones; nothing is reordered, so results do not change from run
to run. NaN and infinities propagate as in the scalar functions.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core.datamodel.models import PrimitiveModel

intrinsic: Any = extending.intrinsic


class Vector(types.Type):
    """Numba type of a register: `lanes` numbers of type `scalar`."""

    def __init__(self, scalar: types.Float, lanes: int) -> None:
        self.scalar = scalar
        self.lanes = lanes
        super().__init__(name=f"Vector({scalar}, {lanes})")


@extending.register_model(Vector)
class VectorModel(PrimitiveModel):
    """A register is an LLVM vector."""

    def __init__(self, manager: Any, vector: Vector) -> None:
        element = ir.FloatType() if vector.scalar == types.float32 else ir.DoubleType()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


CACHE_LINE = 64
"""Bytes."""

LANES = {np.dtype(np.float32): 16, np.dtype(np.float64): 8}
"""Numbers in a register: 64 bytes, one register of AVX-512, two of AVX2, four of SSE or NEON."""

VECTORS = {types.float32: Vector(types.float32, 16), types.float64: Vector(types.float64, 8)}


def repeated(vector: ir.VectorType, value: float) -> ir.Constant:
    """Constant vector; float32 values are rounded here, as LLVM asks for exactly representable constants."""
    exact = float(np.float32(value)) if isinstance(vector.element, ir.FloatType) else float(value)
    return ir.Constant(vector, [exact] * vector.count)


def _address(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, pointee: Any) -> Any:
    """Pointer to the number at the index that is the second argument of the array that is the first."""
    array, index = arguments[:2]
    data = context.make_array(signature.args[0])(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), pointee.as_pointer())


def _filled(builder: ir.IRBuilder, registers: ir.VectorType, number: Any) -> Any:
    undefined = ir.Constant(registers, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), registers.count), [0] * registers.count)
    return builder.shuffle_vector(first, undefined, mask)


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Register from `array[index : index + lanes]`."""
    vector = VECTORS[array.dtype]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _address(context, builder, signature, arguments, context.get_value_type(vector))
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), generate


@intrinsic
def broadcast(typing_context: Any, array: Any, index: Any) -> Any:
    """Register with `array[index]` in all lanes (no negative indices)."""
    vector = VECTORS[array.dtype]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        registers = context.get_value_type(vector)
        number = builder.load(_address(context, builder, signature, arguments, registers.element))
        return _filled(builder, registers, number)

    return vector(array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, vector: Any) -> Any:
    """`array[index : index + lanes] = vector`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _address(context, builder, signature, arguments, arguments[2].type)
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


def layout(vector: ir.VectorType) -> tuple[int, int, int]:
    """Bits of a number, of its mantissa, and the exponent at which it becomes infinite."""
    return (32, 23, 128) if isinstance(vector.element, ir.FloatType) else (64, 52, 1024)


@intrinsic
def fill(typing_context: Any, number: Any) -> Any:
    """Register with `number` in all lanes."""
    vector = VECTORS[number]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _filled(builder, context.get_value_type(vector), arguments[0])

    return vector(number), generate


def _constant(value: float) -> Any:
    @intrinsic
    def constant(typing_context: Any, like: Any) -> Any:
        vector = like if isinstance(like, Vector) else VECTORS[like.dtype]

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return repeated(context.get_value_type(vector), value)

        return vector(like), generate

    return constant


zeros = _constant(0.0)
"""Register of zeros, of the type of an array's numbers or of another register."""
ones = _constant(1.0)
"""Register of ones, of the type of an array's numbers or of another register."""


@intrinsic
def total(typing_context: Any, vector: Any) -> Any:
    """Sum over the lanes, by halves (a fixed order)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, lanes = arguments[0], vector.lanes
        while lanes > 1:
            lanes //= 2
            halves = [
                ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(start, start + lanes)))
                for start in (0, lanes)
            ]
            low, high = (builder.shuffle_vector(value, value, half) for half in halves)
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return vector.scalar(vector), generate


def _arithmetic(operation: Callable, instruction: str) -> None:
    """Gives registers the binary operator `operation`, done by LLVM's `instruction`."""

    @intrinsic
    def apply(typing_context: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=("contract",))

        return left(left, right), generate

    @extending.overload(operation, inline="never")
    def apply_to_registers(left, right):  # type: ignore[no-untyped-def]  # numba compares the signatures
        if isinstance(left, Vector) and left == right:
            return lambda left, right: apply(left, right)
        return None


for _operation, _instruction in {
    operator.add: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}.items():
    _arithmetic(_operation, _instruction)


def _chosen(comparison: str) -> Any:
    @intrinsic
    def choose(typing_context: Any, left: Any, right: Any, if_true: Any, if_false: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            first, second, *results = arguments
            return builder.select(builder.fcmp_ordered(comparison, first, second), *results)

        return left(left, right, if_true, if_false), generate

    return choose


where_greater = _chosen(">")
"""where_greater(a, b, x, y): x in lanes where a > b, y elsewhere (also where a or b is NaN)."""


@njit
def magnitude(x):  # type: ignore[no-untyped-def]
    """Absolute values."""
    return where_greater(x, zeros(x), x, zeros(x) - x)


@intrinsic
def width(typing_context: Any, array: Any) -> Any:
    """Numbers in a register of the array's type, known to the compiler."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(types.intp), VECTORS[array.dtype].lanes)

    return types.intp(array), generate


@njit
def scratch(count, like):  # type: ignore[no-untyped-def]
    """Uninitialised array of `count` numbers of the type of `like`, aligned: no register straddles cache lines."""
    lanes = width(like)
    buffer = np.empty(count + lanes, like.dtype)
    skipped = (-buffer.ctypes.data % CACHE_LINE) // buffer.itemsize
    return buffer[skipped : skipped + count]


@njit
def read_tile(source, start, row_stride, lane_stride, rows, lanes, tile):  # type: ignore[no-untyped-def]
    """Copies `rows` x `lanes` numbers of a strided array into `tile` [rows, width]; lanes that are missing become 0."""
    full = width(tile)
    if lane_stride == 1 and lanes == full:
        for row in range(rows):
            store(tile, row * full, load(source, start + row * row_stride))
        return
    for lane in range(lanes):
        for row in range(rows):
            tile[row * full + lane] = source[start + row * row_stride + lane * lane_stride]
    for lane in range(lanes, full):
        for row in range(rows):
            tile[row * full + lane] = 0


@njit
def write_tile(tile, rows, lanes, target, start, row_stride, lane_stride):  # type: ignore[no-untyped-def]
    """Copies `tile` [rows, width] into a strided array, without the lanes it does not have."""
    full = width(tile)
    if lane_stride == 1 and lanes == full:
        for row in range(rows):
            store(target, start + row * row_stride, load(tile, row * full))
        return
    for lane in range(lanes):
        for row in range(rows):
            target[start + row * row_stride + lane * lane_stride] = tile[row * full + lane]
