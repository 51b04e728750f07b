"""A backbone of transformers, or of the user's own, between the two adapters of a task.

In: an architecture entry of the configuration and a task. Out: a torch module whose forward maps a batch's inputs to
the outputs that the task's loss takes. Same entry, task and seed: same initial weights, bit for bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from warmup import registry
from warmup.architectures import families, own, roles, starts
from warmup.errors import ConfigurationError
from warmup.random_streams import torch_seed
from warmup.tasks._task import Task

if TYPE_CHECKING:
    from warmup.settings import ArchitectureSettings

FUSED_ACTIVATIONS = {"gelu_new": "gelu_pytorch_tanh"}
"""transformers' name of an activation written out in eight operations -> its name of the same function as one."""

NO_MASK = "sdpa_without_mask"
"""transformers' fused attention by another name. It makes no mask for a name that it does not know, and attention
without a mask is causal there. For `sdpa` it looks at each forward pass whether the batch is packed, and a GPU waits
for the look; under torch.compile it makes the mask, and with a mask there is no flash attention."""
AttentionInterface.register(NO_MASK, sdpa_attention_forward)

SPECIAL_TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id")


class Model(nn.Module):
    """`input_adapter` -> `backbone` -> `output_adapter`; `width`: channels of the states between the last two."""

    def __init__(
        self, input_adapter: nn.Module, backbone: nn.Module, output_adapter: nn.Module, width: int, pixels: bool
    ) -> None:
        super().__init__()
        self.input_adapter = input_adapter
        self.backbone = backbone
        self.output_adapter = output_adapter
        self.width = width
        self.pixels = pixels

    def forward(self, inputs: Tensor) -> Any:
        """What the task's loss takes."""
        adapted = self.input_adapter(inputs)
        if self.pixels:
            return self.output_adapter(own.states_of_images(self.backbone(pixel_values=adapted)))
        return self.output_adapter(own.states(self.backbone(inputs_embeds=adapted)))


def build(architecture: ArchitectureSettings, task: Task, seed: int, device: str = "cpu") -> Model:
    """The model of an architecture entry for `task`, started as the entry's `initialisation` says.

    transformers' start, and that of a class of the user's own, comes from the stream ("initial weights", seed); the
    authors' (see `starts`) replaces transformers' parameter by parameter, each from a stream of its own.
    device: "cpu" (training moves it later) or "meta" (shapes and counts only, no memory).
    Raises ConfigurationError, naming the key, if transformers cannot build it.
    """
    pixels = architecture["input"] == "pixels"
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(torch_seed("initial weights", seed))
        backbone = own.backbone(architecture) if "source" in architecture else _of_transformers(architecture, task)
        tokens = _own_tokens(backbone)
        if task.vocabulary is None and tokens is not None:
            tokens.requires_grad_(False)
        width = _states_width(backbone, task.shape if pixels else None)
        inputs, outputs = task.adapters(
            width, tokens if task.vocabulary is not None else None, bool(architecture["tied_head"]), pixels
        )
        model = Model(inputs, backbone, outputs, width, pixels)
        if "source" in architecture and task.vocabulary is not None:
            own.start_tokens(model)
        start = starts.chosen(architecture)
        if start is not None:
            from warmup.architectures.starts._place import draw

            draw(model, registry.load("architectures.starts", start), seed)
        changes = architecture.get("interventions", {})
        if any(changes.get(name) for name in ("qk_norm", "sigma_reparametrisation", "zero_outputs")):
            from warmup.architectures import interventions

            interventions.apply(model, changes)
        scale = float(changes.get("initial_scale", 1.0))
        if scale != 1.0 and device != "meta":
            with torch.no_grad():
                for name, parameter in model.backbone.named_parameters():
                    if roles.role(model.backbone, name) in (roles.MATRIX, roles.STACK):
                        parameter.mul_(scale)
    return model


def _of_transformers(architecture: ArchitectureSettings, task: Task) -> PreTrainedModel:
    configuration = backbone_configuration(architecture, task)
    try:
        backbone = AutoModel.from_config(configuration, attn_implementation=attention(configuration))
    except Exception as error:  # model types find faults in ways of their own
        raise ConfigurationError(
            f"settings: transformers cannot build this {architecture['model_type']}: {error}"
        ) from error
    pooler = getattr(backbone, "pooler", None)
    if pooler is not None and not isinstance(pooler, nn.AdaptiveAvgPool2d):  # the mean of maps, asked for or not
        backbone.pooler = None  # unused: states go to the output adapter
    _count_positions_from_zero(backbone)
    return backbone


