"""What looks wrong in a start is measured and said; what is right is not complained of; twins are compared honestly."""

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from statistics_settings import statistics

from warmup import kernels
from warmup.architectures import start_audit
from warmup.config import configuration, grid
from warmup.plots import starts as drawings
from warmup.statistics.effect import start_differences
from warmup.statistics.words import starts

TWINS = [["mamba", "mamba_library"], ["jamba", "jamba_library"], ["rwkv", "rwkv_library"]]


@pytest.fixture(scope="module")
def tables(prepared: Path) -> tuple[polars.DataFrame, polars.DataFrame]:
    """The audit of the laptop's models of study `initialisation`, and of a family without a specification."""
    import yaml

    names = [*(name for pair in TWINS for name in pair), "gpt2", "opt"]
    config: dict[str, Any] = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text())
    config = configuration.merge(
        config,
        {
            "study": "initialisation",
            "architectures": {
                "opt": {
                    "model_type": "opt",
                    "settings": {
                        "hidden_size": 16,
                        "word_embed_proj_dim": 16,
                        "ffn_dim": 32,
                        "num_hidden_layers": 2,
                        "num_attention_heads": 2,
                    },
                }
            },
            "studies": {"initialisation": {"selections": [{"architectures": names}]}},
            "scales": {"laptop": {"tasks": {"images": {"patch_size": 4}, "series": {"context": 12, "horizon": 3}}}},
        },
    )
    settings = configuration.effective(config)
    models = grid.models_settings(settings, [run for run in grid.runs(settings) if run.seed == "0"])
    folders = {task: str(prepared / task) for task in models["tasks"]}
    return start_audit.audit(models, folders, lambda model_type: kernels.install("cpu", 1, model_type))


def test_no_parameter_of_an_authors_start_lies_farther_from_its_law_than_chance(tables: Any) -> None:
    off = starts.deviating(tables[0])
    assert set(off["architecture"]) == {twin for _, twin in TWINS}


def test_the_sentences_name_what_the_library_starts_otherwise(tables: Any) -> None:
    found = {start.name: start for start in starts.starts(*tables)}
    assert "dt_proj.bias is 0 everywhere" in found["jamba_library"].sentence
    assert "Delta start at 0.693, outside of 0.001 to 0.1" in found["jamba_library"].sentence
    assert "attention.time_first is 1 everywhere" in found["rwkv_library"].sentence
    assert "tokens (standard deviation 0." in found["mamba_library"].sentence
    for name in ("mamba", "jamba", "rwkv", "gpt2"):
        assert found[name].drawn_by == "authors" and "differs from its authors" not in found[name].sentence
        assert "Delta" not in found[name].sentence
    assert "no specification" in found["opt"].sentence and found["opt"].drawn_by == "library"


def test_a_zero_matrix_is_counted_as_such_and_has_no_first_gradient_above_it(tables: Any) -> None:
    parameters, networks = tables
    output = parameters.filter(architecture="rwkv", place="attention.output.weight")
    assert set(output["zeros"]) == {1.0} and set(output["sigma_1"]) == {0.0}
    shares = networks.filter(quantity="gradient_share").group_by("architecture", "task").agg(polars.col("value").sum())
    assert np.allclose(shares["value"], 1.0)
    stream = networks.filter(architecture="rwkv", quantity="residual_rms", task="series").sort("layer")["value"]
    assert stream[1] == pytest.approx(stream[2], rel=1e-6)  # the blocks are the identity


def test_the_first_loss_stands_beside_that_of_knowing_nothing(tables: Any) -> None:
    text = tables[1].filter(task="language", quantity="uniform_loss")["value"]
    assert np.allclose(text, np.log(256))
    assert np.allclose(tables[1].filter(task="images", quantity="uniform_loss")["value"], np.log(4))


