"""The river in time: quenches and finite decays, against closed forms, dense exponentials and an ODE solver."""

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from theory_landscapes import harmonic, section, shipped

from warmup.schedules.wsd import TAILS
from warmup.theory import decays, evolution, generator, quench
from warmup.theory.landscapes import Landscape, landscape
from warmup.theory.spectrum import amplitudes, slow_modes
from warmup.theory.strong_points import analyse

SHIPPED = shipped()
SOFT = SHIPPED["soft_valley"]


def variance(land: Landscape, p: np.ndarray) -> np.ndarray:
    y = land.centres(p.shape[-1])
    return p @ y**2 - (p @ y) ** 2


def best_and_reference(land: Landscape) -> tuple[float, float]:
    etas = land.final * np.geomspace(0.5, 12, 80)
    found = analyse(land, cells=200, modes=2, etas=etas, widening=0.2, tolerance=0.01)
    assert found.best is not None and found.reference is not None
    return found.best, found.reference


# Evolution


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_quench_agrees_with_the_matrix_exponential(name: str) -> None:
    land = SHIPPED[name]
    start = land.stationary(3 * land.final, land.centres(120))
    matrix = generator.dense(*generator.rates(land, land.final, 120)).T
    times = np.concatenate([[0], np.geomspace(1e-5, 5, 2000)])
    p = evolution.evolve(land, start, evolution.quench(times, land.final))[0]
    np.testing.assert_allclose(p, scipy.linalg.expm(5 * matrix) @ start, atol=1e-6)


def test_the_time_error_is_of_second_order() -> None:
    land = harmonic()
    start = land.stationary(1.0, land.centres(200))

    def after(steps: int) -> np.ndarray:
        path = evolution.follow(lambda share: 1.0 - 0.8 * share, 1.0, steps)
        return evolution.evolve(land, start, path)[0]

    exact = after(6400)
    errors = [np.abs(after(steps) - exact).sum() for steps in (25, 50, 100)]
    np.testing.assert_allclose(np.log2([errors[0] / errors[1], errors[1] / errors[2]]), 2, atol=0.15)


@pytest.mark.parametrize("clock", ["integral", "steps"])
@pytest.mark.parametrize("tail", sorted(TAILS))
def test_the_variance_of_a_harmonic_river_follows_its_own_equation_through_any_decay(tail: str, clock: str) -> None:
    """d var / dt = s (-2 k var + 2 eta(t)), s = 1 or eta(t): exact for an Ornstein-Uhlenbeck process."""
    land = landscape("h", {"potential": {"expression": "0.75 * y**2"}, "domain": [-8, 8], "final": 0.2}, clock)
    length, plateau = 1.3, 1.0
    falling = decays.rate(land, tail, plateau)

    def slope(time: float, var: np.ndarray) -> np.ndarray:
        eta = float(falling(np.array(time / length)))
        return (eta if clock == "steps" else 1.0) * (-3.0 * var + 2 * eta)

    exact = scipy.integrate.solve_ivp(slope, (0, length), [plateau / 1.5], rtol=1e-9, atol=1e-12).y[0, -1]
    path = evolution.follow(falling, length, 1000)
    p = evolution.evolve(land, land.stationary(plateau, land.centres(1000)), path)[0]
    assert variance(land, p) == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_probability_is_kept_and_stays_positive(name: str) -> None:
    land = SHIPPED[name]
    path = evolution.follow(decays.rate(land, "1-sqrt", 10 * land.final), 30.0, 100)
    p = evolution.evolve(land, land.stationary(10 * land.final, land.centres(300)), path, np.ones(100, dtype=bool))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-10)
    assert p.min() > -1e-6


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_river_at_rest_stays_at_rest(name: str) -> None:
    land = SHIPPED[name]
    start = land.stationary(land.final, land.centres(300))
    p = evolution.evolve(land, start, evolution.quench(np.linspace(0, 100, 200), land.final))[0]
    np.testing.assert_allclose(p, start, atol=1e-12)


# Quenches


def test_distances_of_known_laws() -> None:
    """Two Gaussians, variances in the ratio r = 2: divergence (r - 1 - ln r) / 2; the loss by equipartition."""
    land = harmonic(stiffness=1.0, final=0.2)
    p = land.stationary(np.array([0.2, 0.4]), land.centres(3000))
    found = quench.distances(land, p)
    np.testing.assert_allclose(found["divergence"], [0, (2 - 1 - np.log(2)) / 2], atol=1e-6)
    np.testing.assert_allclose(found["excess_loss"], [0, 0.1], atol=1e-6)
    total = scipy.integrate.quad(
        lambda y: abs(np.exp(-y * y / 0.4) / np.sqrt(0.4 * np.pi) - np.exp(-y * y / 0.8) / np.sqrt(0.8 * np.pi)),
        -6,
        6,
        points=[0.0],
    )[0]
    np.testing.assert_allclose(found["total_variation"], [0, total / 2], atol=1e-4)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_distances_only_fall_and_end_as_the_slowest_mode(name: str) -> None:
    land = SHIPPED[name]
    modes = slow_modes(land, 400, 2)
    curve = quench.curves(land, modes, [2 * land.final], cells=400, until=8.0)
    for quantity in ("total_variation", "divergence"):
        assert np.all(np.diff(curve[quantity].to_numpy()) <= 1e-9), quantity
    last = curve.row(-1, named=True)
    slow = abs(last["slow_mode"]) * 0.5 * float(np.abs(modes.pi * modes.functions[0]).sum())
    assert last["total_variation"] == pytest.approx(slow, rel=0.02)


