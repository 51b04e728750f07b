"""Which statistics tables the claims of a study read. Asked while the Snakefile is parsed: standard library only."""

from collections.abc import Mapping
from typing import Any

ALWAYS = ("runs", "plateaus")
MADE_OF_THEM = "optimum_ranges"
"""The one table that the claims make themselves, from those that they always read."""


def claim_tables(claims: Mapping[str, Mapping[str, Any]], study: str) -> list[str]:
    """Names of the tables that the claims asked of `study` read, each once."""
    named = [
        part["table"]
        for entry in claims.values()
        if study in entry["studies"]
        for part in (entry["measurement"], *entry["requires"])
    ]
    return [name for name in dict.fromkeys((*ALWAYS, *named)) if name != MADE_OF_THEM]
