"""Claims are judged by the rules of the configuration: supported, contradicted, inconclusive, not testable."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import yaml
from known_truth import claim_checks
from known_truth import trained_tables as synthetic
from scipy import stats

from warmup.config import configuration
from warmup.config.claim_tables import claim_tables
from warmup.errors import ConfigurationError
from warmup.statistics.correlation import correlation
from warmup.statistics.effect import comparisons, plateau
from warmup.statistics.prediction import leaderboard, spikes
from warmup.statistics.words import claims
from warmup.statistics.words.claims import (
    AMONG_TRIED,
    CONTRADICTED,
    FLAT,
    INCONCLUSIVE,
    NOT_TESTABLE,
    SUPPORTED,
    Measured,
)

ROOT = Path(__file__).resolve().parents[2]
HERE = {"scale": "laptop", "study": "warmup", "confidence": 0.95}
STATISTICS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "reference": 0.0,
    "margins": {"default": {"relative": 0.005}},
    "equivalence_margins": {"default": {"relative": 0.005}},
    "bootstrap": {"resamples": 199, "seed": 1},
    "comparisons": {"all": {"reference": 0.0, "warmups": None, "corrected_over": "study"}},
}
PREDICTION: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "log_offset": 0.005,
    "folds": 5,
    "maps": ["log_linear"],
    "shuffles": 3,
    "constants": {"fractions": [0], "steps": []},
    "bootstrap": 100,
    "permutations": 200,
    "seed_replicates": 20,
    "cluster_replicates": 30,
    "icc": 0.9,
    "lineage_icc": 0.5,
    "coverage_tolerance": 0.02,
}
SPIKES_DIFFER = "spike_order"
"""Not a claim about warmup: in the null studies architectures differ in their spikes, which mean nothing."""
NAMES = {"net00": "gpt2", "net01": "mamba", "net02": "jamba", "net03": "rwkv"}


def configured() -> dict[str, Any]:
    """The claims of the configuration that the project ships."""
    settings = configuration.effective(yaml.safe_load((ROOT / "config.yaml").read_text()))
    return settings["claims"]


def complete(entry: dict[str, Any]) -> dict[str, Any]:
    """A claim with the schema's defaults."""
    base = {"source": "S", "statement": "it is so"}
    return configuration.complete({"claims": {"it": base | entry}}, configuration.schema())["claims"]


def tables(design: synthetic.Design, seed: int = 1) -> dict[str, polars.DataFrame]:
    rng = np.random.default_rng(seed)
    named = polars.col("architecture").replace(NAMES)
    runs, ratios, diagnostics = (
        make(design, rng).with_columns(named)
        for make in (synthetic.runs, synthetic.spike_ratios, synthetic.diagnostics)
    )
    plateaus, regrets = plateau.plateaus(runs, STATISTICS)
    board, _ = leaderboard.leaderboard(runs, diagnostics, plateaus, PREDICTION)
    return {
        "runs": runs,
        "plateaus": plateaus,
        "regrets": regrets,
        "comparisons": comparisons.comparisons(runs, STATISTICS),
        "cell_spike_ratios": spikes.cell_spike_ratios(ratios, 0.95),
        "correlation": correlation.correlation_table(runs, ratios, PREDICTION),
        "leaderboard": board,
    }


def verdict(entry: dict[str, Any], found: dict[str, polars.DataFrame], **here: str) -> tuple[str, str]:
    row = claims.claims_table(complete(entry), found, HERE | here).row(0, named=True)
    return row["verdict"], row["reason"]


@pytest.fixture(scope="module")
def planted() -> dict[str, polars.DataFrame]:
    return tables(synthetic.Design(needs=(0.06, 0.0, 0.025, 0.01), seeds=10, effect=0.4, noise=0.003))


@pytest.fixture(scope="module")
def null() -> dict[str, polars.DataFrame]:
    return tables(synthetic.Design(effect=0.0, informative=False))


# One row


