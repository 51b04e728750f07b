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

RECOMPUTED = {"MambaMixer": ("conv1d", "x_proj", "dt_proj")}
"""Parts of a mixer whose fused CUDA kernel computes them again in the backward pass instead of keeping them, the scan's
inputs among them (mamba_ssm: MambaInnerFn, checkpoint_lvl=1). Jamba's mixer normalises in between and is not fused."""


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
    activations: int
    """Values that matrix products and recurrences keep for the backward pass, in the precision of the arithmetic."""
    norm_activations: int
    """Values that norms keep, in float32."""
    logits: int
    """Values of the output."""


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
        logits=_logits(network, task),
        **(_observed(network, task) if architecture["input"] == "pixels" else _reckoned(network, task)),
    )


@dataclass(frozen=True)
class _Product:
    """One matrix product (or convolution): its FLOPs, and the values of its input and output."""

    flops: int
    kept: int


def _products(network: model.Model, task: Task) -> Iterator[_Product]:
    """Every matrix product of one example's forward pass."""
    positions = task.positions
    outputs = positions if task.vocabulary is not None else 1  # classes and forecasts come from one state
    recomputed = set(_recomputed(network))
    for name, module in network.named_modules():
        count = outputs if name.startswith("output_adapter") else positions
        keeps = int(name not in recomputed)
        if isinstance(module, nn.Conv1d):
            length = positions + 2 * int(module.padding[0]) - module.kernel_size[0] + 1
            yield _Product(2 * module.weight.numel() * length, keeps * 2 * module.out_channels * length)
        elif name == "output_adapter" and isinstance(getattr(module, "tokens", None), nn.Embedding):
            vocabulary, width = module.get_parameter("tokens.weight").shape
            yield _Product(2 * vocabulary * width * count, width * count)
        for leaf, parameter in module.named_parameters(recurse=False):
            path = f"{name}.{leaf}" if name else leaf
            kind = roles.role(network, path)
            if kind == roles.MATRIX:
                yield _Product(2 * parameter.numel() * count, keeps * sum(parameter.shape) * count)
            elif kind == roles.STACK:
                share = _share(network, path, parameter)
                kept = sum(parameter.shape[1:]) * parameter.shape[0]
                yield _Product(round(2 * parameter.numel() * share * count), round(kept * share * count))
    width = _attention_width(network)
    for name, _ in network.named_modules():
        if width and name.rpartition(".")[2] in QUERIES:
            yield _Product(4 * positions**2 * width, 2 * positions * width)


def _recomputed(network: nn.Module) -> Iterator[str]:
    """Names of the modules whose values a fused kernel does not keep."""
    for name, module in network.named_modules():
        for part in RECOMPUTED.get(type(module).__name__, ()):
            yield f"{name}.{part}"


def _share(network: model.Model, name: str, stack: torch.Tensor) -> float:
    """Share of a stack of matrices that a token meets: of experts the chosen ones, else all.

    Raises ConfigurationError for experts whose number per token stands under no known name.
    """
    if not roles.are_experts(network.get_submodule(name.rpartition(".")[0])):
        return 1.0
    configuration = network.backbone.config
    chosen = next((getattr(configuration, key) for key in CHOSEN_EXPERTS if hasattr(configuration, key)), None)
    if not isinstance(chosen, int):
        raise ConfigurationError(
            f"model_type: how many experts a token of {configuration.model_type} visits stands under none of "
            f"{', '.join(CHOSEN_EXPERTS)}, so its cost is not known"
        )
    return min(1.0, chosen / stack.shape[0])


def _attention_width(network: model.Model) -> int:
    """Heads times their width; 0 for a backbone without attention."""
    config = network.backbone.config
    layer = config.per_layer_config[0] if getattr(config, "per_layer_config", None) else config  # they may differ
    heads = getattr(layer, "num_attention_heads", None)
    if not heads:
        return 0
    width = getattr(layer, "head_dim", None) or model.states_width(config) // heads
    return int(heads) * int(width)


def _scan_flops(network: nn.Module, positions: int) -> int:
    total = 0
    for name, parameter in network.named_parameters():
        if name.endswith("A_log"):
            total += SCAN_FLOPS * parameter.numel() * positions
        elif name.endswith("time_decay"):
            total += WKV_FLOPS * parameter.numel() * positions
    return total


def _scan_values(network: nn.Module, positions: int) -> int:
    """Inputs and outputs of the recurrences (their states are computed again in the backward pass)."""
    total = 0
    for name, parameter in network.named_parameters():
        owner = network.get_submodule(name.rpartition(".")[0])
        if name.endswith(("A_log", "time_decay")) and type(owner).__name__ not in RECOMPUTED:
            total += 3 * parameter.shape[0] * positions
    return total


def _norm_values(network: nn.Module, positions: int) -> int:
    return sum(
        parameter.numel() * positions
        for module in network.modules()
        if "norm" in type(module).__name__.lower()
        for leaf, parameter in module.named_parameters(recurse=False)
        if leaf == "weight"
    )


def _logits(network: model.Model, task: Task) -> int:
    if task.vocabulary is None:
        return 0
    return task.positions * int(network.backbone.config.vocab_size)


def _reckoned(network: model.Model, task: Task) -> dict[str, int]:
    """FLOPs and kept values of one example, from its matrix products."""
    products = list(_products(network, task))
    return {
        "matrix_flops": sum(product.flops for product in products),
        "activations": sum(product.kept for product in products) + _scan_values(network, task.positions),
        "norm_activations": _norm_values(network, task.positions),
    }


def _observed(network: model.Model, task: Task) -> dict[str, int]:
    """The same for a backbone that cuts its own patches, maybe fewer from stage to stage: such run on the meta device,
    so torch counts their FLOPs, and what autograd keeps is added up."""
    from torch.utils.flop_counter import FlopCounterMode

    if task.shape is None:
        raise AssertionError("a backbone that takes pixels is refused elsewhere for tasks without images")
    height, width, channels = task.shape
    if network.backbone.config._attn_implementation != "eager":
        network.backbone.set_attn_implementation("eager")  # torch's counter overlooks the fused one on some devices
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, torch.Tensor] = {}  # a view of what is kept already costs nothing

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage()._cdata not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    image = torch.empty(1, channels, height, width, device="meta")
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        network.train()(image)
    return {
        "matrix_flops": int(counter.get_total_flops()),
        "activations": sum(tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in kept.values()),
        "norm_activations": 0,  # among them
    }
