"""Mixed model of all cells: log(outcome) ~ spline(log(W + W0)) x architecture x task + (1 | group), by statsmodels.

Fitted twice per recipe: `group` = seed, as the study declares it, and `group` = world (architecture, task, seed), which
is what warmups are paired within. Every cell has a curve of its own, so that tasks in which warmup acts otherwise do
not pass for noise; factors are coded by their deviation from the mean, so that what is said of architectures holds on
average over tasks, and the other way round. Effects are relative changes of the outcome against the reference warmup.

The model assumes one residual spread for all cells, which trainings do not have; with one architecture three times as
noisy its F tests reject a true null in 10 to 16 % of studies, and weights estimated from few seeds make that worse. So
a test's p is taken from a parametric bootstrap in which cells and warmups keep their spread (`p_model`: F test alone).
Anything but a clean fit says "cannot say".
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars
from scipy import special

from warmup.statistics.base.intervals import CANNOT_SAY, Floats, t_quantile
from warmup.statistics.base.outcomes import CELL, with_outcome
from warmup.statistics.base.pairing import arm_variances, residual_mean_square

GROUPINGS: dict[str, tuple[str, ...]] = {"seed": ("seed",), "world": ("architecture", "task", "seed")}
FEWEST_GROUPS_FOR_VARIANCE = 5
"""Below this many groups their variance is not reported: it would rest on fewer than four degrees of freedom."""
FEWEST_SEEDS = 3
"""With two seeds the tests reject a true null too often where warmups differ in spread (0.1; docs/statistics.md)."""
OPTIMISER = "powell"
"""statsmodels' default (bfgs first) stops short of the maximum, or at a singular matrix, where a variance is small."""
ON_AVERAGE = {"task": ", on average over tasks", "architecture": ", on average over architectures"}
SMALLEST_ARM_VARIANCE = 0.01
"""Floor of a warmup's variance relative to its cell's in the bootstrap."""
BOUNDARY = 1e-6
"""A group variance below this share of the residual one counts as zero."""


class NoModelError(Exception):
    """Why the model cannot be fitted or must not be read."""


@dataclass(frozen=True)
class Fit:
    """A fitted model: fixed effects [p] with covariance [p, p], residual and group variance, denominators' df."""

    names: list[str]
    effects: Floats
    covariance: Floats
    residual_variance: float
    group_variance: float
    freedom: int
    groups: int
    observations: int
    design: Any
    fixed: Floats
    group: Any


