"""What is kept of sources between processes: it may be missing, never wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from warmup.provenance import read_sources
from warmup.provenance.read_sources import Source


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of its own for what is kept."""
    path = tmp_path / ".snakemake" / "warmup-sources.json"
    path.parent.mkdir()
    monkeypatch.setattr(read_sources, "KEPT", path)
    read_sources._answers.cache_clear()
    yield path
    read_sources._answers.cache_clear()


def end_process() -> None:
    """Keep, and forget, as the end of a process does."""
    read_sources._answers().keep()
    read_sources._answers.cache_clear()


def told(path: Path) -> tuple[object, str]:
    source = Source(path, "module")
    return source.imports, source.digest()


def test_what_is_kept_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "module.py"
    path.write_text('"""Doc."""\nfrom a import *\nfrom warmup import registry\nregistry.load("b", x)\ny = "c.txt"')
    first = told(path)
    end_process()
    monkeypatch.setattr(read_sources.ast, "parse", None)  # nothing is parsed again
    assert told(path) == first


def test_an_edited_source_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("x = 1")
    first = told(path)
    end_process()
    path.write_text("import b")
    assert told(path) != first


def test_another_way_of_reading_reads_again(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "module.py"
    path.write_text("x = 1")
    told(path)
    end_process()
    (entry,) = json.loads(kept.read_text())
    monkeypatch.setattr(read_sources, "_readers", lambda: b"edited")
    told(path)
    end_process()
    assert entry in json.loads(kept.read_text()) and len(json.loads(kept.read_text())) == 2


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_file_is_no_obstacle(tmp_path: Path, kept: Path, text: str) -> None:
    path = tmp_path / "module.py"
    path.write_text("x = 1")
    first = told(path)
    read_sources._answers.cache_clear()
    kept.write_text(text)
    assert told(path) == first
    end_process()
    assert len(json.loads(kept.read_text())) == 1


def test_nothing_is_kept_where_snakemake_has_no_folder(tmp_path: Path, kept: Path) -> None:
    kept.parent.rmdir()
    path = tmp_path / "module.py"
    path.write_text("x = 1")
    assert told(path)
    end_process()
    assert not kept.parent.exists()


def test_a_file_that_cannot_be_written_is_no_obstacle(tmp_path: Path, kept: Path) -> None:
    kept.mkdir()
    path = tmp_path / "module.py"
    path.write_text("x = 1")
    assert told(path)
    end_process()
    assert kept.is_dir()


def test_old_entries_go_when_there_are_too_many(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_sources, "MOST_ENTRIES", 2)
    path = tmp_path / "module.py"
    for number in range(3):
        path.write_text(f"x = {number}")
        told(path)
        end_process()
    assert len(json.loads(kept.read_text())) == 1
