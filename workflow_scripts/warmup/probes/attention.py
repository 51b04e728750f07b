"""Attention per layer and head, on the probe examples, with the weights that the step's gradient was taken at.

entropy (nats), relative_entropy (1 = uniform over the visible keys), largest_logit, sparsity: at every due step.
effective_rank (of the attention matrix of the first example; Swin: of its first window) and attention_map: sparsely.
Attention that does not pass through transformers' attention functions is reported as not_probed.
"""

import torch
from torch import Tensor

from warmup.architectures.projections import looks_like_attention
from warmup.probes import _capture, _entropy
from warmup.probes._look import Look, Row

INVISIBLE = -50.0
"""An added logit below this hides a key (masks are -inf, the type's smallest number, or Swin's -100)."""


def before_update(look: Look) -> list[Row]:
    """Rows of every attention module of the model."""
    rows: list[Row] = []
    if look.step and not look.watcher.may_attend:
        return rows
    rank, store = (look.taken_along(look.settings[key]) for key in ("rank_points", "map_points"))
    for name, seen in look.captured.attention.items():
        logits, visible = scores(seen)
        weights = logits.softmax(-1)
        entropy, relative, sparsity = _entropy.entropies(weights, visible)
        rows += look.rows_of(name, "entropy", entropy)
        rows += look.rows_of(name, "relative_entropy", relative)
        rows += look.rows_of(name, "largest_logit", logits.amax((0, 2, 3)))
        rows += look.rows_of(name, "sparsity", sparsity)
        size = look.settings["largest_matrix"]
        first = weights[0, :, :size, :size]
        if rank:
            rows += look.rows_of(name, "effective_rank", _entropy.effective_rank(_entropy.singular_values(first)))
        if store:
            for head, matrix in enumerate(first[: look.settings["map_heads"]]):
                rows.append(look.row(name, "attention_map", head=head, values=matrix))
    for name, module in look.model.named_modules() if look.step == 0 else []:
        if looks_like_attention(module) and name not in look.captured.attention:
            rows += look.not_probed(name, "attention", "it computes attention by a function of its own")
    return rows


def scores(seen: _capture.Attention) -> tuple[Tensor, Tensor]:
    """(logits with -inf where hidden, which keys are visible), both [n, heads, rows, columns], logits float32."""
    key = seen.key.repeat_interleave(seen.query.shape[1] // seen.key.shape[1], dim=1)
    logits = (seen.query.float() @ key.float().mT) * seen.scaling
    visible = torch.ones(1, 1, *logits.shape[-2:], dtype=torch.bool, device=logits.device)
    if seen.causal:
        visible = visible.tril()
    if seen.bias is not None:
        visible = visible & (seen.bias > INVISIBLE)
        logits = logits + seen.bias.float()
    return logits.masked_fill(~visible, float("-inf")), visible.expand_as(logits)