@pytest.mark.parametrize("name", ["shoulder", "soft_valley"])
def test_the_strong_point_overtakes_every_cooler_plateau(name: str) -> None:
    """Farther from its end at first, nearer in the end, by orders of magnitude."""
    land = SHIPPED[name]
    best, reference = best_and_reference(land)
    curves = quench.curves(land, slow_modes(land, 400, 2), [1.2 * land.final, reference, best], cells=400, until=4.0)
    first, last = (
        [part["total_variation"][place] for part in curves.partition_by("plateau", maintain_order=True)]
        for place in (0, -1)
    )
    assert np.all(np.diff(first) > 0)
    assert last[2] < 1e-3 * min(last[0], last[1])


# Finite decays


def test_a_decay_of_no_length_is_a_quench_and_an_endless_one_forgets_the_plateau() -> None:
    mode = slow_modes(SOFT, 200, 2)
    for plateau in (2 * SOFT.final, 6 * SOFT.final):
        at_once = amplitudes(SOFT, mode, np.array([plateau]))[0, 0]
        short = decays.after_decay(SOFT, plateau, "linear", 1e-7, 200) @ mode.functions[0]
        assert short == pytest.approx(at_once, abs=1e-5)
    long = [decays.after_decay(SOFT, r * SOFT.final, "linear", 300 / mode.rates[0], 200) for r in (2, 6)]
    assert np.abs(long[0] - long[1]).sum() < 0.02


@pytest.mark.parametrize("name", ["shoulder", "soft_valley"])
def test_the_slowest_decay_keeps_the_share_it_is_said_to_keep(name: str) -> None:
    land = SHIPPED[name]
    best, reference = best_and_reference(land)
    modes = slow_modes(land, 200, 2)
    found, curves = decays.slowest_decays(
        land, modes, best=best, reference=reference, tails=["linear", "cosine"], share=0.5, lengths=24, cells=200
    )
    for slowest in found:
        assert slowest.length is not None and slowest.advantage_of_a_quench is not None
        left = [
            abs(decays.after_decay(land, eta, slowest.tail, slowest.length, 200) @ modes.functions[0])
            for eta in (best, reference)
        ]
        assert (1 - left[0] / left[1]) / slowest.advantage_of_a_quench == pytest.approx(0.5, abs=0.03)
        shorter = curves.filter(tail=slowest.tail).filter(curves.filter(tail=slowest.tail)["decay"] < slowest.length)
        assert shorter["kept"].min() >= 0.5
        assert slowest.length < 1 / modes.rates[0]


def test_a_landscape_without_a_weak_effect_has_no_advantage_to_keep() -> None:
    land = SHIPPED["double_well"]
    found, curves = decays.slowest_decays(
        land, slow_modes(land, 200, 2), best=None, reference=None, tails=["linear"], share=0.5, lengths=5, cells=200
    )
    assert found[0].length is None and "no advantage" in found[0].note and curves.is_empty()


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_twice_the_time_steps_change_a_final_distance_by_under_one_percent(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    land = SHIPPED[name]
    options = {"plateaus": [1.5 * land.final, 8 * land.final], "tail": "1-sqrt", "horizon": 1.0, "lengths": 5}
    maps = []
    for steps in (decays.STEPS, 2 * decays.STEPS):
        monkeypatch.setattr(decays, "STEPS", steps)
        frame = decays.final_distance_map(land, slow_modes(land, 200, 1), cells=200, **options)
        maps.append(frame["total_variation"].to_numpy())
    np.testing.assert_allclose(maps[0], maps[1], rtol=0.01)


def test_on_the_map_a_plateau_near_the_strong_point_beats_cooler_ones_for_short_decays() -> None:
    best, reference = best_and_reference(SOFT)
    frame = decays.final_distance_map(
        SOFT, slow_modes(SOFT, 200, 1), plateaus=[reference, best], tail="linear", horizon=1.0, lengths=6, cells=200
    )
    cool, hot = (part.sort("share")["total_variation"].to_numpy() for part in frame.partition_by("plateau"))
    assert hot[0] < 0.1 * cool[0]
    assert hot[-1] > cool[-1]


def test_the_shipped_section_is_complete() -> None:
    assert set(section()["decay"]["tails"]) <= set(TAILS)
