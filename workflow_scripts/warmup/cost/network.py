"""What one example costs a network: counted from its module tree on torch's meta device, without memory or data.

FLOPs: a product of [m, k] and [k, n] counts 2 m k n; attention's two products count the whole square, as torch's own
counter and the usual utilisation figures do (Chowdhery 2204.02311, appendix B). Of experts those count that a
token visits. Element-wise work is left out but for the recurrences, which are no matrix products and are given apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from warmup import registry
from warmup.architectures import layers, model, roles
from warmup.errors import ConfigurationError
from warmup.tasks._task import Task

if TYPE_CHECKING:
    from warmup.settings import ArchitectureSettings

SCAN_FLOPS = 9
"""Per position, channel and state of a selective scan: exp(dt A) 2, dt B x 2, h = a h + b 2, C h 2, D x 1."""

WKV_FLOPS = 12
"""Per position and channel of RWKV-4's weighted mean: two maxima, four exponentials, two sums, their quotient."""

QUERIES = ("q_proj", "query", "c_attn", "qkv", "qkv_proj", "wqkv", "query_key_value", "in_proj_qkv")
"""Names of the projections that make attention's queries, alone or fused: one of them in each attention layer."""

CHOSEN_EXPERTS = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k")
"""Names that configurations give the number of experts that a token visits."""


@dataclass(frozen=True)
class Network:
    """Sizes of one (architecture, task); per example, forward pass, unless said otherwise."""

    parameters: int
    active_parameters: int
    """Parameters that a token meets: all but the experts it does not visit."""
    layers: int
    groups: int
    """Layer groups: columns of the log."""
    matrix_flops: int
    scan_flops: int


def measure(architecture: ArchitectureSettings, settings: Mapping[str, Any], folder: Path) -> Network:
    """Network of an architecture entry on a task entry (`settings`) whose data.json lies in `folder`.

    Raises ConfigurationError, naming the key, if transformers cannot build it.
    """
    task: Task = registry.load("tasks", settings["kind"]).Task(settings, folder)
    network = model.build(architecture, task, seed=0, device="meta")
    trained = dict(roles.trained(network))
    idle = sum(
        parameter.numel() * (1 - _share(network, name, parameter))
        for name, parameter in trained.items()
        if roles.role(network, name) == roles.STACK
    )
    total = sum(parameter.numel() for parameter in trained.values())
    return Network(
        parameters=total,
        active_parameters=round(total - idle),
        layers=len(layers.blocks(network.backbone)),
        groups=len(layers.layer_groups(network)),
        scan_flops=_scan_flops(network, task.positions),
        matrix_flops=_observed(network, task) if architecture["input"] == "pixels" else sum(_products(network, task)),
    )


def _products(network: model.Model, task: Task) -> Iterator[int]:
    """FLOPs of every matrix product of one example's forward pass."""
    positions = task.positions
    outputs = positions if task.vocabulary is not None else 1  # classes and forecasts come from one state
    for name, module in network.named_modules():
        count = outputs if name.startswith("output_adapter") else positions
        if isinstance(module, nn.Conv1d):
            length = positions + 2 * int(module.padding[0]) - module.kernel_size[0] + 1
            yield 2 * module.weight.numel() * length
        elif name == "output_adapter" and isinstance(getattr(module, "tokens", None), nn.Embedding):
            vocabulary, width = module.get_parameter("tokens.weight").shape
            yield 2 * vocabulary * width * count
        for leaf, parameter in module.named_parameters(recurse=False):
            path = f"{name}.{leaf}" if name else leaf
            kind = roles.role(network, path)
            if kind == roles.MATRIX:
                yield 2 * parameter.numel() * count
            elif kind == roles.STACK:
                share = _share(network, path, parameter)
                yield round(2 * parameter.numel() * share * count)
    width = _attention_width(network)
    for name, _ in network.named_modules():
        if width and name.rpartition(".")[2] in QUERIES:
            yield 4 * positions**2 * width


def _share(network: model.Model, name: str, stack: torch.Tensor) -> float:
    """Share of a stack of matrices that a token meets: of experts the chosen ones, else all.

    Raises ConfigurationError for experts whose number per token stands under no known name.
    """
    if not roles.are_experts(network.get_submodule(name.rpartition(".")[0])):
        return 1.0
    configuration: Any = getattr(network.backbone, "config", network.backbone)
    chosen = next((getattr(configuration, key) for key in CHOSEN_EXPERTS if hasattr(configuration, key)), None)
    if not isinstance(chosen, int):
        raise ConfigurationError(
            f"model_type: how many experts a token of {type(network.backbone).__name__} visits stands under none of "
            f"{', '.join(CHOSEN_EXPERTS)}, so its cost is not known"
        )
    return min(1.0, chosen / stack.shape[0])


def _attention_width(network: model.Model) -> int:
    """Heads times their width; 0 for a backbone without attention."""
    config: Any = getattr(network.backbone, "config", None)  # the user's own need none
    layer = config.per_layer_config[0] if getattr(config, "per_layer_config", None) else config  # they may differ
    heads = getattr(layer, "num_attention_heads", None)
    if not heads:
        return 0
    width = getattr(layer, "head_dim", None) or network.width // heads
    return int(heads) * int(width)


def _scan_flops(network: nn.Module, positions: int) -> int:
    total = 0
    for name, parameter in network.named_parameters():
        if name.endswith("A_log"):
            total += SCAN_FLOPS * parameter.numel() * positions
        elif name.endswith("time_decay"):
            total += WKV_FLOPS * parameter.numel() * positions
    return total


def _observed(network: model.Model, task: Task) -> int:
    """The same for a backbone that cuts its own patches, maybe fewer from stage to stage: such run on the meta device,
    so torch counts their FLOPs."""
    from torch.utils.flop_counter import FlopCounterMode

    if task.shape is None:
        raise AssertionError("a backbone that takes pixels is refused elsewhere for tasks without images")
    height, width, channels = task.shape
    backbone: Any = network.backbone
    if backbone.config._attn_implementation != "eager":
        backbone.set_attn_implementation("eager")  # torch's counter overlooks the fused one on some devices
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, channels, height, width, device="meta"))
    return int(counter.get_total_flops())
