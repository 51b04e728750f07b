"""What a Python source file means: its syntax tree without whatever cannot act, as text to be digested.

Left out: comments, formatting, positions; docstrings and other bare strings; `pass`; blocks under
`if TYPE_CHECKING:`. Annotations count everywhere: dataclasses and modules read some, and telling which costs more
than the re-run that a changed one causes. Docstrings count nowhere; a test sees to it that no code reads them.

The text is written here rather than by `ast.dump`, whose form differs between Python versions: an upgrade of Python
must not look like a change of every module.
"""

import ast
from collections.abc import Iterator

SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def meaning(tree: ast.Module) -> str:
    """Text that is equal for two modules exactly if their trees are, apart from what cannot act."""
    pieces: list[str] = []
    _statements(pieces, tree.body)
    return "".join(pieces)


def is_type_checking(node: ast.stmt) -> bool:
    """Whether `node` is `if TYPE_CHECKING:` (or `if typing.TYPE_CHECKING:`), whose body never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    if isinstance(test, ast.Attribute):
        return test.attr == "TYPE_CHECKING" and isinstance(test.value, ast.Name) and test.value.id == "typing"
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _statements(pieces: list[str], body: list[ast.stmt]) -> None:
    """Append the statements of `body` that can act."""
    pieces.append("[")
    for statement in _acting(body):
        _node(pieces, statement)
    pieces.append("]")


def _node(pieces: list[str], node: ast.AST) -> None:
    """Append a node as `Type(field=..., ...)`; absent and empty fields are left out, as newer Pythons add such."""
    pieces.append(type(node).__name__ + "(")
    for name in node._fields:
        value = getattr(node, name, None)
        if value is None or value == [] or name in SKIPPED_FIELDS:
            continue
        pieces.append(name + "=")
        _value(pieces, value)
    pieces.append(")")


def _value(pieces: list[str], value: object) -> None:
    if isinstance(value, list):
        if isinstance(value[0], ast.stmt):
            _statements(pieces, value)
        else:
            pieces.append("[")
            for item in value:
                _value(pieces, item)
            pieces.append("]")
    elif isinstance(value, ast.Constant):
        pieces.append(f"{type(value.value).__name__}:{value.value!a},")
    elif isinstance(value, ast.AST):
        _node(pieces, value)
    else:  # an identifier, a conversion code, a level
        pieces.append(f"{value!a},")


def _acting(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if is_type_checking(node):
            assert isinstance(node, ast.If)
            yield from _acting(node.orelse)
        elif not isinstance(node, ast.Pass) and not _bare_constant(node):
            yield node


def _bare_constant(node: ast.stmt) -> bool:
    """A docstring, or another constant that stands by itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
