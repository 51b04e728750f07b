"""Do the leaderboard's limits hold where they are hardest, and does the interval of a prediction hold the best warmup?

In: synthetic studies whose true curves are known. Out: shares of studies, through the functions that the rules
`leaderboard` and `predict` call.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from known_truth import trained_tables as synthetic
from known_truth.shares import Share
from warmup.statistics.prediction import leaderboard, prediction

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "log_offset": synthetic.OFFSET,
    "folds": 5,
    "maps": ["log_linear"],
    "shuffles": 3,
    "constants": {"fractions": [0, 0.02], "steps": []},
    "interval_level": 0.8,
    "steps": 1000,
}
LAPTOP = (0.0, 0.02, 0.1, 0.3)
SETS = polars.DataFrame(
    schema={
        **dict.fromkeys(("architecture", "task", "recipe"), polars.String),
        **dict.fromkeys(("not_excluded", "demonstrated"), polars.List(polars.Float64)),
    }
)
"""No plateau sets: the shares within them are not asked for here."""


def true_regrets(design: synthetic.Design, held_out: polars.DataFrame) -> NDArray[np.float64]:
    """True regret of each row's predicted warmup: linear between the warmups of the grid, as a share of the loss."""
    grid = np.array(design.warmups)
    needs, z = dict(zip(design.architectures, design.needs, strict=True)), np.log(grid + synthetic.OFFSET)
    found = []
    for name, task, predicted in held_out.select("architecture", "task", "predicted").iter_rows():
        level = design.level * (1 + int(task.removeprefix("task")))
        curve = design.effect * synthetic.bowl(grid, needs[name])
        at = np.interp(np.log(predicted + synthetic.OFFSET), z, curve)
        found.append((at - curve.min()) / (level + curve.min()))
    return np.array(found)


def board_coverage(design: synthetic.Design, studies: int) -> dict[tuple[str, str], float]:
    """Share of studies whose limits hold the true mean regret, per constant and kind of limits."""
    hits: dict[tuple[str, str], list[bool]] = {}
    for seed in range(studies):
        runs = synthetic.runs(design, np.random.default_rng(seed))
        nothing = synthetic.diagnostics(design, np.random.default_rng(0)).clear()
        board, held_out = leaderboard.leaderboard(runs, nothing, SETS, SETTINGS)
        for row in board.filter(axis="architecture", kind="constant").iter_rows(named=True):
            cells = held_out.filter(axis="architecture", predictor=row["predictor"])
            truth = float(true_regrets(design, cells).mean())
            ends = ("low", "high"), *([("new_low", "new_high")] if design.effect == 0 else [])
            for low, high in ends:
                inside = row[f"regret_{low}"] - 1e-12 <= truth <= row[f"regret_{high}"] + 1e-12
                hits.setdefault((row["predictor"], low.removesuffix("low")), []).append(inside)
    return {key: float(np.mean(values)) for key, values in hits.items()}


def checks(seeds: int, studies: int) -> list[Share]:
    """Coverage of a regret's limits where all warmups are alike, and where they differ by about their noise."""
    worlds = {
        "all warmups alike": synthetic.Design(needs=(0.02,) * 4, seeds=seeds, effect=0.0),
        "one warmup a little better": synthetic.Design(needs=(0.02, 0.02, 0.005, 0.005), seeds=seeds, effect=0.02),
        "needs far apart": synthetic.Design(needs=(0.1, 0.0, 0.03, 0.01), seeds=seeds, effect=0.2),
    }
    found = []
    for name, design in worlds.items():
        for (predictor, kind), share in board_coverage(replace(design, warmups=LAPTOP), studies).items():
            what = "regret on the board" + (", new architecture" if kind else "")
            where = f"{seeds} seeds, 12 cells, {name}: {predictor}"
            found.append(Share(what, where, "coverage", SETTINGS["confidence"], share, studies))
    return found


def interval_coverage(needs: tuple[float, float], seeds: int, studies: int, architectures: int = 9) -> float:
    """Share of studies whose interval holds the true best warmup of a new architecture; all needs lie in `needs`."""
    covered = 0
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        drawn = np.exp(rng.uniform(*np.log(needs), architectures + 1))
        design = synthetic.Design(
            needs=tuple(drawn[:-1].tolist()), tasks=1, seeds=seeds, warmups=LAPTOP, effect=0.4, noise=0.005
        )
        runs, readings = synthetic.runs(design, rng), synthetic.diagnostics(design, rng).filter(budget=10)
        board, held_out = leaderboard.leaderboard(runs, readings, SETS, SETTINGS)
        new = synthetic.diagnostics(replace(design, needs=(float(drawn[-1]),)), rng).filter(budget=10)
        probes = new.with_columns(architecture=polars.lit("new"))
        (row,) = prediction.predict(runs, readings, probes, board, held_out, SETS, SETTINGS)
        covered += bool(row["low"] <= drawn[-1] <= row["high"])
    return covered / studies


def interval_checks(seeds: int, studies: int, only: str = "needs") -> list[Share]:
    """Coverage of the prediction's interval where needs lie between two warmups of the grid, and where they vary."""
    cases = {
        "needs of 2.5 to 3.5 %": (0.025, 0.035),
        "needs of 4 to 6 %": (0.04, 0.06),
        "needs of 0.4 to 20 %": (0.004, 0.2),
    }
    return [
        Share("interval of a prediction", f"{seeds} seeds, 9 architectures, grid 0, 2, 10, 30 %: {name}", "coverage",
              SETTINGS["interval_level"], interval_coverage(needs, seeds, studies), studies)
        for name, needs in cases.items()
        if only in name
    ]  # fmt: skip
