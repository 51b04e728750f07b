"""RWKV-7 "Goose" (Peng 2503.14456), an architecture of one's own: `source: {module: examples/rwkv7.py, class: RWKV7}`.

Time mixing keeps per head a matrix S that maps keys to values, and corrects it by a delta rule with a decay, a removal
key, a replacement key and a learning rate of each channel and position (section 4 of the paper):

    S_t = S_{t-1} (diag(w_t) - khat_t^T (a_t * khat_t)) + v_t^T k_t,      o_t = r_t S_t^T.

Weights start as the authors' training code starts them (RWKV-LM, RWKV-v7). What is left out: bfloat16 of the kernel.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

CHUNK = 32
"""Positions worked on at once. Decays are above exp(-exp(-1/2)) = 0.545, so that of a chunk stays above 3e-9."""

NORM_EPSILON = 64e-5
"""Of the normalisation of each head's output (section 4)."""


def wkv7(receptance: Tensor, decay: Tensor, key: Tensor, value: Tensor, removal: Tensor, replacement: Tensor) -> Tensor:
    """o_t = S_t r_t with S_t = S_{t-1} diag(exp(decay_t)) + (S_{t-1} removal_t) replacement_t^T + value_t key_t^T.

    All [n, positions, heads, size], as is the result; linear in `value`. Within a chunk, with W_t the product of its
    decays up to t and u_t = S_{t-1} removal_t, each position adds to S_t diag(1 / W_t) a term of rank two. So u solves
    a unit lower triangular system, and outputs are products of matrices.
    """
    given = (part.float().transpose(1, 2) for part in (receptance, decay, key, value, removal, replacement))
    receptance, decay, key, value, removal, replacement = given  # [n, heads, positions, size]
    state = torch.zeros_like(value[..., :1, :]).mT @ torch.zeros_like(key[..., :1, :])  # [n, heads, values, keys]
    outputs = []
    for start in range(0, value.shape[-2], CHUNK):
        now = slice(start, start + CHUNK)
        elapsed = decay[..., now, :].cumsum(-2)
        grown = torch.exp(-elapsed)
        values, keys, written = value[..., now, :], key[..., now, :] * grown, replacement[..., now, :] * grown
        asked = receptance[..., now, :] * torch.exp(elapsed)
        removed = removal[..., now, :] * torch.exp(elapsed - decay[..., now, :])
        correction = torch.linalg.solve_triangular(
            torch.eye(values.shape[-2], device=value.device) - (removed @ written.mT).tril(-1),
            removed @ state.mT + (removed @ keys.mT).tril(-1) @ values,
            upper=False,
            unitriangular=True,
        )
        outputs.append(asked @ state.mT + (asked @ keys.mT).tril() @ values + (asked @ written.mT).tril() @ correction)
        state = (state + values.mT @ keys + correction.mT @ written) * torch.exp(elapsed[..., -1:, :])
    return torch.cat(outputs, dim=-2).transpose(1, 2)


def before(states: Tensor) -> Tensor:
    """The states of the position before each: token shift."""
    return functional.pad(states, (0, 0, 1, -1))


def uniform(inputs: int, outputs: int, scale: float) -> nn.Linear:
    """A linear map without bias, its entries from -scale to scale over the root of its inputs."""
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.uniform_(linear.weight, -scale / math.sqrt(inputs), scale / math.sqrt(inputs))
    return linear


class LowRank(nn.Module):
    """bias + B act(A x), A starting at zero, so that it starts as its bias [width] says (None: it has none)."""

    def __init__(self, width: int, rank: int, act: nn.Module, bias: Tensor | None) -> None:
        super().__init__()
        self.down, self.act, self.up = nn.Linear(width, rank, bias=False), act, nn.Linear(rank, width, bias=False)
        self.bias = None if bias is None else nn.Parameter(bias)
        nn.init.zeros_(self.down.weight)
        nn.init.orthogonal_(self.up.weight, gain=0.1)

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = self.up(self.act(self.down(inputs)))
        return made if self.bias is None else made + self.bias


