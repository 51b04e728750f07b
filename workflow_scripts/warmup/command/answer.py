"""What each verb of the command hands back: text for people, JSON for programs, an exit code for both.

The shape of the JSON is `answers.schema.yaml` beside this file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ANSWERED, WRONG_INPUT, CANNOT_SAY = 0, 2, 3
"""Exit codes."""

FORMAT = 1
"""Version of the JSON; it grows when a program that reads it would have to change."""

SCHEMA = Path(__file__).with_name("answers.schema.yaml")


@dataclass(frozen=True)
class Answer:
    """One reply: `text` for a terminal, `data` for JSON (builtins); `said` is False where it cannot say."""

    text: str
    data: Mapping[str, Any]
    said: bool = True

    @property
    def code(self) -> int:
        """Exit code of the command."""
        return ANSWERED if self.said else CANNOT_SAY


def schema() -> dict[str, Any]:
    """JSON schema of what any verb prints with `--json`."""
    found: dict[str, Any] = yaml.safe_load(SCHEMA.read_text())
    return found
