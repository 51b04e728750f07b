"""Synthetic studies with known truth: runs, spike ratios and diagnostics as tables, as if trained.

Each architecture has a latent need of warmup; the outcome is a bowl in log(fraction + 0.005) around it, as deep as
`effect`, plus seed noise that all warmups of a seed share in part (paired) and in part do not.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars

OFFSET = 0.005
GRID = (0.0, 0.005, 0.01, 0.02, 0.05, 0.08, 0.2)


@dataclass(frozen=True)
class Design:
    """Size and truth of a study; `needs` gives each architecture's best fraction, `effect` the bowl's depth (0:
    null).
    """

    needs: tuple[float, ...] = (0.06, 0.005, 0.025, 0.01)
    tasks: int = 3
    seeds: int = 5
    warmups: tuple[float, ...] = GRID
    steps: int = 1000
    effect: float = 0.1
    noise: float = 0.01
    spike_noise: float = 0.15
    informative: bool = True
    level: float = 2.0

    @property
    def architectures(self) -> list[str]:
        """Names, one per need."""
        return [f"net{index:02d}" for index in range(len(self.needs))]


def bowl(fractions: np.ndarray, need: float) -> np.ndarray:
    """0 at `need`, 1 at a factor of ten from it, quadratic in log(fraction + OFFSET)."""
    return ((np.log10(fractions + OFFSET) - np.log10(need + OFFSET)) ** 2).astype(float)


def runs(design: Design, rng: np.random.Generator) -> polars.DataFrame:
    """A runs table of the design."""
    rows = []
    for architecture, need in zip(design.architectures, design.needs, strict=True):
        for task in range(design.tasks):
            for seed in range(design.seeds):
                shared = rng.normal(0, design.noise)
                fractions = np.array(design.warmups)
                losses = design.level * (1 + task) + shared + design.effect * bowl(fractions, need)
                losses = losses + rng.normal(0, design.noise, len(fractions))
                for fraction, loss in zip(fractions, losses, strict=True):
                    rows.append(run_row(design, architecture, f"task{task}", float(fraction), seed, float(loss)))
    return polars.DataFrame(rows)


def run_row(design: Design, architecture: str, task: str, warmup: float, seed: int, loss: float) -> dict[str, object]:
    """One row of a runs table."""
    return {
        "architecture": architecture,
        "task": task,
        "recipe": "adamw",
        "warmup": warmup,
        "warmup_steps": int(warmup * design.steps + 0.5),
        "seed": seed,
        "steps": design.steps,
        "status": "finished",
        "initial_validation_loss": loss + 5.0,
        "best_validation_loss": loss,
        "final_validation_loss": loss,
        "final_training_loss": loss,
        "best_step": design.steps - 1,
        "metric": "loss",
        "best_metric": loss,
        "final_metric": loss,
        "peak_learning_rate": 6.0e-4,
        "beta2": 0.999,
        "weight_decay": 0.1,
        "parameters": 1000,
        "role": "study",
        "stale": False,
    }


def spike_ratios(design: Design, rng: np.random.Generator) -> polars.DataFrame:
    """Spike ratios at warmup 0: log-linear in the need plus noise, or noise alone if not `informative`."""
    rows = []
    for architecture, need in zip(design.architectures, design.needs, strict=True):
        own = np.log(need + OFFSET) - np.log(OFFSET) if design.informative else rng.normal(0, 1)
        for task in range(design.tasks):
            for seed in range(design.seeds):
                value = 1.0 + own + rng.normal(0, design.spike_noise)
                rows.append(
                    {
                        "architecture": architecture,
                        "task": f"task{task}",
                        "recipe": "adamw",
                        "warmup": 0.0,
                        "seed": seed,
                    }
                    | {"group": "global", "log_spike_ratio": value, "spike_ratio": float(np.exp(value)), "note": None}
                )
    return polars.DataFrame(rows, schema_overrides={"note": polars.String})


def diagnostics(design: Design, rng: np.random.Generator) -> polars.DataFrame:
    """A diagnostic table.

    `early_spike` carries the need (if `informative`), `noise_scale` does not, `untuned` is in steps.
    """
    rows = []
    for name, budget, informative in (
        ("early_spike", 10, design.informative),
        ("early_spike", 100, design.informative),
        ("noise_scale", 100, False),
    ):
        table = spike_ratios(replace(design, informative=informative), rng)
        rows.append(
            table.select("architecture", "task", "recipe", "warmup", "seed").with_columns(
                steps=polars.lit(design.steps, polars.Int64),
                diagnostic=polars.lit(name),
                budget=polars.lit(budget, polars.Int64),
                value=table["spike_ratio"],
                note=polars.lit(None, polars.String),
            )
        )
    untuned = rows[0].with_columns(
        diagnostic=polars.lit("untuned"), budget=polars.lit(0, polars.Int64), value=polars.lit(2000.0)
    )
    return polars.concat([*rows, untuned])


def write_run(
    folder: Path,
    norms: dict[str, np.ndarray],
    *,
    steps: int | None = None,
    status: str = "finished",
    where: dict[str, str] | None = None,
    recipe: dict[str, object] | None = None,
    probes: list[dict[str, object]] | None = None,
    rates: np.ndarray | None = None,
) -> Path:
    """The files of a run that statistics of its log read: `norms` by group ("global" is the global norm)."""
    coordinates = {
        "scale": "laptop",
        "architecture": "net",
        "task": "task",
        "recipe": "adamw",
        "warmup": "0",
        "seed": "0",
    }
    length = len(norms["global"])
    columns = {"step": np.arange(length, dtype=np.int32), "loss": np.ones(length, dtype=np.float32)}
    columns["learning_rate"] = np.full(length, 1e-3 if rates is None else rates, dtype=np.float32)
    for group, values in norms.items():
        columns["gradient_norm" if group == "global" else f"gradient_norm/{group}"] = np.asarray(values, np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    polars.DataFrame(columns).write_parquet(folder / "log.parquet")
    chosen = {"peak_learning_rate": 1e-3, "betas": [0.9, 0.999], "weight_decay": 0.1} | (recipe or {})
    summary = {"coordinates": coordinates | (where or {}), "status": status, "steps": steps or length}
    summary["settings"] = {"recipe": chosen, "training": {"steps": steps or length}}
    (folder / "summary.json").write_text(json.dumps(summary))
    if probes is not None:
        schema = {"step": polars.Int32, "module": polars.String, "layer": polars.Int32, "head": polars.Int32}
        schema |= {"quantity": polars.String, "value": polars.Float32, "values": polars.List(polars.Float32)}
        rows = [{name: row.get(name) for name in schema} for row in probes]
        polars.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / "attention.parquet")
    return folder
