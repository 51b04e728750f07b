"""What a Python source file means: its syntax tree without whatever cannot act, as text to be digested.

Left out: comments, formatting, positions; docstrings and other bare strings; `pass`; blocks under
`if TYPE_CHECKING:`; annotations of local variables, of plain functions and of module constants. Kept, because
libraries read them: annotations of decorated functions and of classes with a base or a decorator (dataclasses,
named tuples, modules), and every annotation or docstring when the caller asks for them.

The text is written here rather than by `ast.dump`, whose form differs between Python versions: an upgrade of Python
must not look like a change of every module.
"""

import ast
from collections.abc import Iterator

HARMLESS_DECORATORS = frozenset(
    [
        "abstractmethod",
        "cache",
        "cached_property",
        "classmethod",
        "contextmanager",
        "final",
        "lru_cache",
        "override",
        "property",
        "setter",
        "staticmethod",
        "no_grad",
        "inference_mode",
        "njit",
        "wraps",
    ]
)
"""Decorators (last part of the name) that do not read the annotations of what they decorate."""

INERT_IN_ANNOTATIONS = (
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Constant,
    ast.BinOp,
    ast.BitOr,
    ast.Tuple,
    ast.List,
    ast.expr_context,
)
"""Nodes that have no effect when an annotation is evaluated; any other (a call, say) keeps the annotation."""

SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def meaning(tree: ast.Module, docstrings: bool = False, annotations: bool = False) -> str:
    """Text that is equal for two modules exactly if their trees are, apart from what cannot act.

    `docstrings`, `annotations`: keep these too, for code that reads them at run time.
    """
    pieces: list[str] = []
    _Writer(pieces, docstrings, annotations).statements(tree.body, tree)
    return "".join(pieces)


def is_type_checking(node: ast.stmt) -> bool:
    """Whether `node` is `if TYPE_CHECKING:` (or `if typing.TYPE_CHECKING:`), whose body never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    if isinstance(test, ast.Attribute):
        return test.attr == "TYPE_CHECKING" and isinstance(test.value, ast.Name) and test.value.id == "typing"
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


class _Writer:
    """Appends the text of nodes to `pieces`."""

    def __init__(self, pieces: list[str], docstrings: bool, annotations: bool) -> None:
        self.pieces = pieces
        self.docstrings = docstrings
        self.annotations = annotations

    def statements(self, body: list[ast.stmt], owner: ast.AST) -> None:
        """The statements of `body` that can act; `owner` is the module, class or function they stand in."""
        self.pieces.append("[")
        for statement in _acting(body, owner if self.docstrings else None):
            self.statement(statement, owner)
        self.pieces.append("]")

    def statement(self, node: ast.stmt, owner: ast.AST) -> None:
        if isinstance(node, ast.AnnAssign):
            self.annotated_assignment(node, owner)
        elif isinstance(node, Function):
            self.fields(node, node, without=() if self.keeps_annotations_of_function(node) else ("returns",))
        elif isinstance(node, ast.ClassDef):
            self.fields(node, node)
        else:
            self.fields(node, owner)

    def fields(self, node: ast.AST, owner: ast.AST, without: tuple[str, ...] = ()) -> None:
        """A node as `Type(field=..., ...)`; absent and empty fields are left out, as newer Pythons add such."""
        self.pieces.append(type(node).__name__ + "(")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in SKIPPED_FIELDS or name in without:
                continue
            self.pieces.append(name + "=")
            self.value(value, owner, without)
        self.pieces.append(")")

    def value(self, value: object, owner: ast.AST, without: tuple[str, ...]) -> None:
        if isinstance(value, list):
            if isinstance(value[0], ast.stmt):
                self.statements(value, owner)
            else:
                self.pieces.append("[")
                for item in value:
                    self.value(item, owner, without)
                self.pieces.append("]")
        elif isinstance(value, ast.Constant):
            self.pieces.append(f"{type(value.value).__name__}:{value.value!a},")
        elif isinstance(value, ast.arg):
            inert = bool(without) and (value.annotation is None or _inert(value.annotation))
            self.fields(value, owner, ("annotation",) if inert else ())
        elif isinstance(value, ast.arguments):
            self.fields(value, owner, without)
        elif isinstance(value, ast.stmt):
            self.statement(value, owner)
        elif isinstance(value, ast.AST):
            self.fields(value, owner)
        else:  # an identifier, a conversion code, a level
            self.pieces.append(f"{value!a},")

    def annotated_assignment(self, node: ast.AnnAssign, owner: ast.AST) -> None:
        """`x: T = v` as `x = v` where the annotation cannot act; `x: T` alone still makes `x` a local name."""
        if self.keeps_annotation_in(owner) or not (isinstance(owner, Function) or _inert(node.annotation)):
            self.fields(node, owner)
        elif node.value is not None:
            self.fields(ast.Assign(targets=[node.target], value=node.value), owner)
        else:
            self.fields(node, owner, without=("annotation",))

    def keeps_annotation_in(self, owner: ast.AST) -> bool:
        if isinstance(owner, Function):
            return False
        if isinstance(owner, ast.ClassDef):
            return self.annotations or bool(owner.bases or owner.keywords or owner.decorator_list)
        return self.annotations

    def keeps_annotations_of_function(self, node: Function) -> bool:
        if self.annotations or (node.returns is not None and not _inert(node.returns)):
            return True
        return any(_last_name(decorator) not in HARMLESS_DECORATORS for decorator in node.decorator_list)


def _acting(body: list[ast.stmt], documented: ast.AST | None) -> Iterator[ast.stmt]:
    """The statements that can act; the docstring of `documented` (module, class or function) counts if it is given."""
    documented_kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    holds_docstring = isinstance(documented, documented_kinds) and documented.body is body
    for position, node in enumerate(body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if holds_docstring and position == 0 and isinstance(node.value.value, str):
                yield node
        elif is_type_checking(node):
            assert isinstance(node, ast.If)
            yield from _acting(node.orelse, None)
        elif not isinstance(node, ast.Pass):
            yield node


def _inert(annotation: ast.expr) -> bool:
    return all(isinstance(node, INERT_IN_ANNOTATIONS) for node in ast.walk(annotation))


def _last_name(decorator: ast.expr) -> str:
    """`njit` of `@numba.njit(parallel=True)`."""
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    if isinstance(decorator, ast.Attribute):
        return decorator.attr
    return decorator.id if isinstance(decorator, ast.Name) else ""
