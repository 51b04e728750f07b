"""Which layer group a parameter belongs to, inferred from the module tree of any backbone.

Groups: embedding; blockNN.mixer, blockNN.feed_forward, blockNN.norm (blockNN.other for what is none of them);
between_stages (what merges, reduces or normalises maps there in hierarchical backbones); final_norm; head.
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
    "pwconv",
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
    "modulation",
)
NORM = ("norm", "ln", "grn")


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
    for stage in stages:
        if name.startswith(f"{stage}."):
            return _beside_blocks(model, stage, name.removeprefix(f"{stage}."))
    path = name.rpartition(".")[0]
    owners = [type(model.get_submodule(path)).__name__.lower(), path.rpartition(".")[2].lower()]
    is_norm = any("norm" in owner or owner.startswith("ln") for owner in owners)
    return "final_norm" if is_norm and "embed" not in path.lower() else "embedding"


def _beside_blocks(model: nn.Module, stages: str, name: str) -> str:
    """Group of a parameter of a list of stages that is in none of their blocks."""
    number, _, rest = name.partition(".")
    child = rest.partition(".")[0]
    if "embed" in f"{stages}.{child}".lower():
        return "embedding" if number == "0" else "between_stages"
    inside = model.get_submodule(f"{stages}.{number}").get_submodule(child if "." in rest else "")
    last = int(number) == len(model.get_submodule(stages)) - 1  # type: ignore[arg-type]
    return "final_norm" if last and "norm" in type(inside).__name__.lower() else "between_stages"


def declared(block: nn.Module) -> Mapping[str, str]:
    """{name of a direct child: its part}, as a block's class in a file of the user's own has it under LAYER_GROUPS."""
    return getattr(type(block), "LAYER_GROUPS", {})


def _part(block: nn.Module, name: str) -> str:
    """mixer, feed_forward, norm or other, from the block's direct child that holds the parameter."""
    said = declared(block).get(name.split(".", 1)[0])
    if said is not None:
        return said
    child = name.split(".", 1)[0].lower()
    owner = getattr(block, name.split(".", 1)[0])
    if isinstance(owner, nn.Conv2d):  # over neighbours of a map, or of each position alone
        return "mixer" if max(owner.kernel_size) > 1 else "feed_forward"
    kind = type(owner).__name__.lower()
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
        elements = list(module.get_submodule(path).named_children())
        if all("embed" in type(element).__name__.lower() for _, element in elements):  # patches of each stage
            continue
        for number, element in elements:
            name = f"{prefix}{path}.{number}"
            held = [key for key, child in element.named_children() if _holds_blocks(child)]
            if isinstance(element, nn.ModuleList):  # a stage that is nothing but its blocks
                found += [(f"{name}.{place}", part) for place, part in element.named_children()]
            elif len(held) == 1:  # a stage; a block may have several attentions and feed-forward layers
                blocks = element.get_submodule(held[0]).named_children()
                found += [(f"{name}.{held[0]}.{place}", part) for place, part in blocks]
            else:
                found.append((name, element))
    return found


def _holds_blocks(module: nn.Module) -> bool:
    """Whether a part of a stage is the list of its blocks: of modules with parts, in a Sequential all of one class."""
    listed = list(module.children())
    if isinstance(module, nn.Sequential) and len({type(part) for part in listed}) > 1:
        return False
    return isinstance(module, nn.ModuleList | nn.Sequential) and any(
        any(True for _ in part.children()) and any(True for _ in part.parameters()) for part in listed
    )
