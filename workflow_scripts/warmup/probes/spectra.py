"""Singular values of W_q^T W_k per head: spectral energy concentration ([S1], arXiv 2505.21910) and ranks.

sec_s = sum of the s largest squared singular values over the sum of all, stable_rank = sum sigma^2 / sigma_1^2,
spectral_rank = effective rank of the spectrum, sigma_1_query_key, and the singular_values themselves.
"""

import torch
from torch import Tensor

from warmup.architectures.projections import attention_projections, looks_like_attention
from warmup.probes import _entropy
from warmup.probes._look import Look, Row

CONCENTRATIONS = (1, 4, 8)


@torch.no_grad()
def before_update(look: Look) -> list[Row]:
    """Rows of every attention module whose projections are known; the others are named once."""
    rows: list[Row] = []
    known, zero = set(), []
    for name, _, projections in attention_projections(look.model):
        known.add(name)
        sigmas = query_key_singular_values(*projections.query_key())
        squares = sigmas.square()
        total = squares.sum(-1)
        if not bool(total.any()):
            zero.append(name)  # 0 / 0 below is null in the file
        for count in CONCENTRATIONS:
            if count <= sigmas.shape[-1]:
                rows += look.rows_of(name, f"sec_{count}", squares[:, :count].sum(-1) / total)
        rows += look.rows_of(name, "stable_rank", total / squares[:, 0])
        rows += look.rows_of(name, "spectral_rank", _entropy.effective_rank(sigmas))
        rows += look.rows_of(name, "sigma_1_query_key", sigmas[:, 0])
        for head, spectrum in enumerate(sigmas):
            rows.append(look.row(name, "singular_values", head=head, values=spectrum))
    rows += look.starts_at_zero(zero, "spectra", "concentration and ranks of W_q^T W_k")
    for name, module in look.model.named_modules() if look.step == 0 else []:
        if looks_like_attention(module) and name not in known:
            rows += look.not_probed(name, "spectra", "its query and key projections are not known by name")
    return rows


def query_key_singular_values(query: Tensor, key: Tensor) -> Tensor:
    """The at most `head size` non-zero singular values of W_q^T W_k, descending [heads, size].

    query, key: [heads, size, width]. With W_q' = Q_q R_q and W_k' = Q_k R_k they are those of R_q R_k', a size x size
    problem, solved on the host, where the result stays. NaN for weights that are not finite.
    """
    if query.shape[-2] > query.shape[-1]:  # heads larger than the width: the product itself is the smaller matrix
        return _entropy.singular_values(query.mT @ key)
    if not bool((query.isfinite() & key.isfinite()).all()):
        return torch.full(query.shape[:2], float("nan"), dtype=query.dtype)
    _, right_query = torch.linalg.qr(query.mT)
    _, right_key = torch.linalg.qr(key.mT)
    return torch.linalg.svdvals((right_query @ right_key.mT).cpu())
