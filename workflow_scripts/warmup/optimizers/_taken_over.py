"""The state of an optimiser that goes on where another one of its kind ended: all of it, or without its moments.

In: a new optimiser, and the `state_dict` of the other. Out: nothing; the new one has the state, and keeps its own rate,
betas and decay. Parameters are told by name, so that the two may be grouped differently (by warmup role, say).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

KEPT, MOMENTS_RESET = "kept", "moments_reset"
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")
"""Running averages of gradients, as torch's optimisers and those of this folder name them."""


def take_over(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any], how: str) -> None:
    """Give `optimizer` the state in `saved` as it is (`kept`) or with its averages at zero (`moments_reset`).

    What its class counts in groups (COUNT_IN_GROUPS) is taken over as it is.
    """
    own, counts = optimizer.state_dict(), getattr(optimizer, "COUNT_IN_GROUPS", ())
    before = {place: (group, saved["state"].get(index)) for place, group, index in _places(saved)}
    state: dict[int, Mapping[str, Any]] = {}
    groups: dict[int, dict[str, Any]] = {}
    for place, group, index in _places(own):
        there, found = before[place]
        if found is not None:
            state[index] = found if how == KEPT else _without_moments(found)
        groups.setdefault(id(group), {**group, **{key: there[key] for key in counts}})
    optimizer.load_state_dict({"state": state, "param_groups": list(groups.values())})


def _places(state: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int], Mapping[str, Any], int]]:
    """(what tells a parameter, its group, its index) of all parameters of a `state_dict`.

    A name, or, where a group has other tensors than its names (Muon's unpacked stacks), all names and a number.
    """
    for group in state["param_groups"]:
        names, indices = group["names"], group["params"]
        by_name = len(names) == len(indices)
        for number, index in enumerate(indices):
            yield ((names[number], 0) if by_name else (" ".join(names), number)), group, index


def _without_moments(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: torch.zeros_like(value) if key in MOMENTS else value for key, value in state.items()}
