"""Which layer group a parameter belongs to, inferred from the module tree of any backbone.

Groups: embedding; blockNN.mixer, blockNN.feed_forward, blockNN.norm (blockNN.other for what is none of them);
between_stages (patch merging of hierarchical backbones); final_norm; head.
"""

from collections.abc import Mapping

from torch import nn

from warmup.architectures import roles

PARTS = ("mixer", "feed_forward", "norm", "other")
"""Parts of a block."""
FEED_FORWARD = (
    "mlp",
    "ffn",
    "feed_forward",
    "feedforward",
    "ff",
    "intermediate",
    "output",
    "moe",
    "experts",
    "channel_mix",
    "fc",
)
MIXER = (
    "attn",
    "attention",
    "mixer",
    "mamba",
    "ssm",
    "recurrent",
    "time_mix",
    "temporal",
    "rnn",
    "mlstm",
    "token_mixer",
    "conv",
    "operator",
)
NORM = ("norm", "ln")


def blocks(backbone: nn.Module) -> list[tuple[int, str, nn.Module]]:
    """(index, name, module) of the repeated layers of a backbone, stages of a hierarchical one unrolled."""
    found = _blocks(backbone, "")
    return [(index, name, module) for index, (name, module) in enumerate(found)]


def layer_groups(model: nn.Module) -> dict[str, list[str]]:
    """Names of the trained parameters of each layer group of a Model, in the order of the network."""
    known = [(f"backbone.{name}.", index, module) for index, name, module in blocks(model.get_submodule("backbone"))]
    stages = [f"backbone.{name}" for name in _outer_lists(model.get_submodule("backbone"))]
    groups: dict[str, list[str]] = {}
    for name, _ in roles.trained(model):
        groups.setdefault(_group(model, name, known, stages), []).append(name)
    return {group: groups[group] for group in sorted(groups, key=_order)}


def _order(group: str) -> tuple[int, str]:
    place = {"embedding": 0, "between_stages": 2, "final_norm": 3, "head": 4}
    return place.get(group, 1), group


def _group(model: nn.Module, name: str, known: list[tuple[str, int, nn.Module]], stages: list[str]) -> str:
    if name.startswith("input_adapter."):
        return "embedding"
    if name.startswith("output_adapter."):
        return "head"
    for prefix, index, block in known:
        if name.startswith(prefix):
            return f"block{index:02d}.{_part(block, name.removeprefix(prefix))}"
    if any(name.startswith(f"{stage}.") for stage in stages):
        return "between_stages"
    path = name.rpartition(".")[0]
    owners = [type(model.get_submodule(path)).__name__.lower(), path.rpartition(".")[2].lower()]
    is_norm = any("norm" in owner or owner.startswith("ln") for owner in owners)
    return "final_norm" if is_norm and "embed" not in path.lower() else "embedding"


def declared(block: nn.Module) -> Mapping[str, str]:
    """{name of a direct child: its part}, as a block's class in a file of the user's own has it under LAYER_GROUPS."""
    return getattr(type(block), "LAYER_GROUPS", {})


def _part(block: nn.Module, name: str) -> str:
    """mixer, feed_forward, norm or other, from the block's direct child that holds the parameter."""
    said = declared(block).get(name.split(".", 1)[0])
    if said is not None:
        return said
    child = name.split(".", 1)[0].lower()
    kind = type(getattr(block, name.split(".", 1)[0])).__name__.lower()
    if "norm" in kind or any(
        child == word or child.startswith(f"{word}_") or word in child.split("_") for word in NORM
    ):
        return "norm"
    if any(word == child or word in child.split("_") or child.startswith(word) for word in MIXER):
        return "mixer"
    if any(word == child or word in child for word in FEED_FORWARD if len(word) > 2) or child.startswith(("ff", "fc")):
        return "feed_forward"
    if any(word in kind for word in ("attention", "mixer")):
        return "mixer"
    if any(word in kind for word in ("mlp", "feedforward", "moe")):
        return "feed_forward"
    return "norm" if "norm" in child else "other"


def _outer_lists(module: nn.Module, prefix: str = "") -> list[str]:
    """Names of the outermost module lists that hold parameters."""
    found: list[str] = []
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList) and any(True for _ in child.parameters()):
            found.append(path)
        else:
            found += _outer_lists(child, f"{path}.")
    return found


def _blocks(module: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
    found: list[tuple[str, nn.Module]] = []
    for path in _outer_lists(module):
        for number, element in module.get_submodule(path).named_children():
            name = f"{prefix}{path}.{number}"
            inner = [
                key
                for key, child in element.named_children()
                if isinstance(child, nn.ModuleList) and any(True for _ in child.parameters())
            ]
            if inner:
                for key in inner:
                    found += [(f"{name}.{key}.{place}", part) for place, part in getattr(element, key).named_children()]
            else:
                found.append((name, element))
    return found