def test_a_stream_that_grows_and_a_first_loss_far_away_are_named() -> None:
    rows = [
        {"quantity": "residual_rms", "layer": 0, "value": 1.0},
        {"quantity": "residual_rms", "layer": 1, "value": 8.0},
        {"quantity": "first_loss", "layer": -1, "value": 9.0},
        {"quantity": "uniform_loss", "layer": -1, "value": 5.0},
    ]
    cell = {"architecture": "net", "task": "text", "group": "", "quantile": None}
    networks = polars.DataFrame([cell | row for row in rows], schema=start_audit.NETWORKS)
    parameters = polars.DataFrame([{"architecture": "net", "drawn_by": "library"}], schema=start_audit.PARAMETERS)
    sentence = starts.starts(parameters, networks)[0].sentence
    assert "grows 8 times" in sentence and "first loss is 9" in sentence
    assert "(the library's start)" in sentence
    own = parameters.with_columns(drawn_by=polars.lit("own"))  # a class in the user's file
    assert "(its own class's start)" in starts.starts(own, networks)[0].sentence


def test_the_figure_and_the_page_show_every_architecture(tables: Any) -> None:
    drawing = drawings.figure(tables[1], {"mamba": "Mamba"})
    assert [label.get_text() for label in drawing.axes[1].get_yticklabels()][:2] == ["Mamba", "mamba_library"]
    page = drawings.page(["A sentence."], starts.deviating(tables[0]), {})
    assert "A sentence." in page and "mamba.dt_proj.bias" in page


def made(seeds: int, gap: float) -> tuple[polars.DataFrame, polars.DataFrame, dict[str, Any]]:
    """Runs and spike ratios of two twins: the library's needs warmup by `gap`, and spikes twice as high."""

    from warmup.statistics.base.outcomes import SCHEMA

    draws = np.random.default_rng(0)
    rows, spikes = [], []
    for name in ("net", "net_library"):
        for seed in range(seeds):
            for warmup in (0.0, 0.1):
                loss = 2.0 + 0.01 * draws.normal() + (gap if warmup == 0 and name == "net_library" else 0.0)
                at = {"architecture": name, "task": "text", "recipe": "adamw", "warmup": warmup, "seed": seed}
                blank = dict.fromkeys(SCHEMA)
                losses = dict.fromkeys(
                    ("initial_validation_loss", "best_validation_loss", "final_validation_loss", "final_training_loss"),
                    loss,
                )
                rows.append(
                    blank | at | losses | {"status": "finished", "steps": 100, "role": "study", "lineage": "net"}
                )
                log = np.log(4.0 if name == "net" else 8.0) + 0.05 * draws.normal()
                spikes.append(at | {"group": "global", "log_spike_ratio": float(log)})
    return polars.DataFrame(rows, schema=SCHEMA), polars.DataFrame(spikes), statistics()


def test_a_difference_between_starts_is_found_with_its_sign_and_its_interval() -> None:
    runs, spikes, settings = made(seeds=8, gap=0.5)
    table = start_differences.start_differences(runs, spikes, [("net", "net_library")], settings)
    rows = {row["quantity"]: row for row in table.iter_rows(named=True)}
    spike = rows["log_spike_ratio"]
    assert spike["difference_low"] < -np.log(2) < spike["difference_high"] < 0
    assert rows["regret"]["difference"] == pytest.approx(-0.5, abs=0.05)
    assert rows["regret"]["difference_low"] <= -0.5 <= rows["regret"]["difference_high"] < 0
    assert rows["optimum"]["library"] == 0.1
    assert "difference" in drawings.differences_page(table, {"labels": {}, "confidence": 0.95})
    assert len(drawings.differences_figure(table, {"labels": {}}).axes) == 3


def test_one_seed_cannot_say_what_a_start_changes() -> None:
    runs, spikes, settings = made(seeds=1, gap=0.5)
    table = start_differences.start_differences(runs, spikes, [("net", "net_library")], settings)
    assert table["difference_low"].null_count() == 3
    assert all("cannot say" in note for note in table["note"])
