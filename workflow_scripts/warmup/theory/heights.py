"""Which recipes of a study differ in nothing but the height of their plateau. Standard library: the Snakefile asks."""

from collections.abc import Iterable, Mapping
from typing import Any

HEIGHT = 1.0
"""Plateau of a `wsd` recipe that does not name one (schedules.wsd)."""


def families(recipes: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> list[dict[float, str]]:
    """Groups {plateau height: recipe name} of at least two `wsd` recipes among `names` that are otherwise equal.

    Heights ascend; groups come in the order of their first recipe.
    """
    groups: dict[str, dict[float, str]] = {}
    for name in dict.fromkeys(names):
        recipe = recipes[name]
        if recipe["schedule"] != "wsd":
            continue
        options = dict(recipe.get("schedule_options") or {})
        height = float(options.pop("plateau", HEIGHT))
        rest = {key: value for key, value in recipe.items() if key not in ("label", "schedule_options")}
        key = repr(sorted(rest.items())) + repr(sorted(options.items()))
        groups.setdefault(key, {})[height] = name
    return [dict(sorted(group.items())) for group in groups.values() if len(group) > 1]
