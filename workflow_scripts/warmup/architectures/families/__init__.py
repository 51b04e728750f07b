"""What is particular to a model type of transformers; a type without a module of its own is `generic`.

A family module may define, besides what it takes over from `generic`:
DEFAULTS (transformers' own sizes, for arithmetic before anything is imported), KERNELS (modules of warmup.kernels
that its layers use), GPU_KERNELS (those that they use on a GPU, beside cuda.py), PLAIN_CAUSAL (its attention sees all
earlier positions and nothing else, in all layers and at all settings, so that it needs no mask), `problems(settings)`,
`longest_sequence(settings)` and `overrides(settings)`.
No module here imports torch or transformers: they are read while the workflow is planned.
"""

from types import ModuleType

from warmup import registry

OWN = "own"
"""The model type of an entry with a `source`: a class in a file of the user's own."""


def family(model_type: str) -> ModuleType:
    """The module for transformers' `model_type`."""
    return registry.load("architectures.families", module_name(model_type))


def module_name(model_type: str) -> str:
    """Name of the module for `model_type`: its own, or `generic`."""
    name = model_type.replace("-", "_")
    return name if name in registry.names("architectures.families") else "generic"