def attention(configuration: PretrainedConfig) -> str | None:
    """Fused attention where the model type has it, without a mask where its family says that plain causality is all it
    would hold; transformers' choice elsewhere."""
    if families.family(configuration.model_type).PLAIN_CAUSAL:
        return NO_MASK
    with contextlib.suppress(KeyError, ValueError):
        model_class = AutoModel._model_mapping[type(configuration)]
        return "sdpa" if getattr(model_class, "_supports_sdpa", False) else "eager"
    return None


def backbone_configuration(architecture: ArchitectureSettings, task: Task) -> PretrainedConfig:
    """transformers' configuration of an entry for `task`: the entry's settings, what its family needs, no dropout."""
    model_type, settings = architecture["model_type"], dict(architecture["settings"])
    try:
        defaults = AutoConfig.for_model(model_type)
    except ValueError as error:
        raise ConfigurationError(f"model_type: transformers knows no {model_type!r}") from error
    known = {*defaults.to_dict(), *getattr(defaults, "attribute_map", {}), *vars(defaults)}
    unknown = sorted(set(settings) - known)
    if unknown:
        import difflib

        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ConfigurationError(f"settings.{unknown[0]}: transformers' {model_type} has no such setting{hint}")
    chosen: dict[str, Any] = {
        key: 0.0 for key, value in defaults.to_dict().items() if "drop" in key and isinstance(value, float)
    }
    if "use_cache" in known:
        chosen["use_cache"] = False  # keys and values of earlier calls, which training has not
    chosen |= families.family(model_type).overrides(settings)
    chosen |= settings
    chosen |= _shapes(architecture, task, known, settings)
    chosen |= {
        key: FUSED_ACTIVATIONS[value]
        for key, value in {**defaults.to_dict(), **chosen}.items()
        if isinstance(value, str) and value in FUSED_ACTIVATIONS
    }
    special = [key for key in SPECIAL_TOKENS if key in known and key not in settings]
    try:
        configuration = AutoConfig.for_model(model_type, **chosen, **dict.fromkeys(special, 0))
    except Exception as error:  # model types check their settings in ways of their own
        raise ConfigurationError(f"settings: transformers refuses this {model_type}: {error}") from error
    for key in special:  # past the types that insist on a number: no token of ours is special
        object.__setattr__(configuration, key, None)
    return configuration


def _shapes(
    architecture: ArchitectureSettings, task: Task, known: set[str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings that follow from the task: vocabulary, image size, channels."""
    if architecture["input"] == "pixels":
        if task.shape is None:
            raise ConfigurationError("input: pixels are for image classification only")
        height, width, channels = task.shape
        if height != width:
            raise ConfigurationError(f"input: pixels need square images, not {height} x {width}")
        return {"image_size": height, "num_channels": channels}
    if "vocab_size" not in known:
        return {}
    if task.vocabulary is None:
        return {"vocab_size": 1}
    given = settings.get("vocab_size", task.vocabulary)
    if given < task.vocabulary:
        raise ConfigurationError(
            f"settings.vocab_size: {given} is smaller than the vocabulary of the data ({task.vocabulary}); "
            f"remove it or raise it"
        )
    return {"vocab_size": given}


def _count_positions_from_zero(backbone: nn.Module) -> None:
    """RoBERTa and its kin number positions from the padding token's number + 1; there is no such token here."""
    for module in backbone.modules():
        if hasattr(module, "create_position_ids_from_inputs_embeds") and module.padding_idx is None:
            module.padding_idx = -1


def _own_tokens(backbone: nn.Module) -> nn.Embedding | None:
    try:
        embedding = backbone.get_input_embeddings()  # type: ignore[operator]
    except (NotImplementedError, AttributeError):
        return None
    return embedding if isinstance(embedding, nn.Embedding) else None


@torch.no_grad()
def _states_width(backbone: nn.Module, picture: tuple[int, int, int] | None) -> int:
    """Channels of a backbone's states, from its configuration or itself; where neither tells, since each stage has a
    width of its own, from its states of an empty picture (height, width, channels). No random number is drawn."""
    told = getattr(getattr(backbone, "config", backbone), "hidden_size", None)
    if told is not None:
        return int(told)
    name = type(backbone).__name__
    if picture is None:
        raise ConfigurationError(f"model_type: {name} has no hidden_size, so the width of its states is not known")
    height, width, channels = picture
    training = backbone.training
    try:
        found = backbone.eval()(pixel_values=torch.zeros(1, channels, height, width))
        return own.states_of_images(found).shape[-1]
    except Exception as error:  # whatever transformers' code may raise
        raise ConfigurationError(
            f"model_type: {name} has no hidden_size and makes no states of a picture of {height} x {width} pixels: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        backbone.train(training)
