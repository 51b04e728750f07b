"""What sources share: the forms they deliver; finding a file without importing its package; checking its bytes."""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup import files
from warmup.errors import DataError


@dataclass(frozen=True)
class Credit:
    """Whose data these are, on what terms, and where they are described."""

    name: str
    licence: str
    address: str


@dataclass(frozen=True)
class Text:
    """Documents of plain text, in the order of the source.

    `endless`: so many that they are read as a stream, only as far as the study needs.
    `divided`: the source knows its documents, so that a split may go by document; if not, it goes by position.
    """

    documents: Iterable[str]
    endless: bool = False
    divided: bool = True
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Images:
    """Pictures by part of the data: images uint8 [n, height, width, channels], labels int64 [n], 0 .. classes - 1.

    `parts` has "train" and, where the source itself holds pictures back, "validation" and "test".
    """

    parts: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]
    classes: tuple[str, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """A multivariate series, evenly spaced in time: values float64 [rows, channels], complete and finite."""

    values: NDArray[np.float64]
    channels: tuple[str, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)


def package_file(package: str, relative: str, requirement: str) -> Path:
    """Path of a file inside an installed package, which is not imported.

    Raises DataError, naming `requirement` (what pip installs), if the package or the file is absent.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise DataError(
            f"the package {package} is not installed, and its data are what the task uses: "
            f"install {requirement}, or set the source's `path` to a copy of {Path(relative).name}"
        )
    for location in found.submodule_search_locations:
        path = Path(location, relative)
        if path.is_file():
            return path
    raise DataError(f"the installed package {package} has no file {relative}: install {requirement}, which has it")


def existing_file(path: str, source: str) -> Path:
    """`path` if it is a file; otherwise a DataError."""
    if not Path(path).is_file():
        what = "is a folder, not a file" if Path(path).is_dir() else "does not exist"
        raise DataError(f"source {source}: path {path} {what}; relative paths count from the folder of the Snakefile")
    return Path(path)


def verified(path: Path, sha256: str, source: str, remedy: str) -> Path:
    """`path` if its bytes have the SHA-256 `sha256`; otherwise a DataError that ends with `remedy`."""
    actual = files.sha256(path)
    if actual != sha256:
        raise DataError(
            f"source {source}: {path} is not the file it should be (altered, cut short, or another version): "
            f"its sha256 is {actual}, expected {sha256}; {remedy}"
        )
    return path


def packaged(
    options: Mapping[str, Any], source: str, package: str, relative: str, requirement: str, sha256: str
) -> tuple[Path, dict[str, str]]:
    """The file of a source that comes in a package (or at `options["path"]`), verified; and its name and SHA-256."""
    given = options["path"]
    path = existing_file(given, source) if given else package_file(package, relative, requirement)
    verified(path, sha256, source, f"install {requirement} anew, or set the source's `path` to an unaltered copy")
    return path, {path.name: sha256}


def required_path(options: Mapping[str, Any], source: str) -> str:
    """`options["path"]`, which a source of the user's own data cannot do without; otherwise a DataError."""
    if not options["path"]:
        raise DataError(f"source {source}: set `path` to your data")
    return str(options["path"])
