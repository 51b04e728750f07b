"""Settings of the section `statistics` for tests, at the schema's defaults."""

from typing import Any

from warmup.config import configuration


def statistics(**changes: Any) -> dict[str, Any]:
    """The schema's defaults of the section, with top-level changes."""
    rule = configuration.schema()["properties"]["statistics"]
    return {**configuration.complete({}, rule), **changes}
