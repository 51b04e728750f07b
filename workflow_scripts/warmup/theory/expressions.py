"""A formula in y, written in the configuration, as a function: parsed and checked, never given to eval."""

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.errors import ConfigurationError

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

LONGEST = 1000
"""Characters of an expression; nothing a person writes by hand is longer."""

DEEPEST = 50
"""Levels of an expression's tree."""

CONSTANTS = {"pi": np.pi, "e": np.e}
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: np.power,
}
SIGNS: dict[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    **{name: (1, getattr(np, name)) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "cosh", "abs")},
    **{name: (2, getattr(np, name)) for name in ("minimum", "maximum", "logaddexp")},
}
"""Functions by name, with the number of their arguments."""


def parse(text: str, key: str) -> Curve:
    """The function of y (float64 array -> array of the same shape) that `text` writes.

    Numbers, y, pi, e, + - * / **, brackets and FUNCTIONS; anything else is a ConfigurationError that names `key`.
    """
    if len(text) > LONGEST:
        raise ConfigurationError(f"{key}: an expression of {len(text)} characters (at most {LONGEST})")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"{key}: {text!r} is not a formula: {error}") from None
    evaluate = _compile(tree, key, DEEPEST)

    def curve(y: NDArray[np.float64]) -> NDArray[np.float64]:
        y = np.asarray(y, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(evaluate(y), dtype=np.float64), y.shape).copy()

    return curve


def _compile(node: ast.expr, key: str, levels: int) -> Callable[[Any], Any]:
    if levels == 0:
        raise ConfigurationError(f"{key}: the formula is nested more than {DEEPEST} levels deep")
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = np.float64(value)
            except OverflowError:
                raise ConfigurationError(f"{key}: a number with too many digits") from None
            return lambda _: number
        case ast.Name(id="y"):
            return lambda y: y
        case ast.Name(id=name) if name in CONSTANTS:
            return lambda _: CONSTANTS[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            first, combine, second = (
                _compile(left, key, levels - 1),
                OPERATORS[type(op)],
                _compile(right, key, levels - 1),
            )
            return lambda y: combine(first(y), second(y))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in SIGNS:
            sign, inner = SIGNS[type(op)], _compile(operand, key, levels - 1)
            return lambda y: sign(inner(y))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            count, function = FUNCTIONS[name]
            if len(args) != count:
                raise ConfigurationError(f"{key}: {name} takes {count} argument(s), {len(args)} given")
            inputs = [_compile(argument, key, levels - 1) for argument in args]
            return lambda y: function(*(part(y) for part in inputs))
    raise ConfigurationError(
        f"{key}: {ast.unparse(node)!r} is not allowed in a formula; allowed are numbers, y, "
        f"{', '.join(CONSTANTS)}, + - * / **, brackets and {', '.join(FUNCTIONS)}"
    )
