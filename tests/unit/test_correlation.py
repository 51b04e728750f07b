"""The correlation agrees with scipy, withholds what it cannot support, and says why."""

import itertools
import math
from typing import Any

import numpy as np
import polars
import pytest
from known_truth import correlation_checks
from known_truth import trained_tables as synthetic
from scipy import stats

from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.correlation import association, correlation, coverage
from warmup.statistics.correlation import methods as methods

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "log_offset": 0.005,
    "folds": 5,
    "bootstrap": 300,
    "permutations": 300,
    "seed_replicates": 25,
    "cluster_replicates": 150,
    "icc": 0.9,
    "lineage_icc": 0.5,
    "coverage_tolerance": 0.02,
}
MANY = tuple(np.geomspace(0.002, 0.08, 12).tolist())


def table(design: synthetic.Design, seed: int = 1, **settings: Any) -> polars.DataFrame:
    rng = np.random.default_rng(seed)
    runs, spikes = synthetic.runs(design, rng), synthetic.spike_ratios(design, rng)
    return correlation.correlation_table(runs, spikes, SETTINGS | settings)


def rows(found: polars.DataFrame, **where: str) -> polars.DataFrame:
    return found.filter(*[polars.col(name) == value for name, value in where.items()])


def one(found: polars.DataFrame, **where: str) -> dict[str, Any]:
    picked = rows(found, **where)
    assert picked.height == 1, where
    return picked.row(0, named=True)


@pytest.fixture(scope="module")
def four() -> polars.DataFrame:
    return table(synthetic.Design())


def test_relatives_are_no_independent_architectures() -> None:
    """Twelve architectures of four lineages: Fisher's interval over twelve falls short of its level, and is withheld;
    among relatives, with a freedom less per lineage, it holds."""
    rng = np.random.default_rng(1)
    design = synthetic.Design(needs=MANY, seeds=6)
    runs, spikes = synthetic.runs(design, rng), synthetic.spike_ratios(design, rng)
    groups = {f"net{index:02d}": f"net{index % 4:02d}" for index in range(12)}
    related = runs.with_columns(lineage=polars.col("architecture").replace(groups))
    settings = SETTINGS | {"lineage_icc": 0.9, "cluster_replicates": 400}
    alone, together = (correlation.correlation_table(frame, spikes, settings) for frame in (runs, related))
    where = {"measure": "pearson", "level": "cross_fitted", "scope": "all", "method": "fisher_clusters"}
    assert one(alone, **where)["verdict"] == "ok"
    withheld = one(together, **where)
    assert withheld["verdict"] == CANNOT_SAY and withheld["coverage"] < 0.9 and withheld["low"] is None
    assert rows(alone, measure="within_lineage").is_empty()
    inside = one(together, measure="within_lineage")
    assert inside["verdict"] == "ok" and inside["coverage"] > 0.92 and inside["low"] > 0


def test_pearson_and_spearman_agree_with_scipy() -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=15), rng.choice([0.0, 0.01, 0.02, 0.05], 15)
    tasks = association.task_matrix(["a"] * 15)
    assert association.coefficient("pearson", x, w, tasks, 0.005) == pytest.approx(stats.pearsonr(x, w).statistic)
    assert association.coefficient("spearman", x, w, tasks, 0.005) == pytest.approx(stats.spearmanr(x, w).statistic)
    logs = np.log(w + 0.005)
    assert association.coefficient("log_log", x, w, tasks, 0.005) == pytest.approx(stats.pearsonr(x, logs).statistic)


def test_within_task_takes_the_task_means_out() -> None:
    rng = np.random.default_rng(4)
    names = ["a"] * 6 + ["b"] * 6
    x, w = rng.normal(size=12), rng.random(12)
    shift = np.array([0.0] * 6 + [100.0] * 6)
    tasks = association.task_matrix(names)
    plain = association.coefficient("within_task", x, w, tasks, 0.005)
    assert association.coefficient("within_task", x + shift, w - shift, tasks, 0.005) == pytest.approx(plain)
    group = np.array(names)
    left = [np.concatenate([v[group == name] - v[group == name].mean() for name in "ab"]) for v in (x, w)]
    assert plain == pytest.approx(stats.pearsonr(*left).statistic)


