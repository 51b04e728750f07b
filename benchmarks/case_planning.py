"""Planning with `snakemake --dry-run`, against the seconds it may take and against Snakemake alone (planning.py)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import planning
from benchmarks.measure import REPOSITORY, Machine, Row, single

PLANS = planning.CASES[:2]
"""840 runs, new and finished; planning.py itself also times 8,400."""


def rows(_machine: Machine) -> Iterator[Row]:
    """Two rows for each plan: wall-clock seconds over the limit, processor seconds over Snakemake's own."""
    for plan in PLANS:
        with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as plain:
            Path(plain, "Snakefile").write_text(planning.PLAIN.format(runs=plan.runs))
            options = ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(REPOSITORY / "config.yaml")]
            options += ["--workflow-profile", str(REPOSITORY / "profiles" / "default"), "--config", *plan.configuration]
            if plan.finished:
                planning.finish(Path(ours), options)
                planning.finish(Path(plain), [])
            seconds, processor = planning.planning(Path(ours), options, 3)
            _, alone = planning.planning(Path(plain), [], 3)
        case = f"plan of {plan.name}"
        yield single(case, f"{seconds:.1f} s", f"limit {plan.limit:.0f} s", seconds / plan.limit, 1.0)
        yield single(case, f"{processor:.1f} s of processor", f"Snakemake alone {alone:.1f} s", processor / alone, None)
