"""Write the pages that are made from what they describe: `make docs`.

docs/configuration.md comes from the schemas, the map of rooms in docs/architecture.md from docs/rooms.yaml.
"""

import re
import sys
from pathlib import Path

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


if __name__ == "__main__":
    (DOCS / "configuration.md").write_text(reference.markdown())
    page = DOCS / "architecture.md"
    page.write_text(MAP.sub(lambda marks: marks[1] + map_of_rooms() + marks[2], page.read_text()))
