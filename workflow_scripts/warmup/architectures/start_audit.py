"""The start of every model of a study, measured at step 0 before anything is trained.

In: the parts of the configuration that make models, and the prepared data. Out: `PARAMETERS`, one row per parameter
(its values, and how far they lie from the authors' law), and `NETWORKS`, one row per quantity of a network: step sizes
and decays, the residual stream, the first loss, where the first gradient goes. Seed 0, the first batch of training.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import polars
import torch
from torch import Tensor, nn

from warmup import registry
from warmup.architectures import layers, model, roles, spectral_norm, starts
from warmup.architectures.starts import _laws, _place

if TYPE_CHECKING:
    from warmup.settings import ArchitectureSettings
    from warmup.tasks._task import Task

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Of step sizes and decays."""

RECURRENT = {"dt_proj.bias": "step", "dt_bias": "step", "A_log": "rate", "time_decay": "decay"}
"""Ends of names -> bias of a step size, log of a decay rate per unit of it, RWKV's log of one per position."""

CHANCE = 1e-6
"""A parameter drawn from its law is taken for one that is not in this share of looks."""

CELL = {"architecture": polars.String(), "task": polars.String()}
PARAMETERS: dict[str, Any] = {
    **CELL,
    "parameter": polars.String(),
    "place": polars.String(),
    "layer": polars.Int64(),
    "role": polars.String(),
    "entries": polars.Int64(),
    "mean": polars.Float64(),
    "deviation": polars.Float64(),
    "zeros": polars.Float64(),
    "sigma_1": polars.Float64(),
    "law": polars.String(),
    "law_varies": polars.Boolean(),
    "law_deviation": polars.Float64(),
    "distance": polars.Float64(),
    "distance_by_chance": polars.Float64(),
    "drawn_by": polars.String(),
}
"""One row per trained parameter.

place: the name without its block. zeros: share of entries that are 0. sigma_1: largest singular value (the largest over
the matrices of a stack), null where the parameter is no matrix. law: the authors', null where there is no
specification. law_varies: its entries are not all alike. distance: from it, 0 to 1 (see `_laws.Law.distance`).
distance_by_chance: what draws from the law exceed in CHANCE of looks. drawn_by: authors, or library.
"""

NETWORKS: dict[str, Any] = {
    **CELL,
    "quantity": polars.String(),
    "layer": polars.Int64(),
    "group": polars.String(),
    "quantile": polars.Float64(),
    "value": polars.Float64(),
}
"""One row per quantity of a network.

step_size (Delta, softplus of its bias) and kept (share of its state that a recurrence keeps from one position to the
next, over channels and states) by layer and quantile; residual_rms of the stream before the first block (layer -1) and
after each; logits_rms; first_loss, and uniform_loss of a network that knows nothing; gradient_share of the first
squared gradient norm by layer group.
"""

logger = logging.getLogger("warmup")


def audit(
    settings: Mapping[str, Any], data: Mapping[str, str], prepare: Callable[[str], object]
) -> tuple[polars.DataFrame, polars.DataFrame]:
    """PARAMETERS and NETWORKS of every (architecture, task) of `settings["cells"]`.

    data: prepared folder by task. prepare: called with a model type before its network is built (binds its kernels).
    """
    torch.set_num_threads(1)
    parameters, networks = [], []
    for name, on in dict.fromkeys((architecture, task) for architecture, task, _ in settings["cells"]):
        entry, task_entry = settings["architectures"][name], settings["tasks"][on]
        task = registry.load("tasks", task_entry["kind"]).Task(task_entry, data[on])
        prepare(entry["model_type"])
        network = model.build(entry, task, seed=0)
        cell = {"architecture": name, "task": on}
        parameters += [cell | row for row in parameter_rows(network, entry)]
        networks += [cell | row for row in network_rows(network, task)]
        logger.info("%s on %s: start audited (%s)", name, on, drawn_by(entry))
    return polars.DataFrame(parameters, schema=PARAMETERS), polars.DataFrame(networks, schema=NETWORKS)


def drawn_by(entry: ArchitectureSettings) -> str:
    """Whose start an entry of the configuration gets: the authors', the library's, or that of the user's own class."""
    if "source" in entry:
        return starts.OWN
    return starts.LIBRARY if starts.chosen(entry) is None else starts.AUTHORS


@torch.no_grad()
def parameter_rows(network: nn.Module, entry: ArchitectureSettings) -> Iterator[dict[str, Any]]:
    """Rows of PARAMETERS without their cell."""
    module = starts.module_name(entry["model_type"])
    specification = registry.load("architectures.starts", module) if module else None
    scale = float(entry.get("interventions", {}).get("initial_scale", 1.0))
    for name, parameter, place in _place.places(network):
        role = roles.role(network, name)
        law = specification.law(place) if specification else None
        values = parameter.detach().float()
        meant = values / scale if scale != 1.0 and role != roles.OTHER and name.startswith("backbone.") else values
        matrices = values.flatten(0, -3) if values.ndim > 2 else values[None]
        yield {
            "parameter": name,
            "place": place.path,
            "layer": -1 if place.block is None else place.block,
            "role": role,
            "entries": values.numel(),
            "mean": float(values.mean()),
            "deviation": float(values.std(unbiased=False)),
            "zeros": float((values == 0).float().mean()),
            "sigma_1": None if role == roles.OTHER else max(spectral_norm.largest(list(matrices))),
            "law": law.text if law else None,
            "law_varies": None if law is None else _varies(law),
            "law_deviation": law.deviation if law else None,
            "distance": law.distance(meant) if law else None,
            "distance_by_chance": None if law is None else _by_chance(law, values.numel()),
            "drawn_by": drawn_by(entry) if law is not None or "source" in entry else starts.LIBRARY,
        }


