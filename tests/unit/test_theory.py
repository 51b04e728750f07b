"""The valley-river model: its generator, spectrum and strong points, against laws and closed forms."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_landscapes import harmonic, section, shipped, two_strong_points

from warmup.errors import ConfigurationError
from warmup.theory import generator, study
from warmup.theory.landscapes import Landscape, landscape
from warmup.theory.spectrum import amplitudes, slopes, slow_modes
from warmup.theory.strong_points import Analysis, analyse, zeros

SHIPPED = shipped()


def analysed(land: Landscape, cells: int = 300) -> Analysis:
    etas = land.final * np.geomspace(0.3, 12, 120)
    return analyse(land, cells=cells, modes=3, etas=etas, widening=0.25, tolerance=0.01)


# Generator


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(SHIPPED)),
    ratio=st.floats(0.2, 20),
    cells=st.integers(60, 900),
    clock=st.sampled_from(["integral", "steps"]),
)
def test_detailed_balance_holds_to_rounding(name: str, ratio: float, cells: int, clock: str) -> None:
    entry = section()["landscapes"][name]
    land = landscape(name, entry, clock)
    eta = ratio * land.final
    up, down = generator.rates(land, eta, cells)
    log_pi = land.log_stationary(eta, land.centres(cells))
    seen = np.minimum(log_pi[:-1], log_pi[1:]) > -600  # both sides are numbers
    forward, backward = np.exp(log_pi[:-1][seen]) * up[seen], np.exp(log_pi[1:][seen]) * down[seen]
    assert seen.sum() > 10
    # Relative to the exponents' own size: exp(-500) is only known to 500 roundings.
    assert np.all(np.abs(forward - backward) <= 1e-12 * np.maximum(forward, backward))


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_law_at_rest_is_the_zero_eigenvector(name: str) -> None:
    land = SHIPPED[name]
    matrix = generator.dense(*generator.rates(land, land.final, 200)).T
    pi = land.stationary(land.final, land.centres(200))
    values, vectors = np.linalg.eig(matrix)
    zero = np.argmin(np.abs(values))
    vector = np.real(vectors[:, zero] / vectors[:, zero].sum())
    assert abs(values[zero]) < 1e-10 * np.abs(matrix).max()
    np.testing.assert_allclose(vector, pi, atol=1e-10)
    assert np.abs(matrix @ pi).max() < 1e-12 * np.abs(matrix).max()


def test_rates_of_a_flat_river_are_those_of_plain_diffusion() -> None:
    land = landscape("flat", {"potential": {"expression": "0"}, "domain": [0, 2], "final": 0.3})
    up, down = generator.rates(land, 0.3, 50)
    np.testing.assert_allclose([up, down], 0.3 / 0.04**2)
    rate = slow_modes(land, 800, 1).rates[0]
    assert rate == pytest.approx(0.3 * (np.pi / 2) ** 2, rel=1e-5)


def test_only_differences_of_the_height_matter() -> None:
    plain, raised = (harmonic(potential={"expression": f"y**2 + {height}"}) for height in (0, 40))
    np.testing.assert_allclose(generator.rates(plain, 0.1, 99), generator.rates(raised, 0.1, 99), rtol=1e-9)


# Spectrum


def test_the_spectrum_of_the_harmonic_river_is_known_in_closed_form() -> None:
    """Rates k, 2k, 3k; u_3 = (k y^2 / eta_b - 1) / sqrt 2, so a_3 = (eta / eta_b - 1) / sqrt 2; a_2 = 0."""
    land = harmonic(stiffness=1.5, final=0.2)
    modes = slow_modes(land, 1600, 3)
    np.testing.assert_allclose(modes.rates, [1.5, 3.0, 4.5], rtol=3e-4)
    etas = np.array([0.05, 0.2, 0.5, 1.0])
    second, third, _ = amplitudes(land, modes, etas)
    np.testing.assert_allclose(second, 0, atol=1e-8)
    np.testing.assert_allclose(third, (etas / 0.2 - 1) / np.sqrt(2), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_eigenvalues_converge_at_second_order(name: str) -> None:
    rates = np.array([slow_modes(SHIPPED[name], cells, 3).rates for cells in (300, 600, 1200)])
    orders = np.log2(np.abs(rates[1] - rates[0]) / np.abs(rates[2] - rates[1]))
    np.testing.assert_allclose(orders, 2, atol=0.1)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_rates_agree_with_a_dense_solver(name: str) -> None:
    matrix = generator.dense(*generator.rates(SHIPPED[name], SHIPPED[name].final, 200))
    dense = np.sort(-np.real(scipy.linalg.eigvals(matrix)))[1:5]
    np.testing.assert_allclose(slow_modes(SHIPPED[name], 200, 4).rates, dense, rtol=1e-7)


@pytest.mark.parametrize("name", sorted(SHIPPED))
@pytest.mark.parametrize("eta", [0.02, 0.2])
def test_the_slowest_mode_rises_from_wall_to_wall_even_where_nobody_is(name: str, eta: float) -> None:
    """At eta = 0.02 the law at rest is below 1e-300 in places: an eigenvector divided by its root is noise there."""
    entry = section()["landscapes"][name] | {"final": eta}
    modes = slow_modes(landscape(name, entry), 500, 1)
    steps = np.diff(modes.functions[0])
    assert np.all(steps > -1e-9 * np.ptp(modes.functions[0]))
    assert (np.diff(np.sign(modes.functions[0])) != 0).sum() == 1


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_modes_are_orthonormal_under_the_law_at_rest(name: str) -> None:
    modes = slow_modes(SHIPPED[name], 400, 4)
    together = np.vstack([np.ones_like(modes.y), modes.functions])
    np.testing.assert_allclose((together * modes.pi) @ together.T, np.eye(5), atol=1e-7)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_all_modes_together_make_up_the_difference_of_two_laws(name: str) -> None:
    """Sum rule: sum_n a_n v_n = pi_{eta_p} - pi_b, v_n = pi_b u_n."""
    land = SHIPPED[name]
    narrow = landscape(
        name, section()["landscapes"][name] | {"domain": [0.6 * land.low, 0.6 * land.high], "final": 0.5}
    )
    modes = slow_modes(narrow, 80, 79)
    for eta in (0.3, 0.8, 2.0):
        a = amplitudes(narrow, modes, np.array([eta]))[:, 0]
        total = modes.pi * (a @ modes.functions)
        np.testing.assert_allclose(total, narrow.stationary(eta, modes.y) - modes.pi, atol=1e-9)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_slopes_are_the_derivative_of_the_amplitude(name: str) -> None:
    land, h = SHIPPED[name], 1e-5
    modes = slow_modes(land, 400, 1)
    etas = land.final * np.array([0.7, 1.0, 3.0, 8.0])
    numeric = (amplitudes(land, modes, etas + h) - amplitudes(land, modes, etas - h))[0] / (2 * h)
    np.testing.assert_allclose(slopes(land, modes, etas), numeric, rtol=1e-5, atol=1e-8)


def test_counting_steps_instead_of_the_integral_of_the_rate_only_rescales_the_spectrum() -> None:
    entry = section()["landscapes"]["shoulder"]
    integral, steps = (landscape("shoulder", entry, clock) for clock in ("integral", "steps"))
    np.testing.assert_allclose(
        slow_modes(steps, 300, 3).rates, integral.final * slow_modes(integral, 300, 3).rates, rtol=1e-8
    )
    assert analysed(steps).strong[0].eta == pytest.approx(analysed(integral).strong[0].eta, rel=1e-7)


# Strong points


@pytest.mark.parametrize("name", ["shoulder", "soft_valley"])
def test_a_refuge_behind_the_deep_well_makes_a_strong_point_that_is_established(name: str) -> None:
    found = analysed(SHIPPED[name])
    assert len(found.strong) == 1
    point = found.strong[0]
    assert point.established and point.eta > 1.5 * SHIPPED[name].final
    assert point.refinement_error < 1e-4 and point.widening_error < 1e-6
    assert found.best == point.eta and SHIPPED[name].final < (found.reference or 0) < point.eta
    finest = slow_modes(SHIPPED[name], 4800, 1)
    true = zeros(SHIPPED[name], finest, found.etas)[0]
    assert abs(true / point.eta - 1) < 20 * point.refinement_error + 1e-7


@pytest.mark.parametrize("name", ["double_well", "river"])
def test_a_plain_landscape_is_reported_as_having_none(name: str) -> None:
    found = analysed(SHIPPED[name])
    assert found.strong == [] and found.best is None
    assert "no strong point" in found.note


@settings(max_examples=15, deadline=None)
@given(barrier=st.floats(0.5, 2), tilt=st.floats(0.15, 0.5), final=st.floats(0.1, 0.4))
def test_no_tilted_double_well_has_a_strong_point(barrier: float, tilt: float, final: float) -> None:
    entry = {"potential": {"family": "double_well", "barrier": barrier, "tilt": tilt}, "domain": [-4, 4]}
    assert analysed(landscape("tilted", entry | {"final": final}), cells=200).strong == []


def test_all_strong_points_are_found_and_lie_where_the_amplitude_changes_sign() -> None:
    land = two_strong_points()
    found = analysed(land)
    above = [point for point in found.strong if point.eta > land.final]
    dense = land.final * np.geomspace(1.01, 12, 4_000)
    values = amplitudes(land, found.spectrum, dense)[0]
    crossings = dense[np.nonzero(np.diff(np.sign(values)))[0]]
    assert len(crossings) == 2
    np.testing.assert_allclose([point.eta for point in above], crossings, rtol=1e-3)


def test_the_final_rate_itself_is_no_strong_point() -> None:
    """a_2 vanishes there by definition; with a plateau of the search exactly on it, it must not be reported."""
    land = SHIPPED["double_well"]
    etas = np.sort(np.append(land.final * np.geomspace(0.3, 12, 40), land.final))
    assert zeros(land, slow_modes(land, 300, 1), etas) == []


def test_a_symmetric_landscape_has_no_amplitude_to_speak_of() -> None:
    entry = {"potential": {"expression": "(y**2 - 1)**2"}, "domain": [-3, 3], "final": 0.2}
    found = analysed(landscape("even", entry))
    assert found.strong == [] and "symmetry" in found.note


def test_a_zero_that_a_wider_domain_moves_is_not_established() -> None:
    """The domain ends within the shoulder: where the strong point lies is the wall's doing."""
    entry = section()["landscapes"]["shoulder"] | {"domain": [-4.6, 3.0]}
    found = analysed(landscape("cut", entry))
    assert found.strong and not any(point.established for point in found.strong)
    assert all("domain is widened" in point.note for point in found.strong)
    assert "not established" in found.note


