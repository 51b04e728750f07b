"""Schedules: the laws all of them obey, and agreement with transformers and torch where they overlap."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from warmup import registry, schedules
from warmup.errors import ConfigurationError
from warmup.schedules.wsd import TAILS

NAMES = registry.names("schedules")
REACH_THE_FLOOR = [name for name in NAMES if name not in ("constant", "inverse_square_root")]


def recipe(schedule: str, **changes: Any) -> dict[str, Any]:
    return {"schedule": schedule, "peak_learning_rate": 6.0e-4, "start": 0.0, "floor": 0.1} | changes


@st.composite
def trainings(draw: st.DrawFn) -> tuple[dict[str, Any], int, int]:
    """Any recipe over at least one update of decay, with its steps and warmup steps."""
    name = draw(st.sampled_from(NAMES))
    steps = draw(st.integers(2, 400))
    warmup_steps = draw(st.integers(0, steps - 1))
    floor, start = draw(st.floats(0.001, 1)), draw(st.floats(0, 1))
    options: dict[str, Any] = {}
    top = 1.0
    if name == "wsd":
        top = draw(st.floats(floor, 4))
        longest = (steps - warmup_steps) / steps
        options = {
            "plateau": top,
            "decay_fraction": draw(st.floats(0.5 / steps, longest)),
            "tail": draw(st.sampled_from(sorted(TAILS))),
        }
    if name == "exponential" and draw(st.booleans()):
        options = {"rate": draw(st.floats(1e-6, 1))}
    if name == "inverse_square_root" and draw(st.booleans()):
        options = {"timescale": draw(st.floats(0.1, 1e5))}
    changes = {"floor": floor, "start": min(start, top), "schedule_options": options}
    return recipe(name, peak_learning_rate=draw(st.floats(1e-8, 10)), **changes), steps, warmup_steps


def top_of(settings: dict[str, Any]) -> float:
    return settings["peak_learning_rate"] * settings["schedule_options"].get("plateau", 1.0)


def test_each_schedule_of_the_design_is_there() -> None:
    assert {"constant", "linear", "cosine", "exponential", "wsd", "inverse_square_root"} <= set(NAMES)


@given(trainings())
def test_a_rate_for_each_update_between_the_lower_of_start_and_floor_and_the_top(training: Any) -> None:
    settings, steps, warmup_steps = training
    rates = schedules.learning_rates(settings, steps, warmup_steps)
    assert rates.shape == (steps,) and rates.dtype == np.float64
    top, low = top_of(settings), settings["peak_learning_rate"] * min(settings["start"], settings["floor"])
    assert np.all(rates <= top * (1 + 1e-12)) and np.all(rates >= low * (1 - 1e-12))


def test_a_ramp_may_begin_at_a_plateau_that_a_tail_rounds() -> None:
    recipe = {"schedule": "wsd", "peak_learning_rate": 1.0, "start": 0.7734375, "floor": 0.5}
    recipe["schedule_options"] = {"plateau": 0.7734375, "decay_fraction": 1.0, "tail": "inverse_time"}
    assert schedules.learning_rates(recipe, 2, 0)[-1] == pytest.approx(0.5)


@given(trainings())
def test_the_ramp_is_a_straight_line_that_ends_where_the_decay_begins(training: Any) -> None:
    settings, steps, warmup_steps = training
    rates = schedules.learning_rates(settings, steps, warmup_steps)
    bottom, top = settings["peak_learning_rate"] * settings["start"], top_of(settings)
    line = np.linspace(bottom, top, warmup_steps + 1)[1:]
    np.testing.assert_allclose(rates[:warmup_steps], line, rtol=1e-12)


@given(trainings())
def test_no_rate_rises_after_warmup(training: Any) -> None:
    settings, steps, warmup_steps = training
    after = schedules.learning_rates(settings, steps, warmup_steps)[max(warmup_steps - 1, 0) :]
    assert np.all(np.diff(after) <= 1e-12 * after[0])


@given(trainings())
def test_the_last_update_has_the_floor(training: Any) -> None:
    settings, steps, warmup_steps = training
    last = schedules.learning_rates(settings, steps, warmup_steps)[-1]
    floor = settings["peak_learning_rate"] * settings["floor"]
    if settings["schedule"] in REACH_THE_FLOOR and "rate" not in settings["schedule_options"]:
        assert last == pytest.approx(floor, rel=1e-9)
    else:
        assert last >= floor * (1 - 1e-12)


@given(trainings(), st.floats(1e-3, 1e3))
def test_rates_scale_with_the_peak(training: Any, factor: float) -> None:
    settings, steps, warmup_steps = training
    scaled = settings | {"peak_learning_rate": settings["peak_learning_rate"] * factor}
    np.testing.assert_allclose(
        schedules.learning_rates(scaled, steps, warmup_steps),
        factor * schedules.learning_rates(settings, steps, warmup_steps),
        rtol=1e-12,
    )


@given(trainings())
def test_a_slower_sampling_of_the_decay_follows_the_same_curve(training: Any) -> None:
    """Twice the updates visit each rate of the shorter training: the schedule is a function of progress alone."""
    settings, steps, warmup_steps = training
    if settings["schedule"] not in ("linear", "cosine"):
        settings = settings | {"schedule": "linear", "schedule_options": {}, "start": min(settings["start"], 1)}
    short = schedules.learning_rates(settings, steps, warmup_steps)
    long = schedules.learning_rates(settings, 2 * steps, 2 * warmup_steps)
    np.testing.assert_allclose(long[1::2], short, rtol=1e-9)


def test_the_table_of_the_common_recipe() -> None:
    """[S3]: peak 1e-4, 2,000 warmup steps; the rate last used after 0, 500, 1000, 2000 updates."""
    rates = schedules.learning_rates(recipe("cosine", peak_learning_rate=1e-4), 50_000, 2000)
    last_used = [0.0 if done == 0 else rates[done - 1] for done in (0, 500, 1000, 2000)]
    assert last_used == pytest.approx([0, 2.5e-5, 5e-5, 1e-4], rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_without_warmup_the_decay_starts_at_once(name: str) -> None:
    options = {"timescale": 10} if name == "inverse_square_root" else {"decay_fraction": 1} if name == "wsd" else {}
    first = schedules.learning_rates(recipe(name, schedule_options=options), 10, 0)[0]
    assert (first == 6e-4) if name == "constant" else (first < 6e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_is_all_warmup_ends_at_the_peak(name: str) -> None:
    rates = schedules.learning_rates(recipe(name), 10, 10)
    np.testing.assert_allclose(rates, 6e-4 * np.arange(1, 11) / 10, rtol=1e-12)


# Oracles: transformers' multipliers at t + 1, and torch's own schedulers.


def optimizer(rate: float = 6e-4) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)


def transformers_rates(build: Any, steps: int, **options: Any) -> NDArray[np.float64]:
    multiplier = build(optimizer(), **options).lr_lambdas[0]
    return 6e-4 * np.array([multiplier(step + 1) for step in range(steps)])


@pytest.mark.parametrize("steps, warmup_steps", [(400, 0), (400, 1), (400, 8), (1000, 200), (51, 7)])
class TestAgreesWithTransformers:
    def agree(self, settings: dict[str, Any], steps: int, warmup_steps: int, build: Any, **options: Any) -> None:
        ours = schedules.learning_rates(settings, steps, warmup_steps)
        theirs = transformers_rates(build, steps, num_warmup_steps=warmup_steps, **options)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-18)

    def test_constant(self, steps: int, warmup_steps: int) -> None:
        self.agree(recipe("constant"), steps, warmup_steps, transformers.get_constant_schedule_with_warmup)

    def test_linear(self, steps: int, warmup_steps: int) -> None:
        build = transformers.get_linear_schedule_with_warmup
        self.agree(recipe("linear", floor=0.0), steps, warmup_steps, build, num_training_steps=steps)

    def test_linear_with_a_floor(self, steps: int, warmup_steps: int) -> None:
        build = transformers.get_polynomial_decay_schedule_with_warmup
        options = {"num_training_steps": steps, "lr_end": 6e-5, "power": 1.0}
        self.agree(recipe("linear", floor=0.1), steps, warmup_steps, build, **options)

    @pytest.mark.parametrize("floor", [0.0, 0.1])
    def test_cosine(self, steps: int, warmup_steps: int, floor: float) -> None:
        build = transformers.get_cosine_with_min_lr_schedule_with_warmup
        options = {"num_training_steps": steps, "min_lr_rate": floor}
        self.agree(recipe("cosine", floor=floor), steps, warmup_steps, build, **options)

    @pytest.mark.parametrize("tail", ["linear", "cosine", "1-sqrt"])
    def test_wsd(self, steps: int, warmup_steps: int, tail: str) -> None:
        decay = round(0.2 * steps)
        options = {"num_training_steps": steps, "num_decay_steps": decay, "decay_type": tail, "min_lr_ratio": 0.1}
        # transformers' ramp begins at min_lr_ratio here, unlike its other schedulers.
        settings = recipe("wsd", start=0.1, schedule_options={"decay_fraction": 0.2, "tail": tail})
        self.agree(settings, steps, warmup_steps, transformers.get_wsd_schedule, **options)

    def test_inverse_square_root(self, steps: int, warmup_steps: int) -> None:
        build = transformers.get_inverse_sqrt_schedule
        self.agree(recipe("inverse_square_root", floor=0.0), steps, warmup_steps, build)

    def test_inverse_square_root_with_a_time_scale(self, steps: int, warmup_steps: int) -> None:
        settings = recipe("inverse_square_root", floor=0.0, schedule_options={"timescale": 300})
        build = transformers.get_inverse_sqrt_schedule
        self.agree(settings, steps, warmup_steps, build, timescale=300)


def torch_rates(build: Any, steps: int, rate: float = 6e-4, **options: Any) -> list[float]:
    """Rates of torch's scheduler after 1 .. steps of its steps."""
    descent = optimizer(rate)
    scheduler = build(descent, **options)
    rates = []
    for _ in range(steps):
        descent.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    return rates


