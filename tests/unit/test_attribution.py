"""Whose warmup it is: planted roles are found, contrasts are paired by seed, and the words say what the table does."""

from typing import Any

import numpy as np
import polars
import pytest
from known_truth.trained_tables import Design, run_row
from scipy import stats
from statistics_settings import statistics

from warmup.statistics.attribution import contrasts
from warmup.statistics.words import questions

SETTINGS = statistics()
ROLES = ("embedding", "norms", "attention_matrices")
GAINS = {"embedding": 0.0, "norms": 0.01, "attention_matrices": 0.3}
"""What the warmup of each role lowers the planted loss by."""
RECIPES: dict[str, dict[str, Any]] = {
    "adamw": {"optimizer": "adamw", "warmup_roles": None, "warmup_excludes": []},
    "warm_none": {"optimizer": "adamw", "warmup_roles": [], "warmup_excludes": []},
    **{f"warm_{role}": {"optimizer": "adamw", "warmup_roles": [role], "warmup_excludes": []} for role in ROLES},
    **{f"all_but_{role}": {"optimizer": "adamw", "warmup_roles": None, "warmup_excludes": [role]} for role in ROLES},
    "muon": {"optimizer": "muon", "warmup_roles": None, "warmup_excludes": []},
}
WORDS = {"labels": {"net": "Net", "text": "Text", "qk": "Net, QK-norm", "muon": "Muon", "adamw": "AdamW"}}
WORDS_OF_STUDY = WORDS | {"question": "attribution"}


def loss(recipe: str, warmup: float, gains: dict[str, float]) -> float:
    entry = RECIPES[recipe]
    named = entry["warmup_roles"]
    warmed = [role for role in ROLES if (named is None or role in named) and role not in entry["warmup_excludes"]]
    if recipe == "muon":
        return 2.8 - (0.05 if warmup else 0.0)
    return 3.0 - (sum(gains[role] for role in warmed) if warmup else 0.0)


def study(seeds: int = 6, noise: float = 0.003, names: tuple[str, ...] = ("net",), unwarmed: bool = True) -> Any:
    draw = np.random.default_rng(1)
    rows = []
    for name in names:
        gains = GAINS if name == "net" else dict.fromkeys(ROLES, 0.01)
        for seed in range(seeds):
            shared = draw.normal(0, 0.3)
            for recipe, warmup in [*((recipe, 0.1) for recipe in RECIPES), *((one, 0.0) for one in ("adamw", "muon"))]:
                if warmup == 0 and not unwarmed:
                    continue
                value = loss(recipe, warmup, gains) + shared + draw.normal(0, noise)
                rows.append(run_row(Design(), name, "text", warmup, seed, value) | {"recipe": recipe})
    return polars.DataFrame(rows)


def table(runs: polars.DataFrame, lineages: dict[str, str] | None = None) -> polars.DataFrame:
    return contrasts.attribution(runs, RECIPES, lineages or {"net": "net"}, SETTINGS)


def verdicts(found: polars.DataFrame, kind: str) -> dict[str, str]:
    return dict(found.filter(kind=kind).select("role", "verdict").iter_rows())


def test_the_planted_role_is_found_needed_and_enough_and_the_others_are_not() -> None:
    found = table(study())
    assert verdicts(found, "all") == {None: "helps"}
    assert verdicts(found, "alone") == {"embedding": "cannot say", "norms": "helps", "attention_matrices": "helps"}
    assert verdicts(found, "without") == {
        "embedding": "not needed",
        "norms": "not needed",
        "attention_matrices": "needed",
    }
    assert verdicts(found, "enough") == {
        "embedding": "not enough",
        "norms": "not enough",
        "attention_matrices": "enough",
    }


def test_a_role_whose_warmup_harms_is_better_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GAINS, "embedding", -0.1)
    found = table(study())
    assert verdicts(found, "without")["embedding"] == "better left out"
    reply = questions.reply({"attribution": found}, WORDS_OF_STUDY)
    assert reply is not None and "; better not warmed are embedding;" in reply.sentences[0] + ";"


