"""Largest singular values of many matrices at once, followed from step to step by a block power iteration.

In: matrices W (m x n, or stacks e x m x n) and, for each, a block Q (n x k) of about orthonormal columns that the
last call left. Out: sigma_1(W), from below and within a percent, and the next block. Only k x k problems are
decomposed, those of all matrices together.

    Y = W Q,  e the top eigenvector of Y'Y,  y = Y e,  sigma_1 >= |W'y| / |y| >= |y|      (Rayleigh quotients)
    Q <- orth(W'W Q + SHIFT sigma^2 Q)                                                    (Cholesky of a k x k matrix)

The two bounds of one iteration differ by what the block still has to learn: while they do by more than TOLERANCE, the
matrix is iterated again. Weights settle at once or twice, updates (which follow each batch's gradient) after two to
three iterations, anything new after about ten. The shift keeps the Gram matrix invertible for matrices of any rank, so
directions are never lost; it changes no eigenvector. Products of bfloat16 matrices are taken in float32.
"""

from collections.abc import Sequence

import torch

BLOCK = 8
"""Columns of a block: one vector misses 2 % in a third of cases after one warm iteration, eight stay within .5 %."""
WHOLE_SPACE = 12
"""Up to this many columns a block spans them all: with one or two directions missing it can look settled beside the top
one (12 of 4,000 random matrices with 9 columns were up to a third too low, none of those with 12 to 24)."""
SHIFT = 1e-2
"""Share of sigma^2 added to the iteration's operator: bounds the Gram matrix's condition by its inverse square."""
TOLERANCE = 1e-3
"""Relative difference of an iteration's two bounds below which the estimate stands (its error: see docs/probes.md)."""
MOST_ITERATIONS = 32
"""Iterations of one matrix in one call, at most; matrices without a gap in their spectrum need the most."""

EXACT_BELOW = 256
"""Smaller side up to which decomposing the Gram matrix is cheaper than iterating from random columns."""


def first_block(matrix: torch.Tensor) -> torch.Tensor:
    """Orthonormal random columns [..., n, k] for `matrix` [..., m, n], the same at every call, float32.

    k: n up to WHOLE_SPACE columns, else BLOCK.
    """
    columns = matrix.shape[-1]
    size = columns if columns <= WHOLE_SPACE else BLOCK
    # a generator of its own: the global random state belongs to the training
    draw = torch.Generator().manual_seed(columns)
    block, _ = torch.linalg.qr(torch.randn(columns, size, generator=draw))
    return block.expand(*matrix.shape[:-2], *block.shape).contiguous().to(matrix.device)


def follow(
    matrices: Sequence[torch.Tensor], blocks: Sequence[torch.Tensor]
) -> tuple[list[list[float]], list[torch.Tensor]]:
    """(sigma_1 of each matrix, one number per matrix of a stack; the blocks to start from next time).

    A zero matrix has 0 and keeps its block; a matrix with non-finite entries has NaN.
    """
    matrices = [matrix.float() for matrix in matrices]
    sigmas: list[list[float]] = [[] for _ in matrices]
    following = list(blocks)
    unsettled = list(range(len(matrices)))
    for _ in range(MOST_ITERATIONS):
        if not unsettled:
            break
        lower, upper, advanced = _iterate([matrices[i] for i in unsettled], [following[i] for i in unsettled])
        for i, block in zip(unsettled, advanced, strict=True):
            following[i] = block
        counts = [block[..., 0, 0].numel() for block in advanced]
        both = torch.stack([lower, upper]).cpu()  # the only wait for the device
        settled = (both[1] <= (1 + TOLERANCE) * both[0]) | both[1].isnan()
        for i, values in zip(unsettled, both[1].split(counts), strict=True):
            sigmas[i] = values.tolist()
        unsettled = [i for i, done in zip(unsettled, settled.split(counts), strict=True) if not bool(done.all())]
    return sigmas, following


