"""CIFAR-100: 50,000 + 10,000 colour pictures of 32 x 32 in 100 classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.data.sources import _hub, _pictures
from warmup.data.sources._common import Credit, Images
from warmup.errors import DataError

KIND = "classification"
CREDIT = Credit(
    name="CIFAR-100 (A. Krizhevsky, 2009: Learning Multiple Layers of Features from Tiny Images)",
    licence="not stated by its authors; published for research",
    address="https://www.cs.toronto.edu/~kriz/cifar.html",
)
DEFAULTS: dict[str, Any] = {
    "path": None,
    "dataset": "uoft-cs/cifar100",
    "revision": None,
    "label_column": "fine_label",
    "split": [0.9, 0.1, 0.0],
    "split_seed": 0,
}
IMAGE_COLUMN = "img"


def load(options: Mapping[str, Any]) -> Images:
    """Training pictures (of which `split` keeps some back for validation) and the data set's own test pictures."""
    parts: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}
    classes: list[str] = []
    inputs: dict[str, str] = {}
    for part in ("train", "test"):
        files = _hub.local_files(options["path"], part, "cifar100") if options["path"] else None
        images, labels, names = _part(options, part, files)
        parts[part] = images, labels
        classes = classes or names or [str(label) for label in range(int(labels.max()) + 1)]
        inputs |= _hub.sizes(files) if files else {options["dataset"]: options["revision"] or "main"}
    return Images(parts=parts, classes=tuple(classes), inputs=inputs)


def _part(
    options: Mapping[str, Any], part: str, files: Any
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str] | None]:
    import datasets  # slow to import, and only needed for data sets of this kind

    label_column = options["label_column"]
    stream = _hub.stream("cifar100", options["dataset"], options["revision"], part, files)
    _hub.require_columns("cifar100", stream, [IMAGE_COLUMN, label_column])
    feature = (stream.features or {}).get(label_column)
    names = list(feature.names) if isinstance(feature, datasets.ClassLabel) else None
    stream = stream.select_columns([IMAGE_COLUMN, label_column]).cast_column(IMAGE_COLUMN, datasets.Image(decode=False))
    rows = list(_hub.rows("cifar100", options["dataset"], files, stream))
    if not rows:
        raise DataError(f"source cifar100: the {part} part has no pictures")
    encoded = [row[IMAGE_COLUMN]["bytes"] or b"" for row in rows]
    places = [f"picture {number} of {part}" for number in range(len(rows))]
    images = _pictures.decode(encoded, places, "RGB", None, "cifar100")
    return images, np.array([row[label_column] for row in rows], dtype=np.int64), names
