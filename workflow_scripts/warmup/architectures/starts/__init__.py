"""How networks start: their authors' initial weights, one specification per family of transformers.

transformers initialises a network so that a checkpoint can be loaded into it, which is not always how its authors
start to train it. A module here, named as transformers' model type, gives the authors' start:

SOURCE        repository, path, commit and date that were read, and the formula's place
ADAPTERS      what it says of the task's own embedding and head, which stand around the backbone
law(place)    the law of one parameter (see `_laws`); None where the source says nothing and transformers' start stays

No name here imports torch: this module is read while the workflow is planned.
"""

from collections.abc import Mapping
from typing import Any

from warmup import registry

AUTHORS, LIBRARY, OWN = "authors", "library", "own"

DECIDED_BY_THE_START = (
    *("initializer_range", "initializer_factor", "init_std", "rescale_prenorm_residual", "w_init_variance_scale"),
    *("linear_a_log_min", "linear_a_log_max", "linear_dt_min", "linear_dt_max", "linear_dt_init_floor"),
)
"""Settings of transformers that only its own start reads."""


def module_name(model_type: str) -> str | None:
    """Name of the module with the authors' start of `model_type`; None if there is none."""
    name = model_type.replace("-", "_")
    return name if name in registry.names("architectures.starts") else None


def chosen(architecture: Mapping[str, Any]) -> str | None:
    """Name of the module that an entry of the configuration starts from; None means transformers' own start."""
    if architecture.get("initialisation", AUTHORS) == LIBRARY:
        return None
    return module_name(architecture["model_type"])
