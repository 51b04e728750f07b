"""A family names the kernels its layers really use: what a training's code is narrowed to."""

from collections.abc import Iterator

import pytest

from warmup import kernels, registry
from warmup.architectures import families


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    kernels.uninstall()


@pytest.mark.parametrize("name", [name for name in registry.names("architectures.families") if name != "generic"])
def test_the_kernels_that_are_installed_are_those_of_the_family(name: str) -> None:
    installed = kernels.install("cpu", 1, name)
    assert {line.rpartition(": ")[2] for line in installed} == set(families.family(name).KERNELS)


def test_a_type_without_a_family_may_use_any_kernel() -> None:
    chosen = {
        line.rpartition(": ")[2] for name in ("mamba2", "rwkv", "mamba") for line in kernels.install("cpu", 1, name)
    }
    assert chosen <= set(families.family("mamba2").KERNELS)
