"""What is recorded about the inside of a run, beside its losses and norms: one module per kind of probe.

In: the section `probes` of the configuration, a model, its task, a fixed probe batch. Out: rows of attention.parquet
(step, module, layer, head, quantity, value, values; docs/probes.md lists the quantities). A probe module offers
`before_update(look)`, when gradients are there and weights are old, or `after_update(look)`, or both, each returning
rows. Probing has no state from step to step, draws no random numbers, and leaves weights, gradients, optimiser state
and the modules' modes bit for bit as they were.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from warmup import registry
from warmup.architectures import layers, roles
from warmup.probes import _cadence, _capture
from warmup.probes._look import Batch, Look, Row


def build(
    settings: Mapping[str, Any],
    *,
    model: nn.Module,
    task: Any,
    probe_batch: Batch,
    steps: int,
    micro_batch: int | None = None,
    arithmetic: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> "Probes":
    """Probes of a run of `steps` steps, as the section `probes` asks; `probe_batch` is (inputs, targets).

    `micro_batch` and `arithmetic` are the training's: see Look.
    """
    plain = getattr(model, "_orig_mod", model)
    return Probes(settings, plain, task, probe_batch, steps, micro_batch, arithmetic)


class Probes:
    """The enabled probes of one run: `due`, then `before_update` and `after_update` around the optimiser's step."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        model: nn.Module,
        task: Any,
        probe_batch: Batch,
        steps: int,
        micro_batch: int | None,
        arithmetic: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        chosen = {name: entry for name, entry in settings.items() if isinstance(entry, Mapping) and entry["enabled"]}
        self._probes: dict[str, ModuleType] = {name: registry.load("probes", name) for name in chosen}
        self._settings = chosen
        self._due = {
            name: _cadence.due_steps(steps, entry["dense"], entry["points"], entry.get("until", 1.0))
            for name, entry in chosen.items()
        }
        self._lightly_due = {
            name: probe.also_due(chosen[name], steps)
            for name, probe in self._probes.items()
            if hasattr(probe, "also_due")
        }
        self._all_due = frozenset().union(*self._due.values(), *self._lightly_due.values())
        self._model, self._task, self._steps = model, task, steps
        self._inputs = probe_batch[0][: settings["samples"]]
        self._blocks = [
            (index, f"backbone.{name}", module)
            for index, name, module in layers.blocks(model.get_submodule("backbone"))
        ]
        watched = [name for _, name, _ in self._blocks]
        for probe in self._probes.values():
            watched += probe.watched(model) if hasattr(probe, "watched") else []
        self._watcher = _capture.Watcher(model, watched)
        self._micro_batch, self._arithmetic = micro_batch, arithmetic
        self._rows: list[Row] = []
        self._old: dict[str, Tensor] = {}

    def due(self, step: int) -> bool:
        """Whether anything is probed at `step`."""
        return step in self._all_due

    def before_update(self, step: int, batch: Batch) -> None:
        """Between backward (before any clipping) and the optimiser's step: look at weights and gradients."""
        self._rows, self._old = [], {}
        if not self.due(step):
            return
        due = [name for name in self._probes if step in self._due[name]]
        if any(getattr(self._probes[name], "NEEDS_OLD_WEIGHTS", False) for name in due):
            self._old = {name: parameter.detach().clone() for name, parameter in roles.trained(self._model)}
        look = self._look(step, batch)
        for name in due:
            if hasattr(self._probes[name], "before_update"):
                look.settings = self._settings[name]
                self._rows += self._probes[name].before_update(look)

    def after_update(
        self, step: int, batch: Batch, optimizer: torch.optim.Optimizer, learning_rate: float
    ) -> list[Row]:
        """After the optimiser's step: all rows of `step`; empty if nothing is due."""
        rows, self._rows = self._rows, []
        old, self._old = self._old, {}
        look = replace(self._look(step, batch), optimizer=optimizer, learning_rate=learning_rate)
        for name, probe in self._probes.items():
            fully = step in self._due[name]
            if hasattr(probe, "after_update") and (fully or step in self._lightly_due.get(name, ())):
                look.settings, look.old = self._settings[name], old if fully else {}
                rows += probe.after_update(look)
        return rows

    def _look(self, step: int, batch: Batch) -> Look:
        return Look(
            self._model,
            self._task,
            self._blocks,
            self._inputs,
            step,
            self._steps,
            batch,
            self._watcher,
            micro_batch=self._micro_batch,
            arithmetic=self._arithmetic,
        )