@pytest.mark.parametrize("measure", association.MEASURES)
def test_whole_number_weights_are_repetitions(measure: str) -> None:
    rng = np.random.default_rng(5)
    x, w, weights = rng.normal(size=8), rng.random(8), np.array([1.0, 2, 0, 3, 1, 1, 0, 2])
    names = list("aabbaabb")
    repeated = np.repeat(np.arange(8), weights.astype(int))
    found = association.coefficient(measure, x, w, association.task_matrix(names), 0.005, weights)
    again = association.task_matrix([names[index] for index in repeated])
    expected = association.coefficient(measure, x[repeated], w[repeated], again, 0.005)
    assert found == pytest.approx(float(expected))


@pytest.mark.parametrize("measure", association.MEASURES)
def test_no_variation_is_undefined_rather_than_zero(measure: str) -> None:
    tasks = association.task_matrix(["a"] * 5)
    assert math.isnan(association.coefficient(measure, np.full(5, 0.3), np.arange(5.0), tasks, 0.005))
    assert math.isnan(association.coefficient(measure, np.arange(5.0), np.full(5, 0.02), tasks, 0.005))


def test_cross_fitting_never_pairs_a_seed_with_itself() -> None:
    x = np.arange(10.0)
    y = np.zeros((10, 3))
    spike, best = association.fold_values([x], [y], [np.array([0.0, 0.1, 0.2])], 5)
    assert spike[:, 0] == pytest.approx([2.5, 3.5, 4.5, 5.5, 6.5])
    for fold in range(5):  # outcomes of the fold's own seeds may be anything
        changed = y.copy()
        changed[np.arange(10) % 5 == fold, 0] = 1e9
        assert association.fold_values([x], [changed], [np.array([0.0, 0.1, 0.2])], 5)[1][fold, 0] == best[fold, 0]


def test_the_table_holds_every_measure_level_scope_and_method(four: polars.DataFrame) -> None:
    for measure in association.MEASURES:
        for method in correlation.METHODS:
            assert one(four, measure=measure, level="cross_fitted", scope="all", method=method)
        assert one(four, measure=measure, level="same_seeds", scope="all", method="none")["estimate"] is not None
        assert one(four, measure=measure, level="seeds", scope="all", method="naive")["verdict"] == "naive"
        left_out = rows(four, measure=measure, method="none").filter(polars.col("scope") != "all")
        assert left_out["scope"].to_list() == [f"without net0{index}" for index in range(4)]


def test_four_architectures_can_support_little(four: polars.DataFrame) -> None:
    test = one(four, measure="pearson", method="permutation")
    assert test["smallest_p"] == pytest.approx(1 / 24)
    assert test["exact"]
    cautious = one(four, measure="pearson", method="fisher_clusters")
    z = math.atanh(cautious["estimate"])
    assert cautious["low"] == pytest.approx(math.tanh(z - 1.959964), abs=1e-6)
    assert one(four, measure="pearson", method="cluster_bootstrap")["verdict"] == CANNOT_SAY


def test_fisher_with_four_clusters_is_the_interval_that_the_science_page_quotes() -> None:
    found = methods.fisher(0.94, 4, 0.95)
    assert found["low"] == pytest.approx(-0.22, abs=0.01)
    assert found["high"] == pytest.approx(0.999, abs=0.001)


def test_what_cannot_be_said_has_a_reason_and_no_limits(four: polars.DataFrame) -> None:
    silent = rows(four, verdict=CANNOT_SAY)
    assert silent["note"].null_count() == 0
    assert silent["low"].null_count() == silent["high"].null_count() == silent.height
    short = silent.filter(polars.col("coverage").is_not_null(), polars.col("note").str.contains("covers"))
    assert (short["coverage"] + short["coverage_error"] < 0.93).all()
    spoken = rows(four, verdict="ok").filter(polars.col("low").is_not_null())
    assert (spoken["coverage"] + spoken["coverage_error"] >= 0.93).all()


def test_the_naive_version_is_shown_with_its_simulated_size(four: polars.DataFrame) -> None:
    naive = one(four, measure="pearson", method="naive")
    assert naive["size"] > 0.3
    assert f"rejects a true null {naive['size']:.0%} of the time" in naive["note"]
    assert naive["p_value"] < 1e-6


def test_a_planted_association_over_twelve_architectures_is_found() -> None:
    found = table(synthetic.Design(needs=MANY, tasks=2, seeds=3))
    assert one(found, measure="pearson", method="fisher_clusters")["low"] > 0.3
    assert one(found, measure="pearson", method="permutation")["p_value"] < 0.01


