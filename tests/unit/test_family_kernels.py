"""A family names the kernels its layers really use: what a training's code is narrowed to."""

from collections.abc import Iterator

import pytest

from warmup import kernels, registry
from warmup.architectures import families


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    kernels.uninstall()


def installed(model_type: str) -> set[str]:
    """Modules of warmup.kernels that were put into transformers' modelling module."""
    told = {line.rpartition(": ")[2] for line in kernels.install("cpu", 1, model_type)}
    return told & set(registry.names("kernels"))


@pytest.mark.parametrize("name", [name for name in registry.names("architectures.families") if name != "generic"])
def test_the_kernels_that_are_installed_are_those_of_the_family(name: str) -> None:
    assert installed(name) == set(families.family(name).KERNELS)


def test_a_type_without_a_family_may_use_any_kernel() -> None:
    any_kernel = set(families.family("mamba2").KERNELS)
    for name in ("mamba2", "mamba", "rwkv"):
        assert installed(name) <= any_kernel
