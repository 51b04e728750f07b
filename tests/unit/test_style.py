"""How drawings are stored: fewer bytes, the same drawing."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from PIL import Image

from warmup.plots import style

PATHS = re.compile(r'\sd="([^"]*)"')
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
PICTURES = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")


def drawn(colour_map: str) -> str:
    """A drawing of a noisy line and a picture, as matplotlib writes it."""
    generator = np.random.default_rng(1)
    drawing, axes = style.figure(1, 2)
    axes[0, 0].plot(generator.standard_normal(400))
    axes[0, 1].imshow(generator.random((64, 64)), cmap=colour_map, interpolation="none")
    written = io.StringIO()
    drawing.savefig(written, format="svg")
    pyplot.close(drawing)
    return written.getvalue()


def pixels(svg: str) -> list[np.ndarray]:
    return [np.array(Image.open(io.BytesIO(base64.b64decode(found))).convert("RGB")) for found in PICTURES.findall(svg)]


def test_a_stored_drawing_is_the_same_to_a_hundredth_of_a_point_and_smaller() -> None:
    before = drawn("magma")
    after = style.smaller(before)
    numbers = [
        np.array([float(number) for path in PATHS.findall(svg) for number in NUMBERS.findall(path)])
        for svg in (before, after)
    ]
    assert len(numbers[0]) > 500
    np.testing.assert_allclose(numbers[1], numbers[0], rtol=0, atol=0.0051)
    assert len(after) < 0.7 * len(before)


def test_a_stored_picture_has_the_same_pixels_whether_a_palette_holds_its_colours_or_not() -> None:
    for colour_map in ("magma", "hsv"):
        before = drawn(colour_map)
        (old,), (new,) = pixels(before), pixels(style.smaller(before))
        np.testing.assert_array_equal(old, new)
    many = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    written = io.BytesIO()
    many.save(written, "PNG")
    svg = f'<image xlink:href="data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"/>'
    assert style.smaller(svg) == svg


def test_equal_drawings_are_stored_as_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        drawing, axes = style.figure()
        axes[0, 0].plot(np.sin(np.arange(50)))
        style.save(drawing, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
