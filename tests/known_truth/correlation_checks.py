"""Does the interval of the correlation hold: for the optimum as it is measured, and for the true one behind it?

In: architectures whose spike ratio and need of warmup (both logarithms, normal) correlate as planted, trained on a grid
with few noisy seeds. Out: shares of studies, through the functions that the rule `correlation` calls.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from known_truth import trained_tables as synthetic
from known_truth.shares import Share
from warmup.statistics.correlation import correlation, methods
from warmup.statistics.correlation.association import Points
from warmup.statistics.words import claims

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "log_offset": synthetic.OFFSET,
    "folds": 5,
}
LAPTOP = (0.0, 0.02, 0.1, 0.3)
MIDDLE, SPREAD = np.log(0.03), 0.8
"""Mean and standard deviation of log(need + offset) over architectures."""
STRENGTH = {"kind": "within", "low": 0.88, "high": 1.0, "quantifier": "all"}
"""The rule of the claim `correlation_strength`, true where r is 0.94 or 0.97."""
MEASURE = "log_log"
"""Of log spike ratio and log optimum, whose population coefficient is the planted one."""


def study(r: float, architectures: int, seeds: int, warmups: tuple[float, ...], rng: np.random.Generator) -> Points:
    """The design's points: one task, planted correlation `r`."""
    need, other = rng.standard_normal((2, architectures))
    spike = r * need + (1.0 - r * r) ** 0.5 * other
    needs, spikes = (
        tuple(np.maximum(np.exp(MIDDLE + SPREAD * values) - synthetic.OFFSET, 0.0).tolist()) for values in (need, spike)
    )
    design = synthetic.Design(needs=needs, tasks=1, seeds=seeds, warmups=warmups, effect=0.1, noise=0.01)
    ratios = synthetic.spike_ratios(replace(design, needs=spikes), rng)
    return correlation.design(synthetic.runs(design, rng), ratios, SETTINGS)[0]


def checks(seeds: int, studies: int, r: float = 0.97, architectures: int = 12) -> list[Share]:
    """Coverage of Fisher's interval for the measured and for the true coefficient; a true claim called false."""
    found = []
    for grid, warmups in (("0, 2, 10, 30 %", LAPTOP), ("the paper's grid", synthetic.GRID)):
        many = study(r, 4000, seeds, warmups, np.random.default_rng(1))
        measured = methods.estimate(MEASURE, many, methods.folds_of(many, SETTINGS))
        hits: dict[str, list[bool]] = {"of the measured optimum": [], "of the true optimum": []}
        wrong = []
        for seed in range(studies):
            points = study(r, architectures, seeds, warmups, np.random.default_rng(seed))
            value = methods.estimate(MEASURE, points, methods.folds_of(points, SETTINGS))
            if value is None:
                continue
            limits = methods.fisher(value, architectures, SETTINGS["confidence"])
            outer = correlation.noiseless(limits["low"], limits["high"])
            ends = outer["noiseless_low"], outer["noiseless_high"]
            hits["of the measured optimum"].append(limits["low"] <= measured <= limits["high"])
            hits["of the true optimum"].append(ends[0] <= r <= ends[1])
            row = claims.Measured("", value, limits["low"], limits["high"], *ends, "")
            wrong.append(claims.judge(row, STRENGTH) == claims.CONTRADICTED)
        where = f"{seeds} seeds, {architectures} architectures, r {r}, {grid}"
        found += [
            Share(f"correlation {name}", where, "coverage", SETTINGS["confidence"], float(np.mean(inside)), len(inside))
            for name, inside in hits.items()
        ]
        found.append(Share("r contradicted falsely", where, "size", 0.05, float(np.mean(wrong)), len(wrong)))
    return found
