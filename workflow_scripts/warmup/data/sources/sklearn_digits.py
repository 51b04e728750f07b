"""1,797 handwritten digits, 8 x 8 grey, out of scikit-learn: the smallest real image data, for tests."""

import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np

from warmup.data.sources._common import Credit, Images, packaged

KIND = "classification"
CREDIT = Credit(
    name="Handwritten digits (E. Alpaydin, C. Kaynak; UCI), test part, as distributed in scikit-learn",
    licence="CC BY 4.0 (UCI Machine Learning Repository); scikit-learn itself: BSD-3-Clause",
    address="https://doi.org/10.24432/C50P49",
)
DEFAULTS: dict[str, Any] = {"path": None, "split": [0.8, 0.1, 0.1], "split_seed": 0}

RELATIVE = "datasets/data/digits.csv.gz"
SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
SIDE = 8
BRIGHTEST = 16


def load(options: Mapping[str, Any]) -> Images:
    """The digits in the order of the file; their 17 grey levels are spread over 0 .. 255."""
    path, inputs = packaged(options, "sklearn_digits", "sklearn", RELATIVE, "scikit-learn>=1.5", SHA256)
    with gzip.open(path, "rt") as stream:
        table = np.loadtxt(stream, delimiter=",").astype(np.int64)
    images = (table[:, :-1] * 255 // BRIGHTEST).astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
    return Images(parts={"train": (images, table[:, -1])}, classes=tuple("0123456789"), inputs=inputs)