def measured(low: float | None, high: float | None, outer: tuple[float, float] | None = None) -> Measured:
    first, last = outer or (low, high)
    return Measured("", None, low, high, first, last, "" if low is not None else "no seeds")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (measured(0.05, 0.08), SUPPORTED),
        (measured(0.06, 0.07, (0.05, 0.08)), SUPPORTED),
        (measured(0.05, 0.08, (0.02, 0.2)), AMONG_TRIED),  # the best may lie between 8 and 20 %
        (measured(0.04, 0.08), INCONCLUSIVE),
        (measured(0.1, 0.3), CONTRADICTED),
        (measured(0.1, 0.3, (0.02, 1.0)), INCONCLUSIVE),  # between 2 and 10 % nothing was run
        (measured(0.0, 0.02, (0.0, 0.05)), CONTRADICTED),
        (measured(None, None), INCONCLUSIVE),
    ],
)
def test_within(row: Measured, expected: str) -> None:
    assert claims.judge(row, {"kind": "within", "low": 0.05, "high": 0.08}) == expected


@pytest.mark.parametrize(
    ("kind", "row", "expected"),
    [
        ("above", measured(0.1, 0.2), SUPPORTED),
        ("above", measured(-0.1, 0.2), INCONCLUSIVE),
        ("above", measured(-0.2, -0.1), CONTRADICTED),
        ("below", measured(-0.2, -0.1), SUPPORTED),
        ("below", measured(0.1, 0.2), CONTRADICTED),
    ],
)
def test_above_and_below(kind: str, row: Measured, expected: str) -> None:
    assert claims.judge(row, {"kind": kind, "threshold": 0.0}) == expected


@pytest.mark.parametrize(
    ("quantifier", "rows", "expected"),
    [
        ("all", "++", SUPPORTED),
        ("all", "+?", INCONCLUSIVE),
        ("all", "+-", CONTRADICTED),
        ("most", "++?", SUPPORTED),
        ("most", "++-", INCONCLUSIVE),
        ("most", "+??", INCONCLUSIVE),
        ("most", "--?", CONTRADICTED),
        ("any", "+--", SUPPORTED),
        ("any", "--", CONTRADICTED),
        ("any", "-?", INCONCLUSIVE),
        ("all", "+t", AMONG_TRIED),
        ("most", "++t", SUPPORTED),
        ("most", "+t?", AMONG_TRIED),
        ("any", "t-", AMONG_TRIED),
        ("any", "+t", SUPPORTED),
        ("all", "==", FLAT),
        ("most", "+=", INCONCLUSIVE),
        ("all", "-=", CONTRADICTED),
    ],
)
def test_quantifiers(quantifier: str, rows: str, expected: str) -> None:
    kinds = {"+": measured(1.0, 2.0), "-": measured(-2.0, -1.0), "?": measured(None, None)}
    kinds |= {"t": measured(1.0, 2.0, (-1.0, 3.0)), "=": replace(measured(1.0, 2.0), flat=True)}
    rule = {"kind": "above", "threshold": 0.0, "quantifier": quantifier}
    found, reason = claims.decide([kinds[sign] for sign in rows], rule)
    assert found == expected
    assert ("no seeds" in reason) == ("?" in rows and expected == INCONCLUSIVE)


# What may be asked


def test_a_claim_of_another_study_or_scale_is_not_testable(planted: dict[str, polars.DataFrame]) -> None:
    entry = {"measurement": {"table": "runs", "where": {}}, "rule": {"kind": "above"}}
    assert verdict(entry | {"studies": ["adamw2"]}, planted) == (NOT_TESTABLE, "asked of the study adamw2")
    assert verdict(entry | {"scales": ["paper"]}, planted) == (NOT_TESTABLE, "its number is one of the scale paper")


def test_a_claim_without_its_table_or_rows_is_not_testable(planted: dict[str, polars.DataFrame]) -> None:
    absent = {"measurement": {"table": "entropy", "where": {}}, "rule": {"kind": "above"}}
    assert verdict(absent, planted) == (NOT_TESTABLE, "needs the table entropy")
    rowless = {"measurement": {"table": "plateaus", "where": {"architecture": ["swin"]}}, "rule": {"kind": "above"}}
    assert verdict(rowless, planted) == (NOT_TESTABLE, "no row of plateaus measures it")


@pytest.mark.parametrize("measurement", [{"where": {"colour": 1}}, {"where": {}, "low": "lowest"}])
def test_a_column_that_is_not_there_is_named(planted: dict[str, polars.DataFrame], measurement: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"has no column '(colour|lowest)'; it has architecture"):
        verdict({"measurement": {"table": "plateaus"} | measurement, "rule": {"kind": "above"}}, planted)


