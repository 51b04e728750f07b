"""The closure that provenance computes holds whatever a rule's script really imports; the Snakefile imports little."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from dag.studies import CONFIGURATION, Finished, Study

HEAVY = {"torch", "transformers", "polars", "scipy", "matplotlib", "numba", "pyarrow", "statsmodels", "altair"}


def test_every_module_imported_by_a_real_job_is_in_its_closure(finished: Finished) -> None:
    root = finished.folder.resolve() / "workflow_scripts"
    for record in finished.records:
        imported = {Path(file) for file in record["files"] if Path(file).is_relative_to(root)}
        known = {root / module for module in record["code"]}
        assert imported <= known, f"{record['rule']} {record['wildcards']}: {sorted(imported - known)}"
        assert imported, record["rule"]


def test_every_job_of_the_study_was_recorded(finished: Finished) -> None:
    planned = Counter(job.rule for job in Study(finished.folder).plan("--forceall").jobs)
    assert Counter(record["rule"] for record in finished.records) == planned
    assert {"prepare_data", "train", "runs_table", "optima"} <= set(planned)


def test_parsing_the_snakefile_imports_nothing_heavy(study: Study) -> None:
    """A job parses the Snakefile again, and a planning node may have none of these."""
    program = (
        "import sys; import snakemake.cli; before = set(sys.modules)\n"
        "try: snakemake.cli.main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('IMPORTED', *sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    options = ["--dry-run", "--quiet", "--cores", "1", "--configfile", *CONFIGURATION]
    done = subprocess.run(
        [sys.executable, "-c", program, *options], cwd=study.folder, capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.rpartition("IMPORTED")[2].split())
    assert "warmup" in imported
    assert not imported & HEAVY
