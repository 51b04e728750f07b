"""One forward pass of the probe examples, watched: queries and keys of every attention, inputs of every block.

Attention is recorded where transformers hands it to its attention function: after rotations, normalisations and
whatever else a model does to queries and keys, with the mask and position bias it will use. The function itself (fused
or not) still runs, so the states that reach the next layer are those of training.
"""

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from warmup.architectures import own
from warmup.probes import _operators


@dataclass(frozen=True)
class Attention:
    """What one attention module was about to compute. query [n, heads, rows, size], key [n, key heads, columns, size];
    bias is added to the scaled logits (mask and position bias), broadcastable to [n, heads, rows, columns].
    """

    query: Tensor
    key: Tensor
    scaling: float
    bias: Tensor | None
    causal: bool


@dataclass
class Captured:
    """Attention and operators by module name, and first inputs [n, positions, width] of watched modules by name."""

    attention: dict[str, Attention] = field(default_factory=dict)
    operators: dict[str, _operators.Call] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode (no dropout, no running statistics), and back as each was."""
    # transformers' RWKV rescales its weights in place when its mode changes: it stays in the mode it is in
    modes = [(module, module.training) for module in model.modules() if not hasattr(module, "layers_are_rescaled")]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class Watcher:
    """A model, and what is watched in it: found out once, since looking for it at every step costs more than looking.

    watched: names of the modules whose inputs are captured.
    """

    def __init__(self, model: nn.Module, watched: Collection[str]) -> None:
        self._model = model
        self.modules = [(name, model.get_submodule(name)) for name in watched]
        self.may_attend = any("Attention" in type(module).__name__ for module in model.modules())
        self._maps = getattr(model, "pixels", False)
        self._names = {id(module): name for name, module in model.named_modules()}
        configurations: list[Any] = [getattr(module, "config", None) for module in model.modules()]
        chosen = [getattr(configuration, "_attn_implementation", None) for configuration in configurations]
        self._implementations = {str(implementation) for implementation in chosen if implementation}
        self._operators = _operators.found(model)

    @property
    def operators(self) -> frozenset[str]:
        """Names of the modules whose calls of an operator are recorded."""
        return frozenset(self._operators)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Captured:
        """Run `inputs` through the model in evaluation mode; what its attention and the watched modules were given.

        The model's `forward` is called directly, so that a compiled model runs as written and hooks apply.
        """
        captured = Captured()
        handles = [
            module.register_forward_pre_hook(partial(_keep, captured.inputs, name, self._maps), with_kwargs=True)
            for name, module in self.modules
        ]
        try:
            with (
                evaluation_mode(self._model),
                self._recorded_attention(captured),
                _operators.recorded(self._operators, captured.operators),
            ):
                self._model.forward(inputs)
        finally:
            for handle in handles:
                handle.remove()
        return captured

    @contextmanager
    def _recorded_attention(self, captured: Captured) -> Iterator[None]:
        local = ALL_ATTENTION_FUNCTIONS._local_mapping
        before = dict(local)
        try:
            for implementation in self._implementations:
                original = ALL_ATTENTION_FUNCTIONS.get(implementation)
                local[implementation] = _recorder(original, self._names, captured)
            yield
        finally:
            local.clear()
            local.update(before)


def _keep(
    inputs: dict[str, Tensor], name: str, maps: bool, module: nn.Module, given: tuple[Any, ...], named: Any
) -> None:
    del module
    states = given[0] if given else named["hidden_states"]
    inputs[name] = own.positions(states) if maps else states


def _recorder(original: Callable[..., Any] | None, names: dict[int, str], captured: Captured) -> Callable[..., Any]:
    def record(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> Any:
        scaling = options.get("scaling")
        causal = options.get("is_causal")
        name = names.get(id(module))
        if name is not None and options.get("softcap") is None:
            captured.attention[name] = Attention(
                query=query,
                key=key,
                scaling=query.shape[-1] ** -0.5 if scaling is None else float(scaling),
                bias=_bias(attention_mask, options.get("position_bias")),
                causal=attention_mask is None
                and query.shape[2] > 1
                and bool(getattr(module, "is_causal", True) if causal is None else causal),
            )
        # eager attention is not in the table: each model's file has its own
        function = original or vars(sys.modules[type(module).__module__])["eager_attention_forward"]
        return function(module, query, key, value, attention_mask, **options)

    return record


def _bias(mask: Tensor | None, position_bias: Tensor | None) -> Tensor | None:
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, float("-inf"))
    if mask is None or position_bias is None:
        return position_bias if mask is None else mask
    return mask + position_bias