def test_an_unmet_requirement_is_inconclusive_with_its_sentence(null: dict[str, polars.DataFrame]) -> None:
    entry = {
        "measurement": {"table": "plateaus", "where": {}, "low": "n", "high": "n"},
        "requires": [{"table": "optimum_ranges", "column": "identified", "at_least": 0.5, "otherwise": "no optimum"}],
        "rule": {"kind": "above"},
    }
    assert verdict(entry, null) == (INCONCLUSIVE, "no optimum")


def test_a_requirement_of_every_row_is_not_met_by_one_that_is_unknown() -> None:
    entry = {
        "measurement": {"table": "order", "where": {}, "name_by": [], "low": "lag", "high": "lag"},
        "requires": [{"table": "order", "column": "related", "at_least": 1, "otherwise": "not related"}],
        "rule": {"kind": "above"},
    }
    known = {"runs": polars.DataFrame({"warmup": [0.0]}), "plateaus": polars.DataFrame()}
    for related, expected in (([True, True], SUPPORTED), ([True, None], INCONCLUSIVE), ([True, False], INCONCLUSIVE)):
        assert (
            verdict(entry, known | {"order": polars.DataFrame({"lag": [1.0, 2.0], "related": related})})[0] == expected
        )


def test_a_range_that_no_warmup_of_the_grid_lies_in_is_not_testable(planted: dict[str, polars.DataFrame]) -> None:
    ranges = {"table": "optimum_ranges", "where": {"architecture": ["gpt2"]}, "low": "low", "high": "high"}
    entry = {"measurement": ranges, "rule": {"kind": "within", "low": 0.055, "high": 0.078}}
    assert not any(0.055 <= warmup <= 0.078 for warmup in synthetic.GRID)
    found, reason = verdict(entry, planted)
    assert found == NOT_TESTABLE and reason.startswith("no warmup from 5.5 to 7.8 % was run")


def test_tables_to_read_are_those_of_the_study_s_claims() -> None:
    entries = complete({"measurement": {"table": "leaderboard", "where": {}}, "rule": {"kind": "above"}})
    assert claim_tables(entries, "warmup") == ["runs", "plateaus", "leaderboard"]
    assert claim_tables(entries, "adamw2") == ["runs", "plateaus"]


# Measurements


def test_optimum_ranges_reach_to_the_excluded_neighbours(planted: dict[str, polars.DataFrame]) -> None:
    found = claims.optimum_ranges(planted["plateaus"], planted["runs"])
    row = found.filter(polars.col("architecture") == "gpt2").row(0, named=True)
    grid = list(synthetic.GRID)
    assert row["outer_low"] == grid[grid.index(row["low"]) - 1]
    assert row["outer_high"] == grid[grid.index(row["high"]) + 1]
    assert row["identified"]


def test_a_range_at_the_end_of_the_grid_is_open(null: dict[str, polars.DataFrame]) -> None:
    found = claims.optimum_ranges(null["plateaus"], null["runs"])
    whole = found.filter(~polars.col("identified"))
    assert whole.height >= 10
    assert set(whole["outer_low"]) == {0.0}
    assert set(whole["outer_high"]) == {1.0}


def test_a_contrast_is_welch_s_interval() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1.0, 0.2, 6), rng.normal(0.0, 0.6, 9)
    rows = [
        {"architecture": name, "task": "t", "recipe": "r", "value": v.mean(), "error": v.std(ddof=1) / len(v) ** 0.5}
        | {"count": len(v)}
        for name, v in (("a", a), ("b", b))
    ]
    measurement = complete(
        {
            "measurement": {"table": "t", "where": {"architecture": ["a"]}, "minus": {"architecture": ["b"]}}
            | {"value": "value", "error": "error", "count": "count"},
            "rule": {"kind": "above"},
        }
    )["it"]["measurement"]
    found = claims.measure(measurement, {"t": polars.DataFrame(rows)}, 0.95)[0]
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.name == "a t less b"


def test_a_unit_divides_limits(planted: dict[str, polars.DataFrame]) -> None:
    where = {"architecture": ["gpt2"], "task": ["task0"], "warmup": 0}
    entry = {"measurement": {"table": "regrets", "where": where, "low": "regret_low", "high": "regret_high"}}
    entry["measurement"]["unit"] = "margin"
    found = claims.measure(complete(entry | {"rule": {"kind": "above"}})["it"]["measurement"], planted, 0.95)[0]
    row = claims.select(planted["regrets"], where).row(0, named=True)
    assert found.low == pytest.approx(row["regret_low"] / row["margin"])


