"""Where the package lies, and the study's own files (config.yaml, schemas/): in a checkout or inside an installed copy.

`pip install .` puts those files into the package (pyproject.toml); in a checkout they stand at its root, once. Standard
library only, since the Snakefile is parsed again in every job.
"""

import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
"""The folder of the package."""

ROOT = PACKAGE.parent
"""The folder it is imported from: `workflow_scripts` of a checkout, or the `site-packages` of an environment."""

IN_CHECKOUT = (ROOT.parent / "Snakefile").is_file()
"""Whether this is the package of a checkout, with the rules' scripts beside it."""

STUDY = ROOT.parent if IN_CHECKOUT else PACKAGE / "study"
"""The folder of config.yaml and schemas/."""

CODE = ROOT if IN_CHECKOUT else PACKAGE
"""The folder whose files are this repository's: an environment has others' beside the package."""


def shadowed(scripts: str | Path) -> str | None:
    """Why this process would run other code than that of the checkout with the folder `scripts`; None if it would not.

    Snakemake puts `workflow_scripts` behind the environment on `sys.path`, so a copy that is installed there wins,
    while digests are those of the checkout.
    """
    wanted = Path(scripts).resolve() / PACKAGE.name
    return None if wanted == PACKAGE else _sentence(PACKAGE, wanted)


def shadow() -> str | None:
    """As `shadowed`, for the jobs that this process is about to start: a copy that stands on `sys.path`."""
    for entry in filter(None, sys.path):
        found = (Path(entry) / PACKAGE.name).resolve()
        if found != PACKAGE and (found / "__init__.py").is_file():
            return _sentence(found, PACKAGE)
    return None


def _sentence(other: Path, wanted: Path) -> str:
    return (
        f"the package `{PACKAGE.name}` would be imported from {other}, but this workflow's own is {wanted}, and "
        "results are recorded as made by that; pip uninstall warmup-sweep, or take the other off PYTHONPATH "
        "(`make env` installs the command so that it hides nothing)"
    )
