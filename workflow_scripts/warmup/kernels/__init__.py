"""Fast replacements of transformers' torch fallbacks: selective scan, causal convolution and WKV.

`install` puts them in the place of the functions of the same purpose in transformers' modelling modules. On the CPU the
replacements are numba kernels (selective_scan.py, causal_convolution.py, wkv.py); on CUDA they are mamba-ssm and
causal-conv1d, which transformers finds by itself, and for RWKV-4 fla-core's Triton operator (cuda.py) and our own of
what surrounds it (token_mixing_cuda.py).
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from warmup import registry
from warmup.kernels import borrowed, memory

_CPU = {
    "mamba_selective_scan": "selective_scan.stand_in",
    "causal_conv1d_fn": "causal_convolution.stand_in",
    "rwkv_linear_attention_cpu": "wkv.stand_in",
    "RecurrentGemmaRglru._rnn_scan": "linear_recurrence.stand_in",
    "mamba2_chunk_scan": "state_space.stand_in",
    "torch_chunk_gated_delta_rule": "chunk_length.stand_in",
    "chunk_kimi_delta_attention": "delta_rule.stand_in",
}
"""Function (or method) of a modelling module -> function of this package that makes its replacement."""

_SET_THREADS = "runtime.set_threads"
"""Found by name like the kernels, so that a model that has none does not depend on how they run."""

_originals: dict[tuple[str, str], Callable] = {}


def install(device: str, threads: int, model_type: str | None = None) -> list[str]:
    """Puts the kernels for `device` ("cpu" or "cuda") in place and returns their names, for the log.

    `model_type`: transformers' name of the only model that will be used; None: all modelling modules that are imported
    already. Kernels on the CPU use `threads` threads. Installing again changes the number of threads only. On a CPU
    transformers computes in PyTorch whatever it took from packages for GPUs. An EnvironmentProblemError says which
    package a model needs on CUDA and how to get it, or which one stands in the way.
    """
    modules = _modelling_modules(model_type)
    if device == "cuda":
        on_gpu = registry.load("kernels", device)
        return [name for module in modules for name in on_gpu.install(module, _replace)]
    if device != "cpu":
        raise ValueError(f"kernels exist for the devices cpu and cuda, not {device!r}")
    installed = []
    for module in modules:
        borrowed.refuse(module)
        for function, maker in _CPU.items():
            if _owner(module, function) is not None:
                _replace(module, function, _on_torch(_named(maker)))
                installed.append(f"{module.__name__.rpartition('.')[2]}.{function}: {maker.partition('.')[0]}")
        if hasattr(module, "mamba_inner_fn"):
            _replace(module, "mamba_inner_fn", _no_short_cut)
        for function in borrowed.functions(module):
            _replace(module, function, borrowed.in_torch)
    if installed:
        _named(_SET_THREADS)(threads)
    if memory.keep_freed():
        installed.append("allocator: freed memory kept")
    return installed


def uninstall() -> None:
    """Gives transformers its own functions back."""
    while _originals:
        (module, function), original = _originals.popitem()
        setattr(_owner(sys.modules[module], function), function.rpartition(".")[2], original)


def _named(path: str) -> Callable:
    """The function `<module of this package>.<name>`."""
    module, _, name = path.partition(".")
    return getattr(registry.load("kernels", module), name)


def _modelling_modules(model_type: str | None) -> list[ModuleType]:
    """Modules of transformers that define the backbones of a model type (transformers' own mapping knows which)."""
    if model_type is None:
        names = [name for name in sys.modules if name.startswith("transformers.models.") and ".modeling_" in name]
        return [sys.modules[name] for name in sorted(names)]
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    if model_type not in CONFIG_MAPPING:
        return []
    found = MODEL_MAPPING.get(CONFIG_MAPPING[model_type], ())
    classes = found if isinstance(found, tuple) else (found,)
    return [sys.modules[name] for name in dict.fromkeys(backbone.__module__ for backbone in classes)]


def _on_torch(maker: Callable[[Callable], Callable]) -> Callable[[Callable], Callable]:
    """`maker`, given transformers' own PyTorch form of what it replaces."""
    return lambda reference: maker(borrowed.in_torch(reference))


def _owner(module: ModuleType, function: str) -> Any:
    """The module, or its class, that `function` ("name" or "Class.name") is an attribute of; None if it lacks it."""
    holder, _, name = function.rpartition(".")
    owner = getattr(module, holder, None) if holder else module
    return owner if hasattr(owner, name) else None


def _replace(module: ModuleType, function: str, stand_in: Callable[[Callable], Callable]) -> None:
    key = (module.__name__, function)
    if key not in _originals:
        owner, name = _owner(module, function), function.rpartition(".")[2]
        _originals[key] = getattr(owner, name)
        setattr(owner, name, stand_in(_originals[key]))


def _no_short_cut(reference: Callable) -> Callable:
    """mamba-ssm's fused block, where it is installed, works on CUDA only: None asks transformers for the long way."""

    def mamba_inner_fn(*_arguments: object, **_options: object) -> None:
        return None

    mamba_inner_fn.__wrapped__ = reference  # type: ignore[attr-defined]
    return mamba_inner_fn