def test_decays_agree_with_torch() -> None:
    builders = torch.optim.lr_scheduler
    cases = [
        (recipe("cosine", floor=0.1), torch_rates(builders.CosineAnnealingLR, 100, T_max=100, eta_min=6e-5)),
        (
            recipe("linear", floor=0.1),
            torch_rates(builders.LinearLR, 100, start_factor=1, end_factor=0.1, total_iters=100),
        ),
        (
            recipe("exponential", floor=0.0, schedule_options={"rate": 0.03}),
            torch_rates(builders.ExponentialLR, 100, gamma=np.exp(-0.03)),
        ),
        (recipe("constant"), torch_rates(builders.ConstantLR, 100, factor=1, total_iters=100)),
    ]
    for settings, theirs in cases:
        ours = schedules.learning_rates(settings, 100, 0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, err_msg=settings["schedule"])


def test_warmup_agrees_with_torch() -> None:
    """LinearLR holds start_factor before its first step; a ramp from `start` over W updates is its value after each."""
    theirs = torch_rates(torch.optim.lr_scheduler.LinearLR, 40, start_factor=0.25, end_factor=1, total_iters=40)
    ours = schedules.learning_rates(recipe("constant", start=0.25), 60, 40)
    np.testing.assert_allclose(ours[:40], theirs, rtol=1e-9)


