"""Data of a task, from its source to arrays that trainings map into memory: written whole or not at all.

In: the settings of a task (`kind`, `source`, and what its kind needs). Out: a folder of .npy files and data.json.
docs/data.md describes the format. Nothing here imports torch.
"""

import itertools
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup import files, registry
from warmup.data.sources import _splits, _tokens
from warmup.data.sources._common import Images, Series, Text
from warmup.errors import ConfigurationError, DataError

DESCRIPTION = "data.json"
DOCUMENTS_AT_ONCE = 512

logger = logging.getLogger("warmup")


def prepare(task: Mapping[str, Any], folder: Path, tokens_needed: int | None = None) -> None:
    """Prepare the data of `task` in `folder`, which appears complete or not at all (an older one is replaced).

    tokens_needed: training tokens to take from a source without end (OpenWebText); other text is taken whole.
    Raises DataError if the data are absent, altered or not what the task needs, ConfigurationError for a source that
    is unknown, has unknown options or serves another kind of task.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        files.write_json(_write(task, temporary, tokens_needed), temporary / DESCRIPTION)
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write(task: Mapping[str, Any], folder: Path, tokens_needed: int | None) -> dict[str, Any]:
    """Write the arrays of `task`; the content of its data.json."""
    kind = task["kind"]
    name = task["source"].get("name")
    source = registry.load("data.sources", name)
    if kind != source.KIND:
        raise ConfigurationError(f"source {name} serves tasks of kind {source.KIND}, not {kind}")
    unknown = sorted(set(task["source"]) - set(source.DEFAULTS) - {"name"})
    if unknown:
        known = ", ".join(sorted(source.DEFAULTS))
        raise ConfigurationError(f"source {name} has no option {unknown[0]!r}; its options are {known}")
    options = {**source.DEFAULTS, **task["source"]}
    loaded = source.load(options)
    if isinstance(loaded, Text):
        arrays, facts = _language(loaded, options, task, folder, tokens_needed)
    elif isinstance(loaded, Images):
        arrays, facts = _classification(loaded, options, task)
    else:
        arrays, facts = _forecasting(loaded, options, task)
    credit = source.CREDIT
    return {
        "kind": kind,
        "source": options,
        "inputs": dict(loaded.inputs),
        "credit": credit.name,
        "licence": credit.licence,
        "address": credit.address,
        "arrays": {array: _saved(values, folder / f"{array}.npy") for array, values in arrays.items()},
        **facts,
    }


def _saved(values: NDArray[Any], path: Path) -> dict[str, Any]:
    if not path.exists():  # a stream is written as it comes
        np.save(path, values)
    return {
        "file": path.name,
        "shape": list(values.shape),
        "dtype": str(values.dtype),
        "sha256": files.sha256(path),
    }


# Language ------------------------------------------------------------------------------------------------------------


def _language(
    text: Text, options: Mapping[str, Any], task: Mapping[str, Any], folder: Path, tokens_needed: int | None
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    tokenizer = _tokens.tokenizer(options["tokenizer"])
    if text.endless:
        wanted = options["train_tokens"] or tokens_needed
        if wanted is None:
            raise ConfigurationError(f"source {options['name']}: set `train_tokens`; it has no end of its own")
        sizes = {"validation": options["validation_tokens"], "test": options["test_tokens"], "train": wanted}
        arrays = {part: _fill(part, size, folder, tokenizer) for part, size in sizes.items()}
        _deal(text.documents, arrays, tokenizer)
    else:
        arrays = _divide(text, options, tokenizer)
    needed = task.get("sequence_length", 1) + 1
    for part, tokens in arrays.items():
        if len(tokens) < needed:
            raise DataError(
                f"source {options['name']}: the {part} text has {len(tokens)} tokens, fewer than one sequence and the "
                f"token after it ({needed}): take a shorter `sequence_length` or more text"
            )
    if tokens_needed and len(arrays["train"]) < tokens_needed:
        logger.info("a run reads the training text about %.1f times", tokens_needed / len(arrays["train"]))
    vocabulary = {"name": tokenizer.name, "size": tokenizer.size, "separator": tokenizer.separator}
    return arrays, {"vocabulary": vocabulary}


def _divide(text: Text, options: Mapping[str, Any], tokenizer: _tokens.Tokenizer) -> dict[str, NDArray[Any]]:
    documents = [document for document in text.documents if document.strip()]
    if not documents:
        raise DataError(f"source {options['name']}: the text is empty")
    if text.divided:
        counts = _splits.sizes(options["split"], len(documents), "documents")
        chosen = _splits.shuffled(counts, len(documents), options["split_seed"])
        parts = {part: [documents[index] for index in indices] for part, indices in chosen.items()}
    else:
        whole = documents[0]
        ends = np.cumsum(list(_splits.sizes(options["split"], len(whole), "characters").values()))
        parts = {
            part: [whole[start:end]] for part, start, end in zip(_splits.PARTS, [0, *ends[:-1]], ends, strict=True)
        }
    return {part: np.concatenate(tokenizer.encode(chosen)) for part, chosen in parts.items()}


def _fill(part: str, size: int, folder: Path, tokenizer: _tokens.Tokenizer) -> NDArray[Any]:
    return np.lib.format.open_memmap(folder / f"{part}.npy", mode="w+", dtype=tokenizer.dtype, shape=(size,))


def _deal(documents: Iterable[str], arrays: Mapping[str, NDArray[Any]], tokenizer: _tokens.Tokenizer) -> None:
    """Fill one array after the other with whole documents; the rest of the last document of each is dropped."""
    stream = (tokens for batch in _batches(documents) for tokens in tokenizer.encode(batch))
    for part, array in arrays.items():
        filled = 0
        while filled < len(array):
            tokens = next(stream, None)
            if tokens is None:
                raise DataError(
                    f"the text ended after {filled:,} of the {len(array):,} tokens that the {part} part needs: "
                    "train on fewer tokens (steps, batch, sequence), or add text"
                )
            taken = tokens[: len(array) - filled]
            array[filled : filled + len(taken)] = taken
            filled += len(taken)
        logger.info("%s: %s tokens", part, f"{filled:,}")
        if isinstance(array, np.memmap):
            array.flush()


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(documents)
    while batch := list(itertools.islice(iterator, DOCUMENTS_AT_ONCE)):
        yield batch


# Classification ------------------------------------------------------------------------------------------------------


def _classification(
    images: Images, options: Mapping[str, Any], task: Mapping[str, Any]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    name = options["name"]
    pool, labels = images.parts["train"]
    _check_labels(images, name)
    _check_size(pool, task.get("image_size"), name)
    given = [part for part in images.parts if part != "train"]
    counts = _splits.sizes(options["split"], len(pool), "images", given)
    arrays: dict[str, NDArray[Any]] = {}
    for part, indices in _splits.shuffled(counts, len(pool), options["split_seed"]).items():
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = pool[indices], labels[indices]
    for part in given:
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = images.parts[part]
    return arrays, {"classes": list(images.classes)}


def _check_labels(images: Images, name: str) -> None:
    count = len(images.classes)
    for part, (_, labels) in images.parts.items():
        present = np.unique(labels)
        if present[0] < 0 or present[-1] >= count or (part == "train" and len(present) < count):
            raise DataError(
                f"source {name}: labels of the {part} images are {_listed(present)}; expected are the consecutive "
                f"numbers 0 .. {count - 1}, each of them present in the training images"
            )


def _listed(values: NDArray[Any]) -> str:
    shown = ", ".join(map(str, values[:12]))
    return shown if len(values) <= 12 else f"{shown}, ... {values[-1]}"


def _check_size(pool: NDArray[np.uint8], wanted: int | list[int] | None, name: str) -> None:
    height, width = pool.shape[1:3]
    expected = [wanted, wanted] if isinstance(wanted, int) else wanted
    if expected is not None and [height, width] != list(expected):
        raise DataError(
            f"source {name}: images are {height} x {width}, but image_size says {expected[0]} x {expected[1]}: "
            "set image_size to what they are" + (", or the source's `resize`" if "image_files" in name else "")
        )


# Forecasting ---------------------------------------------------------------------------------------------------------


def _forecasting(
    series: Series, options: Mapping[str, Any], task: Mapping[str, Any]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    context, horizon = task["context"], task["horizon"]
    counts = _splits.sizes(options["split"], len(series.values), "rows")
    for part, needed in {"train": context + horizon, "validation": horizon, "test": horizon}.items():
        if counts[part] < needed:
            raise DataError(
                f"source {options['name']}: the {part} part has {counts[part]} rows, too few for one window "
                f"({needed}; context {context}, horizon {horizon}): shorten them or take more rows"
            )
    training = series.values[: counts["train"]]
    mean, scale = training.mean(axis=0), training.std(axis=0)
    if not scale.all():
        constant = series.channels[int(np.flatnonzero(scale == 0)[0])]
        raise DataError(
            f"source {options['name']}: {constant!r} is constant in the training part, so it cannot be standardised; "
            "leave the column out"
        )
    values = ((series.values - mean) / scale).astype(np.float32)
    begin_test = counts["train"] + counts["validation"]
    arrays = {
        "train": values[: counts["train"]],
        "validation": values[counts["train"] - context : begin_test],
        "test": values[begin_test - context : begin_test + counts["test"]],
    }
    facts = {
        "channels": list(series.channels),
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "context": context,
        "horizon": horizon,
    }
    return arrays, facts
