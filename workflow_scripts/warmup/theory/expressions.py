"""A formula in y, written in the configuration, as a function: checked (config/formulas.py), never given to eval."""

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.config import formulas

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

CONSTANTS = {name: getattr(np, name) for name in formulas.CONSTANTS}
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: np.power,
}
SIGNS: dict[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def parse(text: str, key: str) -> Curve:
    """The function of y (float64 array -> array of the same shape) that `text` writes.

    A formula with anything in it that is not allowed is a ConfigurationError that names `key`.
    """
    evaluate = _compile(formulas.parsed(text, key))

    def curve(y: NDArray[np.float64]) -> NDArray[np.float64]:
        y = np.asarray(y, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(evaluate(y), dtype=np.float64), y.shape).copy()

    return curve


def _compile(node: ast.expr) -> Callable[[Any], Any]:
    """The function that a checked tree writes."""
    match node:
        case ast.Constant(value=int() | float() as value):
            number = np.float64(value)
            return lambda _: number
        case ast.Name(id=formulas.VARIABLE):
            return lambda y: y
        case ast.Name(id=name):
            return lambda _: CONSTANTS[name]
        case ast.BinOp(left=left, op=op, right=right):
            first, combine, second = _compile(left), OPERATORS[type(op)], _compile(right)
            return lambda y: combine(first(y), second(y))
        case ast.UnaryOp(op=op, operand=operand):
            sign, inner = SIGNS[type(op)], _compile(operand)
            return lambda y: sign(inner(y))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            function, inputs = getattr(np, name), [_compile(argument) for argument in arguments]
            return lambda y: function(*(part(y) for part in inputs))
    raise AssertionError(f"{ast.unparse(node)!r} passed the check of formulas")
