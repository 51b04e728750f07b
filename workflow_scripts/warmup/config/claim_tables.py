"""Which statistics tables the claims of a study read. Asked while the Snakefile is parsed: standard library only."""

from collections.abc import Mapping
from typing import Any

ALWAYS = ("runs", "plateaus")
MADE_OF_THEM = "optimum_ranges"
"""The one table that the claims make themselves, from those that they always read."""

KNOWN = (
    *ALWAYS,
    MADE_OF_THEM,
    *("arms", "optima", "regrets", "crossfit", "comparisons", "power", "mixed_model"),
    *("spike_ratios", "cell_spike_ratios", "spike_sources", "early_norms", "diagnostics", "correlation"),
    *("held_out", "leaderboard", "predictions", "recipe_arms", "implied_warmup", "matrices"),
    *("norm_curves", "loss_curves", "probe_curves", "entropy_order", "entropy_order_runs"),
    *("plateau_heights", "plateau_height_differences", "rates", "rate_answers", "attribution", "rewarming"),
    *("unit_curves", "unit_choices", "unit_regrets", "unit_differences", "unit_answers"),
    *("start_parameters", "start_networks", "start_differences", "looks", "answer", "validation_errors"),
    *(
        "theory/amplitudes",
        "theory/decay_curves",
        "theory/decay_map",
        "theory/landscapes",
        "theory/modes",
        "theory/profiles",
        "theory/quenches",
        "theory/simulation",
        "theory/slowest_decays",
        "theory/strong_points",
    ),
)
"""Tables that rules of a study make and a claim may read."""


def claim_tables(claims: Mapping[str, Mapping[str, Any]], study: str) -> list[str]:
    """Names of the tables that the claims asked of `study` read, each once."""
    named = [
        part["table"]
        for entry in claims.values()
        if study in entry["studies"]
        for part in (entry["measurement"], *entry["requires"])
    ]
    return [name for name in dict.fromkeys((*ALWAYS, *named)) if name != MADE_OF_THEM]
