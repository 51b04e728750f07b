"""Mamba-2's start.

transformers differs in A, which it sets to the number of the head (authors: uniform in [1, 16]), in in_proj (normal,
0.1), in the embedding (0.1 for 0.02), in the convolution's bias (0) and in out_proj, not scaled down.
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law
from warmup.architectures.starts._place import Place

SOURCE = _mamba.MAMBA_2
ADAPTERS = "The token embedding and a head of its own (torch's Linear); other tasks' as torch starts them"


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["mixer", *part]:
            return _mamba.by_head(part, place, residuals=place.blocks)
    return _mamba.around(place)
