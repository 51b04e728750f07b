"""The page of the report that says what made it: effective configuration and versions."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from warmup.files import replace_atomically
from warmup.provenance.versions import versions

SHOWN = (
    "torch",
    "transformers",
    "numba",
    "numpy",
    "polars",
    "pyarrow",
    "scipy",
    "statsmodels",
    "datasets",
    "snakemake",
)

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Configuration and versions</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 1.5em; color: #222 }}
pre {{ background: #f6f6f6; padding: 1em; overflow-x: auto; border-radius: 4px }}
td {{ padding: .15em 1.2em .15em 0 }}
</style></head>
<body>
<h2>Versions</h2>
<table>{rows}</table>
<h2>Effective configuration</h2>
<pre>{configuration}</pre>
</body>
</html>
"""


def write(settings: Mapping[str, Any], path: str | Path) -> None:
    """Write the page for effective `settings` to `path`; the configuration shown can be run as it stands."""
    scale = settings["scale"]
    runnable = {**settings, "scales": {scale: {}}}
    found = versions(SHOWN)
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(found[name]))}</td></tr>" for name in found)
    text = yaml.safe_dump(runnable, sort_keys=False, allow_unicode=True, width=110)
    replace_atomically(
        path, lambda temporary: temporary.write_text(PAGE.format(rows=rows, configuration=html.escape(text)))
    )
