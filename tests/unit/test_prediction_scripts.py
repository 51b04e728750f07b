"""The scripts of prediction.smk, run one after the other on the files of a small study, hand each other what they
need.
"""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars
import pytest
from known_truth import trained_tables as synthetic

from warmup import files
from warmup.config import configuration
from warmup.config.claim_tables import claim_tables
from warmup.statistics.base import outcomes
from warmup.statistics.effect import comparisons, optimum, plateau

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow_scripts"
NEEDS = {"gpt2": 0.1, "mamba": 0.0, "jamba": 0.03, "rwkv": 0.01, "other": 0.05}
STEPS, WARMUPS, SEEDS = 120, (0.0, 0.02, 0.1, 0.3), 3
STATISTICS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "reference": 0.0,
    "margins": {"default": {"relative": 0.005}},
    "equivalence_margins": {"default": {"relative": 0.005}},
    "log_offset": 0.005,
    "bootstrap": {"resamples": 199, "seed": 1},
    "comparisons": {"all": {"reference": 0.0, "warmups": None, "corrected_over": "study"}},
}


class Named:
    """Files as Snakemake hands them: by name, by number, and as a list."""

    def __init__(self, *files: str, **named: Any) -> None:
        self._files, self._named = files, named
        self.__dict__.update(named)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def items(self) -> Any:
        return self._named.items()


class Params(dict[str, Any]):
    """Parameters as Snakemake hands them: a mapping whose entries are attributes too."""

    __getattr__ = dict.__getitem__


def run(script: str, tmp_path: Path, given: Named, made: Named, settings: dict[str, Any]) -> None:
    job = SimpleNamespace(
        input=given,
        output=made,
        params=Params(settings=settings),
        log=[str(tmp_path / "log")],
        threads=1,
        scriptdir=str(SCRIPTS),
    )
    runpy.run_path(str(SCRIPTS / f"{script}.py"), init_globals={"snakemake": job})


def study(
    folder: Path, names: dict[str, float], warmups: tuple[float, ...], seed: int, stop: int = STEPS
) -> list[Path]:
    """Run folders whose early spike and whose best warmup both follow the need."""
    rng = np.random.default_rng(seed)
    made = []
    for name, need in names.items():
        for task in ("language", "series"):
            for warmup in warmups:
                for number in range(SEEDS):
                    norms = 1.0 + (2 + 100 * need) * np.exp(-np.arange(stop) / 4.0) * np.exp(rng.normal(0, 0.05, stop))
                    where = {"architecture": name, "task": task, "warmup": f"{warmup:g}", "seed": str(number)}
                    at = folder / "/".join(f"{axis}={value}" for axis, value in where.items())
                    groups = {"global": norms, "embedding": 0.5 * norms, "block00.mixer": 0.8 * norms}
                    synthetic.write_run(at, groups, steps=STEPS, where=where, probes=[])
                    loss = 2.0 + 0.2 * synthetic.bowl(np.array([warmup]), need)[0] + rng.normal(0, 0.002)
                    complete_summary(at / "summary.json", float(loss), warmup)
                    made.append(at)
    return made


