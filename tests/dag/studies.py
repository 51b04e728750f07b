"""A checkout with results in it: change it, plan it again, and see what would run."""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from warmup.provenance import why

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOW = (
    *("Snakefile", "config.yaml", "rules", "workflow_scripts", "schemas", "profiles", "report", "envs", "examples"),
    *("tests/config.tiny.yaml", "tests/dag/study.yaml"),
)
"""What a checkout has that Snakemake reads."""

CONFIGURATION = ["tests/config.tiny.yaml", "tests/dag/study.yaml"]
TRAININGS = {"train", "probe_run", "trunk_run"}


def copy_checkout(folder: Path, parts: Iterable[str] = WORKFLOW) -> None:
    """Put these files and folders of the repository into `folder`."""
    for part in parts:
        source, target = REPOSITORY / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


@dataclass(frozen=True)
class Study:
    """A checkout with results in it."""

    folder: Path

    def plan(self, *options: str, configuration: dict[str, Any] | None = None) -> why.Plan:
        """What real `snakemake --dry-run` would do here, `configuration` laid over that of the tests."""
        files = [*CONFIGURATION]
        if configuration is not None:
            (self.folder / "changed.yaml").write_text(yaml.safe_dump(configuration))
            files.append("changed.yaml")
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            return why.planned(["--cores", "2", "--configfile", *files, *options])
        finally:
            os.chdir(before)

    def append(self, path: str, text: str) -> None:
        """Add lines to a file of the package (`path` below workflow_scripts/warmup)."""
        with (self.folder / "workflow_scripts" / "warmup" / path).open("a") as stream:
            stream.write(f"\n\n{text}\n")

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a text that stands in a file of the checkout at least once."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new))

    def sources(self) -> Iterator[Path]:
        """Every Python file of the workflow."""
        yield from sorted((self.folder / "workflow_scripts").rglob("*.py"))


@dataclass(frozen=True)
class Finished:
    """The study after its only real execution."""

    folder: Path
    records: list[dict[str, Any]]
    """What tests/dag/recorder wrote down about each job."""


def trainings(plan: why.Plan) -> list[dict[str, str]]:
    """Wildcards of the runs that would be trained."""
    return [dict(job.wildcards) for job in plan.jobs if job.rule in TRAININGS]


def rules(plan: why.Plan) -> set[str]:
    """Names of the rules that would run."""
    return {job.rule for job in plan.jobs}