def test_exact_permutations_agree_with_enumeration() -> None:
    rng = np.random.default_rng(6)
    design = synthetic.Design(tasks=1)
    points, _ = correlation.design(synthetic.runs(design, rng), synthetic.spike_ratios(design, rng), SETTINGS)
    spike, best = methods.pairs(points, 1)
    value = methods.estimate("pearson", points, 1)
    every = [stats.pearsonr(spike[0][list(order)], best[0]).statistic for order in itertools.permutations(range(4))]
    found = correlation._permutation("pearson", points, 1, value, SETTINGS)
    assert found["p_value"] == pytest.approx(np.mean(np.array(every) >= value - 1e-9))


def test_permutation_moves_whole_architectures_and_drops_missing_cells() -> None:
    rng = np.random.default_rng(7)
    design = synthetic.Design(tasks=2)
    runs = synthetic.runs(design, rng).filter(
        ~((polars.col("architecture") == "net02") & (polars.col("task") == "task1"))
    )
    points, _ = correlation.design(runs, synthetic.spike_ratios(design, rng), SETTINGS)
    assert points.cells == 7
    order = np.array([[0, 1, 2, 3], [2, 1, 0, 3]])
    giver, present = methods.permuted(points, order)
    assert giver[0].tolist() == list(range(7))
    assert present[0].tolist() == [1.0] * 7
    assert present[1].tolist() == [1, 0, 1, 1, 1, 1, 1]


# Degenerate studies: one architecture, one seed, ties, divergence, missing runs, nothing at all.


def test_one_architecture_cannot_say() -> None:
    found = table(synthetic.Design(needs=(0.02,)))
    assert set(found["verdict"]) == {CANNOT_SAY}
    assert "one architecture" in found["note"][0]


def test_one_seed_is_said_not_to_be_cross_fitted() -> None:
    found = table(synthetic.Design(seeds=1))
    assert (
        found.filter(polars.col("level") == "cross_fitted").is_empty()
        or (found.filter(polars.col("level") == "cross_fitted")["scope"] != "all").all()
    )
    assert one(found, measure="pearson", method="fisher_clusters")["level"] == "same_seeds"
    assert one(found, measure="pearson", method="seed_bootstrap")["verdict"] == CANNOT_SAY


def test_two_seeds_borrow_residuals_from_their_task() -> None:
    rng = np.random.default_rng(8)
    design = synthetic.Design(seeds=2)
    points, _ = correlation.design(synthetic.runs(design, rng), synthetic.spike_ratios(design, rng), SETTINGS)
    pools = methods.residual_pools(points)
    assert pools is not None
    assert {len(x) for x, _ in pools} == {8}


def test_equal_optima_everywhere_cannot_say() -> None:
    found = table(synthetic.Design(needs=(0.02,) * 4, noise=1e-6))
    row = one(found, measure="pearson", scope="all", method="fisher_clusters")
    assert row["verdict"] == CANNOT_SAY
    assert row["note"] == "the spike ratio or the optimum is the same in all cells"


def test_cells_without_spike_ratio_are_left_out_and_named() -> None:
    rng = np.random.default_rng(9)
    design = synthetic.Design()
    spikes = synthetic.spike_ratios(design, rng).with_columns(
        log_spike_ratio=polars.when(polars.col("architecture") != "net00").then("log_spike_ratio")
    )
    found = correlation.correlation_table(synthetic.runs(design, rng), spikes, SETTINGS)
    assert found["cells"].unique().to_list() == [9]
    assert "net00 task0 adamw: 0 of 5 seeds" in found["left_out"][0]


def test_all_diverged_cannot_say() -> None:
    rng = np.random.default_rng(10)
    design = synthetic.Design()
    runs = synthetic.runs(design, rng).with_columns(status=polars.lit("diverged"))
    found = correlation.correlation_table(runs, synthetic.spike_ratios(design, rng), SETTINGS)
    assert set(found["verdict"]) == {CANNOT_SAY}


def test_an_empty_study_gives_a_table_that_cannot_say() -> None:
    rng = np.random.default_rng(11)
    design = synthetic.Design()
    found = correlation.correlation_table(
        synthetic.runs(design, rng).head(0), synthetic.spike_ratios(design, rng).head(0), SETTINGS
    )
    assert set(found["verdict"]) == {CANNOT_SAY}
    assert found["cells"].unique().to_list() == [0]


