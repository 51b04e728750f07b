"""The attention-like matrices of layers without attention, per layer and channel, on the probe examples.

Mamba (and Jamba's Mamba layers), hidden attention (Ali 2403.01590): y_i = sum_j alpha_ij x_j + D x_i with
    alpha_ij = sum_n C_i[n] exp(A[n] (S_i - S_j)) Delta_j B_j[n],  S the running sum of Delta,  j <= i.
RWKV-4: wkv_i = sum_j softmax_j(k_j - (i - 1 - j) exp(time_decay)) v_j for j < i, the current token with time_first.
Absolute values, normalised per row: mixing_entropy (nats), mixing_relative_entropy, mixing_sparsity, and sparsely
mixing_effective_rank and mixing_map. The column `head` holds the channel. A block with neither attention nor a mixer
known here is reported as not_probed.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from warmup.architectures.projections import looks_like_attention
from warmup.probes import _entropy
from warmup.probes._look import Look, Row

MAMBA_PARTS = ("in_proj", "conv1d", "x_proj", "dt_proj", "A_log", "D", "act")
JAMBA_NORMS = ("dt_layernorm", "b_layernorm", "c_layernorm")
RWKV_PARTS = ("time_decay", "time_first", "extract_key_value")


def watched(model: nn.Module) -> list[str]:
    """Names of the mixers known here: their inputs are captured."""
    return [name for name, module in model.named_modules() if is_mamba(module) or is_rwkv(module)]


@torch.no_grad()
def before_update(look: Look) -> list[Row]:
    """Rows of every block whose mixer is known."""
    rows: list[Row] = []
    size = look.settings["largest_matrix"]
    rank, store = (look.taken_along(look.settings[key]) for key in ("rank_points", "map_points"))
    for name, module in look.watcher.modules:
        if not (is_mamba(module) or is_rwkv(module)):
            continue
        states = look.captured.inputs[name][:, :size].float()
        matrix_of = mamba_matrices if is_mamba(module) else rwkv_matrices
        channels = spread(channel_count(module), look.settings["channels"])
        weights = matrix_of(module, states, channels).abs()
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo().tiny)
        visible = torch.ones(weights.shape[-2:], dtype=torch.bool, device=weights.device).tril()
        statistics = dict(
            zip(
                ("mixing_entropy", "mixing_relative_entropy", "mixing_sparsity"),
                _entropy.entropies(weights, visible),
                strict=True,
            )
        )
        if rank:
            ranks = _entropy.effective_rank(_entropy.singular_values(weights[0]))
            statistics["mixing_effective_rank"] = ranks
        for quantity, values in statistics.items():
            rows += [
                look.row(name, quantity, value, head=channel)
                for channel, value in zip(channels.tolist(), values.tolist(), strict=True)
            ]
        if store:
            for channel, matrix in zip(channels.tolist()[: look.settings["map_channels"]], weights[0], strict=False):
                rows.append(look.row(name, "mixing_map", head=channel, values=matrix))
    for _, name, block in look.blocks if look.step == 0 else []:
        covered = any(is_mamba(part) or is_rwkv(part) or looks_like_attention(part) for part in block.modules())
        if not covered:
            rows += look.not_probed(name, "mixing", f"{type(block).__name__} mixes tokens in a way not known here")
    return rows


def is_mamba(module: Any) -> bool:
    """Whether `module` is a Mamba-1 mixer whose equations are those above (with Jamba's three norms or none)."""
    if not all(hasattr(module, part) for part in MAMBA_PARTS):
        return False
    norms = sum(hasattr(module, norm) for norm in JAMBA_NORMS)
    # FalconMamba normalises dt, B and C by functions of its own; Mamba-2 has one A per head
    return norms in (0, len(JAMBA_NORMS)) and not hasattr(module, "rms_eps") and bool(module.A_log.ndim == 2)


def is_rwkv(module: nn.Module) -> bool:
    """Whether `module` is RWKV-4's time mixing."""
    return all(hasattr(module, part) for part in RWKV_PARTS)


def channel_count(module: Any) -> int:
    """Channels that mix tokens independently."""
    return int((module.A_log if is_mamba(module) else module.time_decay).shape[0])


def spread(available: int, wanted: int) -> Tensor:
    """`wanted` channels, evenly spread over `available` ones."""
    return torch.linspace(0, available - 1, min(wanted, available)).round().long()


def mamba_matrices(mixer: Any, states: Tensor, channels: Tensor) -> Tensor:
    """alpha [n, channels, positions, positions] of a Mamba mixer for its inputs `states` [n, positions, width]."""
    inputs, delta, before, after = mamba_scan_inputs(mixer, states)
    del inputs
    decay = -torch.exp(mixer.A_log.float())[channels]
    delta = delta[..., channels]  # [n, positions, channels]
    elapsed = delta.cumsum(1).transpose(1, 2)  # [n, channels, positions]
    gaps = (elapsed[..., :, None] - elapsed[..., None, :]).tril()
    matrix = torch.zeros_like(gaps)
    for state in range(decay.shape[1]):  # one state at a time: memory stays at one matrix per channel
        outer = after[:, None, :, None, state] * before[:, None, None, :, state]
        matrix += torch.exp(decay[:, state, None, None] * gaps) * outer
    return (matrix * delta.transpose(1, 2)[:, :, None, :]).tril()


def mamba_scan_inputs(mixer: Any, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(x [n, positions, channels], Delta likewise, B and C [n, positions, states]) of a Mamba mixer's scan."""
    projected = mixer.in_proj(states).transpose(1, 2)
    x, _ = projected.chunk(2, dim=1)
    x = mixer.act(mixer.conv1d(x)[..., : states.shape[1]]).transpose(1, 2)
    rank = int(mixer.dt_proj.weight.shape[1])
    size = int(mixer.A_log.shape[1])
    step, before, after = torch.split(mixer.x_proj(x), [rank, size, size], dim=-1)
    if hasattr(mixer, JAMBA_NORMS[0]):
        step, before, after = mixer.dt_layernorm(step), mixer.b_layernorm(before), mixer.c_layernorm(after)
    return x, functional.softplus(mixer.dt_proj(step)), before, after


def rwkv_matrices(mixer: Any, states: Tensor, channels: Tensor) -> Tensor:
    """Normalised weights [n, channels, positions, positions] of RWKV-4's time mixing for its inputs `states`."""
    _, key, _, _ = mixer.extract_key_value(states)
    key = key[..., channels].float().transpose(1, 2)  # [n, channels, positions]
    decay = torch.exp(mixer.time_decay.float())[channels]
    positions = torch.arange(key.shape[-1], device=key.device)
    age = (positions[:, None] - 1 - positions[None, :]).clamp(min=0)
    logits = key[:, :, None, :] - decay[:, None, None] * age
    logits = logits.masked_fill(torch.ones_like(age, dtype=torch.bool).triu(), float("-inf"))
    current = key + mixer.time_first.float()[channels][:, None]
    logits = torch.where(torch.eye(len(positions), dtype=torch.bool, device=key.device), current[:, :, None, :], logits)
    return logits.softmax(-1)
