"""A user's configuration (as for `snakemake --configfile`), laid over the study's own and completed."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from warmup import shipped
from warmup.config import configuration
from warmup.errors import ConfigurationError

AMOUNT = re.compile(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*(%|steps|step|tokens)\s*")


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the user wrote, effective settings of the selected scale)."""
    try:
        own = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: is no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(own, dict):
        raise ConfigurationError(f"{path}: should be a mapping of keys such as architectures, recipes, training")
    study = yaml.safe_load((shipped.STUDY / "config.yaml").read_text())
    return own, configuration.effective(configuration.merge(study, own))


def chosen(entries: dict[str, Any], name: str | None, default: str, option: str) -> str:
    """The name asked for, or the default; ConfigurationError, listing what is there, for another."""
    name = name or default
    if name not in entries:
        raise ConfigurationError(f"{option}: {name!r} is not there; there are {', '.join(entries)}")
    return name


def steps_of(text: str, steps: int, tokens_per_step: int | None) -> int:
    """Warmup steps of "2%", "200 steps" or "1e6 tokens": a number without its unit is refused."""
    match = AMOUNT.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f'--warmup: {text!r} has no unit; write "2%" (of training), "200 steps" (optimizer updates) or "1e9 tokens"'
        )
    number, unit = float(match[1]), match[2]
    if unit == "tokens" and not tokens_per_step:
        raise ConfigurationError("--warmup: tokens need a task whose batches are made of tokens; give % or steps")
    exact = {"%": number * steps / 100, "tokens": number / (tokens_per_step or 1)}.get(unit, number)
    if unit.startswith("step") and exact != int(exact):
        raise ConfigurationError(
            f"--warmup: {number:g} steps are no whole number; a fraction is written as {number:.0%}"
        )
    found = math.floor(exact + 0.5)
    if found > steps:
        raise ConfigurationError(f"--warmup: {text} are {found} updates, training has {steps}")
    return found


def tokens_per_step(task: dict[str, Any]) -> int | None:
    """Tokens of one batch of a task; None where examples are no texts."""
    length = task.get("sequence_length") if task["kind"] == "language" else None
    return task["batch_size"] * length if length else None
