"""Results that Snakemake cannot judge, because no .snakemake came with them: each run's own record is compared."""

import json
import os
import shutil
import subprocess
import sys

import polars
from dag.studies import CONFIGURATION, Study, trainings


def bare(study: Study) -> Study:
    """The study without what Snakemake wrote about it."""
    shutil.rmtree(study.folder / ".snakemake")
    return study


def snakemake(study: Study, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", *CONFIGURATION, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=study.folder, env=environment, capture_output=True, text=True, check=False)


def test_copied_results_of_the_present_code_are_taken_as_they_are(study: Study) -> None:
    plan = bare(study).plan()
    assert plan.jobs == [] and plan.warnings == []


def test_copied_results_of_other_code_are_named_since_snakemake_sees_nothing(study: Study) -> None:
    bare(study).append("architectures/families/mamba.py", "EDITED = True")
    plan = study.plan()
    assert trainings(plan) == []
    (warning,) = plan.warnings
    assert warning.startswith("4 run(s) on disk were made by other code")
    assert warning.count("architecture=mamba") == 4 and "architecture=gpt2" not in warning


def test_a_report_of_stale_runs_is_refused_by_name(study: Study) -> None:
    bare(study).append("schedules/wsd.py", "EDITED = True")
    done = snakemake(study, "--report", "report.zip")
    assert done.returncode != 0
    assert "no report: 4 run(s) on disk" in done.stderr and "recipe=wsd" in done.stderr
    assert not (study.folder / "report.zip").exists()


def test_a_report_that_waits_for_trainings_is_refused_too(study: Study) -> None:
    study.append("schedules/wsd.py", "EDITED = True")
    assert "no report: 4 run(s) on disk" in snakemake(study, "--report", "report.zip").stderr


def test_the_runs_table_marks_stale_runs(study: Study) -> None:
    bare(study).append("schedules/wsd.py", "EDITED = True")
    done = snakemake(study, "--forcerun", "runs_table", "--until", "runs_table")
    assert done.returncode == 0, done.stderr
    table = polars.read_parquet(study.folder / "results/tiny/studies/provenance/tables/runs.parquet")
    assert table.filter("stale")["recipe"].to_list() == ["wsd"] * 4
    assert len(table) == 10


def test_touch_accepts_a_harmless_change(study: Study) -> None:
    study.append("training/loop.py", "EDITED = True")
    assert trainings(study.plan())
    assert snakemake(study, "--touch").returncode == 0
    plan = study.plan()
    assert plan.jobs == [] and plan.warnings == []


def test_another_version_of_a_library_is_a_warning(study: Study) -> None:
    run = next((study.folder / "results/tiny/runs").rglob("summary.json"))
    times = run.stat()
    summary = json.loads(run.read_text())
    summary["versions"]["torch"] = "0.4.0"
    run.write_text(json.dumps(summary))
    os.utime(run, ns=(times.st_atime_ns, times.st_mtime_ns))
    plan = study.plan()
    assert plan.jobs == []
    (warning,) = plan.warnings
    assert "1 with torch 0.4.0 (now " in warning


def test_versions_invalidate_where_the_configuration_says_so(study: Study) -> None:
    """Switched on after the fact, every training depends on versions it was not recorded with."""
    plan = study.plan(configuration={"provenance": {"libraries": "invalidate"}})
    assert len(trainings(plan)) == 10
