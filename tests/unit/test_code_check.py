"""A job refuses to run code that is not what its result will be recorded as."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from warmup import shipped
from warmup.errors import StaleResultError
from warmup.job import refuse_changed_code, run_job
from warmup.provenance import closure, code_state


def job(code: dict[str, str]) -> Any:
    """What Snakemake hands to a script, as far as adapters look at it."""
    return SimpleNamespace(params={"settings": {"code": code}}, log=[], scriptdir=str(shipped.ROOT))


def test_the_code_that_was_digested_is_run() -> None:
    ran = []
    run_job(ran.append, job(closure.code("warmup/job.py")))
    assert len(ran) == 1


def test_code_that_changed_since_is_refused_by_name(caplog: pytest.LogCaptureFixture) -> None:
    code = {**closure.code("warmup/job.py"), "warmup/errors.py": "something else"}
    with pytest.raises(StaleResultError, match=r"\(warmup/errors\.py\); start Snakemake again"):
        refuse_changed_code(job(code))
    ran: list[Any] = []
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit):
        run_job(ran.append, job(code))
    assert ran == []


def test_a_rule_without_recorded_code_is_not_checked() -> None:
    refuse_changed_code(SimpleNamespace(params={}))


def test_what_an_earlier_job_found_about_the_same_code_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    found = code_state.meanings()
    assert found["train.py"]
    with monkeypatch.context() as without_python:
        without_python.setattr(sys, "executable", "no such program")
        assert code_state.meanings() == found
        without_python.setattr(code_state, "state", lambda: "another state of the code")
        with pytest.raises(FileNotFoundError):
            code_state.meanings()


def test_a_file_that_is_no_python_at_the_moment_stops_only_the_jobs_that_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    (tmp_path / "whole.py").write_text("x = 1")
    (tmp_path / "half.py").write_text("x = (")
    closure.forget()
    found = closure.meanings()
    closure.forget()
    assert found.keys() == {"whole.py"}