def complete_summary(path: Path, loss: float, warmup: float) -> None:
    content = json.loads(path.read_text())
    content |= {"best_validation_error": 0.1, "validation_stretches": 50}
    content |= {"warmup_steps": int(warmup * STEPS + 0.5), "parameters": 1000, "best_step": 99, "metric": None}
    content |= {f"{name}_loss": loss for name in ("best_validation", "final_validation", "final_training")}
    content["initial_validation_loss"] = 5.0
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every script has run."""
    at = tmp_path_factory.mktemp("study")
    known = {name: need for name, need in NEEDS.items() if name != "other"}
    folders = study(at / "runs", known, WARMUPS, seed=1)
    probes = study(at / "probes", {"other": NEEDS["other"]}, (0.0,), seed=2, stop=31)
    filled = configuration.complete({"prediction": {}, "claims": {}}, configuration.schema())["prediction"]
    settings = filled | {"outcome": "best_validation_loss", "confidence": 0.95, "log_offset": 0.005, "steps": STEPS}
    settings |= {"budgets": [1, 10, 30], "early_spikes": [10, 30], "figure_steps": 20, "shuffles": 5}
    settings |= {"bootstrap": 100, "seed_replicates": 20, "cluster_replicates": 30, "labels": {"gpt2": "GPT-2"}}

    runs = outcomes.runs_table([folder / "summary.json" for folder in folders])
    plateaus, regrets = plateau.plateaus(runs, STATISTICS)
    frames = {"runs": runs, "plateaus": plateaus, "regrets": regrets}
    frames |= {"optima": optimum.optima(runs, STATISTICS), "comparisons": comparisons.comparisons(runs, STATISTICS)}
    for name, frame in frames.items():
        files.write_table(frame, at / f"{name}.parquet")

    def table(name: str) -> str:
        return str(at / f"{name}.parquet")

    def pair(name: str) -> list[str]:
        return [table(name), str(at / f"{name}.csv")]

    logs = Named(log=[str(folder / "log.parquet") for folder in folders])
    run(
        "spike_ratios",
        at,
        logs,
        Named(runs=pair("spike_ratios"), cells=pair("cell_spike_ratios"), early=table("early_norms")),
        settings,
    )
    measured = Named(log=logs.log, spikes=table("spike_ratios"))
    run("diagnostics", at, measured, Named(*pair("diagnostics")), settings)
    run(
        "correlation",
        at,
        Named(runs=table("runs"), spikes=table("spike_ratios")),
        Named(*pair("correlation")),
        settings,
    )
    sources = {name: table(name) for name in ("runs", "diagnostics", "plateaus")}
    run(
        "leaderboard",
        at,
        Named(**sources),
        Named(leaderboard=pair("leaderboard"), held_out=pair("held_out")),
        settings,
    )
    claim = {"source": "S", "statement": "needs any", "rule": {"kind": "above", "threshold": 1}}
    claim["measurement"] = {"table": "regrets", "where": {"architecture": ["gpt2"], "warmup": 0}, "unit": "margin"}
    claim["measurement"] |= {"low": "regret_low", "high": "regret_high"}
    entries = configuration.complete({"claims": {"gpt2_needs": claim}}, configuration.schema())["claims"]
    names = claim_tables(entries, "warmup")
    asked = {"claims": entries, "tables": names, "scale": "laptop", "study": "warmup", "confidence": 0.95}
    page = str(at / "claims.html")
    run("claims", at, Named(*map(table, names)), Named(table=pair("claims"), page=page), asked)
    sources |= {name: table(name) for name in ("leaderboard", "held_out")}
    run(
        "predict",
        at,
        Named(**sources, log=[str(folder / "log.parquet") for folder in probes]),
        Named(table=pair("predictions"), json=str(at / "predictions.json"), page=str(at / "predictions.html")),
        settings,
    )
    drawn = ("spike_and_optimum", "early_norms", "leaderboard", "budget_curve")
    inputs = {"spikes": "cell_spike_ratios", "early": "early_norms"}
    inputs |= {name: name for name in ("correlation", "leaderboard", "optima", "plateaus")}
    run(
        "prediction_figures",
        at,
        Named(**{name: table(file) for name, file in inputs.items()}),
        Named(**{name: str(at / f"{name}.svg") for name in drawn}, interactive=str(at / "interactive.html")),
        settings,
    )
    return at


def test_every_script_makes_its_tables_and_figures(made: Path) -> None:
    for name in (
        "spike_ratios",
        "cell_spike_ratios",
        "diagnostics",
        "correlation",
        "leaderboard",
        "claims",
        "predictions",
    ):
        assert polars.read_parquet(made / f"{name}.parquet").height > 0, name
        assert (made / f"{name}.csv").stat().st_size > 0, name
    for name in ("spike_and_optimum.svg", "early_norms.svg", "leaderboard.svg", "budget_curve.svg", "interactive.html"):
        assert (made / name).stat().st_size > 1000, name


def test_the_new_architecture_is_predicted_from_its_probe_runs(made: Path) -> None:
    found = json.loads((made / "predictions.json").read_text())["predictions"]
    assert [(one["architecture"], one["task"]) for one in found] == [("other", "language"), ("other", "series")]
    for one in found:
        assert one["diagnostic"] in ("early_spike", "initial_norm")
        assert 0.02 < one["predicted"] < 0.2
        assert one["advice"] in (made / "predictions.html").read_text()


def test_the_planted_need_is_claimed_and_seen(made: Path) -> None:
    assert polars.read_parquet(made / "claims.parquet")["verdict"].to_list() == ["supported"]
    assert "supported" in (made / "claims.html").read_text()
