"""The attention-like matrices of layers without attention, per layer and channel, on the probe examples.

Mamba (and Jamba's Mamba layers), hidden attention (Ali 2403.01590): y_i = sum_j alpha_ij x_j + D x_i with
    alpha_ij = sum_n C_i[n] exp(A[n] (S_i - S_j)) Delta_j B_j[n],  S the running sum of Delta,  j <= i.
RG-LRU (De 2402.19427): alpha_ij = (prod_{k=j+1..i} a_k) sqrt(1 - a_j^2) i_j, with the gates a and i of each position.
Mamba-2, gated delta rule, Kimi's delta attention, per head: by the operator itself (_operators.py).
RWKV-4: wkv_i = sum_j softmax_j(k_j - (i - 1 - j) exp(time_decay)) v_j for j < i, the current token with time_first.
Absolute values, normalised per row: mixing_entropy (nats), mixing_relative_entropy, mixing_sparsity, and sparsely
mixing_effective_rank and mixing_map. The column `head` holds the channel (or head). A block with neither attention nor
a mixer known here is reported as not_probed.
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
RG_LRU_PARTS = ("recurrent_param", "input_gate_weight", "recurrent_gate_weight")
RWKV_PARTS = ("time_decay", "time_first", "extract_key_value")

RG_LRU_SHARPNESS = -8.0
"""The paper's constant c with its sign: log a_t = -c r_t softplus(Lambda) (De 2402.19427, equation 4)."""


def watched(model: nn.Module) -> list[str]:
    """Names of the mixers known here: their inputs are captured."""
    return [name for name, module in model.named_modules() if has_channels(module)]


@torch.no_grad()
def before_update(look: Look) -> list[Row]:
    """Rows of every block whose mixer is known."""
    rows: list[Row] = []
    size = look.settings["largest_matrix"]
    for name, module in look.watcher.modules:
        if has_channels(module):
            states = look.captured.inputs[name][:, :size].float()
            channels = spread(channel_count(module), look.settings["channels"])
            rows += _rows(look, name, channels, channel_matrices(module, states, channels))
    for name in look.watcher.operators:
        call = look.captured.operators.get(name)
        if call is not None:
            heads = spread(call.heads, look.settings["channels"])
            rows += _rows(look, name, heads, call.matrices(size)[:, heads])
    for _, name, block in look.blocks if look.step == 0 else []:
        parts = [f"{name}.{path}" if path else name for path, _ in block.named_modules()]
        covered = any(has_channels(part) or looks_like_attention(part) for part in block.modules())
        if not covered and not look.watcher.operators.intersection(parts) and mixes(block):
            rows += look.not_probed(name, "mixing", f"{type(block).__name__} mixes tokens in a way not known here")
    return rows


def _rows(look: Look, name: str, channels: Tensor, matrices: Tensor) -> list[Row]:
    """Statistics of `matrices` [n, channels, positions, positions] of one mixer; `channels` are their numbers."""
    rank, store = (look.taken_along(look.settings[key]) for key in ("rank_points", "map_points"))
    weights = matrices.abs()
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo().tiny)
    visible = torch.ones(weights.shape[-2:], dtype=torch.bool, device=weights.device).tril()
    quantities = ("mixing_entropy", "mixing_relative_entropy", "mixing_sparsity")
    statistics = dict(zip(quantities, _entropy.entropies(weights, visible), strict=True))
    if rank:
        statistics["mixing_effective_rank"] = _entropy.effective_rank(_entropy.singular_values(weights[0]))
    rows = [
        look.row(name, quantity, value, head=channel)
        for quantity, values in statistics.items()
        for channel, value in zip(channels.tolist(), values.tolist(), strict=True)
    ]
    if store:
        for channel, matrix in zip(channels.tolist()[: look.settings["map_channels"]], weights[0], strict=False):
            rows.append(look.row(name, "mixing_map", head=channel, values=matrix))
    return rows


def has_channels(module: nn.Module) -> bool:
    """Whether `module` is a mixer known here that mixes positions for each channel on its own."""
    return is_mamba(module) or is_rwkv(module) or is_rg_lru(module)


def channel_matrices(mixer: Any, states: Tensor, channels: Tensor) -> Tensor:
    """Matrices [n, channels, positions, positions] of a mixer with channels, for its inputs [n, positions, width]."""
    matrix_of = mamba_matrices if is_mamba(mixer) else rwkv_matrices if is_rwkv(mixer) else rg_lru_matrices
    return matrix_of(mixer, states, channels)


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


def is_rg_lru(module: nn.Module) -> bool:
    """Whether `module` is Griffin's real-gated linear recurrent unit (RecurrentGemma)."""
    return all(hasattr(module, part) for part in RG_LRU_PARTS)


def mixes(block: nn.Module) -> bool:
    """Whether a block has parts of a mixer at all: some hybrids have blocks of a feed-forward network alone."""
    return any(True for _ in block.children()) and not all(
        any(word in type(part).__name__.lower() for word in ("mlp", "moe", "norm", "feedforward", "linear"))
        for part in block.children()
    )


def channel_count(module: Any) -> int:
    """Channels that mix tokens independently."""
    names = {"A_log": is_mamba(module), "time_decay": is_rwkv(module), "recurrent_param": is_rg_lru(module)}
    return int(getattr(module, next(name for name, present in names.items() if present)).shape[0])


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


def rg_lru_matrices(unit: Any, states: Tensor, channels: Tensor) -> Tensor:
    """alpha [n, channels, positions, positions] of an RG-LRU for its inputs `states` [n, positions, width]."""
    heads, size = unit.input_gate_weight.shape[:2]
    parts = states.unflatten(-1, (heads, size))

    def gate(weight: Tensor, bias: Tensor) -> Tensor:
        return (
            (torch.einsum("nthi,hij->nthj", parts, weight.float()) + bias.float()).sigmoid().flatten(-2)[..., channels]
        )

    written = gate(unit.input_gate_weight, unit.input_gate_bias)
    kept = gate(unit.recurrent_gate_weight, unit.recurrent_gate_bias)
    decay = RG_LRU_SHARPNESS * kept * functional.softplus(unit.recurrent_param.float()[channels])
    scale = torch.sqrt(1 - torch.exp(2 * decay))
    scale[:, 0] = 1.0  # the first position starts from nothing and is written whole
    elapsed = decay.cumsum(1).transpose(1, 2)  # [n, channels, positions], falling
    gaps = (elapsed[..., :, None] - elapsed[..., None, :]).tril()
    return (torch.exp(gaps) * (written * scale).transpose(1, 2)[:, :, None, :]).tril()
