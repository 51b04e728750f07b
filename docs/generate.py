"""Write the pages that are made from what they describe: `make docs`.

docs/configuration.md comes from the schemas, docs/tables.md from docs/tables.yaml, the map of rooms in
docs/architecture.md from docs/rooms.yaml.
"""

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "workflow_scripts"))

from warmup.config import reference  # noqa: E402

MAP = re.compile(r"(<!-- rooms -->\n).*?(<!-- /rooms -->)", re.DOTALL)
"""The part of docs/architecture.md that is written here."""


def map_of_rooms() -> str:
    """Markdown table of the package's rooms, from the ground up."""
    rooms = yaml.safe_load((DOCS / "rooms.yaml").read_text())
    rows = [f"| `{name}` | {entry['holds']} | {', '.join(entry['uses']) or '-'} |" for name, entry in rooms.items()]
    return "\n".join(["| room | what it holds | may use |", "| --- | --- | --- |", *rows, ""])


TABLES_HEAD = """# Tables: what each file of results holds

<!-- Written by `make docs` from docs/tables.yaml. -->

**You have a column and want to know what it says.** Search this page for its name. Read a table like this:

```py
import polars

polars.read_parquet("results/laptop/studies/warmup/tables/plateaus.parquet")
polars.scan_parquet(  # all runs; their coordinates become columns, layer groups that a network lacks are left out
    "results/laptop/runs/**/log.parquet", hive_partitioning=True, extra_columns="ignore", missing_columns="insert"
)
```

Words in their one sense: [glossary](glossary.md). Limits have the confidence `statistics.confidence` of the
configuration. Null says that there is no number; a column `note` beside it says why. The version of all columns is in
each Parquet file's metadata, under `warmup_sweep_tables` ([changes](../CHANGELOG.md)).
"""


def described() -> dict[str, dict[str, str]]:
    """{table: {column: what it holds, its unit last in brackets}}; shared columns first."""
    page = yaml.safe_load((DOCS / "tables.yaml").read_text())
    return {
        name: {
            **{column: text for group in table.get("shared", []) for column, text in page["shared"][group].items()},
            **table["columns"],
        }
        for section in page["sections"]
        for name, table in section["tables"].items()
    }


def unit(text: str) -> str:
    """The unit of a described column; empty for one that is no number."""
    return text.rpartition("[")[2].removesuffix("]") if text.endswith("]") else ""


def tables() -> str:
    """docs/tables.md: every table and column of the results."""
    page = yaml.safe_load((DOCS / "tables.yaml").read_text())
    lines = [TABLES_HEAD, "## Units", "", "| unit | meaning |", "| --- | --- |"]
    lines += [f"| {name} | {meaning} |" for name, meaning in page["units"].items()]
    lines += [
        "",
        "## Shared columns",
        "",
        *_columns({k: v for group in page["shared"].values() for k, v in group.items()}),
    ]
    for section in page["sections"]:
        lines += [f"## {section['title']}", "", _filled(f"In `{section['folder']}`. {section['what']}"), ""]
        for name, table in section["tables"].items():
            lines += [f"### {name.removeprefix('theory/')}", "", _filled(f"{table['what']} Rows: {table['rows']}.")]
            shared = [f"`{column}`" for group in table.get("shared", []) for column in page["shared"][group]]
            lines += [_filled(f"Shared columns: {', '.join(shared)}."), ""] if shared else [""]
            lines += _columns(table["columns"])
    return "\n".join(lines)


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _columns(columns: dict[str, Any]) -> list[str]:
    rows = [
        f"| `{name}` | {unit(text)} | {text.removesuffix(f'[{unit(text)}]').strip()} |"
        for name, text in columns.items()
    ]
    return ["| column | unit | what it holds |", "| --- | --- | --- |", *rows, ""]


if __name__ == "__main__":
    (DOCS / "configuration.md").write_text(reference.markdown())
    (DOCS / "tables.md").write_text(tables())
    page = DOCS / "architecture.md"
    page.write_text(MAP.sub(lambda marks: marks[1] + map_of_rooms() + marks[2], page.read_text()))
