"""What the CPU kernels share: where compiled code is kept, how tensors reach numba, how work is spread over threads.

Threads: a kernel works on units that write to places of their own (a batch element, a block of channels). How units are
split depends on shapes only, never on the number of threads, so results have the same bits for any number of threads.
They run on PyTorch's own OpenMP threads; numba's threading layer would spin beside those on the same cores.
"""

import ctypes
import functools
import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from warmup.kernels import simd

SHARES_PER_THREAD = 2
"""Shares that units are dealt in, per thread: more than one, as cores may be busy; not many, as each costs a call."""

LANES = {torch.float32: simd.LANES[np.dtype(np.float32)], torch.float64: simd.LANES[np.dtype(np.float64)]}

_threads = 1


def cache_folder() -> Path:
    """Folder of compiled kernels, writable: $NUMBA_CACHE_DIR, else the user's cache, else the temporary folder.

    It is named after the kernels' source and numba's version: numba itself notices changes of the file that holds the
    outer function only, not of the functions compiled into it.
    """
    sources = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    name = f"{hashlib.sha256(sources).hexdigest()[:16]}-numba-{numba.__version__}"
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    candidates = [Path(chosen)] if chosen else [Path(user_cache).expanduser() / "warmup-sweep"]
    candidates.append(Path(tempfile.gettempdir()) / f"warmup-sweep-{os.getuid()}")
    for candidate in candidates:
        folder = candidate / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise OSError(f"no folder to keep compiled kernels in; tried {', '.join(map(str, candidates))}")


@contextmanager
def compiled_in(folder: Path) -> Iterator[None]:
    """While open, functions decorated with numba's cache=True keep their machine code in `folder`."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def kernel(function: Callable) -> Callable:
    """Compiles a kernel's outer function: without the interpreter lock, cached on disk, division as in C."""
    with compiled_in(_folder()):
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)


@functools.cache
def _folder() -> Path:
    return cache_folder()


def set_threads(threads: int) -> None:
    """Number of threads that kernels use from now on, the calling one included."""
    global _threads
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    _threads = threads


def spread(function: Callable, units: int, *arguments: Any) -> None:
    """Calls `function(first, last, *arguments)` for consecutive ranges that together cover `units`, on all threads."""
    shares = min(units, SHARES_PER_THREAD * _threads)
    if _threads == 1 or shares == 1:
        function(0, units, *arguments)
        return
    edges = [units * share // shares for share in range(shares + 1)]
    ranges = iter(list(itertools.pairwise(edges)))
    errors: list[BaseException] = []

    def work(_: Any = None) -> None:
        try:
            for first, last in ranges:  # list iterators hand out each item once, whichever thread asks
                function(first, last, *arguments)
        except BaseException as error:
            errors.append(error)  # an exception cannot pass through OpenMP

    _team()(work, min(_threads, shares))
    if errors:
        raise errors[0]


@functools.cache
def _team() -> Callable[[Callable[[Any], None], int], None]:
    """Function that runs a function on as many threads at once: those of PyTorch's OpenMP where that can be reached.

    After each of its parallel regions an OpenMP thread waits for the next one by spinning, for milliseconds. Threads of
    another pool would have to share cores with it; and it is awake already.
    """
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    parallel = getattr(ctypes.CDLL(str(library)), "GOMP_parallel", None) if library.exists() else None
    if parallel is None:
        return _pool
    region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    parallel.argtypes, parallel.restype = [region, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return lambda work, threads: parallel(region(work), None, threads, 0)


def _pool(work: Callable[[Any], None], threads: int) -> None:
    """The same with threads of our own."""
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work, None) for _ in range(threads - 1)]
        work(None)
        for other in others:
            other.result()


def flat(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's memory from its first to its last number as a one-dimensional array (a view; any strides)."""
    tensor = tensor.detach()
    if tensor.is_contiguous():
        return tensor.view(-1).numpy()
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.as_strided((extent,), (1,)).numpy()


def strides(tensors: Sequence[torch.Tensor]) -> np.ndarray:
    """Strides of three-dimensional tensors, int64 [tensors, 3]."""
    return np.array([tensor.stride() for tensor in tensors], dtype=np.int64)


def lanes(tensor: torch.Tensor) -> int:
    """Numbers of the tensor's type in a register."""
    return LANES[tensor.dtype]


def channels_last(like: torch.Tensor) -> torch.Tensor:
    """Empty [batch, channels, length] whose memory runs along channels, as the projections before and after want it."""
    batch, channels, length = like.shape
    return like.new_empty(batch, length, channels).transpose(1, 2)


def summed(partial: torch.Tensor) -> torch.Tensor:
    """Sum over the first axis in its order, whatever the number of threads."""
    if len(partial) == 1:
        return partial[0]
    with np.errstate(all="ignore"):  # a diverging run is data, not a warning
        return torch.from_numpy(np.add.reduce(partial.numpy(), axis=0))
