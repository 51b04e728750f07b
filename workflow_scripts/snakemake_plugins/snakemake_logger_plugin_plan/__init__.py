"""Snakemake logger plugin `plan`: the jobs of a plan as JSON lines, for `warmup.why` and the tests of provenance.

`snakemake --dry-run --logger plan --logger-plan-path FILE`, with this plugin's folder on PYTHONPATH. One line per
job: rule, wildcards, reason, output; one line per warning or error. Snakemake's own text stays off the screen.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    path: Path | None = field(default=None, metadata={"help": "File the plan is written to.", "type": Path})


class LogHandler(LogHandlerBase):
    """Writes what `warmup.why` reads; see `describe` for the form."""

    def __post_init__(self) -> None:
        path = self.settings.path if isinstance(self.settings, LogHandlerSettings) else None
        if path is None:
            raise ValueError("--logger plan needs --logger-plan-path FILE")
        self.stream = path.open("w")

    def emit(self, record: LogRecord) -> None:
        described = describe(record)
        if described:
            self.stream.write(json.dumps(described) + "\n")
            self.stream.flush()

    def close(self) -> None:
        self.stream.close()
        super().close()

    writes_to_stream = True  # so that Snakemake adds no text handler of its own
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False


def describe(record: LogRecord) -> Mapping[str, Any] | None:
    """A planned job as {"rule", "wildcards", "reason", "output", "benchmark"}, a warning as {"warning"}, an error as
    {"error"}; None for anything else."""
    if getattr(record, "event", None) == LogEvent.JOB_INFO:
        return {
            "rule": record.rule_name,  # type: ignore[attr-defined]
            "wildcards": dict(record.wildcards or {}),  # type: ignore[attr-defined]
            "reason": record.reason,  # type: ignore[attr-defined]
            "output": list(record.output or []),  # type: ignore[attr-defined]
            "benchmark": record.benchmark,  # type: ignore[attr-defined]
        }
    if record.levelno >= WARNING:
        return {"warning" if record.levelno == WARNING else "error": record.getMessage()}
    return None