# wsd's plateau height


@pytest.mark.parametrize("tail", sorted(TAILS))
@pytest.mark.parametrize("plateau", [0.25, 1.0, 3.0])
def test_the_plateau_height_moves_the_plateau_and_neither_the_end_nor_the_length_of_the_decay(
    plateau: float, tail: str
) -> None:
    options = {"plateau": plateau, "decay_fraction": 0.25, "tail": tail}
    rates = schedules.learning_rates(recipe("wsd", schedule_options=options), 400, 40)
    np.testing.assert_allclose(rates[39:300], plateau * 6e-4, rtol=1e-12)
    assert rates[300] < rates[299]
    assert rates[-1] == pytest.approx(6e-5)


# Mistakes


@pytest.mark.parametrize(
    "changes, steps, warmup_steps, key",
    [
        ({"schedule": "cosinus"}, 10, 1, "schedules: 'cosinus'"),
        ({"peak_learning_rate": "6e-4"}, 10, 1, "peak_learning_rate"),
        ({"peak_learning_rate": 0}, 10, 1, "peak_learning_rate"),
        ({"peak_learning_rate": float("inf")}, 10, 1, "peak_learning_rate"),
        ({"start": 1.5}, 10, 1, "start"),
        ({"floor": -0.1}, 10, 1, "floor"),
        ({"floor": True}, 10, 1, "floor"),
        ({"schedule_options": {"rate": 1}}, 10, 1, "schedule_options.rate"),
        ({"schedule": "exponential", "floor": 0}, 10, 1, "floor"),
        ({"schedule": "exponential", "schedule_options": {"rate": 0}}, 10, 1, "schedule_options.rate"),
        ({"schedule": "inverse_square_root", "schedule_options": {"timescale": -1}}, 10, 1, "timescale"),
        ({"schedule": "wsd", "schedule_options": {"tail": "sine"}}, 10, 1, "schedule_options.tail"),
        ({"schedule": "wsd", "schedule_options": {"plateau": 0}}, 10, 1, "schedule_options.plateau"),
        ({"schedule": "wsd", "schedule_options": {"decay_fraction": 0.95}}, 10, 1, "schedule_options.decay_fraction"),
        ({"schedule": "wsd", "schedule_options": {"decay_fraction": 0.01}}, 10, 1, "schedule_options.decay_fraction"),
        ({"schedule": "wsd", "schedule_options": {"plateau": 0.05}}, 10, 1, "schedule_options.plateau"),
        ({"schedule": "wsd", "start": 0.8, "schedule_options": {"plateau": 0.5}}, 10, 1, "start"),
        ({"schedule": "wsd", "floor": 0, "schedule_options": {"tail": "exponential"}}, 10, 1, "exponential"),
        ({}, 10, 11, "warmup"),
        ({}, 10, -1, "warmup"),
        ({}, 0, 0, "training.steps"),
    ],
)
def test_a_value_that_makes_no_schedule_is_named(changes: dict, steps: int, warmup_steps: int, key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        schedules.learning_rates(recipe("cosine") | changes, steps, warmup_steps)


@pytest.mark.parametrize("missing", ["schedule", "peak_learning_rate"])
def test_a_missing_key_is_named(missing: str) -> None:
    with pytest.raises(ConfigurationError, match=missing):
        schedules.learning_rates({key: value for key, value in recipe("cosine").items() if key != missing}, 10, 1)


@pytest.mark.parametrize("name", NAMES)
def test_each_schedule_says_its_formula(name: str) -> None:
    assert schedules.formula(name).startswith("lr = peak")
