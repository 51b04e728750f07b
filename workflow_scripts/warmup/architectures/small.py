"""Settings of a model type at a wanted width and depth, derived from transformers' own default configuration.

In: transformers' name of the type. Out: the `settings` of an architecture entry. Every size that grows with width is
scaled alike, heads keep their grouping, layers of each kind stay, experts become few; what remains is transformers'.
Whether a network can be built and trained from them is for `training.model_checks` to say.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import AutoConfig

from warmup.architectures.families import generic
from warmup.errors import ConfigurationError

WIDTH_KEYS = (*generic.WIDTH_KEYS, "embedding_dim", "emb_dim")
HEAD_KEYS = (*generic.HEAD_KEYS, "attention_heads")
GROUP_KEYS = (*generic.GROUP_KEYS, "num_kv_heads", "num_query_groups")
DEPTH_KEYS = (*generic.DEPTH_KEYS, "num_blocks")
STAGE_KEYS = ("depths", "depth", "hidden_sizes")
"""Lists with one entry for each stage; the first that a type has tells how many there are."""
STAGE_WIDTHS = ("hidden_sizes", "embed_dim")
"""Parts of the names of such lists that hold widths."""
HEAD_SIZE = 16
"""Width of an attention head of a small network."""
SMALLEST, GRAIN = 8, 8
"""Scaled sizes are multiples of the grain."""
EXPERTS, CHOSEN = 4, 2
"""Experts of a layer, and of them those that a token visits."""
WINDOW = 4
"""Side of a window of patches: small pictures leave few patches to the second stage."""
STAGES = 2
"""Of a network in stages, each of which halves its maps: more leave one position of a picture of 32 x 32."""
VOCABULARY = 256
"""Rows of tables beside the vocabulary's own (hashes, tokens of each layer)."""

SIZE_OF_HEAD = ("head_dim", "head_size", "d_head", "dim_head", "headdim", "kv_channels", "rotary_dim")
FOLLOWS = ("qk_head_dim",)
"""Sizes that a configuration adds up itself."""
GROWS_WITH_WIDTH = ("size", "dim", "width", "rank", "ffn", "ff", "inner", "d_ssm", "d_state", "hidden")
STAYS = (
    *("vocab", "token", "max_", "window", "chunk", "patch", "kernel", "group", "position", "length", "batch", "block"),
    *("conv", "index_", "rope", "image", "audio", "scale", "factor", "multiplier", "num_", "n_", "multiple", "_rel"),
)
"""Parts of names that are no sizes of layers, whatever else they contain."""


def small_settings(model_type: str, width: int, depth: int) -> dict[str, Any]:
    """Settings of `model_type` with `width` channels and `depth` layers (or as many as there are kinds of layers).

    Raises ConfigurationError if transformers does not know the type, or if its configuration has no width or depth.
    """
    try:
        configuration = AutoConfig.for_model(model_type)
    except ValueError as error:
        raise ConfigurationError(f"model_type: transformers knows no {model_type!r}") from error
    aliases = getattr(configuration, "attribute_map", {})
    default = {key: value for key, value in configuration.to_dict().items() if key not in aliases}
    stages = next((len(default[key]) for key in STAGE_KEYS if isinstance(default.get(key), list | tuple)), 0)
    if stages:
        return _stages(default, stages, width, depth)
    width_key, depth_key = _first(default, WIDTH_KEYS), _first(default, DEPTH_KEYS)
    patterns = dict(_patterns(default, default.get(depth_key or "")))
    if width_key is None or (depth_key is None and not patterns):
        raise ConfigurationError(f"model_type: the configuration of {model_type} has no width or no number of layers")
    kinds = max((len(_kinds(pattern)) for pattern in patterns.values()), default=1)
    depth = max(depth, kinds)
    settings: dict[str, Any] = {width_key: width}
    if depth_key is not None:
        settings[depth_key] = depth
    settings |= {key: _shortened(pattern, depth) for key, pattern in patterns.items()}
    settings |= _heads(default, width)
    for key, value in default.items():
        if key not in settings and isinstance(value, int | None) and not isinstance(value, bool):
            settings |= _scaled(key, value, default, settings, width / default[width_key])
    settings |= _state_space(default, {**default, **settings}, width)
    if default.get("layer_types", ()) is None:  # a type that cannot choose them itself
        settings["layer_types"] = ["full_attention"] * depth
    return settings