def test_a_zero_that_only_a_wider_domain_shows_is_told() -> None:
    entry = section()["landscapes"]["shoulder"] | {"domain": [-3.6, 3.0]}
    found = analysed(landscape("cut", entry))
    assert found.strong == [] and "give a wider domain" in found.note


def test_weak_ranges_are_where_a_hotter_plateau_excites_the_slowest_mode_less() -> None:
    for name, land in SHIPPED.items():
        found = analysed(land)
        for low, high in found.weak:
            size = np.abs(amplitudes(land, found.spectrum, np.geomspace(low, high, 50))[0])
            assert np.all(np.diff(size) < 0), name
        covered = [eta for eta in found.etas if any(low <= eta <= high for low, high in found.weak)]
        outside = np.array([eta for eta in found.etas if eta > land.final * 1.01 and eta not in covered])
        slope = amplitudes(land, found.spectrum, outside)[0] * slopes(land, found.spectrum, outside)
        assert np.all(slope > -1e-12), name


# Tables


def test_the_tables_say_what_was_found_for_every_shipped_landscape() -> None:
    options = section()
    options["search"] |= {"cells": 200, "plateaus": 60}
    tables = study.spectra(options)
    verdicts = dict(tables["landscapes"].select("landscape", "verdict").rows())
    assert verdicts["double_well"] == "none"
    assert verdicts["shoulder"] == verdicts["soft_valley"] == "strong"
    assert set(tables["strong_points"]["landscape"]) == {
        name for name, verdict in verdicts.items() if verdict == "strong"
    }
    assert tables["modes"].height == options["search"]["modes"] * len(verdicts)


