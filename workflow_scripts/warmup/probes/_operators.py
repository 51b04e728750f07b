"""Calls of the operators that mix positions in today's recurrent layers: what each was given, and its matrix.

Mamba-2's state space (SSD), the gated delta rule and Kimi's delta attention are functions of transformers' modelling
modules, linear in their values: out_i = sum_j M_ij value_j, for each head. For the length of a forward pass a recorder
stands before the function. M is what the same function makes of the identity, position j's value being the j-th unit
vector; so decays, step sizes, gates of the write and corrections by the delta rule are in it as the model uses them.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

VALUES = {
    "mamba2_chunk_scan": "hidden_states",
    "torch_chunk_gated_delta_rule": "value",
    "chunk_kimi_delta_attention": "value",
}
"""Operator (function of a modelling module) -> the argument [n, positions, heads, size] that it is linear in."""

DECLARED = "MIXING_OPERATOR"
"""Attribute of a mixer's class in a file of the user's own: (function of that file, its argument that it is linear in),
the arguments and the result as those above."""

SKIP = "D"
"""Argument that passes each value by the mixing, times a factor: no part of the matrix."""


@dataclass(frozen=True)
class Call:
    """One call of an operator: the function, its arguments by name, and which of them are the values."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    values: str

    @property
    def heads(self) -> int:
        """Heads that mix positions independently."""
        return int(self.arguments[self.values].shape[2])

    def output(self, **changes: Any) -> Tensor:
        """What the operator makes of its arguments [n, positions, heads, size], float32; `changes` replace some."""
        arguments = {**self.arguments, **changes}
        extra = arguments.pop("kwargs", {})
        found = self.function(**arguments, **extra)
        return (found[0] if isinstance(found, tuple) else found).float()

    def matrices(self, positions: int) -> Tensor:
        """M [n, heads, positions, positions] over at most the first `positions` positions, without the skip."""
        length = self.arguments[self.values].shape[1]
        shortened = {
            name: argument[:, :positions]
            for name, argument in self.arguments.items()
            if isinstance(argument, Tensor) and argument.ndim >= 3 and argument.shape[1] == length
        }
        values = shortened[self.values]
        identity = torch.eye(values.shape[1], dtype=torch.float32, device=values.device)
        shortened[self.values] = identity[None, :, None, :].expand(len(values), -1, self.heads, -1).contiguous()
        if SKIP in self.arguments:
            shortened[SKIP] = None  # type: ignore[assignment]
        return self.output(**shortened).permute(0, 2, 1, 3)


@dataclass(frozen=True)
class Operator:
    """A function of the module `home`, and the argument that it is linear in."""

    home: ModuleType
    function: str
    values: str


def found(model: nn.Module) -> dict[str, tuple[nn.Module, Operator]]:
    """Mixers of `model` that have an operator (of their modelling module, or the one they declare), by name."""
    mixers = {}
    for name, module in model.named_modules():
        home = sys.modules[type(module).__module__]
        declared = getattr(type(module), DECLARED, None)
        known = next((function for function in VALUES if hasattr(home, function)), None)
        if declared is not None:
            mixers[name] = (module, Operator(home, *declared))
        elif known is not None and hasattr(module, "A_log"):
            mixers[name] = (module, Operator(home, known, VALUES[known]))
    return mixers


@contextmanager
def recorded(mixers: Mapping[str, tuple[nn.Module, Operator]], calls: dict[str, Call]) -> Iterator[None]:
    """Inside, each mixer's call of its operator is put into `calls`, by the mixer's name; the operator still runs."""
    running: list[str] = []
    handles = []
    before: dict[Operator, Callable[..., Any]] = {}
    for name, (module, operator) in mixers.items():
        handles.append(module.register_forward_pre_hook(partial(_begin, running, name)))
        before[operator] = getattr(operator.home, operator.function)
    for operator, function in before.items():
        setattr(operator.home, operator.function, _recorder(function, operator.values, running, calls))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for operator, function in before.items():
            setattr(operator.home, operator.function, function)


def _begin(running: list[str], name: str, module: nn.Module, given: Any) -> None:
    del module, given
    running[:] = [name]


def _recorder(
    function: Callable[..., Any], values: str, running: list[str], calls: dict[str, Call]
) -> Callable[..., Any]:
    signature = inspect.signature(function)  # of the function as transformers wrote it, whatever is wrapped about it

    def record(*arguments: Any, **options: Any) -> Any:
        bound = signature.bind(*arguments, **options)
        if running:
            calls[running.pop()] = Call(function, bound.arguments, values)
        return function(*arguments, **options)

    return record
