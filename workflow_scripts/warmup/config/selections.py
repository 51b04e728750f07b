"""What a selection of a study takes where it lists nothing. Standard library only."""

from collections.abc import Mapping
from typing import Any


def study_architectures(settings: Mapping[str, Any], selection: Mapping[str, Any]) -> list[str]:
    """Names a selection takes: those it lists, or all with role study or validate."""
    everyone = [name for name, entry in settings["architectures"].items() if entry["role"] in ("study", "validate")]
    return list(selection.get("architectures", everyone))


def study_tasks(settings: Mapping[str, Any], selection: Mapping[str, Any]) -> list[str]:
    """Names a selection takes: those it lists, or all but variants."""
    everyone = [name for name, entry in settings["tasks"].items() if entry.get("role") != "variant"]
    return list(selection.get("tasks", everyone))
