"""Maps fit regret, predictions are out of sample, controls fail where diagnostics succeed."""

import itertools
from typing import Any

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_truth import board_checks
from known_truth import trained_tables as synthetic

from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.effect import plateau
from warmup.statistics.prediction import leaderboard, maps, predictors

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "log_offset": 0.005,
    "folds": 5,
    "maps": ["log_linear", "monotone"],
    "shuffles": 19,
    "constants": {"fractions": [0, 0.02, 0.05], "steps": [2000]},
}
PLATEAU = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "reference": 0.0,
    "margins": {"default": {"relative": 0.005}},
}
MANY = tuple(np.geomspace(0.002, 0.08, 10).tolist())


def tables(design: synthetic.Design, seed: int = 1) -> tuple[polars.DataFrame, polars.DataFrame, polars.DataFrame]:
    rng = np.random.default_rng(seed)
    runs = synthetic.runs(design, rng)
    return runs, synthetic.diagnostics(design, rng), plateau.plateaus(runs, PLATEAU)[0]


def curve(need: float, name: str = "net", steps: int = 1000, seeds: int = 2) -> maps.Curve:
    grid = np.array(synthetic.GRID)
    values = np.tile(2.0 + synthetic.bowl(grid, need), (seeds, 1))
    return maps.Curve(name, "task", "adamw", steps, 0.005, grid, values)


@pytest.fixture(scope="module")
def many() -> tuple[polars.DataFrame, polars.DataFrame]:
    return leaderboard.leaderboard(*tables(synthetic.Design(needs=MANY, tasks=2, seeds=3)), SETTINGS)


def pick(table: polars.DataFrame, **where: Any) -> dict[str, Any]:
    rows = table.filter(*[polars.col(name) == value for name, value in where.items()])
    assert rows.height == 1, where
    return rows.row(0, named=True)


# Maps


def test_regret_is_zero_at_the_best_warmup_and_linear_between_warmups() -> None:
    c = curve(0.02)
    assert c.regret(c.z)[c.best] == pytest.approx(0.0)
    middle = (c.z[2] + c.z[3]) / 2
    assert c.regret(np.array([middle]))[0] == pytest.approx(c.regret(c.z[2:4]).mean())
    assert c.seed_regrets(middle).mean() == pytest.approx(c.regret(np.array([middle]))[0])


def test_positions_and_fractions_are_inverse_within_the_warmups_that_were_run() -> None:
    c = curve(0.02)
    for fraction in (0.0, 0.003, 0.05, 0.2):
        assert c.fraction(c.position(fraction)) == pytest.approx(fraction)
    assert c.fraction(c.position(0.9)) == pytest.approx(0.2)


