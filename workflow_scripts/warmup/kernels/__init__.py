"""Fast replacements of transformers' torch fallbacks: selective scan, causal convolution and WKV.

`install` puts them in the place of the functions of the same purpose in transformers' modelling modules. On the CPU the
replacements are numba kernels (selective_scan.py, causal_convolution.py, wkv.py); on CUDA they are mamba-ssm and
causal-conv1d, which transformers finds by itself, and fla-core's Triton operator for RWKV-4 (cuda.py).
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

_CPU = {
    "mamba_selective_scan": "selective_scan",
    "causal_conv1d_fn": "causal_convolution",
    "rwkv_linear_attention_cpu": "wkv",
}
"""Function of a modelling module -> module of this package whose `stand_in` replaces it."""

_originals: dict[tuple[str, str], Callable] = {}


def install(device: str, threads: int, model_type: str | None = None) -> list[str]:
    """Puts the kernels for `device` ("cpu" or "cuda") in place and returns their names, for the log.

    `model_type`: transformers' name of the only model that will be used; None: all modelling modules that are imported
    already. Kernels on the CPU use `threads` threads. Installing again changes the number of threads only. On CUDA, an
    EnvironmentProblemError says which package a model needs and how to get it.
    """
    modules = _modelling_modules(model_type)
    if device == "cuda":
        from warmup.kernels import cuda

        return [name for module in modules for name in cuda.install(module, _replace)]
    if device != "cpu":
        raise ValueError(f"kernels exist for the devices cpu and cuda, not {device!r}")
    installed = []
    for module in modules:
        for function, own in _CPU.items():
            if hasattr(module, function):
                kernel = importlib.import_module(f"warmup.kernels.{own}")
                _replace(module, function, kernel.stand_in)
                installed.append(f"{module.__name__.rpartition('.')[2]}.{function}: {kernel.__name__}")
        if hasattr(module, "mamba_inner_fn"):
            _replace(module, "mamba_inner_fn", _no_short_cut)
    if installed:
        from warmup.kernels import runtime

        runtime.set_threads(threads)
    return installed


def uninstall() -> None:
    """Gives transformers its own functions back."""
    while _originals:
        (module, function), original = _originals.popitem()
        setattr(sys.modules[module], function, original)


def _modelling_modules(model_type: str | None) -> list[ModuleType]:
    if model_type is None:
        names = [name for name in sys.modules if name.startswith("transformers.models.") and ".modeling_" in name]
        return [sys.modules[name] for name in sorted(names)]
    name = model_type.replace("-", "_")
    path = f"transformers.models.{name}.modeling_{name}"
    return [importlib.import_module(path)] if importlib.util.find_spec(path) else []


def _replace(module: ModuleType, function: str, stand_in: Callable[[Callable], Callable]) -> None:
    key = (module.__name__, function)
    if key not in _originals:
        _originals[key] = getattr(module, function)
        setattr(module, function, stand_in(_originals[key]))


def _no_short_cut(reference: Callable) -> Callable:
    """mamba-ssm's fused block, where it is installed, works on CUDA only: None asks transformers for the long way."""

    def mamba_inner_fn(*arguments: object, **options: object) -> None:
        return None

    mamba_inner_fn.__wrapped__ = reference  # type: ignore[attr-defined]
    return mamba_inner_fn
