"""The user's own pictures: a folder with one folder a class, or Parquet with an image column and a label column."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from warmup.data.sources import _pictures
from warmup.data.sources._common import Credit, Images, required_path
from warmup.data.sources._splits import PARTS
from warmup.errors import DataError

KIND = "classification"
CREDIT = Credit(name="The user's own pictures", licence="as stated by the user", address="")
DEFAULTS: dict[str, Any] = {
    "path": None,
    "image_column": "image",
    "label_column": "label",
    "colours": "RGB",
    "resize": None,
    "split": [0.8, 0.1, 0.1],
    "split_seed": 0,
}
Labelled = tuple[list[bytes | Path], list[str], list[Any]]
"""Encoded pictures, what to call each in an error, and their labels as the source has them."""


def load(options: Mapping[str, Any]) -> Images:
    """All pictures, decoded; parts named train, validation, test (folders, or beginnings of Parquet names) are kept."""
    root = Path(required_path(options, "image_files"))
    if not root.exists():
        raise DataError(f"source image_files: path {root} does not exist")
    parquet = [root] if root.is_file() else sorted(root.glob("*.parquet"))
    found = _from_parquet(parquet, options) if parquet else _from_folders(root)
    if "train" not in found:
        raise DataError(f"source image_files: {root} has {', '.join(found) or 'no pictures'}, but no training pictures")
    names = _class_names(parquet, options["label_column"])
    classes, numbers = _numbered({part: labelled[2] for part, labelled in found.items()}, names)
    parts = {
        part: (
            _pictures.decode(pictures, places, options["colours"], options["resize"], "image_files"),
            numbers[part],
        )
        for part, (pictures, places, _) in found.items()
    }
    _one_size(parts)
    counts = {f"{part} pictures": str(len(labels)) for part, labels in numbers.items()}
    return Images(parts=parts, classes=classes, inputs=counts)


def _from_folders(root: Path) -> dict[str, Labelled]:
    divided = (root / "train").is_dir()
    found: dict[str, Labelled] = {}
    for part in PARTS if divided else ("train",):
        folder = root / part if divided else root
        if not folder.is_dir():
            continue
        files = sorted(
            file for file in folder.glob("*/**/*") if file.suffix.lower() in _pictures.SUFFIXES and file.is_file()
        )
        if not files:
            raise DataError(
                f"source image_files: {folder} has no pictures in folders of their class "
                f"(expected <class>/<name>{', '.join(sorted(_pictures.SUFFIXES))}) and no Parquet files"
            )
        labels = [file.relative_to(folder).parts[0] for file in files]
        found[part] = list(files), [str(file) for file in files], labels
    return found


def _from_parquet(files: Sequence[Path], options: Mapping[str, Any]) -> dict[str, Labelled]:
    image_column, label_column = options["image_column"], options["label_column"]
    found: dict[str, Labelled] = {}
    for file in files:
        part = next((part for part in PARTS if file.name.startswith(part)), "train")
        try:
            names = pyarrow.parquet.read_schema(file).names
            absent = [name for name in (image_column, label_column) if name not in names]
            if absent:
                raise DataError(
                    f"source image_files: {file} has no column {', '.join(map(repr, absent))}; its columns are "
                    f"{', '.join(map(repr, names))}; set `image_column` and `label_column`"
                )
            table = pyarrow.parquet.read_table(file, columns=[image_column, label_column])
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"source image_files: {file} could not be read as Parquet: {error}") from error
        pictures, places, labels = found.setdefault(part, ([], [], []))
        for row, value in enumerate(table[image_column].to_pylist()):
            encoded = value.get("bytes") if isinstance(value, dict) else value
            pictures.append(encoded if isinstance(encoded, bytes) else b"")
            places.append(f"the picture in row {row} of {file}")
        labels.extend(table[label_column].to_pylist())
    return {part: labelled for part, labelled in found.items() if labelled[0]}


def _class_names(files: Sequence[Path], column: str) -> list[str] | None:
    """Names of the classes, if the Parquet files carry them the way the library `datasets` writes them."""
    if not files:
        return None
    metadata = (pyarrow.parquet.read_schema(files[0]).metadata or {}).get(b"huggingface")
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {}) if metadata else {}
    return feature.get("names")


def _numbered(
    labels: Mapping[str, Sequence[Any]], names: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]]]:
    """Class names and labels as numbers: whole numbers are kept, words are numbered in alphabetical order."""
    every = [label for part in labels.values() for label in part]
    if all(isinstance(label, int) and not isinstance(label, bool) for label in every):
        largest = max(max(part) for part in labels.values())
        classes = tuple(names) if names else tuple(str(label) for label in range(largest + 1))
        return classes, {part: np.array(values, dtype=np.int64) for part, values in labels.items()}
    if not all(isinstance(label, str) for label in every):
        odd = next((label for label in every if not isinstance(label, int | str)), every[0])
        raise DataError(f"source image_files: labels must be all whole numbers or all words; one is {odd!r}")
    known = sorted(set(labels["train"]))
    for part, values in labels.items():
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise DataError(f"source image_files: class {unknown[0]!r} of {part} has no training pictures")
    number = {name: index for index, name in enumerate(known)}
    return tuple(known), {
        part: np.array([number[value] for value in values], dtype=np.int64) for part, values in labels.items()
    }


def _one_size(parts: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> None:
    shapes = {part: images.shape[1:3] for part, (images, _) in parts.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{part} {height} x {width}" for part, (height, width) in shapes.items())
        raise DataError(f"source image_files: the parts differ in size ({listed}); set `resize` to a side in pixels")
