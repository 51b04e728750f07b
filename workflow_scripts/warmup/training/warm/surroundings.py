"""What a process has from its parent besides its program: environment, working directory, umask, limits.

A child that trains takes all of it over from its client. What acts before that, when libraries are imported, and what
cannot be taken over without privileges is fixed: it belongs to the identity of the process that forks (`address`).
"""

import os
import resource
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

READ_AT_IMPORT = (
    *("ARROW_", "CUDA_", "GLIBC_", "GOMP_", "GOTO_", "HF_", "KMP_", "LC_", "LD_", "MALLOC_", "MKL_", "NUMBA_"),
    *("NUMEXPR_", "OMP_", "OPENBLAS_", "PYTHON", "PYTORCH_", "TORCH", "TRANSFORMERS_", "TRITON_", "VECLIB_", "XDG_"),
    *("HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "CONDA_PREFIX"),
)
"""Beginnings of the names of variables that libraries read when they are imported."""

_LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


def fixed() -> dict[str, Any]:
    """What this process cannot give to a child of another process any more."""
    return {
        "interpreter": [sys.executable, sys.version, sys.prefix],
        "packages": {path: Path(path).stat().st_mtime_ns for path in sys.path if path.endswith("site-packages")},
        "variables": {name: value for name, value in os.environ.items() if name.startswith(READ_AT_IMPORT)},
        "niceness": os.nice(0),
        "hard limits": {name: resource.getrlimit(number)[1] for name, number in _LIMITS.items()},
    }


def take() -> dict[str, Any]:
    """Those of this process, to be sent to another."""
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109
        "umask": umask,
        "soft limits": {name: resource.getrlimit(number)[0] for name, number in _LIMITS.items()},
        "processors": sorted(os.sched_getaffinity(0)),
    }


def put_on(taken: Mapping[str, Any]) -> None:
    """Make those that another process took one's own."""
    os.environ.clear()
    os.environ.update(taken["environment"])
    tempfile.tempdir = None  # found anew in this environment
    os.chdir(taken["folder"])
    os.umask(taken["umask"])
    for name, soft in taken["soft limits"].items():
        resource.setrlimit(_LIMITS[name], (soft, resource.getrlimit(_LIMITS[name])[1]))
    os.sched_setaffinity(0, taken["processors"])
