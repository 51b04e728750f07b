"""`warmup entry MODEL_TYPE`: a ready architecture entry at a wanted width and depth, tried for one training step."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from warmup import shipped
from warmup.command.answer import Answer
from warmup.errors import ConfigurationError, UserError

if TYPE_CHECKING:
    from warmup.tasks.language import Task

DESCRIPTION = "a ready architecture entry of a model type of transformers"
POSITIONS = 16
"""Tokens of the made-up texts on which the entry is tried."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("model_type", help="transformers' name, such as llama, mamba2, qwen3_next")
    parser.add_argument("--width", type=int, default=64, help="channels (default 64)")
    parser.add_argument("--depth", type=int, default=2, help="layers, at least one of each kind (default 2)")
    parser.add_argument("--name", help="name of the entry (default: the model type, and the size if it is taken)")
    parser.add_argument("--role", choices=["study", "predict"], default="study", help="swept, or predicted only")


def answer(arguments: argparse.Namespace) -> Answer:
    """The entry as YAML that `--configfile` and `warmup advise` take; cannot say if a training step with it fails."""
    from transformers.utils import logging

    from warmup.architectures.small import small_settings

    for key in ("width", "depth"):
        if getattr(arguments, key) < 1:
            raise ConfigurationError(
                f"--{key}: {getattr(arguments, key)} is no number of channels or layers; give 1 up"
            )
    logging.set_verbosity_error()
    name = arguments.name or free_name(arguments.model_type, arguments.width, arguments.depth)
    settings = small_settings(arguments.model_type, arguments.width, arguments.depth)
    entry = {"label": name, "model_type": arguments.model_type, "settings": settings}
    if arguments.role == "predict":
        entry["role"] = "predict"
    data: dict[str, Any] = {"name": name, "entry": entry}
    try:
        described = tried({**entry, "input": "embeddings", "tied_head": True, "interventions": {}})
    except UserError as error:
        text = f"# cannot be trained on texts as it stands: {error}\n"
        return Answer(text + _yaml(name, entry), {**data, "tried": None, "note": str(error)}, said=False)
    told = f"{described['parameters']:,} parameters in {described['layers']} layers of width {described['width']}"
    text = f"# {told}, bytes as tokens; a training step passed, and no position sees later ones\n"
    return Answer(text + _yaml(name, entry), {**data, "tried": described, "note": ""})


def free_name(model_type: str, width: int, depth: int) -> str:
    """A name that no entry of config.yaml has: settings of the same name would be laid over its own, its role kept."""
    name = model_type.replace("-", "_")
    study = yaml.safe_load((shipped.STUDY / "config.yaml").read_text())
    taken = {known for part in (study, *study["scales"].values()) for known in part.get("architectures", {})}
    return f"{name}_{width}x{depth}" if name in taken else name


def tried(architecture: dict[str, Any]) -> dict[str, Any]:
    """Description of the network (parameters, layer groups, roles) after one step on a made-up text of 256 tokens."""
    from warmup.training import model_checks

    with tempfile.TemporaryDirectory() as place:
        task = text_task(Path(place))
        return model_checks.describe({**architecture, "initialisation": "authors"}, task)  # type: ignore[typeddict-item]


def text_task(folder: Path) -> "Task":
    """A language task of 256 tokens, made up."""
    import numpy as np

    from warmup.tasks import language

    (folder / "data.json").write_text(json.dumps({"vocabulary": {"size": 256}}))
    for part in ("train", "validation"):
        np.save(folder / f"{part}.npy", np.arange(200, dtype=np.uint8))
    sizes = {"batch_size": 2, "validation_examples": 2}
    return language.Task({"kind": "language", "sequence_length": POSITIONS, **sizes}, folder)  # type: ignore


def _yaml(name: str, entry: dict[str, Any]) -> str:
    return yaml.safe_dump({"architectures": {name: entry}}, sort_keys=False, width=110, default_flow_style=None)
