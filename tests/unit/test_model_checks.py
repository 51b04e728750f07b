"""The check of all models before anything is trained: what it describes and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from warmup.config import configuration, grid
from warmup.errors import ConfigurationError
from warmup.training import model_checks


def check(changes: str, tiny_config: dict[str, Any], prepared: Path) -> dict[str, Any]:
    settings = configuration.effective(configuration.merge(tiny_config, yaml.safe_load(changes)))
    parts = grid.models_settings(settings, grid.runs(settings))
    return model_checks.check(parts, {task: str(prepared / task) for task in settings["tasks"]})


def test_every_architecture_is_described_on_every_task(tiny_config: dict[str, Any], prepared: Path) -> None:
    described = check("{}", tiny_config, prepared)
    assert set(described) == {"gpt2", "mamba", "jamba", "rwkv"}
    for tasks in described.values():
        assert set(tasks) == {"language", "images", "series"}
        assert all(entry["parameters"] == sum(entry["layer_groups"].values()) > 0 for entry in tasks.values())


WRONG = {
    "unknown setting": (
        "architectures: {mamba: {settings: {hiden_size: 16}}}",
        ["architectures.mamba.settings.hiden_size", "did you mean hidden_size?", "task language"],
    ),
    "not causal": (
        "architectures: {bert: {model_type: bert, settings: {hidden_size: 16, num_attention_heads: 2}}}",
        ["architectures.bert.model_type", "later ones", "causal backbone"],
    ),
    "transformers refuses its sizes": (
        "architectures: {mamba2: {model_type: mamba2, settings: {hidden_size: 16, num_hidden_layers: 1}}}",
        ["architectures.mamba2.settings", "refuses this mamba2", "must equal num_heads * head_dim"],
    ),
    "transformers cannot run it": (
        "architectures: {long: {model_type: longformer, settings: {hidden_size: 16, num_attention_heads: 2}}}",
        [
            "architectures.long.model_type",
            "step of longformer on a CPU fails",
            "modeling_longformer.py, line",
            "task la",
        ],
    ),
    "unknown option of the optimizer": ("recipes: {adamw: {options: {tau: 0.1}}}", ["recipes.adamw", "tau"]),
    "unknown option of the schedule": (
        "recipes: {adamw: {schedule_options: {tail: cosine}}}",
        ["recipes.adamw", "tail"],
    ),
    "vocabulary too small": (
        "architectures: {gpt2: {settings: {vocab_size: 10}}}",
        ["architectures.gpt2.settings.vocab_size", "256"],
    ),
    "several things at once": (
        "{architectures: {gpt2: {settings: {vocab_size: 10}}, mamba: {settings: {hiden_size: 16}}}, "
        "recipes: {adamw: {schedule_options: {tail: cosine}}}}",
        [
            "5 things of this study cannot be trained",
            "  - recipes.adamw: schedule_options.tail",
            "  - architectures.gpt2.settings.vocab_size",
            "  - architectures.mamba.settings.hiden_size",
        ],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_trained_is_refused_before_anything_is_trained(
    name: str, tiny_config: dict[str, Any], prepared: Path
) -> None:
    changes, expected = WRONG[name]
    with pytest.raises(ConfigurationError) as refused:
        check(changes, tiny_config, prepared)
    for part in expected:
        assert part in str(refused.value)
