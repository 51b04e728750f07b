"""How far each matrix moves: sigma_1 of weights and updates, relative update sizes, AdamW^2's caps.

sigma_1_weight: of W before the update. sigma_1_update: of (W_old - W_new) / learning rate, decay included; the largest
over the experts of a stack. relative_update: |W_new - W_old|_F / |W_old|_F per matrix; group_relative_update: the same
over all parameters of a layer group. cap: a_t / lr_t of AdamW^2, more often, since it costs nothing. A matrix that is
zero before the update has neither a relative update nor a cap; starts_at_zero names those of step 0.
"""

import torch
from torch import Tensor

from warmup.architectures import layers, roles, spectral_norm
from warmup.probes import _cadence
from warmup.probes._look import Look, Row

NEEDS_OLD_WEIGHTS = True


def also_due(settings: dict[str, int], steps: int) -> frozenset[int]:
    """Steps at which caps alone are recorded."""
    return _cadence.due_steps(steps, 0, settings["cap_points"])


@torch.no_grad()
def after_update(look: Look) -> list[Row]:
    """Rows of every matrix and layer group; caps only at the steps where nothing else is due."""
    caps: dict[str, float] = getattr(look.optimizer, "caps", dict)()
    rows = [look.row(name, "cap", share) for name, share in caps.items()]
    if not look.old:
        return rows
    moves = {
        name: parameter.detach() - look.old[name] for name, parameter in roles.trained(look.model) if name in look.old
    }
    sums = torch.stack([_square(part) for name, move in moves.items() for part in (move, look.old[name])]).tolist()
    squares = dict(zip(moves, zip(sums[::2], sums[1::2], strict=True), strict=True))
    matrices = [name for name in moves if roles.role(look.model, name) in (roles.MATRIX, roles.STACK)]
    weights = [_slices(look.old[name]) for name in matrices]
    sigmas = iter(
        spectral_norm.largest([part for stack in weights for part in stack])
        + spectral_norm.largest([part for name in matrices for part in _slices(moves[name])])
    )
    # a schedule may end at a rate of zero, where there is no update to be scaled by it
    per_rate = 1.0 / look.learning_rate if look.learning_rate > 0 else float("nan")
    for quantity, factor in (("sigma_1_weight", 1.0), ("sigma_1_update", per_rate)):
        for name, stack in zip(matrices, weights, strict=True):
            rows.append(look.row(name, quantity, factor * max(next(sigmas) for _ in stack)))
    rows += look.starts_at_zero([name for name in matrices if squares[name][1] == 0], "updates", "|U| / |W| and cap")
    for name in matrices:
        moved, size = squares[name]
        if size > 0:
            rows.append(look.row(name, "relative_update", (moved / size) ** 0.5))
    for group, names in layers.layer_groups(look.model).items():
        moved, size = (sum(squares[name][which] for name in names) for which in (0, 1))
        if size > 0:
            rows.append(look.row(group, "group_relative_update", (moved / size) ** 0.5))
    return rows


def _slices(tensor: Tensor) -> list[Tensor]:
    return [tensor] if tensor.ndim == 2 else list(tensor.unbind(0))


def _square(tensor: Tensor) -> Tensor:
    return tensor.float().square().sum()
