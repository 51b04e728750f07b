"""Which source files a result depends on, by what they mean, and what separates a stored result from the present.

A result's code is the closure of its rule's script under import, inside this repository, each module with a digest of
its meaning (see `meaning`). Packages whose modules are chosen by name (see `registry`) are narrowed to the names
given; an import that cannot be read counts a whole package, and `doubts` says so. docs/provenance.md tells the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from warmup import shipped
from warmup.errors import ConfigurationError, UserError
from warmup.provenance.code_state import OWN
from warmup.provenance.differences import differences, fingerprint
from warmup.provenance.imports import Chosen, Doubt
from warmup.provenance.read_sources import Source, short_digest, source
from warmup.provenance.staleness import refuse_stale, stale, stale_runs, survey
from warmup.provenance.versions import versions
from warmup.registry import PACKAGES, own_file

__all__ = [
    "code",
    "differences",
    "doubts",
    "environment",
    "fingerprint",
    "forget",
    "meanings",
    "meanings_of_own",
    "own_code",
    "refuse_stale",
    "stale",
    "stale_runs",
    "survey",
    "versions",
]

ROOT = shipped.ROOT
"""The folder from which modules are imported; the rules' scripts, in a checkout."""


def code(script: str | Path, choices: Mapping[str, Sequence[str]] = {}) -> dict[str, str]:
    """Digest of every file of the repository that `script` can import, keyed by path relative to workflow_scripts.

    `script`: absolute, or relative to workflow_scripts (a leading "workflow_scripts/" is allowed).
    `choices`: names chosen per registered package, {"schedules": ["cosine"]}; a package that is loaded by name and
    not listed here counts whole. Files are read once per process, so one process sees one state of the code.
    Raises ConfigurationError for a script or a chosen module that does not exist, UserError for one that is not Python.
    """
    root, path = _locate(script)
    return dict(_closure(root, path, _frozen(choices)).digests)


def own_code(path: str) -> dict[str, str]:
    """Digest of the user's file at `path` and of every file beside it that it imports, keyed OWN + path.

    `path` as the configuration has it (see `registry.own_file`). Imports that lead elsewhere are not followed.
    """
    digests: dict[str, str] = {}
    folder, waiting = Path(path).parent, [Path(path)]
    while waiting:
        current = waiting.pop()
        if OWN + current.as_posix() in digests:
            continue
        module = ".".join(current.relative_to(folder).with_suffix("").parts)
        known = source(own_file(current.as_posix()), module.removesuffix(".__init__"))
        digests[OWN + current.as_posix()] = known.digest()
        for imported in known.imports.plain:
            for part in _with_parents(imported):
                place = folder.joinpath(*part.split("."))
                found = (place.with_suffix(".py"), place / "__init__.py")
                waiting += [file for file in found if own_file(file.as_posix()).is_file()]
    return dict(sorted(digests.items()))


def meanings_of_own(keys: Iterable[str]) -> dict[str, str]:
    """Digest that `own_code` gives each of these files by now, keyed as there; none if it is no Python, or gone."""
    found: dict[str, str] = {}
    for key in keys:
        with suppress(UserError, OSError):
            file = own_file(key.removeprefix(OWN))
            found[key] = source(file, file.stem).digest()
    return found


def doubts(script: str | Path, choices: Mapping[str, Sequence[str]] = {}) -> list[str]:
    """One line for each import in the closure of `script` that could not be read and so counted a whole package."""
    root, path = _locate(script)
    return list(_closure(root, path, _frozen(choices)).doubts)


def meanings() -> dict[str, str]:
    """Digest that `code` gives each file under the scripts' folder by now, keyed as there; none if it is no Python."""
    modules = {path: module for module, path in _sources(ROOT).items()}
    found: dict[str, str] = {}
    for path in sorted(_own(ROOT).rglob("*")):
        if path in modules:
            with suppress(UserError):  # no Python at the moment: whatever uses it has changed
                found[path.relative_to(ROOT).as_posix()] = source(path, modules[path]).digest()
        elif path.is_file() and path.parent.name != "__pycache__":
            found[path.relative_to(ROOT).as_posix()] = short_digest(path.read_bytes())
    return found


def environment(path: str | Path) -> str:
    """Digest of an environment file's lines without comments: changes when a package or its version does."""
    lines = (line.partition(" #")[0].rstrip() for line in Path(path).read_text().splitlines())
    return short_digest("\n".join(line for line in lines if line and not line.lstrip().startswith("#")).encode())


def forget() -> None:
    """Drop what was read of the source files: for a process that goes on while files change (tests)."""
    _sources.cache_clear()
    _closure.cache_clear()
    source.cache_clear()


