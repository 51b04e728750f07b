"""A job refuses to run code that is not what its result will be recorded as."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from warmup.errors import StaleResultError
from warmup.job import refuse_changed_code, run_job
from warmup.provenance import closure


def job(code: dict[str, str]) -> Any:
    """What Snakemake hands to a script, as far as adapters look at it."""
    return SimpleNamespace(params={"settings": {"code": code}}, log=[])


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
