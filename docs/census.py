"""Which backbones of transformers can be trained here: `make census` tries each and writes docs/model_types.md.

For every model type with a causal language model, and every one with an image classifier, settings are derived from its
own configuration (warmup.architectures.small); then: build, one training step, does it look ahead?, layer groups,
kernels, probes, bill. Each type has a process of its own, with a limit of time and memory.
"""

import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "workflow_scripts"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoConfig, AutoModel  # noqa: E402
from transformers.models.auto import modeling_auto  # noqa: E402

from warmup import probes  # noqa: E402
from warmup.architectures import layers, model  # noqa: E402
from warmup.architectures.small import small_settings  # noqa: E402
from warmup.command.entry import text_task  # noqa: E402
from warmup.config import configuration  # noqa: E402
from warmup.cost import network as cost  # noqa: E402
from warmup.errors import UserError  # noqa: E402
from warmup.tasks import classification  # noqa: E402
from warmup.training import model_checks  # noqa: E402

PAGE = DOCS / "model_types.md"
WIDTH, DEPTH, SIDE = 64, 2, 32
SECONDS, BYTES = 120, 8 << 30
"""Limits of one type: processor time, whatever else the machine does, and address space."""
WAIT = 10 * SECONDS
"""Of time by the clock: what neither computes nor ends is given up."""
SIZES = {"batch_size": 2, "validation_examples": 2}

WORKS, PARTLY, CANNOT, NOT_MEANT = "works", "works without some probe", "cannot", "not meant for it"


