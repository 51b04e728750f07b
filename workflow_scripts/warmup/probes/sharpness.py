"""Two readings of the loss around the weights, on the step's own training batch, in evaluation mode.

critical_learning_rate: the smallest rate, along the update of this step, that raises the loss (arXiv 2601.16979), by
forward passes only: the rate is doubled while the loss falls (halved while it rises), then bisected.
critical_sharpness = 2 / critical_learning_rate. If no rate is found: critical_learning_rate_above or _below holds the
last rate tried.
gradient_noise_scale (McCandlish 1812.06162, appendix A), in examples: with g_B the gradient of the batch of B and g_b
that of its first b examples, noise tr(Sigma) = |g_b - g_B|^2 / (1/b - 1/B), signal |G|^2 = |g_B|^2 - tr(Sigma) / B,
scale = noise / signal. A signal that comes out negative gives no scale. gradient_noise and gradient_signal are
recorded too.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from warmup.architectures import roles
from warmup.probes import _capture
from warmup.probes._look import Look, Row

NEEDS_OLD_WEIGHTS = True
WHOLE = ""
"""Name of the module in rows about the model as a whole."""


def before_update(look: Look) -> list[Row]:
    """Gradient noise, from the gradients of the step (before any clipping) and those of a share of its batch."""
    inputs, targets = look.batch
    large = len(inputs)
    small = max(1, round(look.settings["batch_share"] * large))
    if small >= large:
        return look.not_probed(WHOLE, "sharpness", f"a batch of {large} has no smaller part")
    parameters = [parameter for _, parameter in roles.trained(look.model) if parameter.grad is not None]
    partial: list[Tensor | None] = [None] * len(parameters)
    with _capture.evaluation_mode(look.model), torch.enable_grad():
        for loss in look.losses(inputs[:small], targets[:small]):
            parts = torch.autograd.grad(loss, parameters, allow_unused=True)
            partial = [_sum(whole, part) for whole, part in zip(partial, parts, strict=True)]
    squares = []
    for parameter, part in zip(parameters, partial, strict=True):
        gradient = parameter.grad
        assert gradient is not None
        apart = gradient if part is None else part - gradient
        squares.append(torch.stack([apart.float().square().sum(), gradient.float().square().sum()]))
    differences, wholes = zip(*torch.stack(squares).tolist(), strict=True)  # the only wait for the device
    difference, whole = float(sum(differences)), float(sum(wholes))
    noise = difference / (1 / small - 1 / large)
    signal = whole - noise / large
    rows = [look.row(WHOLE, "gradient_noise", noise), look.row(WHOLE, "gradient_signal", signal)]
    if signal > 0:
        rows.append(look.row(WHOLE, "gradient_noise_scale", noise / signal))
    return rows


@torch.no_grad()
def after_update(look: Look) -> list[Row]:
    """The critical learning rate along the step's update; weights are put back bit for bit. Null at a rate of zero."""
    if look.learning_rate == 0:
        return [look.row(WHOLE, "critical_learning_rate"), look.row(WHOLE, "critical_sharpness")]
    inputs, targets = look.batch
    small = max(1, round(look.settings["batch_share"] * len(inputs)))
    parameters = dict(roles.trained(look.model))
    new = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    update = {name: new[name] - look.old[name] for name in parameters}

    def loss_at(rate: float) -> float:
        for name, parameter in parameters.items():
            parameter.copy_(look.old[name]).add_(update[name], alpha=rate / look.learning_rate)
        with _capture.evaluation_mode(look.model):
            return float(sum(float(loss) for loss in look.losses(inputs[:small], targets[:small])))

    try:
        rate, found = critical_rate(
            loss_at, look.learning_rate, look.settings["tolerance"], look.settings["most_doublings"]
        )
    finally:
        for name, parameter in parameters.items():
            parameter.copy_(new[name])
    if found:
        return [look.row(WHOLE, f"critical_learning_rate_{found}", rate)]
    return [
        look.row(WHOLE, "critical_learning_rate", rate),
        look.row(WHOLE, "critical_sharpness", 2.0 / rate),
    ]


def _sum(whole: Tensor | None, part: Tensor | None) -> Tensor | None:
    return part if whole is None else whole if part is None else whole.add_(part)


def critical_rate(
    loss_at: Callable[[float], float], start: float, tolerance: float, most_doublings: int
) -> tuple[float, str]:
    """(rate, "") with loss_at(rate) above loss_at(0) and loss_at(rate / (1 + tolerance)) not, from `start`.

    (last rate tried, "above" or "below") if the loss does not rise, or never falls, within `most_doublings`.
    A loss that is not a number counts as raised.
    """
    reference = loss_at(0.0)

    def raises(rate: float) -> bool:
        return not loss_at(rate) <= reference

    factor = 0.5 if (too_large := raises(start)) else 2.0
    rate = start
    for _ in range(most_doublings):
        following = rate * factor
        if raises(following) != too_large:
            low, high = sorted((rate, following))
            break
        rate = following
    else:
        return rate, "below" if too_large else "above"
    while high > low * (1 + tolerance):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if raises(middle) else (middle, high)
    return high, ""
