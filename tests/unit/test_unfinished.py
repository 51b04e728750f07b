"""A report of what exists: which files are missing, why, and what stands in their places meanwhile."""

from pathlib import Path

from warmup.plots import unfinished

SUMMARY = """Building DAG of jobs...
output_file\tdate\trule\tlog-file(s)\tstatus\tplan
results/tiny/tables/runs.parquet\t-\truns_table\t-\tok\tno update
results/tiny/figures/bill.html\t-\tbill\t-\tmissing\tupdate pending
results/tiny/figures/regret.svg\t-\teffects_figures\t-\tmissing\tupdate pending
results/tiny/answers.rst\t-\teffects_figures\t-\tmissing\tupdate pending
results/tiny/tables/arms.parquet\t-\toptima\t-\tmissing\tupdate pending
"""


def logs(folder: Path) -> Path:
    for name, text in {
        "bill/warmup.log": "12:00:00 counting\n12:00:01 error: architectures.mine.model_type: <how many> experts\n",
        "optima/warmup.log": "12:00:00 done\n",
        "effects_figures/warmup.log": "",
    }.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    return folder


def test_missing_files_are_those_that_snakemake_calls_missing() -> None:
    found = unfinished.missing(SUMMARY)
    assert [file.path.name for file in found] == ["bill.html", "regret.svg", "answers.rst", "arms.parquet"]
    assert unfinished.missing("WorkflowError: configuration: seeds: ...") == []


def test_a_page_says_what_failed_or_what_it_hangs_on(tmp_path: Path) -> None:
    absent = unfinished.missing(SUMMARY)
    reasons = unfinished.causes(absent, logs(tmp_path))
    assert len(reasons) == 1
    assert reasons[0].startswith("rule bill failed: architectures.mine.model_type: <how many> experts (")
    pages = {path.name: text for path, text in unfinished.stand_ins(absent, reasons).items()}
    assert set(pages) == {"bill.html", "regret.svg", "answers.rst"}  # a table is no part of the report
    for text in pages.values():
        assert "could not be made: rule bill failed" in text
    assert "&lt;how many&gt;" in pages["bill.html"]
    assert "<how many>" in pages["answers.rst"]


def test_a_fault_of_the_workflow_is_told_by_its_last_line() -> None:
    log = "12:00 this is a fault of the workflow:\nTraceback (most recent call last):\n  ...\nKeyError: 'loss'\n"
    assert unfinished.complaint(log) == "KeyError: 'loss'"
    assert unfinished.complaint("12:00 done\n") == ""
