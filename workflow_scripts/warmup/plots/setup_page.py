"""The page of the report that says what made it: effective configuration and versions."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from warmup import html_page
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


def write(settings: Mapping[str, Any], path: str | Path) -> None:
    """Write the page for effective `settings` to `path`; the configuration shown can be run as it stands."""
    scale = settings["scale"]
    runnable = {**settings, "scales": {scale: {}}}
    found = versions(SHOWN)
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(found[name]))}</td></tr>" for name in found)
    text = yaml.safe_dump(runnable, sort_keys=False, allow_unicode=True, width=110)
    body = f"<h2>Versions</h2><table>{rows}</table><h2>Effective configuration</h2>"
    body += f'<pre tabindex="0" role="region" aria-label="Effective configuration">{html.escape(text)}</pre>'
    html_page.save(html_page.page("Configuration and versions", body), path)