@dataclass(frozen=True)
class _Closure:
    digests: dict[str, str]
    doubts: tuple[str, ...]


def _locate(script: str | Path) -> tuple[Path, Path]:
    """Import root and absolute path of a script; a script outside this repository has its own folder as root."""
    path = Path(script)
    if not path.is_absolute():
        parts = path.parts[1:] if path.parts[:1] == (ROOT.name,) else path.parts
        return ROOT, ROOT.joinpath(*parts)
    return (ROOT if path.is_relative_to(ROOT) else path.parent), path


def _frozen(choices: Mapping[str, Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((package, tuple(sorted(set(names)))) for package, names in sorted(choices.items()))


def _own(root: Path) -> Path:
    """The part of an import root that is this repository's."""
    return shipped.CODE if root == shipped.ROOT else root


@cache
def _sources(root: Path) -> dict[str, Path]:
    """Every module under `root` by its dotted name; a package is its __init__.py."""
    found: dict[str, Path] = {}
    for file in sorted(_own(root).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def _closure(root: Path, script: Path, choices: tuple[tuple[str, tuple[str, ...]], ...]) -> _Closure:
    sources = _sources(root)
    start = ".".join(script.relative_to(root).with_suffix("").parts)
    if start not in sources:
        raise ConfigurationError(f"{script}: there is no such script")
    facts: dict[str, Source] = {}
    doubts: list[str] = []
    chosen_names = dict(choices)
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in facts or module not in sources:
            continue
        facts[module] = known = source(sources[module], module)
        shown = known.path.relative_to(root).as_posix()
        waiting += [name for imported in known.imports.plain for name in _with_parents(imported)]
        for call in known.imports.chosen:
            if call.package is None:
                doubts.append(f"{shown}, line {call.line}: registry.load of a package that is not a literal")
            waiting += [name for found in _loaded(sources, call, chosen_names) for name in _with_parents(found)]
        for doubt in known.imports.doubtful:
            found = _whole(sources, doubt)
            if found:
                doubts.append(f"{shown}, line {doubt.line}: {doubt.reason}; all of {doubt.package or 'warmup'} counts")
            waiting += [name for one in found for name in _with_parents(one)]
    digests = {known.path.relative_to(root).as_posix(): known.digest() for known in facts.values()}
    for known in facts.values():
        digests |= _data_beside(root, known)
    return _Closure(dict(sorted(digests.items())), tuple(sorted(doubts)))


def _with_parents(module: str) -> list[str]:
    """`a.b.c` with its packages, whose __init__ runs first: a, a.b, a.b.c."""
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _loaded(sources: Mapping[str, Path], call: Chosen, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """Modules that one call of `registry.load` can import under these choices."""
    if call.package is None:
        return [found for package in PACKAGES for found in _loaded(sources, Chosen(package, None, 0), choices)]
    package = f"warmup.{call.package}"
    known = _children(sources, package)
    wanted = [call.name] if call.name is not None else choices.get(call.package)
    if wanted is None:
        return known
    for name in wanted:
        if f"{package}.{name}" not in known:
            names = ", ".join(sorted(module.rpartition(".")[2] for module in known))
            raise ConfigurationError(f"{call.package}: {name!r} is not known; known are {names or 'none'}")
    return [f"{package}.{name}" for name in wanted]


def _children(sources: Mapping[str, Path], package: str) -> list[str]:
    """The modules `registry.load` offers of a package: its public files."""
    found = []
    for module, path in sources.items():
        parent, _, name = module.rpartition(".")
        if parent == package and not name.startswith("_") and path.name != "__init__.py":
            found.append(module)
    return found


def _whole(sources: Mapping[str, Path], doubt: Doubt) -> list[str]:
    """Every module a doubtful import could mean; scripts beside the package are no candidates."""
    if doubt.package is None:
        return [module for module, path in sources.items() if "." in module or path.name == "__init__.py"]
    if doubt.package in sources and sources[doubt.package].name != "__init__.py":
        return []  # a star import of one file: that file, which is counted already
    return [module for module in sources if module == doubt.package or module.startswith(doubt.package + ".")]


def _data_beside(root: Path, known: Source) -> dict[str, str]:
    """Data files in a module's own folder (a C source, a table) that the module names in a literal string."""
    if not known.imports.texts:
        return {}
    beside = (known.path.parent / text for text in known.imports.texts if not text.endswith(".py") and "\0" not in text)
    return {
        file.relative_to(root).as_posix(): short_digest(file.read_bytes())
        for file in beside
        if file.is_file() and file.is_relative_to(root) and ".." not in file.parts
    }
