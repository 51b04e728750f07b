"""Snakemake logger plugin `progress`: progress and failures on standard output, everything on standard error.

The package is imported where it is used: Snakemake imports every plugin of this folder, also where another is wanted.

`warmup.terminal.study` uses it, with standard error in a file; this plugin's folder and the package on PYTHONPATH.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from logging import ERROR, WARNING, LogRecord
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from warmup.terminal.progress import Progress

CLEAR = "\r\x1b[2K"
TICK_SECONDS = 1.0


class LogHandler(LogHandlerBase):
    """Draws the line again at each event and each second."""

    def __post_init__(self) -> None:
        from warmup.terminal.progress import Progress

        self.progress: Progress = Progress(time.monotonic())
        self.ended = threading.Event()
        self.ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self.ticker.start()

    def emit(self, record: LogRecord) -> None:
        print(self.format(record), file=sys.stderr)  # the full log
        for line in self._news(record):
            print(f"{CLEAR}{line}")
        self._draw()

    def close(self) -> None:
        self.ended.set()
        self.ticker.join()
        print(f"{CLEAR}{self._line()}", flush=True)
        super().close()

    def _news(self, record: LogRecord) -> list[str]:
        """Take up what a record tells; lines that stay on the screen."""
        event, now, given = getattr(record, "event", None), time.monotonic(), record.__dict__
        if event == LogEvent.RUN_INFO:
            self.progress.plan(given["stats"])
        elif event == LogEvent.JOB_INFO:
            self.progress.start(given["jobid"], given["rule_name"], dict(given["wildcards"] or {}), now)
        elif event == LogEvent.JOB_FINISHED:
            self.progress.finish(given["job_id"], now)
        elif event == LogEvent.JOB_ERROR:
            from warmup.plots.unfinished import complaint

            name = self.progress.fail(given["jobid"]) or given["rule_name"]
            logs = [Path(log) for log in given["log"] or () if Path(log).exists()]
            said = next(filter(None, (complaint(log.read_text(errors="replace")) for log in logs)), "see its log")
            return [f"failed: {name}: {said}" + (f" ({logs[0]})" if logs else "")]
        elif event in (None, LogEvent.ERROR) and record.levelno >= WARNING:
            return [f"{'error' if record.levelno >= ERROR else 'warning'}: {record.getMessage()}"]
        return []

    def _tick(self) -> None:
        while not self.ended.wait(TICK_SECONDS):
            with self.lock:  # type: ignore[union-attr]
                self._draw()

    def _draw(self) -> None:
        print(f"{CLEAR}{self._line()}", end="", flush=True)

    def _line(self) -> str:
        return self.progress.line(time.monotonic(), shutil.get_terminal_size().columns - 1)

    writes_to_stream = True  # so that Snakemake adds no text handler of its own
    writes_to_file = False
    has_filter = False
    has_formatter = False  # Snakemake's own words go into the full log
    needs_rulegraph = False