def text_types() -> list[str]:
    """Model types with a backbone and a causal language model on it."""
    return sorted(set(modeling_auto.MODEL_MAPPING_NAMES) & set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


def image_types() -> list[str]:
    """Model types with a backbone and an image classifier on it."""
    return sorted(
        set(modeling_auto.MODEL_MAPPING_NAMES) & set(modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)
    )


def in_principle(model_type: str, images: bool) -> str:
    """Why a type is not meant for the task, by its configuration alone; empty if it may be."""
    found = AutoConfig.for_model(model_type)
    if found.is_encoder_decoder:
        return "an encoder-decoder"
    several = ("text_config", "vision_config", "audio_config", "encoder_config")
    parts = [name for name in found.sub_configs if name.endswith(several)]
    return "made of several networks" if len(parts) > (1 if images else 0) else ""


def examine(model_type: str, images: bool) -> tuple[str, str]:
    """(result, why or what is missing in a clause) of one type, in this process."""
    if reason := in_principle(model_type, images):
        return NOT_MEANT, reason
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(str(record.args[0])) if "not probed" in record.msg else None  # type: ignore
    logging.getLogger("warmup").addHandler(handler)
    try:
        if images:
            refuse_statistics_of_batches(model_type)
        entry = {
            "model_type": model_type,
            "input": "pixels" if images else "embeddings",
            "tied_head": True,
            "settings": small_settings(model_type, WIDTH, DEPTH),
            "interventions": {},
            "initialisation": "authors",
        }
        with tempfile.TemporaryDirectory() as place:
            task = image_task(Path(place)) if images else text_task(Path(place))
            model_checks.describe(entry, task)
            network = model.build(entry, task, seed=0)
            layers.layer_groups(network)
            cost.measure(entry, task.settings, task.folder)
            probe(network, task)
    except UserError as error:
        if "lets a position see later ones" in str(error):
            return NOT_MEANT, "bidirectional"
        if "training step" in str(error) and model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            return NOT_MEANT, "bidirectional"
        return CANNOT, clause(error)
    except Exception as error:
        return CANNOT, clause(error)
    missing = sorted(set(told))
    return (PARTLY, ", ".join(missing)) if missing else (WORKS, "")


def refuse_statistics_of_batches(model_type: str) -> None:
    """As before a training, by the type's own settings: small ones that it does not take are no better reason."""
    with torch.device("meta"):
        network = AutoModel.from_config(AutoConfig.for_model(model_type))
    model_checks.refuse_running_statistics(network, {"model_type": model_type})


def probe(network: model.Model, task: Any) -> None:
    """One step with every probe."""
    settings = configuration.complete({}, configuration.schema()["properties"]["probes"])
    for entry in settings.values():
        if isinstance(entry, dict):
            entry["enabled"] = True
    batch = task.examples("train", np.arange(2))
    taken = probes.build(settings, model=network, task=task, probe_batch=batch, steps=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    task.loss(network(batch[0]), batch[1]).backward()
    taken.before_update(0, batch)
    optimizer.step()
    taken.after_update(0, batch, optimizer, 1e-3)


def image_task(folder: Path) -> classification.Task:
    """Four colour pictures of two classes, made up."""
    (folder / "data.json").write_text(json.dumps({"classes": ["a", "b"]}))
    for part in ("train", "validation"):
        draws = np.random.default_rng(0)
        np.save(folder / f"{part}_images.npy", draws.integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8))
        np.save(folder / f"{part}_labels.npy", np.array([0, 1, 0, 1]))
    return classification.Task({"kind": "classification", "patch_size": 4, **SIZES}, folder)


def clause(error: Exception) -> str:
    """An error's first sentence, short enough for a table."""
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    for start in ("settings: ", "model_type: "):
        text = text.removeprefix(start)
    text = " ".join(text.partition("; change its settings")[0].split()).replace("|", "/")
    return text if len(text) <= 160 else f"{text[:157]}..."


def _work(model_type: str, images: bool, answer: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    logging.getLogger("warmup").propagate = False
    answer.send(examine(model_type, images))


def results(types: Iterable[str], images: bool = False) -> Iterator[tuple[str, str, str]]:
    """(type, result, why) of each type, every one in its own process."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # the server imports this module once, and each type's process parts from it
    os.environ["PYTHONPATH"] = os.pathsep.join([str(DOCS), os.environ.get("PYTHONPATH", "")])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["census"])
    for model_type in types:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(model_type, images, there))
        process.start()
        there.close()
        try:
            found = here.recv() if here.poll(WAIT) else (CANNOT, f"not done after {WAIT} s")
        except EOFError:
            process.join()
            in_time = process.exitcode not in (-signal.SIGXCPU, -signal.SIGKILL)
            found = (CANNOT, "its process died" if in_time else f"out of memory or of its {SECONDS} s of a processor")
        process.kill()
        process.join()
        yield (model_type, *found)


def page(text: Mapping[str, tuple[str, str]], images: Mapping[str, tuple[str, str]]) -> str:
    """docs/model_types.md."""
    parts = [
        "# Model types of transformers",
        "",
        f"Written by `make census` with transformers {transformers.__version__}. Each type was built at width {WIDTH}",
        "with settings derived from its own configuration (`warmup.architectures.small`), trained a step, and asked",
        "whether it looks ahead, which layer groups it has, which probes see into it and what it costs.",
        "",
        "*Works without some probe* names the probes that do not see all of its layers; all else works. *Not meant for",
        "it* is decided by rule: encoder-decoders, types made of several networks, types that look ahead.",
    ]
    for title, table in (("Text", text), ("Images", images)):
        counts = {
            kind: sum(result == kind for result, _ in table.values()) for kind in (WORKS, PARTLY, CANNOT, NOT_MEANT)
        }
        trained = counts[WORKS] + counts[PARTLY]
        told = ", ".join(f"{kind} {count}" for kind, count in counts.items())
        parts += ["", f"## {title}: {trained} of {len(table)} train", "", f"{told[0].upper()}{told[1:]}.", ""]
        parts += ["| type | result | why, or which probe |", "| --- | --- | --- |"]
        parts += [f"| `{name}` | {result} | {why} |" for name, (result, why) in table.items()]
    return "\n".join([*parts, ""])


def written(images: bool) -> dict[str, tuple[str, str]]:
    """What the page says of each type."""
    section = PAGE.read_text().partition("## Text")[2].partition("## Images")[2 if images else 0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): (row[1].strip(), row[2].strip()) for row in rows}


def main() -> None:
    """All types, or with `images` as argument those alone; then the page keeps what it says of text."""
    tables = [written(images=False)] if sys.argv[1:] == ["images"] else []
    for types, images in ((text_types(), False), (image_types(), True))[len(tables) :]:
        tables.append({})
        for model_type, result, why in results(types, images):
            tables[-1][model_type] = (result, why)
            print(f"{model_type}: {result}{f' ({why})' if why else ''}", flush=True)
    PAGE.write_text(page(*tables))


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS))
    main()
