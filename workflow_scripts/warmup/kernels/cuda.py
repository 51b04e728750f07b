"""Kernels on NVIDIA GPUs: other people's, found, checked and put in place.

Mamba's and Jamba's come from mamba-ssm and causal-conv1d; transformers takes them by itself when they can be imported,
and otherwise loops over steps in Python, which no one who asks for a GPU wants. RWKV-4's WKV comes from fla-core
(Triton): transformers itself would fetch a binary from the internet while it builds the model, or else loop.
"""

import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from transformers.integrations import moe

from warmup import registry
from warmup.errors import EnvironmentProblemError
from warmup.kernels.wkv import EMPTY_SCALE


def _import_mamba_ssm() -> None:
    import selective_scan_cuda  # noqa: F401  (newer ones can be built without it, and then fail at the first step)
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn  # noqa: F401


def _import_causal_conv1d() -> None:
    from causal_conv1d import causal_conv1d_fn  # noqa: F401


def _import_fla_core() -> None:
    from fla.ops.rwkv4 import fused_recurrent_rwkv4  # noqa: F401


_NEEDS = {
    "mamba_selective_scan": {"mamba-ssm": _import_mamba_ssm, "causal-conv1d": _import_causal_conv1d},
    "rwkv_linear_attention": {"fla-core": _import_fla_core},
}
"""Function of a modelling module -> package that replaces it on a GPU -> its import, which fails if it is unusable."""

_HOW = {
    "mamba-ssm": 'pip install --no-build-isolation "mamba-ssm>=2.3" "causal-conv1d>=1.5"  (they are compiled for the '
    "installed PyTorch: the CUDA toolkit's nvcc must be there, or a wheel from their GitHub releases)",
    "fla-core": 'pip install "fla-core>=0.5" einops triton; Triton compiles while it runs: a C compiler must be there',
}
_HOW["causal-conv1d"] = _HOW["mamba-ssm"]


def install(module: ModuleType, replace: Callable[[ModuleType, str, Callable], None]) -> list[str]:
    """Checks the kernels that a modelling module of transformers needs on a GPU, and puts those in place that it would
    not take by itself; returns their names. Raises EnvironmentProblemError if one is missing or cannot be loaded."""
    installed = []
    for function, packages in _NEEDS.items():
        if hasattr(module, function):
            for package, attempt in packages.items():
                _require(package, attempt, module)
                installed.append(f"{module.__name__.rpartition('.')[2]}.{function}: {package}")
    if hasattr(module, "mamba_selective_scan"):
        replace(module, "mamba_selective_scan", scan_in_one_type)
    if hasattr(module, "rwkv_linear_attention"):
        replace(module, "rwkv_linear_attention", rwkv_stand_in)
        replace(module, "load_wkv_cuda_kernel", _no_download)
        around = registry.load("kernels", "token_mixing_cuda")
        replace(module, "RwkvSelfAttention.extract_key_value", around.attention_stand_in)
        replace(module, "RwkvFeedForward.forward", around.feed_forward_stand_in)
    if any(name.endswith("Experts") for name in vars(module)):
        replace(moe, "_grouped_mm", grouped_in_one_type)
        installed.append(f"{module.__name__.rpartition('.')[2]}.experts: torch's grouped product")
    return installed


def grouped_in_one_type(reference: Callable) -> Callable:
    """`reference`, the product of all experts at once, given both factors in the type of the arithmetic: autocast does
    not know it, and float32 factors (weights are kept in float32) leave its fast path, or are refused."""

    @functools.wraps(reference)
    def _grouped_mm(input: torch.Tensor, weight: torch.Tensor, offs: torch.Tensor) -> torch.Tensor:
        kind = weight.device.type
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
            input, weight = input.to(dtype), weight.to(dtype)
        product: torch.Tensor = reference(input, weight, offs)
        return product

    return _grouped_mm


_IN_THE_TYPE_OF_STATES = frozenset({1, 3, 4, 6, "dt", "delta", "B", "C", "z"})
"""Arguments of a selective scan by place (from 0) and name, transformers' and mamba-ssm's."""


def scan_in_one_type(reference: Callable) -> Callable:
    """`reference`, given dt, B, C and z in the type of the states: mamba-ssm refuses others, and under autocast a
    mixer that normalises them in between (Jamba) gets them in float32.
    """

    @functools.wraps(reference)
    def mamba_selective_scan(hidden_states: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        def cast(key: int | str, value: Any) -> Any:
            wanted = key in _IN_THE_TYPE_OF_STATES and isinstance(value, torch.Tensor)
            return value.to(hidden_states.dtype) if wanted else value

        positional = [cast(place, value) for place, value in enumerate(arguments, start=1)]
        return reference(hidden_states, *positional, **{name: cast(name, value) for name, value in named.items()})

    return mamba_selective_scan


def _require(package: str, attempt: Callable[[], None], module: ModuleType) -> None:
    try:
        attempt()
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        model = module.__name__.rpartition("modeling_")[2]
        raise EnvironmentProblemError(
            f"training.device is cuda and the model type is {model}, which needs {package}, but it cannot be loaded "
            f"({error}). To get it: {_HOW[package]}; envs/train.yaml and the containers have it. Or set "
            "training.device to cpu: there the kernels of this workflow do its work."
        ) from error


def wkv(
    time_decay: torch.Tensor,
    time_first: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    state: Sequence[torch.Tensor] | None = None,
    operator: Callable | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """WKV by fla-core's operator, in float32 whatever autocast says: the states it keeps need their scale exactly.

    Shapes and formula: see warmup.kernels.wkv. Output in the dtype of `key`; state [batch, channels] each, float32.
    operator: instead of fla-core's.
    """
    if operator is None:
        from fla.ops.rwkv4 import fused_recurrent_rwkv4

        operator = fused_recurrent_rwkv4
    batch, _, channels = key.shape
    if state is None:
        before = torch.zeros(batch, 3, 1, channels, device=key.device)
        before[:, 2] = EMPTY_SCALE
    else:
        before = torch.stack([part.float() for part in state], dim=1).unsqueeze(2)
    tensors = (x.float().contiguous() for x in (time_decay, time_first, key, value))
    out, after = operator(*tensors, before)
    return out.to(key.dtype), list(after[:, :, 0].unbind(1))


def rwkv_stand_in(reference: Callable) -> Callable:
    """Function in the place of `rwkv_linear_attention`; tensors that are not all on a GPU go to `reference`."""

    @functools.wraps(reference)
    def rwkv_linear_attention(
        time_decay: torch.Tensor,
        time_first: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        state: Sequence[torch.Tensor] | None = None,
        return_state: bool = False,
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        if any(x.device.type != "cuda" for x in (time_decay, time_first, key, value)):
            return reference(time_decay, time_first, key, value, state=state, return_state=return_state)
        out, after = wkv(time_decay, time_first, key, value, state)
        return out, after if return_state or state is not None else None

    return rwkv_linear_attention


def _no_download(reference: Callable) -> Callable:
    """Function in the place of `load_wkv_cuda_kernel`; transformers notes the error and goes on."""

    @functools.wraps(reference)
    def load_wkv_cuda_kernel(context_length: int) -> None:
        raise ImportError(f"fla-core's operator is used instead (context length {context_length})")

    return load_wkv_cuda_kernel