def test_at_least_three_landscapes_are_shipped() -> None:
    assert len(SHIPPED) >= 3


# Mistakes


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"potential": {"family": "triple_well"}}, "potential.*triple_well"),
        ({"potential": {"family": "double_well", "barrier": 1}}, "potential.*tilt"),
        ({"potential": {"family": "double_well", "barrier": 1, "tilt": 0, "height": 2}}, "height"),
        ({"potential": {"expression": "y", "family": "constant"}}, "stands alone"),
        ({"potential": {"expression": "log(y)"}}, "no finite value at y = -6"),
        ({"log_sharpness": {"expression": "1 / y"}}, "log_sharpness: no finite value"),
        ({"domain": [2, -2]}, "domain"),
        ({"final": 0}, "final"),
    ],
)
def test_a_landscape_that_cannot_be_is_refused_with_its_key(changes: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"theory\.landscapes\.harmonic.*{message}|{message}"):
        harmonic(**changes)


def test_a_curve_undefined_just_outside_the_domain_is_named_when_the_domain_is_widened() -> None:
    entry = {"potential": {"expression": "y**2 - log(y)"}, "domain": [0.05, 6], "final": 0.2}
    with pytest.raises(ConfigurationError, match="margin around it"):
        analysed(landscape("half", entry))
