"""Mamba's start.

transformers differs in in_proj and x_proj (normal, 0.1), in the embedding (0.1 for 0.02), in the convolution's bias (0)
and in out_proj, which it scales down only if asked to.
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law
from warmup.architectures.starts._place import Place

SOURCE = _mamba.MAMBA
ADAPTERS = "The token embedding and a head of its own (torch's Linear); other tasks' as torch starts them"


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["mixer", *part]:
            return _mamba.selective(part, place, residuals=place.blocks)
    return _mamba.around(place)
