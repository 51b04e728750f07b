"""Query, key, value and output projections of attention modules, found by the names transformers gives them.

In: any module tree. Out: for each attention module the linear maps behind its queries and keys, whether they stand
alone or fused in one matrix, with as many key heads as query heads or fewer. What is not recognised is not guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

SEPARATE = (
    ("q_proj", "k_proj", "v_proj"),
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("wq", "wk", "wv"),
    ("q", "k", "v"),
)
FUSED = ("c_attn", "qkv", "qkv_proj", "Wqkv", "in_proj_qkv")
"""One matrix whose outputs are all queries, then all keys, then all values (GPT-2, Phi-3, ViT-style)."""
INTERLEAVED = {"GPTNeoXAttention": "query_key_value", "BloomAttention": "query_key_value"}
"""One matrix whose outputs are query, key and value of the first head, then of the second, ..."""
OUTPUT = ("o_proj", "out_proj", "c_proj", "dense", "wo", "out_lin", "proj", "o")
HEADS = ("num_attention_heads", "num_heads", "n_heads", "n_head")


@dataclass(frozen=True)
class Part:
    """Rows `rows` of the output of `linear`: the queries, keys or values of all heads, head after head."""

    linear: nn.Module
    rows: Tensor


@dataclass(frozen=True)
class Projections:
    """Linear maps of one attention module. heads counts queries' heads, key_heads those of keys and values."""

    query: Part
    key: Part
    value: Part
    output: nn.Module | None
    heads: int
    key_heads: int

    def query_key(self) -> tuple[Tensor, Tensor]:
        """Weights of queries [heads, head size, width] and keys, repeated to as many heads, float32."""
        query = part_weight(self.query).unflatten(0, (self.heads, -1))
        key = part_weight(self.key).unflatten(0, (self.key_heads, -1))
        return query, key.repeat_interleave(self.heads // self.key_heads, dim=0)


def attention_projections(model: nn.Module) -> Iterator[tuple[str, nn.Module, Projections]]:
    """(name, module, projections) of every self-attention module of `model` whose projections are recognised."""
    for name, module in model.named_modules():
        found = find(module)
        if found is not None:
            yield name, module, found


def looks_like_attention(module: nn.Module) -> bool:
    """Whether a module's class says that it computes attention scores itself (not a wrapper of one that does)."""
    kind = type(module).__name__
    wrapper = any("Attention" in type(child).__name__ for child in module.modules() if child is not module)
    return "Attention" in kind and "Rwkv" not in kind and not wrapper


def find(module: nn.Module) -> Projections | None:
    """Projections of `module` if it is a self-attention module of a known layout, else None."""
    output = next((getattr(module, name) for name in OUTPUT if is_linear(getattr(module, name, None))), None)
    for names in SEPARATE:
        linears = [getattr(module, name, None) for name in names]
        if all(is_linear(linear) for linear in linears):
            parts = [
                Part(linear, torch.arange(out_features(linear), device="cpu"))
                for linear in linears
                if linear is not None
            ]
            return _complete(module, parts, output)
    interleaved = INTERLEAVED.get(type(module).__name__)
    if interleaved is not None:
        linear = getattr(module, interleaved)
        heads = _heads(module)
        if heads is None:
            return None
        rows = torch.arange(out_features(linear), device="cpu").reshape(heads, 3, -1)
        return _complete(module, [Part(linear, rows[:, which].flatten()) for which in range(3)], output)
    for name in FUSED:
        fused = getattr(module, name, None)
        if isinstance(fused, nn.Module) and is_linear(fused) and not getattr(module, "is_cross_attention", False):
            return _split_fused(module, fused, output)
    return None


def is_linear(module: nn.Module | None) -> bool:
    """Whether `module` is a linear map whose weight can be read ([out, in], or transformers' transposed Conv1D)."""
    return isinstance(module, nn.Linear | Conv1D)


def weight(linear: nn.Module) -> Tensor:
    """Weight of a linear map as [out, in], as stored."""
    stored: Tensor = linear.weight  # type: ignore[assignment]
    return stored.T if isinstance(linear, Conv1D) else stored


def out_features(linear: nn.Module) -> int:
    """Number of outputs of a linear map."""
    return int(weight(linear).shape[0])


def part_weight(part: Part) -> Tensor:
    """Effective weight [rows, in] of a part, float32: with the factor of sigma-reparametrisation where there is one."""
    full = weight(part.linear).detach().float()
    factors = getattr(part.linear, "sigma_factors", None)
    if factors is not None:
        full = full * factors()[:, None].detach()
    return full[part.rows.to(full.device)]


def head_size(module: nn.Module, query_width: int) -> int | None:
    """Outputs per head of an attention module, from its own attributes."""
    size = getattr(module, "head_dim", None) or getattr(module, "attention_head_size", None)
    if size is not None:
        return int(size)
    heads = _heads(module)
    return query_width // heads if heads else None


def _heads(module: nn.Module) -> int | None:
    config = getattr(module, "config", None)
    found = [getattr(owner, name, None) for owner in (module, config) for name in HEADS]
    return next((int(number) for number in found if isinstance(number, int)), None)


def _split_fused(module: nn.Module, linear: nn.Module, output: nn.Module | None) -> Projections | None:
    heads = _heads(module)
    size = head_size(module, out_features(linear) // 3)
    if heads is None or size is None:
        return None
    rows = torch.arange(out_features(linear), device="cpu")
    queries = heads * size
    keys, odd = divmod(len(rows) - queries, 2)
    if odd or keys <= 0:
        return None
    parts = [Part(linear, piece) for piece in rows.split([queries, keys, keys])]
    return _complete(module, parts, output)


def _complete(module: nn.Module, parts: list[Part], output: nn.Module | None) -> Projections | None:
    query, key, value = parts
    size = head_size(module, len(query.rows))
    if not size or len(query.rows) % size or len(key.rows) % size:
        return None
    heads, key_heads = len(query.rows) // size, len(key.rows) // size
    if key_heads == 0 or heads % key_heads:
        return None
    return Projections(query, key, value, output, heads, key_heads)