@given(st.lists(st.sampled_from(synthetic.GRID), min_size=2, max_size=7), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_no_map_fits_worse_than_the_best_constant(needs: list[float], seed: int) -> None:
    curves = [curve(need) for need in needs]
    u = np.random.default_rng(seed).normal(size=len(needs))
    cost = {
        name: np.mean([c.regret(np.array(float(fit(curves, u)(x)))) for c, x in zip(curves, u, strict=True)])
        for name, fit in maps.MAPS.items()
    }
    constant = np.mean([c.regret(np.array(float(maps.constant(curves)(np.array(0.0))))) for c in curves])
    assert max(cost.values()) <= constant + 1e-9
    assert cost["monotone"] <= cost["log_linear"] + 0.02


def test_the_monotone_map_is_the_best_non_decreasing_one() -> None:
    curves = [curve(need) for need in (0.05, 0.005, 0.02, 0.08)]
    u = np.array([0.0, 1.0, 2.0, 3.0])
    positions = maps.grid(curves)[::4]
    costs = np.array([c.regret(maps.grid(curves)) for c in curves])
    best = min(
        sum(costs[row, 4 * level] for row, level in enumerate(levels))
        for levels in itertools.product(range(len(positions)), repeat=4)
        if all(a <= b for a, b in itertools.pairwise(levels))
    )
    fitted = maps.monotone(curves, u)(u)
    assert (np.diff(fitted) >= 0).all()
    assert sum(float(c.regret(np.array(z))) for c, z in zip(curves, fitted, strict=True)) <= best + 1e-9


def test_log_linear_recovers_an_exact_law() -> None:
    needs = np.geomspace(0.005, 0.1, 8)
    curves = [curve(float(need)) for need in needs]
    fitted = maps.log_linear(curves, np.log(needs + 0.005))
    predicted = [c.fraction(float(fitted(np.log(need + 0.005)))) for c, need in zip(curves, needs, strict=True)]
    assert np.abs(np.log((np.array(predicted) + 0.005) / (needs + 0.005))).max() < 0.5


def test_a_constant_diagnostic_fits_as_the_best_constant_does() -> None:
    curves = [curve(need) for need in (0.01, 0.02, 0.05)]
    expected = float(maps.constant(curves)(np.array(0.0)))
    for fit in maps.MAPS.values():
        assert float(fit(curves, np.full(3, 1.7))(np.array(1.7))) == pytest.approx(expected)


# Out of sample


def test_a_held_out_cell_does_not_influence_its_own_prediction() -> None:
    runs, diagnostics, _ = tables(synthetic.Design(tasks=2, seeds=3))
    spoilt = runs.with_columns(
        best_validation_loss=polars.when(polars.col("architecture") == "net00", polars.col("warmup") < 0.1)
        .then(99.0)
        .otherwise("best_validation_loss")
    )
    found = []
    for table in (runs, spoilt):
        data = predictors.study(table, diagnostics, SETTINGS)
        known = predictors.values(data, predictors.Predictor("early_spike", "diagnostic", 10, "log_linear"))
        for scheme in (predictors.plan("log_linear", known), predictors.selected("architecture", data, SETTINGS)):
            held_out = predictors.held_out("architecture", data.curves, scheme)
            found.append([position for c, position in held_out if c.architecture == "net00"])
    assert found[0] == found[2]
    assert found[1] == found[3]


def test_a_diagnostic_in_steps_is_taken_at_its_word(many: tuple[polars.DataFrame, polars.DataFrame]) -> None:
    rows = many[1].filter(polars.col("predictor") == "untuned")
    assert set(rows["map"]) == {"identity"}
    assert set(rows["predicted"]) == {0.2}  # 2,000 of 1,000 steps: held at the largest warmup that was run


def test_an_informative_diagnostic_beats_constants_and_its_own_controls(
    many: tuple[polars.DataFrame, polars.DataFrame],
) -> None:
    board = many[0]
    where = {"axis": "architecture", "predictor": "early_spike", "budget": 100, "map": "log_linear"}
    real = pick(board, kind="diagnostic", **where)
    assert real["versus_constant_new_high"] < 0
    assert real["p_shuffled"] == pytest.approx(1 / 20)
    assert real["regret"] < pick(board, kind="shuffled", **where)["regret_low"]
    assert pick(board, kind="other_seeds", **where)["regret"] < real["regret"] + 0.003


def test_an_uninformative_diagnostic_does_not_beat_the_constant(
    many: tuple[polars.DataFrame, polars.DataFrame],
) -> None:
    where = {"axis": "architecture", "predictor": "noise_scale", "kind": "diagnostic", "map": "log_linear"}
    useless = pick(many[0], **where)
    assert useless["versus_constant"] == 0.0  # fitted as the constant itself in every fold
    assert useless["note"] == "it predicts what the best constant does in every cell"
    assert useless["p_shuffled"] > 0.05


def test_ranks_are_by_regret_among_real_predictors(many: tuple[polars.DataFrame, polars.DataFrame]) -> None:
    for axis in leaderboard.AXES:
        rows = many[0].filter(polars.col("axis") == axis)
        real = rows.filter(polars.col("kind").is_in(["constant", "diagnostic", "selected"])).sort("rank")
        assert real["regret"].is_sorted()
        controls = rows.filter(polars.col("kind").is_in(["shuffled", "other_seeds", "same_seeds"]))
        assert controls["rank"].null_count() == controls.height == (9 if axis == "architecture" else 0)


def test_a_diagnostic_without_a_value_somewhere_is_compared_on_its_own_cells_and_has_no_rank() -> None:
    """Training cells of the constant it is compared with included: an outlier would drag that constant alone."""
    runs, diagnostics, sets = tables(synthetic.Design(needs=(0.002, 0.005, 0.02, 0.06, 0.2), tasks=2, seeds=3))
    lacking = diagnostics.filter((polars.col("architecture") != "net04") | (polars.col("diagnostic") != "early_spike"))
    without = [table.filter(polars.col("architecture") != "net04") for table in (runs, lacking, sets)]
    boards = [leaderboard.leaderboard(*three, SETTINGS)[0] for three in ((runs, lacking, sets), without)]
    where = {"axis": "architecture", "predictor": "early_spike", "budget": 100, "map": "log_linear"}
    some, whole = (pick(board, kind="diagnostic", **where) for board in boards)
    for name in ("cells", "regret", "versus_constant", "versus_constant_new_low", "versus_constant_new_high"):
        assert some[name] == whole[name], name
    assert some["rank"] is None and whole["rank"] is not None
    assert some["versus_constant"] < 0 and some["note"] == "2 cells have no value"


def test_relatives_are_left_out_together() -> None:
    """A variant's own sweep would give its relative's warmup away."""
    runs, diagnostics, sets = tables(synthetic.Design(needs=(0.004, 0.005, 0.02, 0.06), tasks=2, seeds=3))
    related = runs.with_columns(lineage=polars.col("architecture").replace({"net01": "net00"}))
    data = predictors.study(related, diagnostics, SETTINGS)
    seen: list[set[str]] = []

    def watching(training: Any) -> Any:
        seen.append({curve.architecture for curve in training})
        return predictors.best_constant(training)

    predictors.held_out("architecture", data.curves, watching)
    assert seen == [{"net02", "net03"}, {"net00", "net01", "net03"}, {"net00", "net01", "net02"}]
    board, cells = leaderboard.leaderboard(related, diagnostics, sets, SETTINGS)
    assert pick(board, axis="architecture", predictor="best_constant")["architectures"] == 3
    assert cells.filter(architecture="net01")["lineage"].unique().to_list() == ["net00"]


@pytest.mark.parametrize(("count", "orders"), [(3, 6), (4, 24)])
def test_few_architectures_are_shuffled_in_every_order(count: int, orders: int) -> None:
    needs = tuple(np.geomspace(0.004, 0.06, count).tolist())
    board, _ = leaderboard.leaderboard(*tables(synthetic.Design(needs=needs)), SETTINGS | {"shuffles": 49})
    p = (board["p_value"].drop_nulls() * orders).to_list()
    assert len(p) > 0 and p == pytest.approx([max(1, round(value)) for value in p])


def test_other_seeds_do_as_well_as_the_same_where_the_diagnostic_has_no_noise() -> None:
    runs, diagnostics, sets = tables(synthetic.Design(needs=(0.004, 0.01, 0.02, 0.06), seeds=4))
    cell = ["diagnostic", "budget", "architecture", "task", "recipe"]
    equal = diagnostics.with_columns(polars.col("value").first().over(cell))
    board, _ = leaderboard.leaderboard(runs, equal, sets, SETTINGS)
    pair = [board.filter(polars.col("kind") == kind)["regret"].to_list() for kind in ("other_seeds", "same_seeds")]
    assert pair[0] == pytest.approx(pair[1]) and len(pair[0]) > 0


def test_the_selected_procedure_is_scored_too_and_costs_no_less_than_its_best_part(
    many: tuple[polars.DataFrame, polars.DataFrame],
) -> None:
    rows = many[0].filter(polars.col("axis") == "architecture", polars.col("map") == "log_linear")
    best = rows.filter(polars.col("kind") == "diagnostic")["regret"].min()
    assert pick(many[0], axis="architecture", kind="selected")["regret"] >= best - 1e-12


def test_within_needs_the_warmups_on_both_sides_to_be_members() -> None:
    c = curve(0.02)
    sets = ([0.01, 0.02], [0.02])
    assert leaderboard.within(c, c.position(0.015), sets) == [True, False]
    assert leaderboard.within(c, c.position(0.02), sets) == [True, True]
    assert leaderboard.within(c, c.position(0.03), sets) == [False, False]
    assert leaderboard.within(c, c.position(0.0), ([0.0], None)) == [True, None]
    assert leaderboard.within(c, c.position(0.2), ([0.2], [])) == [True, False]


# Degenerate studies


def test_one_architecture_cannot_be_left_out() -> None:
    board, cells = leaderboard.leaderboard(*tables(synthetic.Design(needs=(0.02,))), SETTINGS)
    rows = board.filter(polars.col("axis") == "architecture")
    assert set(rows["verdict"]) == {CANNOT_SAY}
    assert rows["regret"].null_count() == rows.height
    assert set(cells["axis"]) == {"task"}


def test_one_seed_has_regrets_but_no_seed_interval() -> None:
    board, _ = leaderboard.leaderboard(*tables(synthetic.Design(seeds=1)), SETTINGS)
    best = pick(board, axis="architecture", predictor="best_constant")
    assert best["regret"] is not None
    assert (best["regret_low"], best["verdict"]) == (None, CANNOT_SAY)
    assert set(board.filter(polars.col("kind") == "other_seeds")["verdict"]) == {CANNOT_SAY}


def test_all_diverged_cannot_say() -> None:
    runs, diagnostics, plateaus = tables(synthetic.Design())
    runs = runs.with_columns(status=polars.lit("diverged"))
    board, cells = leaderboard.leaderboard(runs, diagnostics, plateaus, SETTINGS)
    assert set(board["verdict"]) == {CANNOT_SAY}
    assert cells.is_empty()


def test_no_diagnostics_leaves_the_constants() -> None:
    runs, diagnostics, plateaus = tables(synthetic.Design())
    board, _ = leaderboard.leaderboard(runs, diagnostics.head(0), plateaus, SETTINGS)
    assert set(board["kind"]) == {"constant", "selected"}


def test_a_diagnostic_that_some_cells_lack_is_compared_on_the_cells_that_have_it() -> None:
    runs, diagnostics, plateaus = tables(synthetic.Design())
    lacking = diagnostics.with_columns(
        value=polars.when(~((polars.col("architecture") == "net00") & (polars.col("budget") == 10))).then("value")
    )
    board, _ = leaderboard.leaderboard(runs, lacking, plateaus, SETTINGS)
    row = pick(board, axis="architecture", predictor="early_spike", budget=10, map="log_linear", kind="diagnostic")
    assert (row["cells"], row["architectures"], row["note"]) == (9, 3, "3 cells have no value")


def test_missing_runs_leave_out_their_seed_alone() -> None:
    runs, diagnostics, plateaus = tables(synthetic.Design())
    fewer = runs.filter(~((polars.col("seed") == 2) & (polars.col("warmup") == 0.05)))
    data = predictors.study(fewer, diagnostics, SETTINGS)
    assert {tuple(seeds) for seeds in data.seeds.values()} == {(0, 1, 3, 4)}
    assert leaderboard.leaderboard(fewer, diagnostics, plateaus, SETTINGS)[0].height > 0


# Simulation


@pytest.mark.slow
def test_the_interval_for_unseen_architectures_covers_their_mean_difference() -> None:
    """Two fixed warmups compared over architectures drawn anew: the population's mean difference, 95 % nominal."""
    population = np.exp(np.random.default_rng(0).uniform(np.log(0.005), np.log(0.08), 4000)) - 0.003
    grid = np.array(synthetic.GRID)

    def difference(need: float) -> float:
        c = maps.Curve("n", "t", "r", 1000, 0.005, grid, 2.0 + 0.1 * synthetic.bowl(grid, need)[None])
        return float((c.at(c.position(0.05)) - c.at(c.position(0.02))).mean()) / float(c.values.mean(0).min())

    truth = float(np.mean([difference(need) for need in population]))
    covered = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        design = synthetic.Design(needs=tuple(rng.choice(population, 8).tolist()), tasks=1, seeds=3)
        data = predictors.study(synthetic.runs(design, rng), synthetic.diagnostics(design, rng), SETTINGS)
        ends = [[c.at(c.position(w)) / abs(c.values.mean(0).min()) for c in data.curves] for w in (0.05, 0.02)]
        per_seed = [a - b for a, b in zip(*ends, strict=True)]
        row = leaderboard._differences("d", per_seed, [c.architecture for c in data.curves], 0.95)
        covered += row["d_new_low"] <= truth <= row["d_new_high"]
    assert covered / 400 >= 0.93 - 0.01


@pytest.mark.slow
def test_the_seed_interval_covers_the_difference_of_these_very_cells() -> None:
    covered = 0
    grid = np.array(synthetic.GRID)
    design = synthetic.Design(tasks=2, seeds=3)
    exact = [2.0 * (1 + task) + design.effect * synthetic.bowl(grid, need) for need in design.needs for task in (0, 1)]
    shapes = [maps.Curve("n", "t", "r", 1000, 0.005, grid, values[None]) for values in exact]
    truth = np.mean([(c.at(c.position(0.05)) - c.at(c.position(0.0)))[0] / c.values.min() for c in shapes])
    for seed in range(500):
        rng = np.random.default_rng(seed)
        data = predictors.study(synthetic.runs(design, rng), synthetic.diagnostics(design, rng), SETTINGS)
        per_seed = [(c.at(c.position(0.05)) - c.at(c.position(0.0))) / abs(c.values.mean(0).min()) for c in data.curves]
        row = leaderboard._differences("d", per_seed, [c.architecture for c in data.curves], 0.95)
        covered += row["d_low"] <= truth <= row["d_high"]
    assert covered / 500 >= 0.93


@pytest.mark.slow
def test_shuffling_has_the_size_it_promises() -> None:
    """Uninformative diagnostics: the share of p below 0.1 is at most 0.1 within Monte-Carlo error."""
    found = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        design = synthetic.Design(needs=tuple(rng.permutation(MANY)[:7].tolist()), tasks=1, seeds=2, informative=False)
        data = predictors.study(synthetic.runs(design, rng), synthetic.diagnostics(design, rng), SETTINGS)
        predictor = predictors.Predictor("noise_scale", "diagnostic", 100, "log_linear")
        row = leaderboard._shuffled("architecture", predictor, data, SETTINGS, rng)
        found.append(row["p_value"])
    assert np.mean(np.array(found) <= 0.1) <= 0.1 + 2.5 * np.sqrt(0.09 / 120)


@pytest.mark.slow
def test_limits_of_a_regret_hold_where_warmups_are_alike_or_nearly_so() -> None:
    for check in board_checks.checks(seeds=5, studies=300):
        assert check.plausible, check
