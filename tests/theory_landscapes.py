"""Landscapes that the theory's tests share: those of config.yaml, and some with known answers."""

from pathlib import Path
from typing import Any

import yaml

from warmup.config import configuration
from warmup.theory.landscapes import Landscape, landscape

ROOT = Path(__file__).parents[1]


def section() -> dict[str, Any]:
    """The effective section `theory` of config.yaml."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return configuration.effective(config)["theory"]


def shipped() -> dict[str, Landscape]:
    """The landscapes of config.yaml by name."""
    return {name: landscape(name, entry) for name, entry in section()["landscapes"].items()}


def harmonic(stiffness: float = 1.5, final: float = 0.2, **changes: Any) -> Landscape:
    """c = stiffness y^2 / 2, even valley: an Ornstein-Uhlenbeck process, known in closed form."""
    entry = {"potential": {"expression": f"{stiffness} * y**2 / 2"}, "domain": [-6, 6], "final": final}
    return landscape("harmonic", entry | changes)


def two_strong_points() -> Landscape:
    """A shoulder so low that a_2 vanishes twice above the final rate."""
    potential = {"family": "shoulder", "barrier": 1.5, "tilt": 0.15, "height": 0.6, "centre": -3.25}
    entry = {"potential": potential | {"half_width": 2.5, "softness": 0.1}, "domain": [-7.5, 3], "final": 0.25}
    return landscape("low_shoulder", entry)
