"""Modules chosen by name: the only dynamic import of the package, so that provenance can follow it.

A registered package is a folder whose public modules are alternatives (one schedule, optimiser, task ... per file);
the configuration names the one to use, and a result depends on that one alone. A file of the user's own, which an
architecture's `source` names, is found and imported here too (`own_file`, `own_class`).
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from warmup import shipped
from warmup.errors import ConfigurationError

PACKAGES = (
    "schedules",
    "optimizers",
    "tasks",
    "data.sources",
    "architectures.families",
    "architectures.starts",
    "probes",
    "kernels",
)
"""Packages of `warmup` whose modules are chosen by name."""


def names(package: str) -> list[str]:
    """Names that `load` accepts for `package`, sorted, found by listing files (nothing is imported)."""
    if package not in PACKAGES:
        raise ValueError(f"{package!r} is not a registered package; registered are {', '.join(PACKAGES)}")
    return list(_listed(package))


@cache  # planning asks several times per run
def _listed(package: str) -> tuple[str, ...]:
    folder = Path(__file__).parent.joinpath(*package.split("."))
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """Module `warmup.<package>.<name>`; an unknown name is a ConfigurationError that lists the known ones."""
    known = names(package)
    if name not in known:
        raise ConfigurationError(f"{package}: {name!r} is not known; known are {', '.join(known)}")
    return importlib.import_module(f"warmup.{package}.{name}")


def own_file(path: str) -> Path:
    """Absolute path of the file that `path` means: relative to the folder one works in, else to the one of config.yaml.

    It need not exist.
    """
    return Path(path).absolute() if Path(path).exists() else shipped.STUDY / path


def own_names(path: str) -> list[str]:
    """Names that the file at `path` binds at its outermost level, read without importing it.

    Raises ConfigurationError if it does not exist or is no Python.
    """
    file = own_file(path)
    if not file.is_file():
        raise ConfigurationError(f"{path!r} does not exist (looked for in {Path.cwd()} and in {shipped.STUDY})")
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as error:
        raise ConfigurationError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from error
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found


def own_class(path: str, name: str) -> type:
    """The class `name` of the user's file at `path`, which is imported; files beside it can be imported by it.

    Raises ConfigurationError if the file cannot be imported or has no such class.
    """
    file = own_file(path)
    module_name = f"own_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if module_name not in sys.modules:
        if str(file.parent) not in sys.path:
            sys.path.append(str(file.parent))  # last: no file there takes the place of an installed package
        specification = importlib.util.spec_from_file_location(module_name, file)
        if specification is None or specification.loader is None:
            raise ConfigurationError(f"module: {path!r} is no Python file")
        module = importlib.util.module_from_spec(specification)
        sys.modules[module_name] = module  # where pickle, dataclasses and probes look for it
        try:
            specification.loader.exec_module(module)
        except Exception as error:  # whatever a user's file may raise
            del sys.modules[module_name]
            raise ConfigurationError(f"module: {path} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(sys.modules[module_name], name, None)
    if not isinstance(found, type):
        raise ConfigurationError(f"class: {path} has no class {name!r}")
    return found
