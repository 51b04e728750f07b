"""Runs on disk that the present code and settings would not give, found from what each run recorded about itself.

For results that Snakemake cannot judge: copied without .snakemake, or recorded there as something else. A run counts
as up to date if its own record agrees with the present, or if Snakemake's does (`--touch` accepts a harmless change).
"""

import ast
import hashlib
import json
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmup.errors import DataError, StaleResultError
from warmup.provenance.differences import CODE, differences, fingerprint, listed
from warmup.provenance.versions import ABSENT

RECORDS = Path(".snakemake") / "metadata"
"""Where Snakemake keeps the parameters each output file was made with (a file each, named by the path in base64)."""

LONGEST_NAME = 255
"""Snakemake cuts longer names of records into folders of this length."""


@dataclass
class Survey:
    """What was found about the runs on disk."""

    unseen: list[str] = field(default_factory=list)
    """Stale, and Snakemake has no record of them: it will not train them again."""
    planned: list[str] = field(default_factory=list)
    """Stale, and Snakemake knows."""
    unreadable: list[str] = field(default_factory=list)
    """No JSON, or not written by a training of this workflow: nothing can be said about the run."""
    other_versions: Counter[str] = field(default_factory=Counter)
    """How many runs were made with another version of a library: "torch 2.8.0 (now 2.9.1)" -> 12."""

    @property
    def stale(self) -> list[str]:
        return [*self.unreadable, *self.unseen, *self.planned]

    def warnings(self) -> list[str]:
        """One sentence per thing a user should know before trusting these results."""
        said = []
        if self.unseen:
            said.append(f"{_refusal(self.unseen)} Snakemake has no record of them and leaves them as they are.")
        if self.unreadable:
            said.append(
                f"{len(self.unreadable)} summary file(s) cannot be read: {listed(self.unreadable)}. Delete them."
            )
        if self.other_versions:
            counts = ", ".join(f"{count} with {what}" for what, count in self.other_versions.items())
            said.append(
                f"runs were made with other versions of libraries: {counts}. They are kept; "
                "`provenance: {libraries: invalidate}` in the configuration trains them again."
            )
        return said


def survey(expected: Mapping[str, str], versions: Mapping[str, str] | None = None, records: Path = RECORDS) -> Survey:
    """Compare summaries, `expected` {path of summary.json: fingerprint of present settings}, with what they record.

    `versions`: present versions of libraries; those absent here (trainings have an environment of their own) are not
    compared. A summary that does not exist is left to Snakemake.
    """
    found = Survey()
    for path, wanted in expected.items():
        try:
            summary = read_summary(path)
            made_by = recorded_settings(summary)
        except FileNotFoundError:
            continue
        except DataError:
            found.unreadable.append(path)
            continue
        if fingerprint(made_by) != wanted:
            known = snakemakes_fingerprint(path, records)
            if known is None:
                found.unseen.append(path)
            elif known != wanted:
                found.planned.append(path)
        made_with = summary.get("versions", {})
        for name, now in (versions or {}).items():
            if ABSENT not in (now, made_with.get(name, ABSENT)) and made_with[name] != now:
                found.other_versions[f"{name} {made_with[name]} (now {now})"] += 1
    return found


def stale_runs(expected: Mapping[str, str], records: Path = RECORDS) -> list[str]:
    """Those summary.json files, of `expected` {path: fingerprint of present settings}, made by something else."""
    return survey(expected, records=records).stale


def refuse_stale(paths: Iterable[str]) -> None:
    """Raise StaleResultError naming the runs, if there are any."""
    refused = list(paths)
    if refused:
        raise StaleResultError(_refusal(refused))


def _refusal(paths: list[str]) -> str:
    return (
        f"{len(paths)} run(s) on disk were made by other code or settings than the present ones: "
        f"{listed([str(Path(path).parent) for path in paths])}. Delete these folders to train them again, go back to "
        "what made them, or accept them with `snakemake --touch` (docs/provenance.md)."
    )


def stale_look(path: str, wanted: str) -> bool:
    """Whether the record of a look is missing, or was made by other settings and code than those with the fingerprint
    `wanted`, or from other summaries than lie on disk now."""
    try:
        record = json.loads(Path(path).read_bytes())
        if record["settings"] != wanted:
            return True
        digests = {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in record["summaries"]}
        return bool(digests != record["summaries"])
    except (OSError, ValueError, KeyError):
        return True


def stale(summary: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Differences between what a run recorded in its summary.json and what a run would be made with now.

    `expected`: present settings, `code` included. Empty if the run is up to date.
    """
    return differences(recorded_settings(summary), json.loads(json.dumps(expected)))


def recorded_settings(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The settings a summary.json says its run was made with, `code` included."""
    try:
        return {**summary["settings"], CODE: summary[CODE]}
    except KeyError as missing:
        raise DataError(f"a run's summary has no {missing}: it was not written by this workflow") from missing


def read_summary(path: str | Path) -> dict[str, Any]:
    """A run's summary.json. Raises FileNotFoundError, or DataError if it is not a JSON object."""
    try:
        summary = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); delete the run's folder to train it again") from error
    if not isinstance(summary, dict):
        raise DataError(f"{path}: not a JSON object; delete the run's folder to train it again")
    return summary


def snakemakes_fingerprint(path: str, records: Path = RECORDS) -> str | None:
    """Fingerprint of the settings that Snakemake recorded for an output; None if it recorded nothing readable."""
    name = urlsafe_b64encode(path.encode()).decode()
    parts = [name[start : start + LONGEST_NAME - 1] for start in range(0, len(name), LONGEST_NAME - 1)]
    try:
        record = json.loads(records.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1]).read_bytes())
        (settings,) = (ast.literal_eval(text) for text in record["params"])
        return fingerprint(settings)
    except (OSError, ValueError, KeyError, TypeError, SyntaxError):
        return None
