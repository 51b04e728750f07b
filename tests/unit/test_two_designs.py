"""The adaptive design beside the fixed one on the same runs, as benchmarks/looks_replay.py tells it."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from known_truth import two_designs
from known_truth.two_designs import Answer, Truth

from warmup.config import configuration
from warmup.statistics.base.blocks import Block
from warmup.statistics.base.outcomes import Cell

ARMS = (0.0, 0.02, 0.1, 0.3)
DRAWS = 1_000


@pytest.fixture
def settings(config: dict[str, Any]) -> dict[str, Any]:
    return configuration.effective({**config, "scale": "laptop"})


def truths(regrets: tuple[float, ...], noise: float, tasks: tuple[str, ...] = ("language", "series")) -> list[Truth]:
    """Cells of these true regrets and noise, both in margins of 1 % of a lowest loss of 100."""
    empty = Block(ARMS, np.arange(0), np.empty((0, len(ARMS))), np.zeros((0, len(ARMS)), dtype=bool))
    covariance = noise**2 * np.eye(len(ARMS)) + 1.0  # of a seed's runs: they share one part
    return [
        Truth(Cell("gpt2", task, "adamw", "study", 150, empty), 100.0 + np.array(regrets), covariance, 1.0)
        for task in tasks
    ]


def drawn(planted: list[Truth], settings: dict[str, Any], seed: int = 1) -> dict[str, list[Answer]]:
    generator = np.random.default_rng(seed)
    return two_designs.answers([truth.draw(generator, 10) for truth in planted], settings, DRAWS)


def test_a_clear_effect_is_found_by_looks_with_less_than_half_the_runs_and_without_a_contradiction(
    settings: dict[str, Any],
) -> None:
    planted = truths((5.0, 0.0, 0.0, 4.0), noise=0.2)
    said = drawn(planted, settings)
    for fixed, adaptive, bounded in zip(*(said[name] for name in two_designs.DESIGNS), strict=True):
        assert fixed.reference == adaptive.reference == bounded.reference == "excluded"
        assert fixed.within and adaptive.within and not adaptive.contradicts(fixed)
        assert adaptive.runs < 0.5 * fixed.runs
        assert not adaptive.wrong(planted[0].regrets(), 0.0)


def test_a_budget_grants_no_more_runs_than_it_has(settings: dict[str, Any]) -> None:
    planted = truths((0.5, 0.0, 0.5, 0.5), noise=1.0)
    settings["looks"] = settings["looks"] | {"budget": {"runs": 36}}
    said = drawn(planted, settings)
    assert sum(answer.runs for answer in said["bounded"]) <= 36 < sum(answer.runs for answer in said["adaptive"])


def test_opposite_verdicts_contradict_and_open_ones_do_not() -> None:
    found = Answer("excluded", frozenset({0.1}), frozenset({0.0}), "decided", 20)
    open_one = Answer("undecided", frozenset(), frozenset(), "open at the cap", 40)
    assert not found.contradicts(open_one) and not open_one.contradicts(found)
    assert found.contradicts(dataclasses.replace(open_one, reference="within"))
    assert found.contradicts(dataclasses.replace(open_one, beyond=frozenset({0.1})))
    assert dataclasses.replace(open_one, within=frozenset({0.0})).contradicts(found)


def test_what_is_said_is_held_against_the_truth() -> None:
    said = Answer("excluded", frozenset({0.1}), frozenset({0.0}), "decided", 20)
    assert not said.wrong({0.0: 3.0, 0.1: 0.5}, 0.0)
    assert said.wrong({0.0: 0.5, 0.1: 0.5}, 0.0)
    assert said.wrong({0.0: 3.0, 0.1: 1.5}, 0.0)
    assert dataclasses.replace(said, reference="within", beyond=frozenset()).wrong({0.0: 3.0, 0.1: 0.0}, 0.0)


def test_noise_is_what_seeds_and_warmups_leave_and_too_few_seeds_do_not_show_it(settings: dict[str, Any]) -> None:
    (planted,) = truths((0.0, 0.0, 0.0, 0.0), noise=0.7, tasks=("language",))
    assert planted.noise == pytest.approx(0.7)
    generator = np.random.default_rng(1)
    (many,) = two_designs.measured([planted.draw(generator, 4000)], settings)
    assert many.noise == pytest.approx(0.7, rel=0.03)
    with pytest.raises(ValueError, match="4 complete seeds do not show 4 warmups' noise"):
        two_designs.measured([planted.draw(generator, 4)], settings)
