"""Which formulas in y a configuration may contain. Asked while the Snakefile is parsed: standard library only."""

import ast

from warmup.errors import ConfigurationError

LONGEST = 1000
"""Characters of a formula; nothing a person writes by hand is longer."""

DEEPEST = 50
"""Levels of a formula's tree."""

VARIABLE = "y"
CONSTANTS = ("pi", "e")
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
SIGNS = (ast.UAdd, ast.USub)
FUNCTIONS = {
    **dict.fromkeys(("exp", "log", "sqrt", "sin", "cos", "tanh", "cosh", "abs"), 1),
    **dict.fromkeys(("minimum", "maximum", "logaddexp"), 2),
}
"""Functions by name, with the number of their arguments."""


def parsed(text: str, key: str) -> ast.expr:
    """The tree of the formula `text`, in which nothing stands that is not allowed.

    Numbers, y, pi, e, + - * / **, brackets and FUNCTIONS; anything else is a ConfigurationError that names `key`.
    """
    if len(text) > LONGEST:
        raise ConfigurationError(f"{key}: an expression of {len(text)} characters (at most {LONGEST})")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"{key}: {text!r} is not a formula: {error}") from None
    _check(tree, key, DEEPEST)
    return tree


def _check(node: ast.expr, key: str, levels: int) -> None:
    if levels == 0:
        raise ConfigurationError(f"{key}: the formula is nested more than {DEEPEST} levels deep")
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                float(value)
            except OverflowError:
                raise ConfigurationError(f"{key}: a number with too many digits") from None
        case ast.Name(id=name) if name == VARIABLE or name in CONSTANTS:
            pass
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, OPERATORS):
            _check(left, key, levels - 1)
            _check(right, key, levels - 1)
        case ast.UnaryOp(op=op, operand=operand) if isinstance(op, SIGNS):
            _check(operand, key, levels - 1)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            if len(arguments) != FUNCTIONS[name]:
                raise ConfigurationError(f"{key}: {name} takes {FUNCTIONS[name]} argument(s), {len(arguments)} given")
            for argument in arguments:
                _check(argument, key, levels - 1)
        case _:
            raise ConfigurationError(
                f"{key}: {ast.unparse(node)!r} is not allowed in a formula; allowed are numbers, y, "
                f"{', '.join(CONSTANTS)}, + - * / **, brackets and {', '.join(FUNCTIONS)}"
            )