def test_rows_are_chosen_by_value_list_and_limits() -> None:
    table = polars.DataFrame({"w": [0.0, 0.01, 0.02, 0.05], "name": list("abcd")})
    assert claims.select(table, {"w": {"above": 0.01, "below": 0.05}})["name"].to_list() == ["c"]
    assert claims.select(table, {"w": 0, "name": ["a", "b"]})["name"].to_list() == ["a"]


# The claims that the project ships


def test_a_null_study_supports_and_contradicts_nothing(null: dict[str, polars.DataFrame]) -> None:
    shipped = {name: entry for name, entry in configured().items() if name != SPIKES_DIFFER}
    found = claims.claims_table(shipped, null, HERE)
    assert set(found["verdict"]) <= {INCONCLUSIVE, NOT_TESTABLE}
    assert found.filter(polars.col("verdict") == INCONCLUSIVE).height >= 6


def test_a_planted_study_is_seen(planted: dict[str, polars.DataFrame]) -> None:
    found = {
        row["claim"]: row["verdict"] for row in claims.claims_table(configured(), planted, HERE).iter_rows(named=True)
    }
    assert found["transformer_needs_warmup"] == SUPPORTED
    assert found["ssm_harmed"] == SUPPORTED
    assert found["spike_order"] == SUPPORTED
    assert found["transformer_spike"] == NOT_TESTABLE


def test_the_opposite_of_a_claim_contradicts_it() -> None:
    swapped = synthetic.Design(needs=(0.0, 0.06, 0.2, 0.01), seeds=10, effect=0.4, noise=0.003)
    rows = claims.claims_table(configured(), tables(swapped), HERE).iter_rows(named=True)
    found = {row["claim"]: row["verdict"] for row in rows}
    for claim in ("transformer_optimum", "ssm_optimum", "hybrid_optimum", "ssm_harmed", "spike_order"):
        assert found[claim] == CONTRADICTED, claim


def test_every_row_has_a_verdict_and_what_is_not_settled_has_a_reason(planted: dict[str, polars.DataFrame]) -> None:
    found = claims.claims_table(configured(), planted, HERE)
    assert found["verdict"].null_count() == 0
    blocked = found.filter(polars.col("verdict") == NOT_TESTABLE)
    assert blocked["reason"].null_count() == 0


@pytest.mark.slow
def test_null_studies_rarely_reach_a_verdict() -> None:
    """Over 40 null studies, each claim gets a false verdict in at most 5 % within Monte-Carlo error.

    Where warmup has no effect, "needs warmup" is false: contradicting it is right, and no error.
    """
    counts: dict[str, int] = {}
    for seed in range(40):
        found = claims.claims_table(configured(), tables(synthetic.Design(effect=0.0, informative=False), seed), HERE)
        decided = found.filter(polars.col("verdict").is_in([SUPPORTED, CONTRADICTED])).select("claim", "verdict")
        for claim, verdict in decided.iter_rows():
            if (claim, verdict) != ("transformer_needs_warmup", CONTRADICTED):
                counts[claim] = counts.get(claim, 0) + 1
    counts.pop(SPIKES_DIFFER, None)
    assert max(counts.values(), default=0) / 40 <= 0.05 + 2.5 * (0.05 * 0.95 / 40) ** 0.5, counts


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 5])
def test_a_range_is_judged_falsely_no_more_often_than_promised(seeds: int) -> None:
    for check in claim_checks.checks(seeds, studies=300):
        assert check.plausible, check


def test_a_best_warmup_between_two_that_were_run_is_claimed_among_those_alone() -> None:
    between = claim_checks.verdicts(claim_checks.FALSE_SUPPORT["5 to 8 % claimed, truly 11.5 %"], seeds=5, studies=5)
    assert between == {AMONG_TRIED: 1.0}
    inside = claim_checks.verdicts(claim_checks.Range(0.01, 0.05, 0.031), seeds=10, studies=5)
    assert inside == {SUPPORTED: 1.0}
    flat = claim_checks.verdicts(claim_checks.Range(0.02, 0.03, 0.5, strength=0.0, noise=0.0002), seeds=5, studies=5)
    assert flat == {FLAT: 1.0}
