"""Source files as provenance needs them, read once: what each imports, and digests of what it means.

Parsing the package takes a second or so, and the Snakefile is parsed again in every job. So what was found is kept
in Snakemake's own folder, under a digest of the source and of the code that reads it: an entry can be missing, never
wrong. Without such a folder, or where it cannot be written, nothing is kept.
"""

import ast
import atexit
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from warmup.errors import UserError
from warmup.provenance.imports import Chosen, Doubt, Imports, imports_of
from warmup.provenance.meaning import meaning

DIGEST_LENGTH = 16
"""Hexadecimal digits kept of a SHA-256: 64 bits tell edits apart and keep the records of thousands of runs small."""

KEPT = Path(".snakemake") / "warmup-sources.json"
"""Relative to the folder Snakemake works in."""

MOST_ENTRIES = 3000
"""Above this many, only entries used by the present process are kept."""


def short_digest(data: bytes) -> str:
    """The first digits of a SHA-256."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_LENGTH]


class Source:
    """One module's source: its dependences, and the digest of its meaning."""

    def __init__(self, path: Path, module: str) -> None:
        """Raises UserError if the file is no Python."""
        self.path = path
        self._module = module
        self._data = path.read_bytes()
        self._parsed: ast.Module | None = None
        key = hashlib.sha256(b"\0".join([_readers(), module.encode(), path.name.encode(), self._data])).hexdigest()
        self._answers = _answers()
        self._key = key
        self.imports = _imports(self._answers.of(key, "imports", self._read_imports))

    def digest(self) -> str:
        """Digest of the module's meaning."""
        digest: str = self._answers.of(self._key, "meaning", lambda: short_digest(meaning(self._tree()).encode()))
        return digest

    def _read_imports(self) -> dict[str, Any]:
        found = imports_of(self._tree(), self._module, self.path.name == "__init__.py")
        return {**asdict(found), "plain": sorted(found.plain), "texts": sorted(found.texts)}

    def _tree(self) -> ast.Module:
        if self._parsed is None:
            try:
                self._parsed = ast.parse(self._data, filename=str(self.path))
            except SyntaxError as error:
                raise UserError(f"{self.path}, line {error.lineno}: not valid Python ({error.msg})") from error
        return self._parsed


@cache
def source(path: Path, module: str) -> Source:
    """The source of `module`, read once per process."""
    return Source(path, module)


def _imports(entry: Mapping[str, Any]) -> Imports:
    return Imports(
        plain=set(entry["plain"]),
        chosen=[Chosen(**call) for call in entry["chosen"]],
        doubtful=[Doubt(**doubt) for doubt in entry["doubtful"]],
        texts=set(entry["texts"]),
    )


@cache
def _readers() -> bytes:
    """The code whose answers are kept."""
    own = Path(__file__).parent
    return b"\0".join((own / name).read_bytes() for name in ("imports.py", "meaning.py", "read_sources.py"))


class _Answers:
    """What was found about sources before, by the digest of the source."""

    def __init__(self) -> None:
        self.path = KEPT.absolute()
        try:
            self.entries: dict[str, dict[str, Any]] = dict(json.loads(self.path.read_bytes()))
        except (OSError, ValueError):
            self.entries = {}
        self.used: set[str] = set()
        self.new = False

    def of(self, key: str, question: str, answer: Callable[[], Any]) -> Any:
        """The kept answer to a question about a source, or the one that `answer` finds."""
        self.used.add(key)
        entry = self.entries.setdefault(key, {})
        if question not in entry:
            entry[question] = answer()
            self.new = True
        return entry[question]

    def keep(self) -> None:
        """Write what is new for the next process."""
        if not self.new or not self.path.parent.is_dir():
            return
        entries = self.entries
        if len(entries) > MOST_ENTRIES:
            entries = {key: entry for key, entry in entries.items() if key in self.used}
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            part.write_text(json.dumps(entries))
            part.replace(self.path)
        except OSError:  # a folder that cannot be written: the next process reads the sources itself
            return


@cache
def _answers() -> _Answers:
    answers = _Answers()
    atexit.register(answers.keep)
    return answers