def test_equal_data_give_equal_tables() -> None:
    design = synthetic.Design(tasks=1, seeds=3)
    assert table(design).equals(table(design))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_on_a_fine_grid_the_measured_coefficient_is_the_normal_one(rho: float) -> None:
    fine = stats.norm.ppf((np.arange(5000) + 0.5) / 5000)
    assert coverage.measured_truth("pearson", rho, fine, 0.0) == pytest.approx(rho, abs=2e-3)
    ranks = 6.0 / math.pi * math.asin(rho / 2.0)
    assert coverage.measured_truth("spearman", rho, fine, 0.0) == pytest.approx(ranks, abs=2e-3)


def test_a_coarse_grid_pulls_the_measured_coefficient_towards_zero() -> None:
    coarse = np.array([0.0, 0.0, 0.0, 0.02, 0.02, 0.1])
    for measure in ("pearson", "spearman", "log_log"):
        rng = np.random.default_rng(3)
        x, y = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 20_000).T
        w = coverage.at_rank(y, coarse)
        direct = {
            "pearson": lambda x=x, w=w: stats.pearsonr(x, w),
            "spearman": lambda x=x, w=w: stats.spearmanr(x, w),
            "log_log": lambda x=x, w=w: stats.pearsonr(x, np.log(w + 0.005)),
        }[measure]()
        found = coverage.measured_truth(measure, 0.9, coarse, 0.005)
        assert found == pytest.approx(direct.statistic, abs=0.015)
        assert found < 0.87


def test_limits_for_the_true_optimum_keep_the_one_nearer_to_zero() -> None:
    for limits, kept in (((0.2, 0.9), (0.2, 1.0)), ((-0.9, -0.2), (-1.0, -0.2)), ((-0.1, 0.6), (-1.0, 1.0))):
        found = correlation.noiseless(*limits)
        assert (found["noiseless_low"], found["noiseless_high"]) == kept


# Simulation: coverage and size of what is reported as a number.


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [4, 12])
def test_fisher_over_clusters_covers_and_permutation_keeps_its_size(clusters: int) -> None:
    """Cells are correlated within architectures; nominal 95 %, so coverage 93 % at least, size 5 % at most."""
    rng = np.random.default_rng(12)
    design = synthetic.Design(needs=MANY[:clusters], tasks=3, seeds=3)
    points, _ = correlation.design(synthetic.runs(design, rng), synthetic.spike_ratios(design, rng), SETTINGS)
    more = SETTINGS | {"cluster_replicates": 1000, "icc": 0.9}
    for measure in ("pearson", "spearman"):
        found = coverage.clusters(measure, points, more, rng)
        cautious = found[measure, "fisher_clusters"]
        assert cautious["coverage"] + 2 * cautious["coverage_error"] >= 0.93
        test = found[measure, "permutation"]
        assert test["size"] <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 1000)
        assert found[measure, "naive"]["size"] > 0.3
        assert found[measure, "cluster_bootstrap"]["coverage"] < 0.95


@pytest.mark.slow
def test_the_permutation_test_keeps_its_size_on_whole_studies_without_association() -> None:
    rejected = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        needs = tuple(rng.permutation(np.geomspace(0.002, 0.08, 5)).tolist())
        design = synthetic.Design(needs=needs, tasks=2, seeds=3, informative=False)
        points, _ = correlation.design(synthetic.runs(design, rng), synthetic.spike_ratios(design, rng), SETTINGS)
        value = methods.estimate("pearson", points, 3)
        if value is not None:
            rejected += correlation._permutation("pearson", points, 3, value, SETTINGS)["p_value"] <= 0.05
    assert rejected / 300 <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.slow
def test_fisher_over_clusters_covers_zero_on_whole_studies_without_association() -> None:
    covered, spoken = 0, 0
    for seed in range(300):
        rng = np.random.default_rng(1000 + seed)
        needs = tuple(rng.permutation(np.geomspace(0.002, 0.08, 8)).tolist())
        design = synthetic.Design(needs=needs, tasks=2, seeds=3, informative=False)
        points, _ = correlation.design(synthetic.runs(design, rng), synthetic.spike_ratios(design, rng), SETTINGS)
        value = methods.estimate("pearson", points, 3)
        if value is not None:
            limits = methods.fisher(value, 8, 0.95)
            spoken += 1
            covered += limits["low"] <= 0 <= limits["high"]
    assert spoken > 290
    assert covered / spoken >= 0.93


@pytest.mark.slow
def test_limits_hold_for_the_measured_optimum_and_noiseless_ones_for_the_true() -> None:
    for check in correlation_checks.checks(seeds=2, studies=300):
        assert check.plausible, check
