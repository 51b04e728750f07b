"""What counts as a change of a source file."""

import ast
import hashlib
import textwrap
from pathlib import Path

import black
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup.provenance.meaning import meaning


def of(text: str) -> str:
    return meaning(ast.parse(textwrap.dedent(text)))


ORIGINAL = '''
"""What this module is for."""
from typing import TYPE_CHECKING

LIMIT: float = 0.10
"""A bare string that documents a constant."""

if TYPE_CHECKING:
    import elsewhere


def mean(values: list[float], weight: float = 1.0) -> float:
    """The mean."""
    total: float = 0  # a comment
    for value in values:
        total += value
    return weight * total / len(values)


class Empty(Exception):
    """Nothing to average."""
'''

SAME = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import quite.other

LIMIT: float = .1
def mean(
        values: list[float],
        weight: float = (1.0),
) -> float:
    "Says something else."
    total: float = 0
    for value in values: total += value
    pass
    return (weight * total) / len(values)
class Empty(Exception): pass
"""


def test_comments_docstrings_and_formatting_do_not_count() -> None:
    assert of(ORIGINAL) == of(SAME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.10", "0.11"),
        ("weight: float = 1.0", "weight: float = 1"),
        ("weight * total", "total * weight"),
        ("total += value", "total -= value"),
        ("Exception", "ValueError"),
        ("for value in values", "for value in values[1:]"),
        ("def mean", "async def mean"),
        ("weight: float", "*, weight: float"),
        ("LIMIT: float = 0.10", "LIMIT: float"),
        ("return weight", "yield weight"),
        ("from typing import", "from typing_extensions import"),
    ],
)
def test_whatever_can_act_counts(old: str, new: str) -> None:
    assert old in ORIGINAL
    assert of(ORIGINAL) != of(ORIGINAL.replace(old, new))


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("@dataclass\nclass A:\n    x: int = 0", "@dataclass\nclass A:\n    x: float = 0"),
        ("def f(x: int): return x", "def f(x: str): return x"),
        ("def f() -> int: return 1", "def f() -> str: return 1"),
        ("def f():\n    x: int\n    return x", "def f():\n    return x"),
    ],
)
def test_annotations_count(text: str, other: str) -> None:
    assert of(text) != of(other)


def test_no_code_of_this_repository_reads_docstrings() -> None:
    """They count in no digest, so nothing that a job computes may depend on one."""
    scripts = Path(__file__).parents[2] / "workflow_scripts"
    readers = [
        f"{file.relative_to(scripts)}, line {node.lineno}"
        for file in sorted(scripts.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in {"__doc__", "getdoc"})
        or (isinstance(node, ast.Name) and node.id in {"__doc__", "getdoc"})
    ]
    assert readers == []


def test_the_branch_taken_without_type_checking_counts() -> None:
    text = "if TYPE_CHECKING:\n    import a\nelse:\n    {}"
    assert of(text.format("import b")) != of(text.format("import c"))
    assert of(text.format("import b")) == of("import b")


def test_values_of_different_type_differ() -> None:
    texts = ["x = 1", "x = 1.0", "x = True", "x = '1'", "x = b'1'", "x = None", "x = ...", "x = 1j", "x = x"]
    assert len({of(text) for text in texts}) == len(texts)


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.integers() | st.text() | st.booleans() | st.none(), lambda deeper: st.lists(deeper)))
def test_literals_are_told_apart(value: object) -> None:
    """Two literals have one meaning exactly if Python writes them the same way."""
    other = [value]
    assert of(f"x = {value!r}") == of(f"x = ({value!r})  # again")
    assert of(f"x = {value!r}") != of(f"x = {other!r}")


def test_black_does_not_change_the_meaning_of_a_module() -> None:
    root = Path(__file__).parents[2] / "workflow_scripts" / "warmup"
    for file in sorted([*root.glob("*.py"), *root.glob("provenance/*.py")]):
        text = file.read_text()
        reformatted = black.format_str(text, mode=black.Mode(line_length=60))
        assert of(text) == of(reformatted), file


def test_the_text_of_every_kind_of_node_is_pinned() -> None:
    """A digest that changes with Python's version would train every study again: change this one only on purpose."""
    rich = ORIGINAL + textwrap.dedent(
        """
        import a.b as c, d
        from . import e
        async def g(*args, k=1, **kw) -> None:
            async with x as y, z: await y
            return [i async for i in j if i], {**kw}, {1, 2}, f"{k!r:>{10}} {k=}" "tail", lambda q, /: q or not k
        match command:
            case {"a": [1, *rest]} | None if rest: x[1:2, ..., ::3] = -1e-7
            case _: del x, y
        try: raise E from None
        except (A, B) as error: global n; n = (m := 3) ** 2 if a < b <= c else "\\u00e9\\x00\\U0001fae8"
        finally: assert n, "n"
        """
    )
    assert hashlib.sha256(of(rich).encode()).hexdigest()[:16] == "a482a12a490f71ee"
