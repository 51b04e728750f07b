"""Command of `make`: Snakemake with these options, with a progress display if somebody watches.

    python -m warmup.terminal.study --cores 2 --keep-going --config scale=laptop

In a terminal it shows one line of progress and every failure; what Snakemake and the jobs say goes to a file. Elsewhere
(a pipe, CI) everything is shown as Snakemake shows it. Its exit status is Snakemake's.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]
LOGS = Path(".snakemake") / "log"
A_START = 40
"""Lines of a log that ends before anything is run: what is wrong stands in them, and no display has shown it."""


def main(options: Sequence[str]) -> int:
    """Run the study; Snakemake's exit status."""
    snakemake = [sys.executable, "-m", "snakemake"]
    signal.signal(signal.SIGINT, _wait)  # the terminal sends it to Snakemake as well, which ends its jobs first
    if not sys.stdout.isatty():
        return subprocess.run([*snakemake, *options], check=False).returncode
    log = LOGS / f"{time.strftime('%Y-%m-%dT%H%M%S')}.make.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    paths = [str(SCRIPTS / "snakemake_plugins"), str(SCRIPTS), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with log.open("w") as stream:
        command = [*snakemake, "--logger", "progress", *options]
        done = subprocess.run(command, env=environment, stderr=stream, check=False)
    said = log.read_text(errors="replace").splitlines()
    if done.returncode and len(said) < A_START:
        print("\n".join(said))
    print(f"full log: {log}")
    return done.returncode


def _wait(_number: int, _frame: object) -> None:
    """Ctrl-C is Snakemake's to answer."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
