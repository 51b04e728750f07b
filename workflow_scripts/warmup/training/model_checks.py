"""Every model of a study built once, small mistakes found before the first training starts.

In: the parts of the configuration that make models, and the prepared data. Out: what each is made of (for the report
and the plan). Refused: what transformers cannot build, run or does not know, too long a sequence, a language model
that looks ahead, statistics of batches.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from warmup import kernels, registry, schedules
from warmup.architectures import families, layers, model, own, roles, warmup_roles
from warmup.errors import ConfigurationError
from warmup.tasks._task import Task

if TYPE_CHECKING:
    from warmup.settings import ArchitectureSettings

TOLERANCE = 1e-4
"""Largest change of earlier states by a later position that rounding may cause."""

TRIED_TOKENS = 16
"""Length of the texts that a language model is tried on: mistakes do not need long ones."""

logger = logging.getLogger("warmup")


def check(settings: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
    """Description of every (architecture, task) of `settings["cells"]`: parameters, layer groups, roles.

    data: folder of prepared data by task. Raises ConfigurationError for what cannot be trained: all of it in one
    message, each with its key.
    """
    torch.set_num_threads(1)
    problems: list[str] = []

    @contextmanager
    def told(key: str, where: str = "") -> Iterator[None]:
        try:
            yield
        except ConfigurationError as error:
            problems.append(f"{key}{error}{where}")

    tasks: dict[str, Task] = {}
    for name, entry in settings["tasks"].items():
        with told(f"tasks.{name}."):
            tasks[name] = registry.load("tasks", entry["kind"]).Task(entry, data[name])
    for name in settings["recipes"]:
        with told(f"recipes.{name}: "):
            _recipe(settings, name)
    described: dict[str, dict[str, Any]] = {}
    for architecture, task in dict.fromkeys((architecture, task) for architecture, task, _ in settings["cells"]):
        if task not in tasks:
            continue
        with told(f"architectures.{architecture}.", f" (task {task})"):
            described.setdefault(architecture, {})[task] = describe(
                settings["architectures"][architecture], tasks[task]
            )
            logger.info(
                "%s on %s: %s parameters", architecture, task, f"{described[architecture][task]['parameters']:,}"
            )
    for architecture, task, recipe in settings["cells"]:
        if task in described.get(architecture, {}):
            with told(f"recipes.{recipe}.", f" (architecture {architecture}, task {task})"):
                present = set(described[architecture][task]["warmup_roles"])
                for missing in warmup_roles.refuse_missing(settings["recipes"][recipe], present):
                    logger.info(
                        "recipe %s: %s has no %s, so nothing of it is warmed or left out", recipe, architecture, missing
                    )
    if len(problems) > 1:
        problems = [f"{len(problems)} things of this study cannot be trained:", *(f"  - {line}" for line in problems)]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return described


def describe(architecture: ArchitectureSettings, task: Task) -> dict[str, Any]:
    """As `describe_on_meta`, after a step without its update, and refusing a model of tokens that looks ahead."""
    described = describe_on_meta(architecture, task)
    kernels.install("cpu", 1, architecture["model_type"])
    network = model.build(architecture, task, seed=0)
    if "source" in architecture:
        own.refuse_other_interface(network.backbone, architecture)
    refuse_failing(network, architecture, task)
    if task.vocabulary is not None:
        refuse_looking_ahead(network, architecture, task)
    return described


def describe_on_meta(architecture: ArchitectureSettings, task: Task) -> dict[str, Any]:
    """Number of trained parameters, in all and by layer group, role and warmup role, of an entry; takes no memory."""
    network = model.build(architecture, task, seed=0, device="meta")
    _positions(network, architecture, task)
    refuse_running_statistics(network, architecture)
    sizes = {name: parameter.numel() for name, parameter in roles.trained(network)}
    groups = layers.layer_groups(network)
    kinds = {name: roles.role(network, name) for name in sizes}
    return {
        "parameters": sum(sizes.values()),
        "layer_groups": {group: sum(sizes[name] for name in names) for group, names in groups.items()},
        "roles": _summed(sizes, kinds),
        "warmup_roles": _summed(sizes, warmup_roles.warmup_roles(network)),
        "width": network.width,
        "layers": len(layers.blocks(network.backbone)),
    }


def _summed(sizes: Mapping[str, int], kinds: Mapping[str, str]) -> dict[str, int]:
    """Parameters of each kind."""
    found: dict[str, int] = {}
    for name, size in sizes.items():
        found[kinds[name]] = found.get(kinds[name], 0) + size
    return found


def refuse_running_statistics(network: torch.nn.Module, architecture: ArchitectureSettings) -> None:
    """Raise ConfigurationError if a part normalises by statistics of the batch, or keeps running ones of them.

    Such a network is another one in a micro-batch than in a whole batch, and another one again in validation and in the
    probes, which run it in evaluation mode.
    """
    found = {
        type(part).__name__
        for part in network.modules()
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)
        or any(name in ("running_mean", "running_var") for name, _ in part.named_buffers(recurse=False))
    }
    if found:
        key, name, _ = _called(architecture)
        raise ConfigurationError(
            f"{key}: {name} normalises by statistics of its batches ({', '.join(sorted(found))}): probes, validations "
            "and micro-batches see another network; take one with LayerNorm or GroupNorm"
        )


def refuse_failing(network: model.Model, architecture: ArchitectureSettings, task: Task) -> None:
    """Raise ConfigurationError if two examples (of a text: their beginnings) do not pass forward and backward."""
    inputs, targets = task.examples("train", np.arange(2))
    if task.vocabulary is not None:
        inputs, targets = inputs[:, :TRIED_TOKENS], targets[:, :TRIED_TOKENS]
    try:
        task.loss(network(inputs), targets).backward()
    except Exception as error:  # whatever transformers' code may raise; told with its place
        place = traceback.extract_tb(error.__traceback__)[-1]
        key, name, where = _called(architecture)
        raise ConfigurationError(
            f"{key}: a training step of {name} on a CPU fails in {where}: "
            f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno}); "
            "change its settings, or leave this architecture out"
        ) from error
    network.zero_grad(set_to_none=True)


def refuse_looking_ahead(network: model.Model, architecture: ArchitectureSettings, task: Task) -> None:
    """Raise ConfigurationError if an output at a position depends on a later position: no language model then."""
    network.eval()
    length = min(task.positions, TRIED_TOKENS)
    tokens = torch.arange(length).remainder(task.vocabulary or 1)[None]
    changed = tokens.clone()
    changed[0, -1] = (changed[0, -1] + 1) % (task.vocabulary or 1)
    with torch.no_grad():
        before, after = network(tokens).logits()[0, :-1], network(changed).logits()[0, :-1]
    difference = float((before - after).abs().max() / before.abs().max().clamp(min=1e-12))
    if not difference <= TOLERANCE:
        key, name, _ = _called(architecture)
        raise ConfigurationError(
            f"{key}: {name} lets a position see later ones (its outputs change by "
            f"{difference:.0e}), so it cannot model language; take a causal backbone, or tasks that are not language"
        )


def _called(architecture: ArchitectureSettings) -> tuple[str, str, str]:
    """The key that names a backbone, what it is called, and whose code it is."""
    if "source" in architecture:
        return "source", own.named(architecture), "its file or torch"
    return "model_type", architecture["model_type"], "transformers or torch"


def _positions(network: model.Model, architecture: ArchitectureSettings, task: Task) -> None:
    if architecture["input"] == "pixels":
        return
    longest = families.family(architecture["model_type"]).longest_sequence(architecture["settings"])
    settings = getattr(network.backbone, "config", network.backbone)
    limit = longest or ("max_position_embeddings", getattr(settings, "max_position_embeddings", None))
    if limit[1] is not None and 0 < limit[1] < task.positions:  # XLNet's -1: no limit
        raise ConfigurationError(
            f"settings.{limit[0]}: {limit[1]} positions are fewer than the task's {task.positions}"
        )


def _recipe(settings: Mapping[str, Any], name: str) -> None:
    """Build the schedules and the optimiser of a recipe once, so that a wrong option is found now."""
    recipe = settings["recipes"][name]
    for warmed in settings["warmup_steps"][name]:
        schedules.learning_rates(recipe, settings["steps"][name], warmed)
    weight = torch.nn.Parameter(torch.ones(2, 2))
    group = {"params": [weight], "names": ["weight"], "role": roles.MATRIX, "attention_qk": False, "weight_decay": 0.0}
    group["warmup_role"] = warmup_roles.FEED_FORWARD
    registry.load("optimizers", recipe["optimizer"]).create([group], recipe)
