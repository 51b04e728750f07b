"""Changes of the network itself that are said to prevent the collapse of attention: does the optimum move with them?

qk_norm                  queries and keys are layer-normalised per head, with a learnt gain and no bias, before any
                         rotation (Dehghani 2302.05442, Wortsman 2309.14322)
sigma_reparametrisation  every linear map of a block with attention acts as (gamma / sigma_1(W)) W, gamma a learnt
                         number that starts at 1 (Zhai 2303.06296)
zero_outputs             the maps that write into the residual stream, of mixers and feed-forward layers alike, start at
                         zero, so that every block starts as the identity (Zhang 1901.09321, Yang 2203.03466)

The first two hook into the existing linear maps, so that no parameter changes its name, its initial value or its role;
what they add are small parameters beside them (`q_norm.weight`, `sigma_gain`), and for sigma the vectors of a power
iteration as buffers, which are saved and restored with the model. `initial_scale` is applied where models are built.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from warmup.architectures import layers, roles
from warmup.architectures.projections import (
    Part,
    Projections,
    attention_projections,
    is_linear,
    looks_like_attention,
    out_features,
    weight,
)
from warmup.errors import ConfigurationError

SETTLING_ITERATIONS = 30
"""Power iterations from the starting vectors when sigma-reparametrisation is put in; one per training step later."""
WRITES_TO_THE_STREAM = {
    "mixer": ("c_proj", "o_proj", "out_proj", "output", "output.dense", "dense", "linear_out", "proj", "wo", "out_lin"),
    "feed_forward": (
        *("c_proj", "down_proj", "fc2", "output.dense", "value", "proj_down", "wo", "w2", "dense_4h_to_h", "lin2"),
        *("fc_out", "output_linear"),
    ),
}
"""Names of the last linear map of a mixer and of a feed-forward layer."""
SMALLEST_SIGMA = 1e-12
"""A matrix with a smaller sigma_1 counts as zero and stays so."""


def apply(model: nn.Module, changes: Mapping[str, Any]) -> None:
    """Put the interventions that `changes` switches on into `model`, in place; draws no random numbers.

    Raises ConfigurationError if the model has no attention, or attention or weights that cannot be changed.
    """
    if changes.get("qk_norm"):
        for module, projections in _attention(model, "qk_norm"):
            _normalise(module, projections)
    if changes.get("sigma_reparametrisation"):
        _reparametrise_blocks(model)
    if changes.get("zero_outputs"):
        _zero_outputs(model)


@torch.no_grad()
def _zero_outputs(model: nn.Module) -> None:
    """Set the last map of every mixer and feed-forward layer to zero; one that is not known is refused."""
    for group, names in layers.layer_groups(model).items():
        block, _, part = group.partition(".")
        if part not in WRITES_TO_THE_STREAM:
            continue
        matrices = [name for name in names if roles.role(model, name) != roles.OTHER]
        known = tuple(f".{name}" for name in WRITES_TO_THE_STREAM[part])
        last = [name for name in matrices if name.removesuffix(".weight").endswith(known)]
        if matrices and not last:
            raise ConfigurationError(
                f"interventions.zero_outputs: which map of the {part} of {block} writes into the residual stream is "
                f"not known; it has {', '.join(matrices)}"
            )
        for name in last:
            model.get_parameter(name).zero_()


def _attention(model: nn.Module, intervention: str) -> list[tuple[nn.Module, Projections]]:
    """Every attention module with its projections; all of them must be changeable."""
    known = {name: (module, projections) for name, module, projections in attention_projections(model)}
    missed = [name for name, module in model.named_modules() if looks_like_attention(module) and name not in known]
    if missed:
        raise ConfigurationError(
            f"interventions.{intervention}: the query and key projections of {missed[0]} are not known; "
            "known layouts stand in architectures/projections.py"
        )
    if not known:
        raise ConfigurationError(f"interventions.{intervention}: this architecture has no attention to change")
    return list(known.values())


def _normalise(module: nn.Module, projections: Projections) -> None:
    if any(hasattr(module, name) for name in ("q_norm", "k_norm")):
        raise ConfigurationError("interventions.qk_norm: this architecture normalises its queries and keys already")
    size = len(projections.query.rows) // projections.heads
    device = weight(projections.query.linear).device
    for name, part in (("q_norm", projections.query), ("k_norm", projections.key)):
        norm = nn.LayerNorm(size, bias=False, device=device)
        module.add_module(name, norm)
        part.linear.register_forward_hook(_NormaliseHeads(norm, part))


class _NormaliseHeads:
    """Forward hook of a projection: its rows `part.rows`, head by head, through `norm`."""

    def __init__(self, norm: nn.LayerNorm, part: Part) -> None:
        self.norm = norm
        rows = part.rows.tolist()
        whole = len(rows) == out_features(part.linear)
        # consecutive rows are a slice, which costs no gather
        self.rows = slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else part.rows
        self.whole = whole

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        del module, inputs
        size = self.norm.normalized_shape[0]
        chosen = output[..., self.rows]
        normed = self.norm(chosen.unflatten(-1, (-1, size))).flatten(-2).to(output.dtype)
        if self.whole:
            return normed
        if isinstance(self.rows, slice):
            return torch.cat([output[..., : self.rows.start], normed, output[..., self.rows.stop :]], dim=-1)
        return output.index_copy(-1, self.rows.to(output.device), normed)


def _reparametrise_blocks(model: nn.Module) -> None:
    attention = _attention(model, "sigma_reparametrisation")
    modules = {id(module) for module, _ in attention}
    fused = {id(p.query.linear): p for _, p in attention if p.query.linear is p.key.linear}
    backbone = model.get_submodule("backbone") if "backbone" in dict(model.named_children()) else model
    for index, name, block in layers.blocks(backbone):
        if not any(id(module) in modules for module in block.modules()):
            continue
        linears = [module for module in block.modules() if is_linear(module)]
        owned = {id(parameter) for linear in linears for parameter in linear.parameters()}
        for leaf, parameter in block.named_parameters():
            if parameter.ndim >= 2 and id(parameter) not in owned and "table" not in leaf:
                raise ConfigurationError(
                    f"interventions.sigma_reparametrisation: {name}.{leaf} of block {index} is a weight outside of "
                    "any linear map and cannot be reparametrised; use an architecture without packed weights"
                )
        for linear in linears:
            parts = fused.get(id(linear))
            rows = [parts.query.rows, parts.key.rows, parts.value.rows] if parts else None
            _reparametrise(linear, rows)


def _reparametrise(linear: nn.Module, rows: list[Tensor] | None) -> None:
    """Give `linear` the factor gamma / sigma_1 on its output; a fused one has a factor for each of its parts."""
    matrix = weight(linear).detach()
    membership = torch.ones(1, matrix.shape[0], device=matrix.device)
    if rows is not None:
        membership = torch.zeros(len(rows), matrix.shape[0], device=matrix.device)
        for place, part in enumerate(rows):
            membership[place, part.to(matrix.device)] = 1.0
    linear.register_parameter("sigma_gain", nn.Parameter(torch.ones(len(membership), device=matrix.device)))
    linear.register_buffer("sigma_parts", membership, persistent=False)
    # any direction that no symmetry of the network prefers; not drawn from the training's random numbers
    start = torch.sin(torch.arange(1.0, matrix.shape[1] + 1, device=matrix.device))
    linear.register_buffer("sigma_right", (start / start.norm())[:, None].expand(-1, len(membership)).contiguous())
    state = _Sigma(linear)
    linear.sigma_factors = state.factors  # type: ignore[assignment]
    linear.advance_sigma = state.advance  # type: ignore[assignment]
    if matrix.device.type != "meta":
        for _ in range(SETTLING_ITERATIONS):
            state.advance()
    linear.register_forward_hook(state)


class _Sigma:
    """Forward hook of a linear map: output (without bias) times gamma / sigma_1(W), for each part of the rows.

    sigma_1 = |W_part v| with v from one power iteration per training step, which the training asks for (`advance_sigma`
    of the linear map): a forward pass moves nothing. The gradient flows through W, not v.
    """

    def __init__(self, linear: nn.Module) -> None:
        self.linear = linear

    @torch.no_grad()
    def advance(self) -> None:
        """One power iteration v <- W'W v / |W'W v| of each part, in place."""
        parts, right = self._buffers()
        matrix = weight(self.linear).detach().float()
        following = matrix.T @ (matrix @ right * parts.T)
        length = following.norm(dim=0)
        right.copy_(torch.where(length > 0, following / length.clamp(min=SMALLEST_SIGMA), right))

    def factors(self) -> Tensor:
        """gamma / sigma_1 for each output row [out], float32, differentiable in W and gamma."""
        parts, right = self._buffers()
        # cloned, since the next forward moves the vectors before this one's backward may have run
        images = weight(self.linear).float() @ right.clone() * parts.T
        sigma = images.square().sum(0).clamp(min=SMALLEST_SIGMA**2).sqrt()
        gain: Tensor = self.linear.sigma_gain  # type: ignore[assignment]
        return (gain / sigma) @ parts

    def _buffers(self) -> tuple[Tensor, Tensor]:
        parts: Tensor = self.linear.sigma_parts  # type: ignore[assignment]
        right: Tensor = self.linear.sigma_right  # type: ignore[assignment]
        return parts, right

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        del inputs
        with torch.autocast(output.device.type, enabled=False):
            factors = self.factors().to(output.dtype)
        bias: Tensor | None = module.bias  # type: ignore[assignment]
        if bias is None:
            return output * factors
        return (output - bias) * factors + bias
