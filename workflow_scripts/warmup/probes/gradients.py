"""Effective ranks along [S1]'s chain: low-rank inputs of layers -> low-rank weight gradients.

input_rank: of each block's input states on the probe examples [positions of all examples, width].
gradient_rank: of each matrix's gradient at this step; the mean over the experts of a stack.
"""

import torch

from warmup.architectures import roles
from warmup.probes import _entropy
from warmup.probes._look import Look, Row


@torch.no_grad()
def before_update(look: Look) -> list[Row]:
    """Rows of every block and every matrix that is not too large; gradients as the optimiser will see them."""
    rows: list[Row] = []
    for _, name, _ in look.blocks:
        states = look.captured.inputs.get(name)
        if states is not None:
            rank = _entropy.effective_rank(_entropy.singular_values(states.flatten(0, -2)))
            rows.append(look.row(name, "input_rank", float(rank)))
    for name, parameter in roles.trained(look.model):
        if roles.role(look.model, name) == roles.OTHER or look.layer(name) < 0 or parameter.grad is None:
            continue
        if min(parameter.shape[-2:]) > look.settings["largest_matrix"]:
            rows += look.not_probed(name, "gradients", "larger than probes.gradients.largest_matrix")
            continue
        ranks = _entropy.effective_rank(_entropy.singular_values(parameter.grad))
        rows.append(look.row(name, "gradient_rank", float(ranks[ranks.isfinite()].mean())))
    return rows
