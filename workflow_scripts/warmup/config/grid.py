"""The grid: which runs a study has, where they live, and what each of them depends on.

In: effective settings. Out: names, paths, and builtin mappings for Snakemake's `params`. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from warmup.architectures import families, starts
from warmup.config.branches import updates_before
from warmup.config.feasibility import (
    arms_are_warmups,
    micro_batch,
    of_recipe,
    tokens_needed,
    warmup_steps,
)
from warmup.config.selections import study_architectures, study_tasks

if TYPE_CHECKING:
    from warmup.settings import RunSettings

OPERATION = ("checkpoint_minutes", "checkpoint_steps", "progress_seconds", "start")
"""Keys of `training` that change nothing in a result, so no run depends on them."""

SAID_OF_IT = ("label", "role", "lineage", "micro_batch")
"""Keys of an architecture that say what it is to the study, and decide nothing of its trainings; a micro-batch stands
among those of `training`."""
SAID_OF_TASK = ("label", "role")
"""The same of a task."""
RUN_FILES = ("log.parquet", "evaluation.parquet", "attention.parquet", "summary.json", "resources.json")


OF_A_RUN = ("peak_learning_rate", "peak_learning_rates", "steps", "batch_sizes", "continues")
"""Keys of a recipe that are resolved in each run's settings (`peak_learning_rate`, `of_recipe`, `trunk`)."""


class Run(NamedTuple):
    """Coordinates of a run, as they stand in its path."""

    architecture: str
    task: str
    recipe: str
    warmup: str
    seed: str

    def folder(self) -> str:
        """Path below `runs/`, Hive style."""
        return "/".join(f"{axis}={value}" for axis, value in zip(self._fields, self, strict=True))


def run_at(folder: Path) -> Run:
    """The run that lives in this folder (the reverse of `Run.folder`)."""
    return Run(**dict(part.split("=", 1) for part in folder.parts[-len(Run._fields) :]))


def warmup_label(warmup: float) -> str:
    """A warmup as it stands in paths: shortest decimal, 0.05 -> "0.05"."""
    return f"{float(warmup):g}"


def is_adaptive(settings: Mapping[str, Any], study: str | None = None) -> bool:
    """Whether the selected study (or `study`) takes looks: asked for, and its arms are warmups."""
    return settings["design"] == "adaptive" and arms_are_warmups(settings, study or settings["study"])


def all_looks(settings: Mapping[str, Any]) -> list[int]:
    """Seeds per arm after each look of an adaptive design: the declared ones, then the extensions."""
    return [*settings["looks"]["seeds"], *settings["looks"]["extensions"]]


def spent_confidence(settings: Mapping[str, Any]) -> float:
    """Confidence of what is computed once the seeds are there: of an adaptive design, its error rate is shared by all
    sizes at which the study could have stopped."""
    confidence = settings["statistics"]["confidence"]
    return 1.0 - (1.0 - confidence) / len(all_looks(settings)) if is_adaptive(settings) else confidence


def runs(settings: Mapping[str, Any], study: str | None = None) -> list[Run]:
    """Runs of the selected study (or of `study`), each once, in the order of the configuration.

    Of an adaptive design: all that its last look could ask for, of every arm.
    """
    study = study or settings["study"]
    most = all_looks(settings)[-1] if is_adaptive(settings, study) else settings["seeds"]
    found: dict[Run, None] = {}
    for selection in settings["studies"][study]["selections"]:
        first = selection.get("first_seed", settings["first_seed"])
        seeds = range(first, first + selection.get("seeds", most))
        for architecture in study_architectures(settings, selection):
            for task in study_tasks(settings, selection):
                for recipe in selection["recipes"]:
                    for warmup in selection.get("warmups", settings["warmups"]):
                        for seed in seeds:
                            found[Run(architecture, task, recipe, warmup_label(warmup), str(seed))] = None
    return list(found)


