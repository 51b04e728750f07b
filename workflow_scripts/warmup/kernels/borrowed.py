"""What transformers takes from packages for GPUs while its modelling modules are imported, given back on a CPU.

If fla, causal-conv1d or mamba-ssm can be imported, transformers calls their kernels whatever the device: on a CPU they
fail, or, where they do not, compute in another way than on the next machine. `in_torch` is the PyTorch form that stands
beside each of them in transformers.
"""

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from transformers.integrations import hub_kernels

from warmup.errors import EnvironmentProblemError


def functions(module: ModuleType) -> list[str]:
    """Names of the functions of a modelling module that transformers may have taken from a package."""
    return [name for name, value in vars(module).items() if _may_be_borrowed(value)]


def in_torch(function: Callable) -> Callable:
    """transformers' own PyTorch form of `function`, without the options that only the package has."""
    if not _may_be_borrowed(function):
        return function
    own: Callable = function.__wrapped__  # type: ignore[attr-defined]
    known = frozenset(inspect.signature(own).parameters)

    @functools.wraps(own)
    def computed_in_torch(*arguments: Any, **options: Any) -> Any:
        return own(*arguments, **{name: value for name, value in options.items() if name in known})

    return computed_in_torch


def refuse(module: ModuleType) -> None:
    """Raise EnvironmentProblemError if transformers took whole layers from a package, which nothing can give back."""
    if getattr(module, "external_xlstm", False):
        raise EnvironmentProblemError(
            "the package xlstm replaces transformers' own xLSTM, so that results would hold for machines with it "
            "only; remove it: pip uninstall xlstm"
        )


def _may_be_borrowed(value: Any) -> bool:
    """Whether transformers' decorator that looks for packages made `value`."""
    code = getattr(value, "__code__", None)
    return hasattr(value, "__wrapped__") and code is not None and code.co_filename == hub_kernels.__file__
