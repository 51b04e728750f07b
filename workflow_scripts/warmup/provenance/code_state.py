"""The code as it lies on disk now: one digest of its bytes, and what each file means, found once per state.

Standard library only, and apart from the rest of provenance: every job asks at its start, and no result depends on how
meanings are found (that is done in a process of its own).
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from warmup import shipped

ROOT = shipped.ROOT
"""The folder of the rules' scripts; paths of code are relative to it."""

OWN = "own:"
"""Begins the key of a file of the user's own, whose path follows; it lies anywhere."""

KEPT = Path(".snakemake") / "warmup-meanings.json"
"""Relative to the folder Snakemake works in: the meanings of the last state that a job asked about."""


def state() -> str:
    """SHA-256 over path and bytes of every file of the code, in a few milliseconds."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(shipped.CODE):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = os.path.join(folder, name)  # noqa: PTH118  (three times faster than pathlib over 200 files)
            with open(path, "rb") as stream:  # noqa: PTH123
                content = stream.read()
            digest.update(f"{os.path.relpath(path, ROOT)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def changed(code: Mapping[str, str]) -> list[str]:
    """Files of `code` (answers of `closure.code`, merged or not) that mean something else by now, or are gone."""
    own = [path for path in code if path.startswith(OWN)]
    known = {**meanings(), **(_asked(own) if own else {})}
    return [path for path, digest in code.items() if digest != known.get(path)]


def meanings() -> Mapping[str, str]:
    """The digest that each file of the code is recorded with, by its path (see `closure.meanings`).

    Taken from what an earlier job found about the same bytes, if Snakemake's folder holds it: parsing all of them takes
    a second. Raises RuntimeError if the code cannot be read.
    """
    now = state()
    try:
        kept = json.loads(KEPT.read_bytes())
        if kept["state"] == now:
            found: dict[str, str] = kept["files"]
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing or half of it: found anew
    files = _asked([])
    if KEPT.parent.is_dir() and state() == now:  # else it changed while it was read
        _keep(json.dumps({"state": now, "files": files}))
    return files


def _asked(own: list[str]) -> dict[str, str]:
    """What `code_check` says, in a process of its own: of the user's files with these keys, else of all of the code."""
    command = [sys.executable, "-m", "warmup.provenance.code_check", *own]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the check of the code failed: {done.stderr}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _keep(text: str) -> None:
    part = KEPT.with_name(f"{KEPT.name}.{os.getpid()}")
    try:
        part.write_text(text)
        part.replace(KEPT)
    except OSError:  # a folder that cannot be written: the next job finds out itself
        return