def test_a_contrast_is_the_paired_t_interval_with_the_error_rate_shared_by_its_kind() -> None:
    runs = study()
    row = table(runs).row(by_predicate=(polars.col("kind") == "without") & (polars.col("role") == "norms"), named=True)
    picked = {
        recipe: runs.filter(polars.col("recipe") == recipe, polars.col("warmup") == 0.1).sort("seed")[
            "best_validation_loss"
        ]
        for recipe in ("all_but_norms", "adamw")
    }
    level = 1 - (1 - SETTINGS["confidence"]) / len(ROLES)
    expected = stats.ttest_rel(picked["all_but_norms"], picked["adamw"]).confidence_interval(level)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert row["n"] == 6 and row["against"] == "adamw"


def test_what_warmup_gains_is_compared_between_optimisers_and_with_a_changed_network() -> None:
    found = table(study(names=("net", "qk")), {"net": "net", "qk": "net"})
    optimizer = found.filter(kind="optimizer", architecture="net").row(0, named=True)
    assert optimizer["recipe"] == "muon" and optimizer["verdict"] == "gains less"
    assert optimizer["difference"] == pytest.approx(0.31 - 0.05, abs=0.01)
    network = found.filter(kind="network").row(0, named=True)
    assert (network["architecture"], network["against"], network["verdict"]) == ("qk", "net", "gains less")
    assert network["difference"] == pytest.approx(0.31 - 0.03, abs=0.01)


def test_noise_as_large_as_the_effect_and_single_seeds_cannot_say() -> None:
    noisy = table(study(seeds=3, noise=1.0)).filter(kind="all").row(0, named=True)
    assert (noisy["verdict"], noisy["note"]) == ("cannot say", "the limits allow either") and noisy["high"] > noisy[
        "low"
    ]
    alone = table(study(seeds=1))
    assert set(alone["verdict"]) == {"cannot say"} and "one seed has no spread" in alone["note"][0]


def test_without_roles_apart_and_without_unwarmed_runs_there_is_nothing_to_contrast() -> None:
    runs = study(unwarmed=False).filter(polars.col("recipe").is_in(["adamw", "muon"]))
    assert table(runs).is_empty()


def test_a_false_alarm_about_a_role_is_rarer_than_the_error_rate_allows() -> None:
    alarms = 0
    for number in range(200):
        draw = np.random.default_rng(number)
        rows = [
            run_row(Design(), "net", "text", 0.1, seed, 3.0 + draw.normal(0, 0.1)) | {"recipe": recipe}
            for seed in range(5)
            for recipe in RECIPES
        ]
        alarms += "needed" in verdicts(table(polars.DataFrame(rows)), "without").values()
    assert alarms <= 13  # one side of 0.05 in 200: 5 expected; 13 has a chance of 0.001 where it is twice as often


def test_the_words_name_the_roles_that_need_it_and_the_gains_elsewhere() -> None:
    found = table(study(names=("net", "qk")), {"net": "net", "qk": "net"})
    reply = questions.reply({"attribution": found}, WORDS_OF_STUDY)
    assert reply is not None
    first, muon, *_, network = reply.sentences
    assert first.startswith("For Net on Text, 10 % warmup: warming everything rather than nothing helps (-0.31")
    assert "; the warmup cannot be left away from attention's matrices" in first
    assert "; it can, at less than the margin, from embedding, norms" in first
    assert "; enough is to warm attention's matrices" in first
    assert muon.startswith("For Net on Text, 10 % warmup, with Muon warmup gains less than with AdamW (+0.26")
    assert network.startswith("For Net, QK-norm on Text, 10 % warmup, warmup gains less than in Net (+0.2")
    assert len(reply.rows) == found.height and ("all but norms, less all" in {row[1] for row in reply.rows})
