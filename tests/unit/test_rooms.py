"""Arrows between rooms run one way, as docs/rooms.yaml has them, and its map is the one in docs/architecture.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from warmup.provenance.imports import imports_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workflow_scripts" / "warmup"
ROOMS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "rooms.yaml").read_text())
CHAPTERS = "statistics"
MOST_LINES = 400
MOST_MODULES = 12
ALTERNATIVES = {
    "schedules",
    "data/sources",
    "architectures/starts",
    "architectures/families",
    "probes",
    "optimizers",
    "kernels",
}
"""Folders of alternatives chosen by name: as many as there are."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str | None:
    """The room a module lives in; None for the package itself and for the folder of chapters."""
    _, *parts = module.split(".")
    if not parts or parts == [CHAPTERS]:
        return None
    return ".".join(parts[:2]) if parts[0] == CHAPTERS else parts[0]


def arrows() -> Iterator[tuple[str, str, str, str]]:
    """(room, room it reaches into, file, module imported) of every import across rooms."""
    known = modules()
    for module, path in known.items():
        imports = imports_of(ast.parse(path.read_text()), module, path.name == "__init__.py")
        loaded = {f"warmup.{call.package}.x" for call in imports.chosen if call.package}
        types = {
            f"warmup.{alias}"
            for alias in ("settings",)
            if f"from warmup.{alias} import" in path.read_text() and module != f"warmup.{alias}"
        }
        for imported in sorted({name for name in imports.plain if name in known} | loaded | types):
            here, there = room(module), room(imported)
            if here and there and here != there:
                yield here, there, path.relative_to(ROOT).as_posix(), imported


def test_every_room_has_an_entry_and_every_entry_a_room() -> None:
    assert {room(module) for module in modules()} - {None} == set(ROOMS)


def test_no_import_reaches_a_room_that_the_table_does_not_allow() -> None:
    forbidden = [
        f"{file} imports {imported}: {here} may not use {there}"
        for here, there, file, imported in arrows()
        if there not in ROOMS[here]["uses"]
    ]
    assert forbidden == []


def test_the_table_allows_nothing_that_nobody_uses() -> None:
    used = {(here, there) for here, there, *_ in arrows()}
    allowed = {(here, there) for here, entry in ROOMS.items() for there in entry["uses"]}
    assert allowed - used == set()


def test_rooms_use_only_rooms_above_them() -> None:
    order = list(ROOMS)
    backward = [
        (here, there)
        for here, entry in ROOMS.items()
        for there in entry["uses"]
        if order.index(there) > order.index(here)
    ]
    assert backward == []


def test_the_map_in_the_docs_names_every_room_and_what_it_holds() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    missing = [name for name, entry in ROOMS.items() if f"| `{name}` | {entry['holds']} |" not in text]
    assert missing == [], "run `make docs`"


@pytest.mark.parametrize("folder", ["workflow_scripts/warmup", "rules"])
def test_no_file_is_longer_than_one_can_read(folder: str) -> None:
    files = [path for ending in ("py", "smk") for path in (ROOT / folder).rglob(f"*.{ending}")]
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_folder_has_more_modules_than_one_can_keep_in_mind() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    counts = {
        folder.relative_to(PACKAGE).as_posix(): sum(file.name != "__init__.py" for file in folder.glob("*.py"))
        for folder in folders
    }
    assert {name: n for name, n in counts.items() if n > MOST_MODULES and name not in ALTERNATIVES} == {}


def test_no_test_imports_another() -> None:
    """What two tests share stands in a module of its own beside them."""
    imports = re.compile(r"^\s*(?:from|import) (?:\w+\.)*test_\w+", re.MULTILINE)
    found = {path.name: imports.findall(path.read_text()) for path in (ROOT / "tests").rglob("*.py")}
    assert len(found) > 50 and {name: lines for name, lines in found.items() if lines} == {}


def test_no_two_test_files_share_a_name() -> None:
    """pytest collects them by their names alone, and refuses the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
