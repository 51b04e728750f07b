"""What surrounds the WKV in RWKV-4's blocks, on NVIDIA GPUs: token shift with its mixtures in one pass, by Triton.

    mixed_j = x_t mix_j + x_{t-1} (1 - mix_j),   x_{-1} = 0;      squared = relu(x)^2

transformers writes each mixture out in four operations and keeps their float32 results for the backward pass; here
`x` is read once, mixtures are written in the precision of the products that follow, and only `x` is kept. Squared ReLU
is a product of the ReLU with itself: autocast computes `torch.square` in float32. Calls with a state (generation) go to
transformers' own method. (On a CPU the same gained 6 to 8 % of a step, docs/LOG.md, and is not worth its code.)
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("warmup::token_mix", mutates_args=())
def mix(x: Tensor, mixes: Tensor, dtype: torch.dtype) -> Tensor:
    """Mixtures [mixtures, batch, length, channels] in `dtype` of x [batch, length, channels], both contiguous."""
    from warmup.kernels import token_mixing_triton

    out = x.new_empty(len(mixes), *x.shape, dtype=dtype)
    token_mixing_triton.launch_mix(x, mixes, out)
    return out


@torch.library.custom_op("warmup::token_mix_back", mutates_args=())
def mix_back(x: Tensor, mixes: Tensor, g_out: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and of mixes (float32) from that of the mixtures."""
    from warmup.kernels import token_mixing_triton

    return token_mixing_triton.launch_mix_back(x, mixes, g_out)


@mix.register_fake
def _(x: Tensor, mixes: Tensor, dtype: torch.dtype) -> Tensor:
    return x.new_empty(len(mixes), *x.shape, dtype=dtype)


@mix_back.register_fake
def _(x: Tensor, mixes: Tensor, _g_out: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(mixes)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(inputs[0], inputs[1])


def _backward(ctx: Any, g_out: Tensor) -> tuple[Tensor, Tensor, None]:
    x, mixes = ctx.saved_tensors
    return *mix_back(x, mixes, g_out.contiguous()), None


mix.register_autograd(_backward, setup_context=_keep)


def mixtures(hidden: Tensor, *mixes: Tensor) -> tuple[Tensor, ...]:
    """The mixtures of hidden [batch, length, channels], in the precision that products have here."""
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    shares = torch.stack([share.reshape(-1).float() for share in mixes])
    return mix(hidden.contiguous(), shares, dtype).unbind(0)


def key_and_value(self: Any, hidden: Tensor, state: None = None) -> tuple[Any, ...]:
    """`RwkvSelfAttention.extract_key_value` without a state: receptance, key, value, no state."""
    key, value, receptance = mixtures(hidden, self.time_mix_key, self.time_mix_value, self.time_mix_receptance)
    return torch.sigmoid(self.receptance(receptance)), self.key(key), self.value(value), state


def feed_forward(self: Any, hidden: Tensor, state: None = None) -> tuple[Tensor, Any]:
    """`RwkvFeedForward.forward` without a state."""
    key, receptance = mixtures(hidden, self.time_mix_key, self.time_mix_receptance)
    positive = torch.relu(self.key(key))
    return torch.sigmoid(self.receptance(receptance)) * self.value(positive * positive), state


def attention_stand_in(reference: Callable) -> Callable:
    """Method in the place of `RwkvSelfAttention.extract_key_value`."""

    @functools.wraps(reference)
    def extract_key_value(self: Any, hidden: Tensor, state: Any = None) -> tuple[Any, ...]:
        if state is not None or hidden.device.type != "cuda":
            return reference(self, hidden, state=state)
        return key_and_value(self, hidden)

    return extract_key_value


def feed_forward_stand_in(reference: Callable) -> Callable:
    """Method in the place of `RwkvFeedForward.forward`."""

    @functools.wraps(reference)
    def forward(self: Any, hidden: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if state is not None or hidden.device.type != "cuda":
            return reference(self, hidden, state=state)
        return feed_forward(self, hidden)

    return forward
