"""Starting and ending processes quickly: what must still happen."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from warmup.training import startup


def run(code: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(startup.__file__).parents[2])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("ending, status", [("pass", 0), ("sys.exit(143)", 143), ("sys.exit()", 0)])
def test_streams_are_flushed_and_exit_functions_run(ending: str, status: int) -> None:
    done = run(
        "import atexit, sys; from warmup.training import startup\n"
        "atexit.register(lambda: print('registered'))\n"
        "with startup.quick_exit():\n"
        f"    print('inside'); sys.stderr.write('said'); {ending}\n"
        "print('never')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "inside\nregistered\n", "said")


def test_an_exception_or_a_message_takes_the_usual_way() -> None:
    done = run("from warmup.training import startup\nwith startup.quick_exit():\n    1 / 0\n")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    done = run("import sys; from warmup.training import startup\nwith startup.quick_exit():\n    sys.exit('because')\n")
    assert done.returncode == 1 and done.stderr == "because\n"


def test_collection_is_as_before_afterwards() -> None:
    assert gc.isenabled()
    with startup.no_collection():
        assert not gc.isenabled()
        with startup.no_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