def probe_runs(settings: Mapping[str, Any], known: list[Run]) -> list[Run]:
    """Short no-warmup runs of the architectures whose warmup is to be predicted: cells and seeds of the study's runs.

    `known` are the runs of the study (of an adaptive one, those of its first look count); an architecture that takes
    pixels gets the classification tasks only.
    """
    names = [name for name, entry in settings["architectures"].items() if entry["role"] == "predict"]
    cells = dict.fromkeys((run.task, run.recipe, run.seed) for run in known)
    if is_adaptive(settings):
        first = {run.seed: None for run in known if int(run.seed) < int(known[0].seed) + all_looks(settings)[0]}
        cells = {cell: None for cell in cells if cell[2] in first}
    return [
        Run(name, task, recipe, "0", seed)
        for name in names
        for task, recipe, seed in cells
        if settings["architectures"][name]["input"] == "embeddings"
        or settings["tasks"][task]["kind"] == "classification"
    ]


def trunk(settings: Mapping[str, Any], run: Run) -> Run | None:
    """The run whose last weights `run` begins with; None if it begins with new ones."""
    entry = settings["recipes"][run.recipe].get("continues")
    if entry is None:
        return None
    task = entry.get("task", run.task)
    return run._replace(task=task, recipe=entry["recipe"], warmup=warmup_label(entry["warmup"]))


def trunk_runs(settings: Mapping[str, Any], runs: Iterable[Run]) -> list[Run]:
    """The trunks of `runs`, and the trunks of those in turn, each once."""
    found: dict[Run, None] = {}
    while runs := [above for run in runs if (above := trunk(settings, run)) and above not in found]:
        found |= dict.fromkeys(runs)
    return list(found)


