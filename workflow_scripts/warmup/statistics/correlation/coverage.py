"""How often intervals of the correlation cover, and tests reject a true null, at the size of this design.

Two models. *Seeds*: the observed cell means are the truth, seeds are drawn from the observed residuals; the interval
should cover the coefficient of the noiseless cells. *Architectures*: log spike ratio and need are bivariate normal
over architectures with an intraclass correlation `icc` between the tasks of one architecture, and each need is taken to
the optimum that was measured at its rank, so that the grid and the noise of the seeds are in the simulated optima as
they are in the study's; the interval should cover the population's coefficient of the *measured* optimum, the least
favourable of several. Out: {(measure, method): {coverage,
coverage_error, size, size_error}}.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from warmup.statistics.correlation import association
from warmup.statistics.correlation import methods as methods
from warmup.statistics.correlation.association import MEASURES, Floats, Points

TRUTHS = (0.0, 0.5, 0.9, 0.97)
"""Population coefficients of the normal variables at which coverage is simulated; the least counts."""
SEED_DRAWS = 199
CLUSTER_DRAWS = 199
PERMUTATION_DRAWS = 100
QUANTILES = 20_000
"""Points of a normal distribution over which population coefficients are averaged."""

Found = dict[tuple[str, str], dict[str, Any]]


def simulate(points: Points, settings: Mapping[str, Any]) -> Found:
    """Coverage and size of all methods for this design; `settings` is the section `prediction`."""
    rng = np.random.default_rng(methods.RANDOM_SEED)
    found = seeds(points, settings, rng)
    for measure in MEASURES:
        found |= clusters(measure, points, settings, rng)
    return found


def seeds(points: Points, settings: Mapping[str, Any], rng: np.random.Generator) -> Found:
    """Coverage of the seed bootstrap, for every measure, of the coefficient of the observed cell means."""
    pools = methods.residual_pools(points)
    if pools is None:
        return {(measure, "seed_bootstrap"): {"note": "seed noise cannot be estimated"} for measure in MEASURES}
    tasks, folds = association.task_matrix(points.tasks), methods.folds_of(points, settings)
    means = ([x.mean(keepdims=True) for x in points.x], [y.mean(0, keepdims=True) for y in points.y])
    target = association.fold_values(*means, points.warmups, 1)
    truth = {name: float(association.pooled(name, *target, tasks, points.offset)) for name in MEASURES}
    covered: dict[str, list[bool]] = {name: [] for name in MEASURES}
    x, y = methods.draw_seeds(points, pools, settings["seed_replicates"], rng)
    for replicate in range(settings["seed_replicates"]):
        rows = [
            (*row[:4], values[replicate], outcome[replicate])
            for row, values, outcome in zip(points.rows(), x, y, strict=True)
        ]
        again = association.points(rows, points.offset)
        pool = methods.residual_pools(again)
        if pool is None:
            raise AssertionError("a study drawn from residuals has as many residuals as the study itself")
        drawn = association.fold_values(*methods.draw_seeds(again, pool, SEED_DRAWS, rng), points.warmups, folds)
        for name in MEASURES:
            value = methods.estimate(name, again, folds)
            draws = association.pooled(name, *drawn, tasks, points.offset)
            low, high = (None, None) if value is None else methods.basic(draws, value, settings["confidence"])
            covered[name].append(low is not None and high is not None and low <= truth[name] <= high)
    undefined = {"note": "the coefficient of the mean curves is undefined"}
    return {
        (name, "seed_bootstrap"): share(np.array(covered[name]), "coverage")
        if math.isfinite(truth[name])
        else undefined
        for name in MEASURES
    }


def clusters(measure: str, points: Points, settings: Mapping[str, Any], rng: np.random.Generator) -> Found:
    """Coverage of the cluster bootstrap and Fisher's interval, size of the permutation test and of the naive one."""
    tasks = association.task_matrix(points.tasks)
    confidence, replicates, count = settings["confidence"], settings["cluster_replicates"], len(points.names)
    weights = methods.cluster_weights(points, CLUSTER_DRAWS, rng)
    tail = 0.5 - confidence / 2
    optima = measured_optima(points, settings)
    bootstrap, classical = [], []
    for rho in TRUTHS:
        x, y = architectures_drawn(points, rho, settings["icc"], replicates, rng, settings["lineage_icc"])
        w, truth = at_rank(y, optima), measured_truth(measure, rho, optima, points.offset)
        draws = np.stack(
            [association.coefficient(measure, x[i], w[i], tasks, points.offset, weights) for i in range(replicates)]
        )
        draws = draws[np.isfinite(draws).any(axis=1)]  # where every resample is undefined nothing would be said
        low, high = np.nanquantile(draws, [tail, 1 - tail], axis=1) if len(draws) else (np.empty(0), np.empty(0))
        bootstrap.append(share((low <= truth) & (truth <= high), "coverage") if len(draws) else {})
        found = association.coefficient(measure, x, w, tasks, points.offset)
        limits = [methods.fisher(float(value), count, confidence) for value in found if math.isfinite(value)]
        inside = [row["low"] <= truth <= row["high"] for row in limits if "low" in row]
        classical.append(share(np.array(inside), "coverage") if inside else {})
        if rho == 0.0:
            null = (x, y)
    return {
        (measure, "cluster_bootstrap"): min(bootstrap, key=lambda row: row.get("coverage", 1.0)),
        (measure, "fisher_clusters"): min(classical, key=lambda row: row.get("coverage", 1.0)),
        (measure, "permutation"): share(_permutation_rejects(measure, points, *null, settings, rng), "size"),
        (measure, "naive"): share(_naive_rejects(measure, points, *null, settings, rng), "size"),
    }


