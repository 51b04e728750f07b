"""Branches: planted needs of another warmup are found, contrasts are paired by seed, words say what is shown."""

from typing import Any

import numpy as np
import polars
import pytest
from known_truth.trained_tables import Design, run_row
from scipy import stats
from statistics_settings import statistics

from warmup.plots import recipes as figures
from warmup.statistics.rewarming.branches import rewarming
from warmup.statistics.words import questions

SETTINGS = statistics()
TRUNK = {"recipe": "trunk", "warmup": 0.1, "task": "text"}
BRANCHES: dict[str, dict[str, Any]] = {how: TRUNK | {"optimizer": how} for how in ("kept", "reset", "moments_reset")}
COSTS = {"kept": 0.0, "reset": 0.3, "moments_reset": 0.3}
"""What going on without another warmup costs in the planted study."""
AGAIN = {"kept": 0.1, "reset": 0.0, "moments_reset": 0.2}
"""The same with another warmup."""
WORDS = {
    "labels": {"net": "Net", "other": "Other", "text": "Text", "backward": "Backward"},
    "question": "rewarming",
    "units": {"text": "nats"},
}


def study(
    seeds: int = 5,
    noise: float = 0.002,
    costs: dict[str, float] = COSTS,
    again: dict[str, float] = AGAIN,
    tasks: tuple[str, ...] = ("text",),
    draws: int = 1,
) -> polars.DataFrame:
    draw = np.random.default_rng(draws)
    rows = []
    for name in ("net", "other"):
        for task in tasks:
            for seed in range(seeds):
                shared = draw.normal(0, 0.3)
                for recipe in BRANCHES:
                    for warmup, cost in ((0.0, costs[recipe]), (0.1, again[recipe])):
                        value = 3.0 + cost + shared + draw.normal(0, noise)
                        rows.append(run_row(Design(), name, task, warmup, seed, value) | {"recipe": recipe})
    return polars.DataFrame(rows)


def table(runs: polars.DataFrame) -> polars.DataFrame:
    return rewarming(runs, BRANCHES, SETTINGS)


def verdicts(found: polars.DataFrame, kind: str) -> dict[str, str]:
    part = found.filter(kind=kind, architecture="net", task="text")
    return dict(part.select("optimizer", "verdict").iter_rows())


def test_planted_needs_are_found() -> None:
    found = table(study())
    assert verdicts(found, "rewarm") == {"kept": "harms", "reset": "helps", "moments_reset": "helps"}
    assert verdicts(found, "loss") == {"reset": "costs", "moments_reset": "costs"}
    assert verdicts(found, "recovered") == {"reset": "made up for", "moments_reset": "not made up for"}


def test_a_difference_below_the_margin_is_said_to_be_none() -> None:
    nothing = dict.fromkeys(BRANCHES, 0.0)
    found = table(study(costs=nothing, again=nothing))
    assert set(found.filter(kind="rewarm")["verdict"]) == {"no matter"}
    assert verdicts(found, "recovered") == {"reset": "made up for", "moments_reset": "made up for"}


def test_a_difference_that_leaves_out_zero_and_lies_below_the_margin_is_said_to_be_none_too() -> None:
    nothing = dict.fromkeys(BRANCHES, 0.0)
    found = table(study(noise=1e-4, costs=nothing, again=dict.fromkeys(BRANCHES, 0.004))).filter(kind="rewarm")
    assert (found["low"] > 0).all() and (found["high"] < found["margin"]).all()
    assert set(found["verdict"]) == {"no matter"}


def test_noise_larger_than_the_effect_and_one_seed_cannot_say() -> None:
    noisy = table(study(noise=2.0)).filter(kind="rewarm")
    assert set(noisy["verdict"]) == {"cannot say"} and set(noisy["note"]) == {"the limits allow either"}
    alone = table(study(seeds=1))
    assert set(alone["verdict"]) == {"cannot say"} and alone["difference"].null_count() == alone.height


def test_alone_an_architecture_has_paired_t_limits_with_the_error_rate_shared_by_a_kind() -> None:
    runs = study(noise=0.05).filter(architecture="net")
    row = table(runs).row(
        by_predicate=(polars.col("kind") == "rewarm") & (polars.col("optimizer") == "reset"), named=True
    )
    picked = [
        runs.filter(polars.col("recipe") == "reset", polars.col("warmup") == warmup).sort("seed")[
            "best_validation_loss"
        ]
        for warmup in (0.1, 0.0)
    ]
    level = 1 - (1 - SETTINGS["confidence"]) / len(BRANCHES)
    expected = stats.ttest_rel(*picked).confidence_interval(level)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (row["against"], row["n"]) == ("reset", 5)


def test_a_branch_that_lost_state_is_compared_with_the_one_of_its_own_trunk_that_kept_all() -> None:
    others = {name: entry | {"recipe": "another"} for name, entry in BRANCHES.items() if name == "kept"}
    found = rewarming(study(), {"kept": others["kept"], "reset": BRANCHES["reset"]}, SETTINGS)
    assert set(found["kind"]) == {"rewarm"}


def test_a_false_alarm_is_rarer_than_the_error_rate_allows() -> None:
    """Of 200 studies without any difference, those in which another warmup seems to help or to harm somewhere."""
    nothing = dict.fromkeys(BRANCHES, 0.0)
    alarms = {"net": 0, "other": 0}
    for number in range(200):
        found = table(study(seeds=4, noise=0.3, costs=nothing, again=nothing, draws=number)).filter(kind="rewarm")
        for name in alarms:
            alarms[name] += bool(set(found.filter(architecture=name)["verdict"]) & {"helps", "harms"})
    assert max(alarms.values()) <= 20  # 0.05 of 200 is 10; 21 has a chance of 0.001


def test_the_answer_tells_states_and_data_apart() -> None:
    reply = questions.reply({"rewarming": table(study(tasks=("text", "backward")))}, WORDS)
    assert reply is not None
    opening, *others = reply.sentences
    assert opening == (
        "Going on from another run at the peak rate, another warmup helps in 8, harms in 4, makes a difference below "
        "the margin in 0, and in 0 it cannot be said (12 contrasts, n = 5 seeds)."
    )
    state = "with the optimiser's state"
    assert others[0].startswith(f"On the same data, {state} kept, does another warmup help? Net on Text: harms (+0.1")
    assert others[3].startswith(
        f"On shifted data, {state} kept, does another warmup help? Net on Backward: harms (+0.0"
    )
    assert others[-2].startswith(f"What does it cost to go on {state} lost? Net on Text: costs (+0.3")
    assert others[-2].endswith(
        "Another warmup makes up for it in 4 and does not in 0 of 4, and in 0 it cannot be said."
    )
    assert ("Net on Backward, from Text" in {row[0] for row in reply.rows}) and len(reply.rows) == 28


def test_without_branches_the_answer_says_so() -> None:
    reply = questions.reply({"rewarming": table(study().clear())}, WORDS)
    assert reply is not None and reply.sentences == [
        "No recipe of this study continues another run with and without another warmup."
    ]


def test_the_figure_has_a_panel_for_each_place_and_a_row_for_each_contrast() -> None:
    drawing = figures.rewarming(table(study()), WORDS)
    shown = [axis for axis in drawing.axes if axis.get_title(loc="left")]
    assert [axis.get_title(loc="left") for axis in shown] == ["Net, Text", "Other, Text"]
    assert all(len(axis.get_yticks()) == 7 for axis in shown)