def mixed_model(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """Tests, effects and variances (TABLE) of the model for each recipe and grouping."""
    table = with_outcome(runs, settings["outcome"]).drop_nulls("outcome")
    rows: list[dict[str, Any]] = []
    for part in table.partition_by("recipe", maintain_order=True):
        for grouping in GROUPINGS:
            head = {"recipe": part["recipe"][0], "grouping": grouping, "confidence": settings["confidence"]}
            try:
                found = _rows(part, fit(part, grouping, settings), settings)
            except NoModelError as reason:
                found = [{"kind": "test", "verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {reason}"}]
            rows.extend(head | row for row in found)
    return polars.DataFrame([{name: row.get(name) for name in TABLE} for row in rows], schema=TABLE)


def formula(runs: polars.DataFrame, settings: Mapping[str, Any]) -> str:
    """Patsy formula of the fixed effects; factors with one level are left out."""
    knots = min(settings["mixed_model"]["spline_freedom"], runs["warmup"].n_unique() - 1)
    factors = [f"C({name}, Sum)" for name in ("architecture", "task") if runs[name].n_unique() > 1]
    return " * ".join([f"cr(position, df={knots}, constraints='center')", *factors])


def fit(runs: polars.DataFrame, grouping: str, settings: Mapping[str, Any]) -> Fit:
    """The model of one recipe's runs (with a column `outcome`); NoModelError where it cannot be had."""
    import patsy

    if runs["warmup"].n_unique() < 3:
        raise NoModelError(f"a spline needs three warmups, there are {runs['warmup'].n_unique()}")
    if runs["seed"].n_unique() < FEWEST_SEEDS:
        raise NoModelError(f"{runs['seed'].n_unique()} of the {FEWEST_SEEDS} seeds it needs to keep its size")
    if runs["outcome"].min() <= 0:  # type: ignore[operator]
        raise NoModelError("an outcome is not positive, so it has no logarithm")
    data = _columns(runs, settings)
    design = patsy.dmatrix(formula(runs, settings), data, return_type="matrix")
    fixed = np.asarray(design)
    group = runs.select(polars.struct(GROUPINGS[grouping]).rank("dense")).to_series().to_numpy()
    freedom = len(fixed) - fixed.shape[1] - int(group.max()) + 1
    if np.linalg.matrix_rank(fixed) < fixed.shape[1]:
        raise NoModelError("some combinations of architecture, task and warmup were not run")
    if freedom < 1:
        raise NoModelError(f"{len(fixed)} runs are too few for {fixed.shape[1]} coefficients and {group.max()} groups")
    ratio, effects, variance = _statsmodels(np.log(runs["outcome"].to_numpy()), fixed, group)
    information = fixed.T @ _solve(fixed, group, ratio)
    return Fit(
        design.design_info.column_names,
        effects,
        np.asarray(variance * np.linalg.inv(information), dtype=np.float64),
        variance,
        ratio * variance,
        freedom,
        int(group.max()),
        len(fixed),
        design.design_info,
        fixed,
        group,
    )


def _statsmodels(outcome: Floats, fixed: Floats, group: Any) -> tuple[float, Floats, float]:
    """REML fit: (group variance over residual variance, fixed effects, residual variance)."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    unit = float(outcome.std()) or 1.0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fit is judged below, by its own numbers
            result = MixedLM(outcome / unit, fixed, groups=group).fit(reml=True, method=OPTIMISER)
    except (np.linalg.LinAlgError, ValueError) as error:
        raise NoModelError(f"the fit failed ({error})") from error
    numbers = [*result.fe_params, result.scale, result.cov_re[0, 0]]
    if not result.converged or not np.isfinite(numbers).all() or result.scale <= 0:
        raise NoModelError("the fit did not converge")
    ratio = float(result.cov_re[0, 0] / result.scale)
    return max(0.0, ratio), np.asarray(result.fe_params) * unit, float(result.scale) * unit**2


def _solve(columns: Floats, group: Any, ratio: float) -> Floats:
    """V^-1 columns [n, m] for V = I + ratio 1 1' within groups (Sherman-Morrison)."""
    members = (group[:, None] == np.unique(group)).astype(np.float64)  # [n, groups]
    shrink = ratio / (1.0 + ratio * members.sum(axis=0))
    return np.asarray(columns - members @ (shrink[:, None] * (members.T @ columns)))


def null_statistics(runs: polars.DataFrame, found: Fit, indices: list[int], settings: Mapping[str, Any]) -> Floats:
    """F statistics [resamples] of the coefficients at `indices` where the truth is no effect at all.

    Drawn: normal noise with the cell's and the warmup's own spread, a world effect with the cell's own variance (all by
    the method of moments); the group variance ratio is held at its estimate.
    """
    generator = np.random.default_rng(settings["bootstrap"]["seed"])
    resamples = settings["bootstrap"]["resamples"]
    noise, worlds, world = _spreads(runs)
    draws = generator.standard_normal((len(runs), resamples)) * noise[:, None]
    draws += (generator.standard_normal((len(worlds), resamples)) * worlds[:, None])[world]
    ratio = found.group_variance / found.residual_variance
    weighted = _solve(found.fixed, found.group, ratio)
    inverse = np.linalg.inv(found.fixed.T @ weighted)
    effects = inverse @ (weighted.T @ draws)  # [p, resamples]
    left = draws - found.fixed @ effects
    variance = (left * _solve(left, found.group, ratio)).sum(axis=0) / (len(runs) - len(inverse))
    some = effects[indices]
    form = (some * np.linalg.solve(inverse[np.ix_(indices, indices)], some)).sum(axis=0)
    return np.asarray(form / len(indices) / variance)


def effect_covariance(runs: polars.DataFrame, found: Fit) -> Floats:
    """Covariance of the fixed effects [p, p] where cells and warmups have spreads of their own (sandwich form)."""
    noise, worlds, world = _spreads(runs)
    weighted = _solve(found.fixed, found.group, found.group_variance / found.residual_variance)
    bread = np.linalg.inv(found.fixed.T @ weighted) @ weighted.T  # [p, n]
    shared = bread @ (world[:, None] == np.arange(len(worlds))).astype(np.float64)
    return np.asarray((bread * noise**2) @ bread.T + (shared * worlds**2) @ shared.T)


def _spreads(runs: polars.DataFrame) -> tuple[Floats, Floats, Any]:
    """sd of the noise of each run [n], sd of each world's effect [worlds], index of each run's world [n].

    Noise: its cell's residual spread times its warmup's relative spread, the latter averaged over all cells.
    """
    noise = np.empty(len(runs))
    worlds: list[float] = []
    world = np.empty(len(runs), dtype=np.int64)
    relative: dict[float, list[float]] = {}
    for part in runs.with_row_index("row").partition_by(list(CELL), maintain_order=True):
        wide = part.sort("warmup").pivot("warmup", index="seed", values="outcome").drop("seed").drop_nulls()
        if wide.height < 2 or wide.width < 2:
            raise NoModelError(f"the cell {part['architecture'][0]}, {part['task'][0]} has no two complete seeds")
        values = np.log(wide.to_numpy())
        square = residual_mean_square(values)
        if not square > 0.0:
            raise NoModelError("the outcomes of a cell do not vary between seeds")
        shared = max(0.0, float(values.mean(axis=1).var(ddof=1)) - square / wide.width)
        rows = part["row"].to_numpy()
        noise[rows] = square**0.5
        world[rows] = len(worlds) + part["seed"].rank("dense").to_numpy() - 1
        worlds.extend([shared**0.5] * part["seed"].n_unique())
        for warmup, share in zip(wide.columns, arm_variances(values) / square, strict=True):
            relative.setdefault(float(warmup), []).append(float(share))
    arm = {warmup: max(SMALLEST_ARM_VARIANCE, float(np.mean(shares))) ** 0.5 for warmup, shares in relative.items()}
    return noise * np.array([arm[warmup] for warmup in runs["warmup"]]), np.array(worlds), world


def _columns(runs: polars.DataFrame, settings: Mapping[str, Any]) -> dict[str, Any]:
    position = np.log(runs["warmup"].to_numpy() + settings["log_offset"])
    return {
        "position": position,
        "architecture": runs["architecture"].to_list(),
        "task": runs["task"].to_list(),
    }


def _rows(runs: polars.DataFrame, found: Fit, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    common = {"n": found.observations, "groups": found.groups}
    rows = [*tests(runs, found, settings), *_variances(found), *effects(runs, found, settings)]
    return [common | row for row in rows]


def tests(runs: polars.DataFrame, found: Fit, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the three questions: has warmup an effect at all, does it differ between architectures, between tasks?"""
    spline = [index for index, name in enumerate(found.names) if name.startswith("cr(")]

    def crossed(factor: str, averaged: str) -> list[int]:
        return [
            index
            for index in spline
            if f"C({factor}" in found.names[index] and f"C({averaged}" not in found.names[index]
        ]

    questions = {
        "warmup has an effect in some architecture and task": (spline, "architecture"),
        f"the effect of warmup differs between architectures{ON_AVERAGE['task']}": (
            crossed("architecture", "task"),
            "architecture",
        ),
        f"the effect of warmup differs between tasks{ON_AVERAGE['architecture']}": (
            crossed("task", "architecture"),
            "task",
        ),
    }
    return [
        {"kind": "test", "term": term}
        | (_test(indices, runs, found, settings) if indices else _cannot(f"one {factor} only"))
        for term, (indices, factor) in questions.items()
    ]


def _test(indices: list[int], runs: polars.DataFrame, found: Fit, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Wald F test that the coefficients at `indices` are all zero, with its bootstrap p."""
    some = found.effects[indices]
    statistic = float(some @ np.linalg.solve(found.covariance[np.ix_(indices, indices)], some)) / len(indices)
    null = null_statistics(runs, found, indices, settings)
    return {
        "statistic": statistic,
        "freedom": len(indices),
        "freedom_residual": found.freedom,
        "p": float(((null >= statistic).sum() + 1) / (len(null) + 1)),
        "p_model": float(special.fdtrc(len(indices), found.freedom, statistic)),
        "verdict": "ok",
        "note": "",
    }


def _variances(found: Fit) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"kind": "variance", "term": "residual", "estimate": found.residual_variance, "verdict": "ok", "note": ""}
    ]
    for term, value in (
        ("group", found.group_variance),
        ("share of the group (ICC)", found.group_variance / (found.group_variance + found.residual_variance)),
    ):
        row: dict[str, Any] = {"kind": "variance", "term": term}
        if found.groups < FEWEST_GROUPS_FOR_VARIANCE:
            row |= _cannot(f"{found.groups} groups do not determine a variance")
        else:
            zero = found.group_variance < BOUNDARY * found.residual_variance
            row |= {"estimate": value, "verdict": "ok", "note": "estimated as zero" if zero else ""}
        rows.append(row)
    return rows


def effects(runs: polars.DataFrame, found: Fit, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Relative change of the outcome at each warmup against the reference, per architecture, on average over tasks."""
    import patsy

    reference, offset = settings["reference"], settings["log_offset"]
    tasks = runs["task"].unique(maintain_order=True).to_list()
    grid = [
        (architecture, warmup)
        for architecture in runs["architecture"].unique(maintain_order=True)
        for warmup in runs.filter(architecture=architecture)["warmup"].unique().sort()
        if warmup != reference
    ]

    def rows_at(points: list[tuple[str, float]]) -> Floats:
        def of(task: str) -> Floats:
            data = {
                "position": np.log(np.array([warmup for _, warmup in points]) + offset),
                "architecture": [architecture for architecture, _ in points],
                "task": [task] * len(points),
            }
            return np.asarray(patsy.build_design_matrices([found.design], data)[0])

        return np.asarray(np.mean([of(task) for task in tasks], axis=0))

    if reference not in runs["warmup"].to_list():
        return [{"kind": "effect", **_cannot(f"the reference warmup {reference:g} was not run")}]
    contrasts = rows_at(grid) - rows_at([(architecture, reference) for architecture, _ in grid])
    change = contrasts @ found.effects
    errors = np.sqrt(np.einsum("ip,pq,iq->i", contrasts, effect_covariance(runs, found), contrasts))
    freedom = [_own_freedom(runs.filter(architecture=architecture)) for architecture, _ in grid]
    reach = np.array([t_quantile(0.5 + settings["confidence"] / 2.0, own) for own in freedom]) * errors
    return [
        {
            "kind": "effect",
            "term": f"relative change of the outcome{ON_AVERAGE['task']}",
            "architecture": architecture,
            "warmup": warmup,
        }
        | {"reference": reference, "estimate": float(np.expm1(change[i]))}
        | {"low": float(np.expm1(change[i] - reach[i])), "high": float(np.expm1(change[i] + reach[i]))}
        | {"verdict": "ok", "note": ""}
        for i, (architecture, warmup) in enumerate(grid)
    ]


def _own_freedom(runs: polars.DataFrame) -> int:
    """Residual degrees of freedom of one architecture's cells: (seeds - 1) (warmups - 1) for each."""
    parts = runs.partition_by(list(CELL))
    return sum((part["seed"].n_unique() - 1) * (part["warmup"].n_unique() - 1) for part in parts)


def _cannot(reason: str) -> dict[str, str]:
    return {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {reason}"}


TABLE: dict[str, polars.DataType] = {
    **{name: polars.String() for name in ("recipe", "grouping", "kind", "term", "architecture")},
    **{
        name: polars.Float64() for name in ("warmup", "reference", "estimate", "low", "high", "confidence", "statistic")
    },
    "freedom": polars.Int64(),
    "freedom_residual": polars.Int64(),
    "p": polars.Float64(),
    "p_model": polars.Float64(),
    "n": polars.Int64(),
    "groups": polars.Int64(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the mixed_model table; `kind`: test (F, p), variance (of log outcome), effect (relative change).

`p` is the bootstrap's, `p_model` the F distribution's; limits of effects keep the spread of each cell and warmup."""
