"""What is said of warmup and learning rate together, where the truth is known.

In: true outcomes [rates, warmups]. Out: shares of studies, through the function that the rule `rates` calls.
"""

from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import polars
from numpy.typing import NDArray

from known_truth.shares import Share
from warmup.statistics.base import pairing
from warmup.statistics.effect import rates

WARMUPS = (0.0, 0.02, 0.1, 0.3)
RATES = (1e-3, 3e-3, 1e-2)
MARGIN = 0.02
SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "margins": {"default": {"absolute": MARGIN}},
    "equivalence_margins": None,
    "reference": 0.0,
}


def runs(
    truth: NDArray[np.float64], seeds: int, noise: float, rng: np.random.Generator, cells: int
) -> polars.DataFrame:
    """A study of `cells` architectures on one task: true outcomes [rates, warmups], a seed's share, and noise."""
    shape = (cells, seeds, len(RATES), len(WARMUPS))
    values = 2.0 + truth + noise * (rng.standard_normal((cells, seeds, 1, 1)) + rng.standard_normal(shape))
    at = np.stack(np.meshgrid(*(range(size) for size in shape), indexing="ij"), -1).reshape(-1, 4)
    return polars.DataFrame(
        {
            "architecture": [f"a{cell:02d}" for cell in at[:, 0]],
            "task": "t0",
            "recipe": [f"rate{rate}" for rate in at[:, 2]],
            "peak_learning_rate": np.array(RATES)[at[:, 2]],
            "warmup": np.array(WARMUPS)[at[:, 3]],
            "seed": at[:, 1],
            "status": "finished",
            "initial_validation_loss": 5.0,
            "best_validation_loss": values.ravel(),
        }
    )


def worlds() -> dict[str, NDArray[np.float64]]:
    """True outcomes [rates, warmups]: nothing matters; the top rate is at the margin without and with warmup; optima at
    the margin of each other at all rates; warmup makes the top rate the best.
    """
    flat = np.zeros((len(RATES), len(WARMUPS)))
    edge = flat + np.array([0.0, 0.0, MARGIN])[:, None]
    tied = flat + np.array([0.0, MARGIN, MARGIN, MARGIN])
    raised = flat + np.array([[0.1], [0.05], [0.0]])
    raised[:, 0] = (0.1, 0.1, 0.5)
    return {
        "nothing matters": flat,
        "top rate at the margin": edge,
        "other warmups at the margin": tied,
        "raised": raised,
    }


DRAWS = 5_000
"""Behind each critical value, an eighth of what a study's has: that of twelve arms takes a second, and is too low as
often as too high."""


def checks(seeds: int, studies: int, noise: float = 0.01, cells: int = 4) -> list[Share]:
    """False statements, each at most 5 % of cells; and how often the planted rise of the usable rate is seen."""
    found = []
    for name, truth in worlds().items():
        counts: dict[str, list[bool]] = {}
        for seed in range(studies // cells):
            study = runs(truth, seeds, noise, np.random.default_rng(seed), cells)
            with mock.patch.object(rates, "paired_errors", partial(pairing.paired_errors, draws=DRAWS)):
                table, answers = rates.rate_tables(study, SETTINGS)
            for row in answers.iter_rows(named=True):
                counts.setdefault("usable rate said to rise or fall", []).append(row["raises"] or row["lowers"])
                counts.setdefault("best warmup said to move with the rate", []).append(row["best_moves"])
            for estimand in ("fixed", "tuned"):
                high, low = (table[f"{estimand}_regret_{end}"].to_numpy().reshape(cells, -1) for end in ("high", "low"))
                true = _true_regrets(truth, table, estimand).reshape(cells, -1)
                missed = {"upper": (high < true - 1e-12).any(axis=1), "lower": (low > true + 1e-12).any(axis=1)}
                for side, wrong in missed.items():
                    counts.setdefault(f"{estimand} rate: {side} limits of regret miss", []).extend(wrong.tolist())
        for what, wrong in counts.items():
            kind, nominal = ("power", 0.8) if name == "raised" and what.startswith("usable") else ("size", 0.05)
            share, where = float(np.mean(wrong)), f"{seeds} seeds, {cells} cells: {name}"
            found.append(Share(what, where, kind, nominal, share, len(wrong)))
    return found


def _true_regrets(truth: NDArray[np.float64], table: polars.DataFrame, estimand: str) -> NDArray[np.float64]:
    """True regret of every row [cells x warmups] at the rate it is judged at: the fixed one, or each warmup's best."""
    if estimand == "tuned":
        best = np.tile(truth.min(axis=0), table.height // len(WARMUPS))
        return best - truth.min()
    index = np.searchsorted(RATES, table["fixed_rate"].to_numpy())
    warmup = np.tile(np.arange(len(WARMUPS)), table.height // len(WARMUPS))
    return truth[index, warmup] - truth.min(axis=1)[index]
