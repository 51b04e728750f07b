"""A configuration is refused with one sentence that names the key and what would be right."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from warmup.config import claim_tables, configuration, feasibility, grid
from warmup.cost import expected_data
from warmup.errors import ConfigurationError

SHIPPED_SCALES = ("laptop", "workstation", "paper")

# changes laid over the tiny configuration (as YAML) -> what the message must contain: the key, then what would be right
WRONG = {
    "unknown key": ("warmpus: [0]", ["warmpus", "did you mean warmups?"]),
    "unknown key deep": ("training: {step: 100}", ["training.step", "did you mean steps?"]),
    "unknown key in scale": ("scales: {tiny: {sceds: 3}}", ["scales.tiny.sceds", "seeds"]),
    "scale in scale": ("scales: {tiny: {study: warmup}}", ["scales.tiny.study", "top level"]),
    "wrong type": ("seeds: three", ["seeds", "whole number"]),
    "number as text": (
        'recipes: {adamw: {peak_learning_rate: "6e-4"}}',
        ["recipes.adamw.peak_learning_rate", "6.0e-4"],
    ),
    "exponent without dot": ("recipes: {adamw: {epsilon: 1e-8}}", ["recipes.adamw.epsilon", "1.0e-8"]),
    "quoted number": ('training: {steps: "100"}', ["training.steps", "without quotes"]),
    "warmup in percent": ("warmups: [0, 5]", ["warmups", "0.05"]),
    "negative warmup": ("warmups: [-0.1]", ["warmups", "minimum"]),
    "duplicate warmup": ("warmups: [0, 0.1, 0.1]", ["warmups", "0.1", "once"]),
    "warmups of equal steps": ("warmups: [0, 0.26, 0.25]", ["warmups", "0.26 and 0.25", "6 of 24 steps"]),
    "warmup for the whole run": ("warmups: [0, 1]", ["warmups", "24 steps", "decay"]),
    "no warmups": ("warmups: []", ["warmups"]),
    "unknown scale": ("scale: huge", ["scale", "huge", "paper"]),
    "unknown study": ("study: warmpu", ["study", "did you mean warmup?"]),
    "unknown architecture in study": (
        "studies: {warmup: {selections: [{architectures: [gpt3]}]}}",
        ["studies.warmup.selections.0.architectures", "gpt3", "did you mean gpt2?"],
    ),
    "unknown task in study": (
        "studies: {warmup: {selections: [{tasks: [langage]}]}}",
        ["tasks", "did you mean language?"],
    ),
    "unknown recipe in study": (
        "studies: {warmup: {selections: [{recipes: [adamww]}]}}",
        ["recipes", "did you mean adamw?"],
    ),
    "unknown optimizer": ("recipes: {adamw: {optimizer: admw}}", ["recipes.adamw.optimizer", "did you mean adamw?"]),
    "unknown schedule": ("recipes: {adamw: {schedule: cosin}}", ["recipes.adamw.schedule", "did you mean cosine?"]),
    "beta of one": ("recipes: {adamw: {betas: [0.9, 1.0]}}", ["recipes.adamw.betas", "1.0"]),
    "one beta": ("recipes: {adamw: {betas: [0.9]}}", ["recipes.adamw.betas"]),
    "floor above peak": ("recipes: {adamw: {floor: 2.0}}", ["recipes.adamw.floor", "maximum"]),
    "rate of an unknown architecture": (
        "recipes: {adamw: {peak_learning_rates: {gpt: {language: 1.0e-3}}}}",
        ["recipes.adamw.peak_learning_rates", "did you mean gpt2?"],
    ),
    "rate of an unknown task": (
        "recipes: {adamw: {peak_learning_rates: {gpt2: {text: 1.0e-3}}}}",
        ["recipes.adamw.peak_learning_rates", "language, images, series"],
    ),
    "negative learning rate": ("recipes: {adamw: {peak_learning_rate: -1.0}}", ["peak_learning_rate"]),
    "circular recipes": (
        "{recipes: {one: {based_on: two}, two: {based_on: one}}}",
        ["recipes.one.based_on", "one -> two -> one", "circle"],
    ),
    "base that does not exist": (
        "recipes: {mine: {based_on: adamww}}",
        ["recipes.mine.based_on", "did you mean adamw?"],
    ),
    "heads do not divide": (
        "architectures: {gpt2: {settings: {n_head: 3}}}",
        ["architectures.gpt2.settings.n_head", "2, 4"],
    ),
    "heads of a Mamba": (
        "architectures: {mamba: {settings: {num_attention_heads: 2}}}",
        ["num_attention_heads", "remove"],
    ),
    "more experts chosen than there": (
        "architectures: {jamba: {settings: {num_experts_per_tok: 9}}}",
        ["architectures.jamba.settings.num_experts_per_tok", "at most"],
    ),
    "groups do not divide": (
        "architectures: {jamba: {settings: {num_attention_heads: 4, num_key_value_heads: 3}}}",
        ["architectures.jamba.settings.num_key_value_heads"],
    ),
    "RWKV of one layer": (
        "architectures: {rwkv: {settings: {num_hidden_layers: 1}}}",
        ["num_hidden_layers", "2 or more"],
    ),
    "width zero": ("architectures: {mamba: {settings: {hidden_size: 0}}}", ["hidden_size", "at least 1"]),
    "no model type": ("architectures: {mine: {settings: {}}}", ["architectures.mine.model_type", "missing"]),
    "sequence longer than the model": (
        "tasks: {language: {sequence_length: 64}}",
        ["architectures.gpt2.settings.n_positions", "raise it to 64"],
    ),
    "sequence longer than the data": (
        "tasks: {series: {context: 9000, patch_length: 300, source: {split: [8640, 2880, 2880]}}}",
        ["tasks.series.context", "longer than the data"],
    ),
    "patch does not divide": ("tasks: {series: {patch_length: 5}}", ["tasks.series.patch_length", "24"]),
    "source of another kind": (
        "tasks: {language: {source: {name: cifar100}}}",
        ["tasks.language.source.name", "openwebtext"],
    ),
    "missing file": (
        "tasks: {language: {source: {name: text_file, path: nowhere.txt}}}",
        ["tasks.language.source.path", "nowhere.txt", "does not exist"],
    ),
    "pixels for language": (
        "architectures: {pixelated: {model_type: vit, input: pixels, settings: {hidden_size: 24}}}",
        ["'pixelated' takes pixels", "list the tasks"],
    ),
    "micro batch does not divide": ("training: {micro_batch: 3}", ["training.micro_batch", "batch_size"]),
    "own micro batch does not divide": (
        "architectures: {gpt2: {micro_batch: {language: 3}}}",
        ["architectures.gpt2.micro_batch.language", "batch_size"],
    ),
    "micro batch of no task": ("architectures: {gpt2: {micro_batch: {langauge: 2}}}", ["langauge", "language"]),
    "more evaluations than steps": ("training: {evaluations: 100}", ["training.evaluations", "24"]),
    "compile on a CPU": ("training: {compile: true}", ["training.compile", "cuda"]),
    "name with a slash": ("recipes: {a/b: {based_on: adamw}}", ["a/b", "name"]),
    "a swept architecture to predict": (
        "{architectures: {gpt2: {role: predict}}, studies: {warmup: {selections: [{architectures: [gpt2]}]}}}",
        ["studies.warmup.selections.0.architectures", "never swept"],
    ),
    "nothing to study": (
        "architectures: {gpt2: {role: variant}, mamba: {role: variant}, jamba: {role: variant}, rwkv: {role: variant}}",
        ["architectures", "role study"],
    ),
    "a rate that is no number": (
        "recipes: {adamw: {peak_learning_rate: .nan}}",
        ["recipes.adamw.peak_learning_rate", "not a finite number"],
    ),
    "an infinite rate": ("recipes: {adamw: {peak_learning_rate: .inf}}", ["adamw.peak_learning_rate", "finite"]),
    "a folder for a file": (
        "tasks: {language: {source: {name: text_file, path: docs}}}",
        ["tasks.language.source.path", "'docs' is a folder", "one file"],
    ),
    "a file for a folder": (
        "tasks: {images: {source: {name: image_files, path: README.md}}}",
        ["tasks.images.source.path", "'README.md' is a file", "folder"],
    ),
    "unknown model type": (
        "architectures: {mine: {model_type: gtp2, settings: {}}}",
        ["architectures.mine.model_type", "'gtp2' is not known to transformers", "did you mean gpt2?"],
    ),
    "forbidden formula": (
        "theory: {landscapes: {mine: {potential: {expression: open(y)}, domain: [-1, 1], final: 0.1}}}",
        ["theory.landscapes.mine.potential.expression", "'open(y)' is not allowed", "tanh"],
    ),
    "claim on no table": (
        "claims: {ssm_harmed: {measurement: {table: comparison}}}",
        ["claims.ssm_harmed.measurement.table", "did you mean comparisons?"],
    ),
    "patch does not divide the image": (
        "tasks: {images: {patch_size: 3}}",
        ["tasks.images.patch_size: 3 does not divide the images (8 x 8)", "1, 2, 4, 8"],
    ),
    "no step at all": (
        "recipes: {adamw2_0.001: {options: {tau: 0}}}",
        ["recipes.adamw2_0.001.options.tau", "minimum of 0"],
    ),
    "results in a file": ("results: README.md", ["results: 'README.md' is a file", "folder"]),
    "results below a file": ("results: README.md/more", ["results: 'README.md' is a file"]),
    "more runs than can be planned": ("seeds: 100000000", ["seeds", "at most 100,000"]),
    "unknown role": ("architectures: {gpt2: {role: studdy}}", ["architectures.gpt2.role", "did you mean study?"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configuration_is_refused_naming_the_key_and_what_would_be_right(
    name: str, tiny_config: dict[str, Any]
) -> None:
    changes, expected = WRONG[name]
    with pytest.raises(ConfigurationError) as refused:
        configuration.effective(configuration.merge(tiny_config, yaml.safe_load(changes)))
    message = str(refused.value)
    assert all(line.startswith("  - ") for line in message.splitlines()[1:])
    for part in expected:
        assert part in message


@pytest.mark.parametrize("scale", SHIPPED_SCALES)
def test_shipped_scales_are_valid_and_complete(scale: str, config: dict[str, Any]) -> None:
    settings = configuration.effective({**config, "scale": scale})
    assert settings["scale"] == scale
    assert settings["recipes"]["beta2_95"]["peak_learning_rate"] == settings["recipes"]["adamw"]["peak_learning_rate"]
    assert settings["recipes"]["beta2_95"]["betas"] == [0.9, 0.95]
    assert grid.runs(settings)


def test_top_level_wins_over_scale_and_scale_over_default(tiny_config: dict[str, Any]) -> None:
    settings = configuration.effective(tiny_config)
    assert settings["seeds"] == tiny_config["scales"]["tiny"]["seeds"]
    assert configuration.effective({**tiny_config, "seeds": 7})["seeds"] == 7
    assert (
        settings["training"]["collapse_share"]
        == configuration.schema()["properties"]["training"]["properties"]["collapse_share"]["default"]
    )


def test_effective_settings_do_not_share_structure_with_the_input(tiny_config: dict[str, Any]) -> None:
    first = configuration.effective(tiny_config)
    first["training"]["steps"] = -1
    first["architectures"]["gpt2"]["settings"]["n_embd"] = -1
    assert configuration.effective(tiny_config)["training"]["steps"] != -1
    assert configuration.effective(tiny_config)["architectures"]["gpt2"]["settings"]["n_embd"] != -1


def test_effective_settings_are_effective_again(tiny_config: dict[str, Any]) -> None:
    settings = configuration.effective(tiny_config)
    again = configuration.effective({**settings, "scales": {settings["scale"]: {}}})
    assert again == settings


def test_another_source_replaces_the_one_below_with_its_options(tiny_config: dict[str, Any]) -> None:
    tiny_config["scales"]["tiny"]["tasks"]["series"]["source"]["split"] = [8640, 2880, 2880]
    changed = configuration.merge(tiny_config, {"tasks": {"series": {"source": {"name": "etth1"}}}})
    assert "split" not in configuration.effective(changed)["tasks"]["series"]["source"]


def test_a_number_of_yaml_without_a_dot_is_text_and_refused(tiny_config: dict[str, Any]) -> None:
    tiny_config["recipes"]["adamw"]["weight_decay"] = yaml.safe_load("1e-1")
    with pytest.raises(ConfigurationError, match=r"1\.0e-1"):
        configuration.effective(tiny_config)


def test_every_key_of_the_schema_is_described() -> None:
    bare = [path for path, rule in configuration.described_keys() if not rule.get("description")]
    assert bare == []


def test_an_architecture_is_of_the_lineage_it_is_based_on(config: dict[str, Any]) -> None:
    mine = {
        "wide": {"based_on": "gpt2"},
        "wider": {"based_on": "wide"},
        "apart": {"based_on": "wide", "lineage": "own"},
    }
    found = configuration.effective(configuration.merge(config, {"architectures": mine}))["architectures"]
    assert [found[name]["lineage"] for name in ("gpt2", "wide", "wider", "apart")] == ["gpt2", "gpt2", "gpt2", "own"]


def test_all_mistakes_are_told_at_once(tiny_config: dict[str, Any]) -> None:
    wrong = {
        "results": "README.md",
        "recipes": {"adamw": {"schedule": "cosin"}},
        "tasks": {"images": {"patch_size": 3}},
    }
    with pytest.raises(ConfigurationError) as refused:
        configuration.effective(configuration.merge(tiny_config, wrong))
    lines = str(refused.value).splitlines()
    assert lines[0] == "3 mistakes:"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "  - results",
        "  - tasks.images.patch_size",
        "  - recipes.adamw.schedule",
    ]
    with pytest.raises(ConfigurationError, match=r"(?s)^2 mistakes:\n  - warmpus.*\n  - seeds"):
        configuration.effective(configuration.merge(tiny_config, {"seeds": "three", "warmpus": [0]}))


def test_model_types_are_read_without_transformers_and_are_its_own() -> None:
    from transformers import CONFIG_MAPPING

    assert set(feasibility.model_types()) == set(CONFIG_MAPPING)


def test_sides_of_images_are_those_that_the_bill_expects() -> None:
    assert {name: side for name, ((side, _, _), _) in expected_data.IMAGES.items()} == feasibility.SIDES


NO_CLAIM = {"claims", "bill", "bill_compared"}
"""Tables that no claim reads: its own, and what a study costs."""


def test_claims_may_read_every_other_table_that_a_rule_makes(repository: Path) -> None:
    rules = "".join(path.read_text() for path in (repository / "rules").glob("*.smk"))
    made = set(re.findall(r"\{TABLES\}/(\w+)", rules))
    made |= {f"theory/{name}" for name in re.findall(r'\{THEORY\}/(\w+)(?:"|\.parquet)', rules)}
    assert set(claim_tables.KNOWN) - {claim_tables.MADE_OF_THEM} == made - NO_CLAIM