def largest(matrices: Sequence[torch.Tensor]) -> list[float]:
    """sigma_1 of each matrix [m, n], looked at once: exactly for small ones, by iteration for the others.

    NaN for a matrix with non-finite entries.
    """
    found = [0.0] * len(matrices)
    small = [i for i, matrix in enumerate(matrices) if min(matrix.shape) <= EXACT_BELOW]
    others = [i for i in range(len(matrices)) if i not in small]
    grams = [_smaller_gram(matrices[i].float()) for i in small]  # all asked for before a GPU is waited for
    for i, gram in zip(small, (gram.cpu() for gram in grams), strict=True):  # decompositions are a processor's work
        whole = bool(gram.isfinite().all())
        found[i] = float(torch.linalg.eigvalsh(gram)[-1].clamp(min=0).sqrt()) if whole else float("nan")
    for i, sigma in zip(others, follow(*_begun([matrices[i] for i in others]))[0], strict=True):
        found[i] = sigma[0]
    return found


def _smaller_gram(matrix: torch.Tensor) -> torch.Tensor:
    return matrix @ matrix.mT if matrix.shape[0] <= matrix.shape[1] else matrix.mT @ matrix


def _begun(matrices: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return matrices, [first_block(matrix) for matrix in matrices]


def _iterate(
    matrices: Sequence[torch.Tensor], blocks: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """One iteration: the two lower bounds |y| and |W'y|/|y| of every sigma_1 [number of matrices], and next blocks."""
    images = [matrix @ block for matrix, block in zip(matrices, blocks, strict=True)]
    lengths = _grams(images).diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()
    scales = _pieces(torch.where(lengths > 0, lengths, torch.ones_like(lengths)), images)
    # images of length about 1: sigma^4 in the second Gram matrix would leave float32's range
    for image, scale in zip(images, scales, strict=True):
        image.div_(_as_factor(scale, image))
    grams = _grams(images)
    finite = grams.isfinite().all(-1).all(-1)
    grams = torch.where(finite[:, None, None], grams, torch.zeros_like(grams))
    squares, vectors = torch.linalg.eigh(grams)
    square, top = squares[..., -1].clamp(min=0), vectors[..., -1:]

    pulled = [matrix.mT @ image for matrix, image in zip(matrices, images, strict=True)]
    along = (top.mT @ _grams(pulled) @ top).squeeze(-1).squeeze(-1)
    first = square.sqrt() * lengths
    second = torch.where(square > 0, (along / square).sqrt(), torch.zeros_like(square))
    second = torch.where(finite, second, torch.full_like(second, float("nan")))

    for block, pull, sigma, scale in zip(blocks, pulled, _pieces(second, images), scales, strict=True):
        shift = torch.where(sigma > 0, SHIFT * sigma.square() / scale, torch.ones_like(sigma))
        pull.add_(block * _as_factor(shift, block))
    return first, second, _orthonormal(pulled)


def _grams(blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    """X'X of all blocks, padded to one [number of matrices, k, k] tensor so that they are decomposed together."""
    grams = [(block.mT @ block).reshape(-1, block.shape[-1], block.shape[-1]) for block in blocks]
    widest = max(gram.shape[-1] for gram in grams)
    return torch.cat(
        [torch.nn.functional.pad(gram, (0, widest - gram.shape[-1]) * 2) for gram in grams]  # zeros: no eigenvector
    )


def _orthonormal(blocks: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Each block times the inverse of its Gram matrix's Cholesky factor."""
    grams = _grams(blocks)
    diagonal = grams.diagonal(dim1=-2, dim2=-1)
    widest = grams.shape[-1]
    identity = torch.eye(widest, device=grams.device, dtype=grams.dtype).expand_as(grams)
    # padding has a zero diagonal; give it ones so that the factor exists
    lower = torch.linalg.cholesky_ex(grams + torch.diag_embed((diagonal == 0).to(grams.dtype)))[0]
    inverse = torch.linalg.solve_triangular(lower, identity, upper=False).mT
    factors = _pieces(inverse, blocks)
    result = []
    for block, factor in zip(blocks, factors, strict=True):
        k = block.shape[-1]
        result.append(block @ factor[..., :k, :k].reshape(*block.shape[:-2], k, k))
    return result


def _pieces(values: torch.Tensor, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Split the first dimension of `values` into as many entries as each tensor of `like` has matrices."""
    return list(values.split([tensor[..., 0, 0].numel() for tensor in like]))


def _as_factor(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`values` [e] shaped to multiply the matrices of `like` ([m, n] when e = 1, or [e, m, n])."""
    return values.reshape(*like.shape[:-2], 1, 1)
