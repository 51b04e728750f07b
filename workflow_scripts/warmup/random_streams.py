"""One seed, many independent streams of random numbers, each named by what it is for.

A stream is a pure function of its name, seed and (where it has one) step: nothing to save, nothing to restore.
"""

import hashlib

import numpy as np


def stream(*name: str | int) -> np.random.Generator:
    """Counter-based generator of the stream `name`, such as ("batch", seed, step)."""
    return np.random.Generator(np.random.Philox(key=_key(name, 16)))


def torch_seed(*name: str | int) -> int:
    """Seed for torch's generator of the stream `name`, below 2^63."""
    return _key(name, 8) >> 1


def _key(name: tuple[str | int, ...], length: int) -> int:
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return int.from_bytes(digest[:length], "little")
