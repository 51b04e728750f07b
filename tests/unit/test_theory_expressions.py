"""Formulas from the configuration: what they may say, what they compute, what they may not do."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup.config.formulas import FUNCTIONS
from warmup.errors import ConfigurationError
from warmup.theory.expressions import parse

Y = np.linspace(0.1, 3, 7)

leaves = st.one_of(st.just("y"), st.just("pi"), st.integers(0, 5).map(str), st.floats(0.1, 5).map(lambda x: f"{x:.3f}"))
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda text: f"(-{text})"),
        inner.map(lambda text: f"tanh({text})"),
        inner.map(lambda text: f"{text}**2" if text.isalnum() else f"({text})**2"),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(formulas)
def test_a_formula_has_the_value_that_sympy_gives_it(text: str) -> None:
    symbol = sympy.Symbol("y", real=True)
    theirs = sympy.lambdify(symbol, sympy.sympify(text, locals={"y": symbol}), "numpy")(Y)
    np.testing.assert_allclose(parse(text, "key")(Y), np.broadcast_to(theirs, Y.shape), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function_is_numpys(name: str) -> None:
    count, function = FUNCTIONS[name], getattr(np, name)
    arguments = ["y", "0.5"][:count]
    np.testing.assert_allclose(parse(f"{name}({', '.join(arguments)})", "key")(Y), function(*[Y, 0.5][:count]))


@pytest.mark.parametrize("text", ["1", "-2.5", "pi", "3 * 4"])
def test_a_constant_is_a_curve_of_the_same_shape(text: str) -> None:
    assert parse(text, "key")(Y).shape == Y.shape


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "y.real",
        "y[0]",
        "open('/etc/passwd')",
        "lambda y: y",
        "[y for y in (1, 2)]",
        "y if y else 1",
        "y := 1",
        "'text'",
        "True",
        "1j",
        "x",
        "exp",
        "exp(y, y)",
        "exp(x=y)",
        "exp(*y)",
        "y < 1",
        "y @ y",
        "y // 2",
        "~y",
        "f'{y}'",
        "y; y",
        "",
        "y +",
        "(" * 300 + "y" + ")" * 300,
        "-" * 900 + "y",
        "y" * 5000,
        "1" * 900,
        "\0",
    ],
)
def test_anything_else_is_refused_with_the_key(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"theory\.c"):
        parse(text, "theory.c")


def test_a_tower_of_powers_overflows_at_once_instead_of_computing_for_ever() -> None:
    assert np.all(np.isinf(parse("9**9**9**9", "key")(Y)))