class TimeMixing(nn.Module):
    """Mixes positions by `wkv7`. `first` are the values of the first layer, to which deeper layers are drawn."""

    MIXING_OPERATOR = ("wkv7", "value")

    def __init__(self, width: int, heads: int, rank: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads, self.layer = heads, layer
        depth, channel = layer / max(layers - 1, 1), torch.arange(width) / width
        powers = {"receptance": 0.2, "decay": 0.9, "key": 0.7, "value": 0.7, "rate": 0.9, "gate": 0.2}
        self.shift = nn.ParameterDict(
            {name: nn.Parameter(1 - channel ** (power * (1 - layer / layers))) for name, power in powers.items()}
        )
        self.receptance, self.key = uniform(width, width, 0.5), uniform(width, width, 0.05)
        self.value, self.output = uniform(width, width, 0.5), uniform(width, width, 0.0)
        speed = -6.5 + 5 * (torch.arange(width) / max(width - 1, 1)) ** (0.85 + depth**0.5)
        self.decay = LowRank(width, rank, nn.Tanh(), speed)
        self.rate = LowRank(width, rank, nn.Identity(), torch.zeros(width))
        self.gate = LowRank(width, rank, nn.Sigmoid(), None)
        self.to_first = LowRank(width, rank, nn.Identity(), torch.ones(width)) if layer else None
        self.removal_scale = nn.Parameter(torch.full((width,), 0.85))
        self.replacement_rate = nn.Parameter(torch.ones(width))
        self.bonus = nn.Parameter(torch.zeros(width))
        self.norm = nn.GroupNorm(heads, width, eps=NORM_EPSILON)
        nn.init.constant_(self.norm.weight, ((1 + layer) / layers) ** 0.7)

    def forward(self, inputs: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        """[n, positions, width] twice: what is added to the stream, and the values of the first layer."""
        past = before(inputs) - inputs
        shifted = {name: inputs + past * share for name, share in self.shift.items()}
        receptance, key = self.receptance(shifted["receptance"]), self.key(shifted["key"])
        value, rate = self.value(shifted["value"]), torch.sigmoid(self.rate(shifted["rate"]))
        decay = -math.exp(-0.5) * torch.sigmoid(self.decay(shifted["decay"]))
        if self.to_first is not None and first is not None:
            value = value + (first - value) * torch.sigmoid(self.to_first(shifted["value"]))
        removal = functional.normalize(self.split(key * self.removal_scale), dim=-1)
        key = self.split(key * (1 + (rate - 1) * self.replacement_rate))
        receptance, values = self.split(receptance), self.split(value)
        mixed = wkv7(receptance, self.split(decay), key, values, -removal, removal * self.split(rate))
        mixed = self.norm(mixed.flatten(0, 1).flatten(1)).view_as(inputs)
        mixed = mixed + ((receptance * key * self.bonus.view(self.heads, -1)).sum(-1, keepdim=True) * values).flatten(
            -2
        )
        return self.output(mixed * self.gate(shifted["gate"])), value if first is None else first

    def split(self, channels: Tensor) -> Tensor:
        """[n, positions, heads, size] of [n, positions, width]."""
        return channels.unflatten(-1, (self.heads, -1))


class ChannelMixing(nn.Module):
    """A feed-forward network with squared ReLU, of inputs that mix two positions."""

    def __init__(self, width: int, inner: int, layer: int, layers: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(1 - (torch.arange(width) / width) ** ((1 - layer / layers) ** 4))
        self.key, self.value = uniform(width, inner, 0.5), uniform(inner, width, 0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, positions, width], what is added to the stream."""
        made: Tensor = self.value(self.key(torch.lerp(inputs, before(inputs), self.shift)).relu() ** 2)
        return made


class Block(nn.Module):
    """One layer: both mixings, each of the normalised stream."""

    LAYER_GROUPS: ClassVar = {"time_mixing": "mixer", "channel_mixing": "feed_forward"}

    def __init__(self, width: int, inner: int, heads: int, rank: int, layer: int, layers: int) -> None:
        super().__init__()
        self.time_norm, self.channel_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.time_mixing = TimeMixing(width, heads, rank, layer, layers)
        self.channel_mixing = ChannelMixing(width, inner, layer, layers)

    def forward(self, stream: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        added, first = self.time_mixing(self.time_norm(stream), first)
        stream = stream + added
        return stream + self.channel_mixing(self.channel_norm(stream)), first


class RWKV7(nn.Module):
    """inputs_embeds [n, positions, hidden_size] -> last_hidden_state, likewise. `rank` is that of the gates' maps."""

    def __init__(
        self, hidden_size: int, num_hidden_layers: int, num_heads: int, intermediate_size: int, rank: int
    ) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(f"num_heads: {num_heads} do not divide hidden_size ({hidden_size})")
        self.hidden_size = hidden_size
        self.embedding_norm = nn.LayerNorm(hidden_size)
        self.layers = nn.ModuleList(
            Block(hidden_size, intermediate_size, num_heads, rank, layer, num_hidden_layers)
            for layer in range(num_hidden_layers)
        )
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, inputs_embeds: Tensor) -> Tensor:
        stream, first = self.embedding_norm(inputs_embeds), None
        for layer in self.layers:
            stream, first = layer(stream, first)
        states: Tensor = self.norm(stream)
        return states

    def start_tokens(self, embedding: Tensor, head: Tensor | None) -> None:
        """The authors' start of the token embedding and of the head."""
        nn.init.uniform_(embedding, -1e-4, 1e-4)
        if head is not None:
            nn.init.orthogonal_(head, gain=0.5 * math.sqrt(max(1.0, head.shape[0] / head.shape[1])))
