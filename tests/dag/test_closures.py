"""The closure that provenance computes holds whatever a rule's script really imports; the Snakefile imports little."""

import subprocess
import sys
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


def test_every_rule_of_the_study_was_recorded(finished: Finished) -> None:
    command = [sys.executable, "-m", "snakemake", "--forceall", "--dry-run", "--quiet", "--configfile", *CONFIGURATION]
    done = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True, check=True)
    rows = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    planned = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    del planned["total"]
    ran: dict[str, int] = {}
    for record in finished.records:
        ran[record["rule"]] = ran.get(record["rule"], 0) + 1
    without_script = {rule for rule in planned if rule not in ran}
    assert "train" in ran
    assert without_script <= {"all"}, "these rules ran no script"
    assert ran == {rule: count for rule, count in planned.items() if rule in ran}


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