def _stages(default: Mapping[str, Any], stages: int, width: int, depth: int) -> dict[str, Any]:
    """Settings of a type whose layers come in stages, each wider than the last: two of them, up to `width`.

    Patches and strides are those of its first stages; ratios (of keys that attention condenses, of feed-forward layers)
    those of its last, whose maps are as small as these.
    """
    lists = {key: list(value) for key, value in default.items() if isinstance(value, list | tuple)}
    settings: dict[str, Any] = {
        key: value[-STAGES:] if "ratio" in key else value[:STAGES]
        for key, value in lists.items()
        if len(value) == stages and not isinstance(value[0], str)
    }
    if not any(key in default for key in STAGE_KEYS[:2]):  # how many stages there are is not for the settings to say
        settings = {}
    sizes = {key: settings.get(key, value) for key, value in lists.items() if any(part in key for part in STAGE_WIDTHS)}
    factor = width / next(iter(sizes.values()))[-1] if sizes else 0.0
    for key, value in sizes.items():
        settings[key] = [_rounded(size * factor) for size in value]
    widths = settings[next(iter(sizes))] if sizes else [width // 2, width]
    for key in {*HEAD_KEYS} & {*settings}:
        settings[key] = [_dividing(size, size // HEAD_SIZE) for size in widths]
    for key in {"depths", "depth"} & {*settings}:
        settings[key] = [depth - depth // 2, max(1, depth // 2)]
    for key, value in default.items():
        if key == "embed_dim" and isinstance(value, int):  # doubles from stage to stage
            settings[key] = width // 2 ** (STAGES - 1)
        elif key == "window_size":
            settings[key] = WINDOW
        elif key == "num_groups":
            settings[key] = min(value, GRAIN)  # divides every size
        elif key.startswith("num_") and key.endswith(("stages", "blocks")):
            settings[key] = STAGES
        elif sizes and isinstance(value, int) and _grows(key) and value >= 2 * GRAIN:
            settings[key] = _rounded(value * factor)
    return settings


def _grows(key: str) -> bool:
    return any(part in key for part in GROWS_WITH_WIDTH) and not any(part in key for part in STAYS)


def _dividing(width: int, wanted: int) -> int:
    """The number of heads that divides `width`, `wanted` or the next below."""
    return next(heads for heads in range(max(1, wanted), 0, -1) if width % heads == 0)


def _rounded(size: float) -> int:
    return max(SMALLEST, round(size / GRAIN) * GRAIN)


def _first(default: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if isinstance(default.get(key), int)), None)


def _patterns(default: Mapping[str, Any], layers: Any) -> Iterator[tuple[str, list[Any]]]:
    """Lists with one entry for each layer, or that name the kinds of layers in turn."""
    for key, value in default.items():
        per_layer = isinstance(value, list) and len(value) == layers and layers > 1
        if per_layer or (isinstance(value, list) and value and key.endswith(("block_type", "block_types"))):
            yield key, value


def _kinds(pattern: list[Any]) -> list[Any]:
    kinds: list[Any] = []
    for entry in pattern:
        if entry not in kinds:
            kinds.append(entry)
    return kinds if isinstance(pattern[0], str) else kinds[:1]


def _shortened(pattern: list[Any], depth: int) -> list[Any]:
    """`depth` entries of a pattern: its beginning, the kinds that do not occur there in the last places."""
    begin = [pattern[place % len(pattern)] for place in range(depth)]
    absent = [kind for kind in _kinds(pattern) if kind not in begin]
    return begin[: depth - len(absent)] + absent


def _heads(default: Mapping[str, Any], width: int) -> dict[str, int]:
    """Heads, groups of keys and values, and their size."""
    key, group = _first(default, HEAD_KEYS), next((key for key in GROUP_KEYS if key in default), None)
    if key is None:
        return {}
    heads = _dividing(width, min(default[key], width // HEAD_SIZE))
    found = {key: heads}
    if group is not None:
        found[group] = max(1, heads * (default[group] or default[key]) // default[key])
        while heads % found[group]:
            found[group] -= 1
    if "head_dim" in default:
        found["head_dim"] = width // heads
    return found


def _scaled(
    key: str, value: int | None, default: Mapping[str, Any], settings: Mapping[str, Any], factor: float
) -> dict[str, int]:
    """The setting `key` of a small network, if it is one that changes."""
    name = key.lower()
    head_key = _first(default, HEAD_KEYS)
    if "expert" in name and not any(part in name for part in ("size", "dim", "offset", "period")):
        return _experts(key, name, value)
    if name in ("moe_topk", "moe_k", "top_k"):
        return {key: CHOSEN}
    if name in ("n_group", "topk_group", "num_expert_group"):
        return {key: 1}
    if name == "num_kv_shared_layers":
        return {key: 0}
    if value is None or key in FOLLOWS:
        return {}
    if name.endswith(SIZE_OF_HEAD):
        old = default.get("head_dim") or default.get("d_head")
        old = old or (default[_first(default, WIDTH_KEYS) or ""] // default[head_key] if head_key else None)
        new = settings.get("head_dim") or (HEAD_SIZE if old else None)
        share = new / old if old and new else factor
        return {key: max(SMALLEST, int(value * share) // 2 * 2)}
    if name.endswith("heads") and head_key is not None:
        return {key: max(1, value * settings[head_key] // default[head_key])}
    if "vocab" in name and name != "vocab_size":
        return {key: min(value, VOCABULARY)}
    if value >= 2 * GRAIN and _grows(name):
        return {key: _rounded(value * factor)}
    return {}


def _experts(key: str, name: str, value: int | None) -> dict[str, int]:
    chosen = "per_tok" in name or "top" in name
    if "shared" in name:
        return {key: min(value or 1, 1)} if value is None or value > 0 else {}
    if "group" in name:
        return {key: 1}
    return {key: min(value or CHOSEN, CHOSEN) if chosen else EXPERTS}


def _state_space(default: Mapping[str, Any], sizes: Mapping[str, Any], width: int) -> dict[str, int]:
    """Heads of Mamba-2's mixers, whose number times size is the inner width."""
    found: dict[str, int] = {}
    for heads, size, inner in (
        ("num_heads", "head_dim", None),
        ("mamba_num_heads", "mamba_head_dim", None),
        ("mamba_n_heads", "mamba_d_head", "mamba_d_ssm"),
        ("n_mamba_heads", "mamba_headdim", None),
    ):
        expand = sizes.get("expand") or sizes.get("mamba_expand")
        if heads in default and size in default and expand:
            whole = int(expand * width)
            found |= {heads: whole // HEAD_SIZE, size: HEAD_SIZE}
            if inner is not None and inner in default:
                found[inner] = whole
    for groups in ("n_groups", "mamba_n_groups", "mamba_ngroups"):
        if groups in default and found:
            found[groups] = 1
    return found
