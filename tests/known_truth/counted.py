"""Rows of the pages of simulations, kept beside what counted them: only what has changed is counted again.

A group of rows (a world at a number of seeds, say) is kept in a JSON file with the commit, the number of studies, and a
digest of the code behind it: the closures of the rules' scripts it goes through, and the modules that draw the studies.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup import files
from warmup.provenance import closure
from warmup.provenance.read_sources import source

REPOSITORY = Path(__file__).resolve().parents[2]
Rows = list[dict[str, Any]]


def digest(scripts: Iterable[str], drawing: Iterable[str]) -> str:
    """Digest of the code of rules' `scripts`, and of modules of tests/known_truth that draw studies and count."""
    parts = {name: mark for script in scripts for name, mark in closure.code(f"{script}.py").items()}
    parts |= {
        name: source(REPOSITORY / "tests" / "known_truth" / f"{name}.py", f"known_truth.{name}").digest()
        for name in drawing
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Group:
    """Rows that are counted together, `name` of a `kind`; `code`: digest of what counts; `count`: studies -> rows."""

    kind: str
    what: str
    code: str
    studies: int
    count: Callable[[int], Rows]

    @property
    def name(self) -> str:
        """What the group is called where it is kept."""
        return f"{self.kind}: {self.what}"


class Store:
    """Groups counted before, in a JSON file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.groups: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def current(self, group: Group) -> bool:
        """Whether the group was counted by the present code, on at least as many studies."""
        kept = self.groups.get(group.name)
        return kept is not None and kept["code"] == group.code and kept["studies"] >= group.studies

    def count(self, group: Group) -> None:
        """Count the group and keep its rows at once."""
        rows = group.count(group.studies)
        kept = {"code": group.code, "commit": commit(), "studies": group.studies, "rows": rows}
        self.groups[group.name] = kept
        files.write_json(self.groups, self.path)

    def rows(self, groups: Iterable[Group]) -> Rows:
        """Rows of all groups that were ever counted, in the order of `groups`."""
        return [row for group in groups if group.name in self.groups for row in self.groups[group.name]["rows"]]

    def origin(self, groups: Iterable[Group]) -> str:
        """Lines for a page: which commit counted what, on how many studies, and whether its code is the present one."""
        known, by_origin = list(groups), dict[str, list[Group]]()
        for group in known:
            kept = self.groups.get(group.name)
            since = "" if self.current(group) else ", by code that has changed since"
            told = f"commit {kept['commit']}, {kept['studies']:,} studies{since}" if kept else "not counted"
            by_origin.setdefault(told, []).append(group)
        return "\n".join(f"- {told}: {_listed(members, known)}." for told, members in by_origin.items())


def _listed(members: list[Group], known: list[Group]) -> str:
    """Kinds of which all groups are among the members; of other kinds, which groups."""
    parts = []
    for kind in dict.fromkeys(group.kind for group in members):
        here, there = ([group.what for group in groups if group.kind == kind] for groups in (members, known))
        parts.append(kind if len(here) == len(there) else f"{kind} ({'; '.join(here)})")
    return ", ".join(parts)


def commit() -> str:
    """The commit of the checkout, shortened; marked where code differs from it."""

    def git(*arguments: str) -> str:
        called = ["git", "-C", str(REPOSITORY), *arguments]
        return subprocess.run(called, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "workflow_scripts", "tests", "benchmarks/*.py")
    return git("rev-parse", "--short=7", "HEAD") + (" with changes" if changed else "")
