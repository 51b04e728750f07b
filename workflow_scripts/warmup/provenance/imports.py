"""What a Python source file may import, read from its syntax tree; nothing is executed.

`imports_of(tree, module, is_package)` lists three kinds of dependence, each with its line:

- plain: dotted names that an `import` statement, or an import call with a literal name, may bind to modules;
- chosen: calls `registry.load(package, name)`, whose module is picked by the configuration;
- doubtful: whatever could import a module whose name cannot be read here, to be answered with a whole package.
"""

import ast
from dataclasses import dataclass, field

from warmup.provenance.meaning import is_type_checking

REGISTRY = "warmup.registry"
LOAD = f"{REGISTRY}.load"
IMPORT_BY_NAME = frozenset({"importlib.import_module", "importlib.__import__", "__import__"})
OBSCURE = frozenset(
    [
        "exec",
        "eval",
        "runpy.run_module",
        "runpy.run_path",
        "pkgutil.resolve_name",
        "pydoc.locate",
        "importlib.reload",
        "importlib.util.spec_from_file_location",
        "importlib.machinery.SourceFileLoader",
    ]
)
"""Other calls that can run a module of this repository under a name not seen here."""


@dataclass(frozen=True)
class Chosen:
    """A call of `registry.load`; None stands for an argument that is not a literal."""

    package: str | None
    name: str | None
    line: int


@dataclass(frozen=True)
class Doubt:
    """An import that cannot be read: every module under `package` counts (all packages of the repository if None)."""

    package: str | None
    line: int
    reason: str


@dataclass
class Imports:
    """What one module depends on, as far as its own text says."""

    plain: set[str] = field(default_factory=set)
    chosen: list[Chosen] = field(default_factory=list)
    doubtful: list[Doubt] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    """Literal strings that could name a data file beside the module."""


def imports_of(tree: ast.Module, module: str, is_package: bool) -> Imports:
    """Dependences of the module named `module` (dotted), wherever in it they stand, functions included."""
    package = module if is_package else module.rpartition(".")[0]
    finder = _Finder(module, package)
    finder.statements(tree)
    finder.visit(tree)
    return finder.found


class _Finder(ast.NodeVisitor):
    def __init__(self, module: str, package: str) -> None:
        self.module = module
        self.package = package
        self.found = Imports()
        self.bound: dict[str, str] = {}
        """Local name -> what it was imported as, dotted."""

    def statements(self, tree: ast.Module) -> None:
        """First pass: import statements, since a name may be used above the line that binds it."""
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Import):
                self.plain_import(node)
            elif isinstance(node, ast.ImportFrom):
                self.from_import(node)
            elif isinstance(node, ast.stmt) and is_type_checking(node):
                assert isinstance(node, ast.If)
                waiting += node.orelse
            elif not isinstance(node, ast.expr):
                waiting += ast.iter_child_nodes(node)

    def plain_import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.found.plain.add(alias.name)
            if alias.asname:
                self.bound[alias.asname] = alias.name
            else:
                top = alias.name.partition(".")[0]
                self.bound[top] = top

    def from_import(self, node: ast.ImportFrom) -> None:
        origin = self.absolute(node.module or "", node.level)
        self.found.plain.add(origin)
        for alias in node.names:
            if alias.name == "*":
                self.found.doubtful.append(Doubt(origin, node.lineno, f"star import of {origin}"))
            else:
                self.found.plain.add(f"{origin}.{alias.name}")
                self.bound[alias.asname or alias.name] = f"{origin}.{alias.name}"

    def absolute(self, name: str, level: int) -> str:
        """A relative name (`level` leading dots) as seen from the root."""
        if level == 0:
            return name
        parts = self.package.split(".")
        parts = parts[: len(parts) - level + 1]
        return ".".join([*parts, name] if name else parts)

    # Second pass: expressions.

    def visit_If(self, node: ast.If) -> None:
        if is_type_checking(node):
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and "." in node.value and len(node.value) < 100:
            self.found.texts.add(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        self.mention(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.mention(node)
        self.visit(node.value)

    def mention(self, node: ast.Name | ast.Attribute) -> None:
        """A name in use: it may pass an importer on."""
        if not isinstance(node.ctx, ast.Load):
            return
        meant = self.dotted(node)
        if meant == LOAD:
            self.found.chosen.append(Chosen(None, None, node.lineno))
        elif meant in IMPORT_BY_NAME or meant in OBSCURE:
            self.doubt(None, node, f"{meant} used as a value" if meant in IMPORT_BY_NAME else f"use of {meant}")

    def visit_Call(self, node: ast.Call) -> None:
        meant = self.dotted(node.func)
        if meant == LOAD:
            package, name = _argument(node, 0, "package"), _argument(node, 1, "name")
            self.found.chosen.append(Chosen(_literal(package), _literal(name), node.lineno))
        elif meant in IMPORT_BY_NAME:
            self.import_call(node)
        else:
            self.visit(node.func)
        for part in (*node.args, *node.keywords):
            self.visit(part)

    def import_call(self, node: ast.Call) -> None:
        name = _argument(node, 0, "name")
        literal = _literal(name)
        if literal is None:
            known = _known_start(name)
            level = len(known) - len(known.lstrip("."))
            package = self.absolute(known.lstrip("."), level) if known else ""
            self.doubt(package or None, node, "dynamic import")
        elif literal.startswith("."):
            anchor = _argument(node, 1, "package")
            own = anchor is None or (isinstance(anchor, ast.Name) and anchor.id in {"__name__", "__package__"})
            if own:
                self.found.plain.add(self.absolute(literal.lstrip("."), len(literal) - len(literal.lstrip("."))))
            else:
                self.doubt(None, node, "import relative to another package")
        else:
            self.found.plain.add(literal)

    def doubt(self, package: str | None, node: ast.expr, reason: str) -> None:
        if self.module != REGISTRY:  # its one import is followed through the calls of `load`
            self.found.doubtful.append(Doubt(package, node.lineno, reason))

    def dotted(self, node: ast.expr) -> str:
        """`importlib.import_module` for whatever local spelling it has; "" if it is no chain of names."""
        if isinstance(node, ast.Name):
            return self.bound.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            origin = self.dotted(node.value)
            return f"{origin}.{node.attr}" if origin else ""
        return ""


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    if len(call.args) > position and not any(isinstance(part, ast.Starred) for part in call.args[: position + 1]):
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _literal(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _known_start(node: ast.expr | None) -> str:
    """The package that begins an f-string or a sum: `warmup.probes` of `f"warmup.probes.{name}"`; "" if unknown."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        first: ast.expr | None = node.left
    elif isinstance(node, ast.JoinedStr) and node.values:
        first = node.values[0]
    else:
        return ""
    text = _literal(first) or ""
    package, dot, _ = text.rpartition(".")
    return package or dot
