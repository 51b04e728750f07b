"""Checkpoints that no run would resume from: listed, removed, and none that some run needs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from dag.studies import CONFIGURATION, Study

from warmup.training.checkpoints import Store


def snakemake(study: Study, target: str) -> str:
    command = [sys.executable, "-m", "snakemake", target, "--cores", "1", "--configfile", *CONFIGURATION]
    done = subprocess.run(command, cwd=study.folder, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def checkpoint(study: Study, settings: dict[str, Any]) -> Path:
    """What a training with these settings leaves behind when it is interrupted."""
    with Store(study.folder / "checkpoints", settings).locked() as store:
        store.save(1, {"rows": []})
    return store.folder


def test_orphans_are_listed_then_removed_and_live_checkpoints_stay(study: Study) -> None:
    summary = json.loads(next((study.folder / "results").glob("*/runs/**/summary.json")).read_text())
    needed = checkpoint(study, {**summary["settings"], "code": summary["code"]})
    orphan = checkpoint(study, {**summary["settings"], "code": {"warmup/training/loop.py": "before an edit"}})
    said = snakemake(study, "orphaned_checkpoints")
    assert orphan.name in said and "architecture=" in said
    assert needed.name not in said
    assert orphan.exists()
    assert f"removed checkpoints/{orphan.name}" in snakemake(study, "clean_checkpoints")
    assert not orphan.exists()
    assert needed.exists()
