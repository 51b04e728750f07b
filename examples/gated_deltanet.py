"""Gated DeltaNet (Yang 2412.06464), an architecture of one's own: class GatedDeltaNet of examples/gated_deltanet.py.

Each head keeps a matrix S that maps keys to values. A position lets it fade by alpha, takes out what it says of its key
to the share beta, and writes its own value there (equation 10 of the paper):

    S_t = S_{t-1} alpha_t (I - beta_t k_t k_t^T) + beta_t v_t k_t^T,      o_t = S_t q_t / sqrt(size of a key).

Matrices start as in the authors' implementation (fla): normal with deviation 0.02; step sizes and rates as Mamba-2's.
What is left out: windows of attention between the layers (the paper's hybrids H1 and H2) and bfloat16.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

CHUNK = 32
"""Positions worked on at once; more make larger triangular systems, fewer make more of them."""

DEVIATION = 0.02
"""Of the entries of matrices at the start."""

RATES, STEP_SIZES = (0.0, 16.0), (1e-3, 0.1)
"""Ranges that a head's rate and step size are drawn from, uniformly and log-uniformly."""


def gated_delta_rule(query: Tensor, key: Tensor, value: Tensor, log_alpha: Tensor, beta: Tensor) -> Tensor:
    """o [n, positions, heads, value size] of q and k [n, positions, heads, size], v, and log alpha and beta [n,
    positions, heads]; linear in `value`.

    Within a chunk S_t is the faded state before it plus a sum of u_s k_s^T, each faded since. The u solve a unit lower
    triangular system (section 3.3), and outputs are products of matrices. No exponent is positive, so none overflows.
    """
    moved = (part.float().transpose(1, 2) for part in (query, key, value, log_alpha, beta))
    query, key, value, log_alpha, beta = moved  # [n, heads, positions, ...]
    query = query / math.sqrt(query.shape[-1])
    state = torch.zeros_like(value[..., :1, :]).mT @ torch.zeros_like(key[..., :1, :])  # [n, heads, values, keys]
    outputs = []
    for start in range(0, value.shape[-2], CHUNK):
        now = slice(start, start + CHUNK)
        keys, share = key[..., now, :], beta[..., now, None]
        elapsed = log_alpha[..., now].cumsum(-1)
        since = (elapsed[..., :, None] - elapsed[..., None, :]).tril().exp().tril()  # [to, from] within the chunk
        fade, rest = elapsed[..., None].exp(), (elapsed[..., -1:] - elapsed)[..., None].exp()
        written = torch.linalg.solve_triangular(
            torch.eye(keys.shape[-2], device=keys.device) + share * (since * (keys @ keys.mT)).tril(-1),
            share * (value[..., now, :] - fade * (keys @ state.mT)),
            upper=False,
            unitriangular=True,
        )
        asked = query[..., now, :]
        outputs.append(fade * (asked @ state.mT) + (since * (asked @ keys.mT)) @ written)
        state = state * fade[..., -1:, :] + written.mT @ (keys * rest)
    return torch.cat(outputs, dim=-2).transpose(1, 2)


class Mixer(nn.Module):
    """Mixes positions by `gated_delta_rule`; `key_size` and `value_size` are a head's."""

    MIXING_OPERATOR = ("gated_delta_rule", "value")

    def __init__(self, width: int, heads: int, key_size: int, value_size: int, taps: int) -> None:
        super().__init__()
        self.heads = heads
        keys, values = heads * key_size, heads * value_size
        self.q_proj, self.k_proj = nn.Linear(width, keys, bias=False), nn.Linear(width, keys, bias=False)
        self.v_proj, self.gate = nn.Linear(width, values, bias=False), nn.Linear(width, values, bias=False)
        self.fade, self.share = nn.Linear(width, heads, bias=False), nn.Linear(width, heads, bias=False)
        self.convolution = nn.Conv1d(
            2 * keys + values, 2 * keys + values, taps, groups=2 * keys + values, padding=taps - 1, bias=False
        )
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(*RATES).log())
        step_size = torch.empty(heads).uniform_(*map(math.log, STEP_SIZES)).exp()
        self.step_bias = nn.Parameter(step_size + torch.log(-torch.expm1(-step_size)))  # softplus gives it back
        self.norm = nn.RMSNorm(value_size, eps=1e-5)
        self.output = nn.Linear(values, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, positions, width], what is added to the stream."""
        projected = torch.cat([self.q_proj(inputs), self.k_proj(inputs), self.v_proj(inputs)], dim=-1)
        near = functional.silu(self.convolution(projected.mT)[..., : inputs.shape[1]]).mT
        sizes = [self.q_proj.out_features, self.k_proj.out_features, self.v_proj.out_features]
        query, key, value = (part.unflatten(-1, (self.heads, -1)) for part in near.split(sizes, dim=-1))
        log_alpha = -self.log_rate.exp() * functional.softplus(self.fade(inputs) + self.step_bias)
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
        mixed = gated_delta_rule(query, key, value, log_alpha, torch.sigmoid(self.share(inputs)))
        made: Tensor = self.output(self.norm(mixed).flatten(-2) * functional.silu(self.gate(inputs)))
        return made


class FeedForward(nn.Module):
    """A gated feed-forward network (SwiGLU)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.up, self.gate = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, positions, width], what is added to the stream."""
        made: Tensor = self.down(functional.silu(self.gate(inputs)) * self.up(inputs))
        return made


class Block(nn.Module):
    """One layer: mixer and feed-forward network, each of the normalised stream."""

    LAYER_GROUPS: ClassVar = {"mixer": "mixer", "feed_forward": "feed_forward"}

    def __init__(self, width: int, inner: int, heads: int, key_size: int, value_size: int, taps: int) -> None:
        super().__init__()
        self.mixer_norm, self.feed_forward_norm = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.mixer = Mixer(width, heads, key_size, value_size, taps)
        self.feed_forward = FeedForward(width, inner)

    def forward(self, stream: Tensor) -> Tensor:
        stream = stream + self.mixer(self.mixer_norm(stream))
        made: Tensor = stream + self.feed_forward(self.feed_forward_norm(stream))
        return made


class GatedDeltaNet(nn.Module):
    """inputs_embeds [n, positions, hidden_size] -> last_hidden_state, likewise. The paper's keys have 3/4 of the
    stream's channels over all heads, and its values twice as many as the keys."""

    def __init__(
        self,
        hidden_size: int,
        num_hidden_layers: int,
        num_heads: int,
        intermediate_size: int,
        key_size: int,
        value_size: int,
        taps: int = 4,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList(
            Block(hidden_size, intermediate_size, num_heads, key_size, value_size, taps)
            for _ in range(num_hidden_layers)
        )
        self.norm = nn.RMSNorm(hidden_size, eps=1e-5)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=DEVIATION)

    def forward(self, inputs_embeds: Tensor) -> Tensor:
        stream = inputs_embeds
        for layer in self.layers:
            stream = layer(stream)
        states: Tensor = self.norm(stream)
        return states
