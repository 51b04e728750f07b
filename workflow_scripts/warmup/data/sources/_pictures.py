"""Decoding pictures: files of any common format to one uint8 array, equal in size and colours."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from warmup.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def decode(
    pictures: Sequence[bytes | Path], names: Sequence[str], colours: str, resize: int | None, source: str
) -> NDArray[np.uint8]:
    """uint8 [n, height, width, channels] of encoded `pictures`; `names` say in errors which one is meant.

    colours: "RGB" (3 channels) or "L" (grey, 1 channel). resize: side in pixels to which each picture is brought (box
    filter when it shrinks, else bilinear); null: they must all have the size of the first. Raises DataError.
    """
    first = _one(pictures[0], names[0], colours, resize, source)
    images = np.empty((len(pictures), *first.shape), dtype=np.uint8)
    for index, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        image = _one(picture, name, colours, resize, source)
        if image.shape != first.shape:
            raise DataError(
                f"source {source}: {name} is {image.shape[0]} x {image.shape[1]}, but {names[0]} is "
                f"{first.shape[0]} x {first.shape[1]}: all pictures must have one size"
                + ("; set `resize` to a side in pixels" if source == "image_files" else "")
            )
        images[index] = image
    return images


def _one(picture: bytes | Path, name: str, colours: str, resize: int | None, source: str) -> NDArray[np.uint8]:
    try:
        with Image.open(picture if isinstance(picture, Path) else io.BytesIO(picture)) as opened:
            image = opened.convert(colours)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"source {source}: {name} could not be read as a picture: {error}") from error
    if resize is not None and image.size != (resize, resize):
        shrinks = min(image.size) >= resize
        image = image.resize((resize, resize), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    array = np.asarray(image, dtype=np.uint8)
    return array[:, :, np.newaxis] if array.ndim == 2 else array
