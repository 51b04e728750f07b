"""Branches: recipes whose trainings continue another run, their trunk, and what is wrong with such an entry.

In: effective settings. Out: how many updates lie behind a branch; sentences. Standard library only.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.config.selections import study_tasks
from warmup.config.wording import unknown

RESET = "reset"
"""The one answer to what is kept of the optimiser that any two optimisers can give."""


def updates_before(settings: Mapping[str, Any], recipe: str) -> int:
    """Updates that a run has behind it when it begins: those of its trunk, of the trunk's trunk, and so on."""
    return sum(_steps(settings, above) for above in _lineage(settings, recipe)[1:])


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Everything wrong with entries `continues` that can be told before anything is trained."""
    recipes = settings["recipes"]
    branches = {name: recipe["continues"] for name, recipe in recipes.items() if "continues" in recipe}
    told = [problem for name, entry in branches.items() for problem in _unknown_names(settings, name, entry)]
    yield from told
    if told:
        return
    for name, entry in branches.items():
        key, trunk = f"recipes.{name}.continues", recipes[entry["recipe"]]
        line = _lineage(settings, name)
        if len(set(line)) < len(line):
            yield f"{key}.recipe: {' -> '.join(line)} goes round in a circle"
            continue
        steps = _steps(settings, entry["recipe"])
        if int(entry["warmup"] * steps + 0.5) >= steps:
            yield f"{key}.warmup: {entry['warmup']:g} warms up for all {steps} steps; leave the trunk at least one"
        for part in ("optimizer", "options"):
            if entry["optimizer"] != RESET and trunk[part] != recipes[name][part]:
                yield (
                    f"{key}.optimizer: {entry['optimizer']} needs one {part} in trunk and branch, but "
                    f"{entry['recipe']!r} has {trunk[part]!r} and {name!r} has {recipes[name][part]!r}; use {RESET}, "
                    f"or the same {part}"
                )
    yield from _kinds(settings, branches)


def _unknown_names(settings: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    for axis, section in (("recipe", "recipes"), ("task", "tasks")):
        if axis in entry and entry[axis] not in settings[section]:
            yield unknown(f"recipes.{name}.continues.{axis}", entry[axis], settings[section])


def _kinds(settings: Mapping[str, Any], branches: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Branches of the selected study that would take the weights of one kind of task to another."""
    tasks, study = settings["tasks"], settings["studies"].get(settings["study"], {"selections": []})
    for number, selection in enumerate(study["selections"]):
        for name in filter(branches.__contains__, selection["recipes"]):
            above = branches[name].get("task")
            for task in filter(tasks.__contains__, study_tasks(settings, selection)):
                if above is not None and tasks[task]["kind"] != tasks[above]["kind"]:
                    yield (
                        f"recipes.{name}.continues.task: {above!r} is {tasks[above]['kind']}, but "
                        f"studies.{settings['study']}.selections.{number} continues it on {task!r}, which is "
                        f"{tasks[task]['kind']}; list tasks of one kind there"
                    )


def _lineage(settings: Mapping[str, Any], recipe: str) -> list[str]:
    """The recipe, its trunk's, the trunk's trunk's ...; the first one that comes twice ends the list."""
    line = [recipe]
    while (above := settings["recipes"][line[-1]].get("continues")) and len(set(line)) == len(line):
        line.append(above["recipe"])
    return line


def _steps(settings: Mapping[str, Any], recipe: str) -> int:
    return int(settings["recipes"][recipe]["steps"] or settings["training"]["steps"])
