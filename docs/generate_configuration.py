"""Write docs/configuration.md from the schema: `make docs`."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "workflow_scripts"))

from warmup.config import reference  # noqa: E402

if __name__ == "__main__":
    (DOCS / "configuration.md").write_text(reference.markdown())