def network_rows(network: model.Model, task: Task) -> list[dict[str, Any]]:
    """Rows of NETWORKS without their cell; leaves the first gradient in the network."""
    rows = [*_recurrences(network)]
    inputs, targets = task.batch(seed=0, step=0)
    with _Stream(network) as stream:
        outputs = network(inputs)
        loss = task.loss(outputs, targets)
    loss.backward()
    rows += [_row("residual_rms", value, layer=layer) for layer, value in stream.rms.items()]
    logits = outputs.logits() if hasattr(outputs, "logits") else outputs
    rows += [_row("logits_rms", _rms(logits)), _row("first_loss", float(loss.detach()))]
    rows.append(_row("uniform_loss", _knowing_nothing(task, targets)))
    squares = {
        group: sum(
            float(p.grad.square().sum()) for name in names if (p := network.get_parameter(name)).grad is not None
        )
        for group, names in layers.layer_groups(network).items()
    }
    whole = sum(squares.values())
    return rows + [_row("gradient_share", square / whole, group=group) for group, square in squares.items() if whole]


def _row(quantity: str, value: float, *, layer: int = -1, group: str = "", quantile: float | None = None) -> Any:
    return {"quantity": quantity, "layer": layer, "group": group, "quantile": quantile, "value": value}


def _knowing_nothing(task: Task, targets: Tensor) -> float:
    """Loss of equal probabilities for all tokens or classes, or of forecasting the mean."""
    if task.vocabulary is not None:
        return math.log(task.vocabulary)
    return math.log(len(task.facts["classes"])) if "classes" in task.facts else float(targets.square().mean())


@torch.no_grad()
def _recurrences(network: nn.Module) -> Iterator[dict[str, Any]]:
    """Quantiles of step sizes and of the share kept, of every layer that has a recurrence with a decay of its own."""
    by_block: dict[int, dict[str, Tensor]] = {}
    for _, parameter, place in _place.places(network):
        for ending, what in RECURRENT.items():
            if place.block is not None and place.path.endswith(ending):
                by_block.setdefault(place.block, {})[what] = parameter.double()
    for block, found in by_block.items():
        quantities = {}
        if "step" in found:
            quantities["step_size"] = steps = nn.functional.softplus(found["step"])
            if "rate" in found:
                rates = found["rate"].exp()
                quantities["kept"] = torch.exp(-(steps[:, None] * rates if rates.ndim == 2 else steps * rates))
        if "decay" in found:
            quantities["kept"] = torch.exp(-found["decay"].exp())
        for quantity, values in quantities.items():
            levels = torch.quantile(values.flatten(), torch.tensor(QUANTILES, dtype=torch.float64)).tolist()
            for quantile, level in zip(QUANTILES, levels, strict=True):
                yield _row(quantity, level, layer=block, quantile=quantile)


class _Stream:
    """Root mean square of the residual stream before the first block (-1) and after each, while the network runs."""

    def __init__(self, network: model.Model) -> None:
        self.rms: dict[int, float] = {}
        self._blocks = layers.blocks(network.backbone)

    def __enter__(self) -> _Stream:
        self._hooks = [
            block.register_forward_hook(lambda _, __, outputs, index=index: self._note(index, outputs))
            for index, _, block in self._blocks
        ]
        first = self._blocks[0][2]
        self._hooks.append(
            first.register_forward_pre_hook(
                lambda _, inputs, named: self._note(-1, inputs or next(iter(named.values()))), with_kwargs=True
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _note(self, layer: int, states: Any) -> None:
        self.rms[layer] = _rms(states[0] if isinstance(states, tuple) else states)
        self.rms = dict(sorted(self.rms.items()))


def _rms(values: Tensor) -> float:
    return float(values.detach().float().square().mean().sqrt())


def _varies(law: _laws.Law) -> bool:
    """Whether the law's entries differ from each other."""
    if not isinstance(law, _laws.Fixed):
        return True
    values = torch.as_tensor(law.values, dtype=torch.float32)
    return bool((values != values.flatten()[0]).any())


def _by_chance(law: _laws.Law, entries: int) -> float:
    """Limit of the Kolmogorov-Smirnov distance of draws from their own law (Dvoretzky, Kiefer and Wolfowitz)."""
    return 0.0 if isinstance(law, _laws.Fixed) else math.sqrt(-math.log(CHANCE / 2) / (2 * entries))
