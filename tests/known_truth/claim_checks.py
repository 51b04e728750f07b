"""How often a claim about the range of the best warmup is called true where it is false, and the other way round.

In: where the best warmup truly lies, between the warmups tried or beside them, and a claimed range. Out: shares of
cells, through the functions that the rules `optima` and `claims` call.
"""

from dataclasses import dataclass
from typing import Any

import polars

from known_truth.shares import Share
from known_truth.simulation import GRID, Design, planted_optimum, runs
from warmup.statistics.effect import plateau
from warmup.statistics.words import claims

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "margins": {"default": {"absolute": 0.002}},
    "equivalence_margins": None,
    "reference": 0.0,
}
HERE = {"scale": "laptop", "study": "warmup", "confidence": 0.95}


@dataclass(frozen=True)
class Range:
    """A claimed range of the best warmup, and where it truly lies (fractions of training)."""

    low: float
    high: float
    truth: float
    strength: float = 1.0
    """Regret at the farthest warmup, in the outcome's unit; 0: no warmup is better than another."""
    noise: float = 0.002
    warmups: tuple[float, ...] = GRID

    @property
    def holds(self) -> bool:
        """Whether the claim is true."""
        return self.low <= self.truth <= self.high


FALSE_SUPPORT = {
    "2 to 3 % claimed, truly 1.5 %": Range(0.02, 0.03, 0.015),
    "5 to 8 % claimed, truly 11.5 %": Range(0.05, 0.08, 0.115),
    "0.5 to 5 % claimed, truly 0.49 %": Range(0.005, 0.05, 0.0049),
    "0.5 to 5 % claimed, truly 5.1 %": Range(0.005, 0.05, 0.051),
    "0.5 to 5 % claimed, truly 5.1 %, ten times the noise": Range(0.005, 0.05, 0.051, noise=0.02),
}
"""Claims that are false, by a little or between two warmups of the grid."""
FALSE_CONTRADICTION = {
    "0.5 to 2 % claimed, truly 2 %": Range(0.005, 0.02, 0.02),
    "0.5 to 2 % claimed, truly 2 %, ten times the noise": Range(0.005, 0.02, 0.02, noise=0.02),
    "5 to 8 % claimed, truly 5 %": Range(0.05, 0.08, 0.05),
}
"""Claims that are true, at the very end of their range."""
CELLS = 4


def checks(seeds: int, studies: int) -> list[Share]:
    """Shares of cells (`studies` of them, four to a study) that are judged wrongly; at most 5 % may be."""
    found = []
    for name, case in FALSE_SUPPORT.items():
        share = verdicts(case, seeds, studies // CELLS).get(claims.SUPPORTED, 0.0)
        found.append(Share("claimed range supported falsely", f"{seeds} seeds: {name}", "size", 0.05, share, studies))
    for name, case in FALSE_CONTRADICTION.items():
        share = verdicts(case, seeds, studies // CELLS).get(claims.CONTRADICTED, 0.0)
        found.append(
            Share("claimed range contradicted falsely", f"{seeds} seeds: {name}", "size", 0.05, share, studies)
        )
    return found


def verdicts(case: Range, seeds: int, studies: int, cells: int = CELLS) -> dict[str, float]:
    """Share of the studies' cells that get each verdict."""
    regret = planted_optimum(case.warmups, case.truth, case.strength)
    design = Design(architectures=cells, seeds=seeds, warmups=case.warmups, regret=regret, sd=case.noise)
    entries = {f"a{index:02d}": _entry(case, f"a{index:02d}") for index in range(cells)}
    found: list[str] = []
    for seed in range(studies):
        table = runs(design, seed)
        sets, _ = plateau.plateaus(table, SETTINGS)
        found += claims.claims_table(entries, {"runs": table, "plateaus": sets}, HERE)["verdict"].to_list()
    counts = polars.Series(found).value_counts(normalize=True, name="share")
    return dict(counts.iter_rows())


def _entry(case: Range, architecture: str) -> dict[str, Any]:
    columns = {name: name for name in ("low", "high", "outer_low", "outer_high")}
    unused = dict.fromkeys(("value", "unit", "error", "count", "minus", "pair_by"))
    measurement = {
        "table": "optimum_ranges",
        "where": {"architecture": architecture},
        "name_by": [],
        **unused,
        **columns,
    }
    return {
        **dict.fromkeys(("source", "statement", "claimed"), ""),
        **{"studies": ["warmup"], "scales": [], "requires": [], "measurement": measurement},
        **{"rule": {"kind": "within", "low": case.low, "high": case.high, "quantifier": "all"}},
    }