def within_lineages(points: Points, count: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Coverage of Fisher's interval of the correlation among relatives, the least over TRUTHS. `points` has a label of
    lineage and task in the place of each task; `count`: architectures less lineages, plus one."""
    rng = np.random.default_rng(methods.RANDOM_SEED)
    groups, found = association.task_matrix(points.tasks), []
    optima = measured_optima(points, settings)
    for rho in TRUTHS:
        x, y = architectures_drawn(
            points, rho, settings["icc"], settings["cluster_replicates"], rng, settings["lineage_icc"]
        )
        w = at_rank(y, optima)
        dx, dw = (association.less_group_means(part, np.ones(part.shape), groups) for part in (x, w))
        truth = float((dx * dw).sum() / math.sqrt((dx**2).sum() * (dw**2).sum()))
        values = association.coefficient("within_task", x, w, groups, 0.0)
        limits = [
            methods.fisher(float(value), count, settings["confidence"]) for value in values if math.isfinite(value)
        ]
        inside = [row["low"] <= truth <= row["high"] for row in limits if "low" in row]
        found.append(share(np.array(inside), "coverage") if inside else {})
    return min(found, key=lambda row: row.get("coverage", 1.0))


def measured_optima(points: Points, settings: Mapping[str, Any]) -> Floats:
    """Optima of all cells as they enter the coefficient, of every fold, in order of size."""
    return np.sort(methods.pairs(points, methods.folds_of(points, settings))[1].ravel())


def at_rank(normal: Floats, optima: Floats) -> Floats:
    """The optimum that has the rank among `optima` (sorted) which each standard normal number has among its like."""
    rank = (special.ndtr(normal) * len(optima)).astype(np.int64)
    return optima[np.minimum(rank, len(optima) - 1)]


def measured_truth(measure: str, rho: float, optima: Floats, offset: float) -> float:
    """Population coefficient of a normal x and the measured optimum of a normal y that correlates `rho` with x.

    E[x w] = rho E[y w], so Pearson's needs one average over y; for ranks x enters as its own rank, which is Phi(x), and
    E[Phi(x) | y] = Phi(rho y / sqrt(2 - rho^2)).
    """
    y = special.ndtri((np.arange(QUANTILES) + 0.5) / QUANTILES)
    w = at_rank(y, optima)
    if measure == "spearman":
        below, within = np.searchsorted(optima, w, "left"), np.searchsorted(optima, w, "right")
        w = (below + within) / 2.0 / len(optima)
        x, spread = special.ndtr(rho * y / math.sqrt(2.0 - rho * rho)), math.sqrt(1.0 / 12.0)
    else:
        x, spread = rho * y, 1.0
        if measure == "log_log":
            w = np.log(w + offset)
    return float(((x - x.mean()) * (w - w.mean())).mean() / (spread * w.std())) if w.std() > 0 else math.nan


def architectures_drawn(
    points: Points, rho: float, icc: float, draws: int, rng: np.random.Generator, lineage_icc: float = 0.0
) -> tuple[Floats, Floats]:
    """Standard normal x, y [draws, cells] with correlation `rho`.

    The share `icc` of each variance is common to an architecture's cells, and `lineage_icc` of that to its relatives'.
    """
    names = points.names
    row = [names.index(name) for name in points.architectures]

    def pair(size: tuple[int, int]) -> tuple[Floats, Floats]:
        first, second = rng.standard_normal((2, *size))
        return first, rho * first + math.sqrt(1.0 - rho * rho) * second

    shared, own = pair((draws, len(names))), pair((draws, points.cells))
    lineages = list(dict.fromkeys(points.lineages_of_names))
    if len(lineages) < len(names):
        family = [lineages.index(name) for name in points.lineages_of_names]
        kin = pair((draws, len(lineages)))
        first, second = (
            math.sqrt(lineage_icc) * common[:, family] + math.sqrt(1.0 - lineage_icc) * single
            for common, single in zip(kin, shared, strict=True)
        )
        shared = first, second
    x, y = (
        math.sqrt(icc) * common[:, row] + math.sqrt(1.0 - icc) * single
        for common, single in zip(shared, own, strict=True)
    )
    return x, y


def share(hits: Any, name: str) -> dict[str, Any]:
    """A share of hits with its Monte-Carlo standard error, never below that of one miss."""
    n = len(hits)
    value = float(np.mean(hits))
    return {name: value, f"{name}_error": max(math.sqrt(value * (1.0 - value) / n), 1.0 / n)}


def _linear(measure: str, x: Floats, y: Floats, tasks: Floats, weights: Floats | None = None) -> Floats:
    """The measure on normal variables, which stand for the optimum on whatever scale the measure takes it."""
    return association.coefficient("pearson" if measure == "log_log" else measure, x, y, tasks, 0.0, weights)


def _permutation_rejects(
    measure: str, points: Points, x: Floats, y: Floats, settings: Mapping[str, Any], rng: np.random.Generator
) -> Floats:
    order, _ = methods.permutations(len(points.names), PERMUTATION_DRAWS, rng)
    order = (
        order
        if len(order) <= PERMUTATION_DRAWS
        else np.vstack([order[:1], rng.permutation(order[1:])[: PERMUTATION_DRAWS - 1]])
    )
    giver, present = methods.permuted(points, order)
    tasks = association.task_matrix(points.tasks)
    rejected = []
    for spike, best in zip(x, y, strict=True):
        draws = _linear(measure, spike[giver], best, tasks, present)
        rejected.append(methods.permutation_p(draws, float(draws[0]))["p_value"] <= 1 - settings["confidence"] + 1e-12)
    return np.array(rejected, dtype=np.float64)


def _naive_rejects(
    measure: str, points: Points, x: Floats, y: Floats, settings: Mapping[str, Any], rng: np.random.Generator
) -> Floats:
    """Seeds scatter about their cell with the variance that leaves `icc` to the cell."""
    counts = [len(values) for values in points.x]
    cell = np.repeat(np.arange(points.cells), counts)
    names = [points.tasks[index] for index in cell]
    icc = settings["icc"]
    keep, noise = math.sqrt(icc), math.sqrt(1.0 - icc)
    spread_x, spread_y = (keep * part[:, cell] + noise * rng.standard_normal((len(part), len(cell))) for part in (x, y))
    r = _linear(measure, spread_x, spread_y, association.task_matrix(names))
    n = len(cell)
    critical = float(special.stdtrit(n - 2, 0.5 + settings["confidence"] / 2))
    limit = critical / math.sqrt(n - 2 + critical**2)
    return (np.abs(r) > limit).astype(np.float64)