def branches(settings: Mapping[str, Any], recipes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Those of `recipes` that continue another run: its recipe, warmup and task (null: their own), and what is kept."""
    entries = {name: settings["recipes"][name].get("continues") for name in recipes}
    return {name: {"task": None, **entry} for name, entry in entries.items() if entry is not None}


def data_settings(settings: Mapping[str, Any], task: str) -> dict[str, Any]:
    """What decides the prepared data of a task: its source and shapes, and how much of it training can use."""
    entry = settings["tasks"][task]
    kept = {
        key: value
        for key, value in entry.items()
        if key not in ("batch_size", "validation_examples", "patch_size", "patch_length", *SAID_OF_TASK)
    }
    return {**kept, "tokens_needed": tokens_needed(settings, task)}


def run_settings(settings: Mapping[str, Any], run: Run) -> RunSettings:
    """Everything in the configuration that decides a training; builtins only."""
    data, settings = data_settings(settings, run.task), of_recipe(settings, run.recipe)
    training = {key: value for key, value in settings["training"].items() if key not in OPERATION}
    training["micro_batch"] = micro_batch(settings, run.architecture, run.task)
    steps = training["steps"]
    architecture = {
        key: value for key, value in settings["architectures"][run.architecture].items() if key not in SAID_OF_IT
    }
    task = {key: value for key, value in settings["tasks"][run.task].items() if key not in SAID_OF_TASK}
    recipe = {**_recipe(settings, run.recipe), "peak_learning_rate": peak_learning_rate(settings, run)}
    above = trunk(settings, run)
    return cast(
        "RunSettings",
        {
            "coordinates": {"scale": settings["scale"], **run._asdict()},
            "architecture": architecture,
            "task": task,
            "data": data,
            "recipe": recipe,
            "training": training,
            "probes": settings["probes"],
            "warmup_steps": warmup_steps(float(run.warmup), steps),
            **({"continues": _continues(settings, run.recipe, above)} if above else {}),
        },
    )


def _continues(settings: Mapping[str, Any], recipe: str, above: Run) -> dict[str, Any]:
    """What a run takes over from its trunk `above`, and how many updates that has behind it."""
    return {
        **{axis: getattr(above, axis) for axis in ("task", "recipe", "warmup")},
        "optimizer": settings["recipes"][recipe]["continues"]["optimizer"],
        "updates_before": updates_before(settings, recipe),
    }


def peak_learning_rate(settings: Mapping[str, Any], run: Run) -> float:
    """The peak rate of a run: the recipe's for its architecture and task, else for its lineage, else for everybody."""
    recipe, lineage = settings["recipes"][run.recipe], settings["architectures"][run.architecture]["lineage"]
    for name in (run.architecture, lineage):
        if run.task in recipe["peak_learning_rates"].get(name, {}):
            return float(recipe["peak_learning_rates"][name][run.task])
    return float(recipe["peak_learning_rate"])


def _recipe(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What of a recipe is the same for every architecture and task."""
    return {key: value for key, value in settings["recipes"][name].items() if key not in ("label", *OF_A_RUN)}


def models_settings(settings: Mapping[str, Any], runs: list[Run]) -> dict[str, Any]:
    """What the check of the models of `runs` depends on: each architecture, task and recipe that occurs, and steps."""
    used = {axis: dict.fromkeys(getattr(run, axis) for run in runs) for axis in ("architecture", "task", "recipe")}
    steps = {name: of_recipe(settings, name)["training"]["steps"] for name in used["recipe"]}
    return {
        "cells": [list(cell) for cell in dict.fromkeys((run.architecture, run.task, run.recipe) for run in runs)],
        "architectures": {
            name: {key: value for key, value in settings["architectures"][name].items() if key not in SAID_OF_IT}
            for name in used["architecture"]
        },
        "tasks": {name: settings["tasks"][name] for name in used["task"]},
        "recipes": {
            name: {**_recipe(settings, name), "peak_learning_rate": settings["recipes"][name]["peak_learning_rate"]}
            for name in used["recipe"]
        },
        "steps": steps,
        "warmup_steps": {
            name: sorted({warmup_steps(float(run.warmup), steps[name]) for run in runs if run.recipe == name})
            for name in used["recipe"]
        },
    }


def corners(settings: Mapping[str, Any], runs: list[Run]) -> dict[str, dict[str, list[float]]]:
    """Steps, batch size and beta2 of each recipe and task of `runs`: {recipe: {task: [80, 16, 0.9]}}."""
    found: dict[str, dict[str, list[float]]] = {}
    for recipe, task in dict.fromkeys((run.recipe, run.task) for run in runs):
        own = of_recipe(settings, recipe)
        sizes = [own["training"]["steps"], own["tasks"][task]["batch_size"], settings["recipes"][recipe]["betas"][1]]
        found.setdefault(recipe, {})[task] = sizes
    return found


def run_choices(settings: Mapping[str, Any], run: Run) -> dict[str, list[str]]:
    """Modules chosen by name that a training uses, by registered package: what its code digest is narrowed to."""
    architecture, task = settings["architectures"][run.architecture], settings["tasks"][run.task]
    recipe = settings["recipes"][run.recipe]
    family, start = families.module_name(architecture["model_type"]), starts.chosen(architecture)
    return {
        "architectures.families": [family],
        "architectures.starts": [start] if start else [],
        "tasks": [task["kind"]],
        "optimizers": [recipe["optimizer"]],
        "schedules": [recipe["schedule"]],
        "probes": enabled_probes(settings["probes"]),
        "kernels": kernels(settings, architecture["model_type"]),
    }


def kernels(settings: Mapping[str, Any], model_type: str) -> list[str]:
    """Modules of warmup.kernels that a model type uses on the device of the configuration."""
    own = list(families.family(model_type).KERNELS)
    on_gpu = ["cuda", *getattr(families.family(model_type), "GPU_KERNELS", ())]
    return [*on_gpu, *own] if settings["training"]["device"] == "cuda" else own


def data_choices(settings: Mapping[str, Any], task: str) -> dict[str, list[str]]:
    """Modules chosen by name that the preparation of a task uses."""
    entry = settings["tasks"][task]
    return {"data.sources": [entry["source"]["name"]]}


def enabled_probes(probes: Mapping[str, Any]) -> list[str]:
    """Names of the probes that the configuration switches on."""
    return [name for name, entry in probes.items() if isinstance(entry, Mapping) and entry.get("enabled", False)]


def probe_steps(settings: Mapping[str, Any]) -> int:
    """Steps of a probe run: the largest budget of the diagnostics, below half of the run."""
    budgets = settings["prediction"].get("budgets", [])
    half = (settings["training"]["steps"] - 1) // 2
    return max([budget for budget in budgets if budget <= half], default=half)
