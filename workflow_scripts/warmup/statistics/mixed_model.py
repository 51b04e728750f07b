"""Mixed model of all cells: log(outcome) ~ spline(log(W + W0)) x architecture + task + (1 | group), by statsmodels.

Fitted twice per recipe: `group` = seed, as the study declares it, and `group` = world (architecture, task, seed), which
is what warmups are paired within. Effects are relative changes of the outcome against the reference warmup.

Runs are weighted by their cell's own residual spread (`weights: cell`), because one noisy architecture would otherwise
decide every test; then a group's effect counts in units of that spread. Anything but a clean fit says "cannot say".
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import polars
from scipy import special

from warmup.statistics.intervals import CANNOT_SAY, Floats, t_quantile
from warmup.statistics.outcomes import CELL, with_outcome
from warmup.statistics.pairing import residual_mean_square

GROUPINGS: dict[str, tuple[str, ...]] = {"seed": ("seed",), "world": ("architecture", "task", "seed")}
FEWEST_GROUPS_FOR_VARIANCE = 5
"""Below this many groups their variance is not reported: it would rest on fewer than four degrees of freedom."""
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
    spline = f"cr(position, df={knots}, constraints='center')"
    by_architecture = " * C(architecture)" if runs["architecture"].n_unique() > 1 else ""
    return spline + by_architecture + (" + C(task)" if runs["task"].n_unique() > 1 else "")


def fit(runs: polars.DataFrame, grouping: str, settings: Mapping[str, Any]) -> Fit:
    """The model of one recipe's runs (with a column `outcome`); NoModelError where it cannot be had."""
    import patsy

    if runs["warmup"].n_unique() < 3:
        raise NoModelError(f"a spline needs three warmups, there are {runs['warmup'].n_unique()}")
    if runs["seed"].n_unique() < 2:
        raise NoModelError("one seed has no spread")
    if runs["outcome"].min() <= 0:  # type: ignore[operator]
        raise NoModelError("an outcome is not positive, so it has no logarithm")
    data = _columns(runs, settings)
    design = patsy.dmatrix(formula(runs, settings), data, return_type="matrix")
    fixed = numpy.asarray(design)
    group = runs.select(polars.struct(GROUPINGS[grouping]).rank("dense")).to_series().to_numpy()
    freedom = len(fixed) - fixed.shape[1] - int(group.max()) + 1
    if numpy.linalg.matrix_rank(fixed) < fixed.shape[1]:
        raise NoModelError("some combinations of architecture, task and warmup were not run")
    if freedom < 1:
        raise NoModelError(f"{len(fixed)} runs are too few for {fixed.shape[1]} coefficients and {group.max()} groups")
    weights = 1.0 / _spread(runs, settings)
    outcome = numpy.log(runs["outcome"].to_numpy()) * weights
    ratio, effects, variance = _statsmodels(outcome, fixed * weights[:, None], group)
    information = _information(fixed * weights[:, None], group, ratio)
    return Fit(
        design.design_info.column_names,
        effects,
        numpy.asarray(variance * numpy.linalg.inv(information), dtype=numpy.float64),
        variance,
        ratio * variance,
        freedom,
        int(group.max()),
        len(fixed),
        design.design_info,
    )


def _statsmodels(outcome: Floats, fixed: Floats, group: Any) -> tuple[float, Floats, float]:
    """REML fit: (group variance over residual variance, fixed effects, residual variance)."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    unit = float(outcome.std()) or 1.0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fit is judged below, by its own numbers
            result = MixedLM(outcome / unit, fixed, groups=group).fit(reml=True)
    except (numpy.linalg.LinAlgError, ValueError) as error:
        raise NoModelError(f"the fit failed ({error})") from error
    numbers = [*result.fe_params, result.scale, result.cov_re[0, 0]]
    if not result.converged or not numpy.isfinite(numbers).all() or result.scale <= 0:
        raise NoModelError("the fit did not converge")
    ratio = float(result.cov_re[0, 0] / result.scale)
    return max(0.0, ratio), numpy.asarray(result.fe_params) * unit, float(result.scale) * unit**2


def _information(fixed: Floats, group: Any, ratio: float) -> Floats:
    """X' V^-1 X [p, p] for V = I + ratio 1 1' within groups (Sherman-Morrison)."""
    total = fixed.T @ fixed
    for label in numpy.unique(group):
        rows = fixed[group == label]
        sums = rows.sum(axis=0)
        total = total - numpy.outer(sums, sums) * ratio / (1.0 + ratio * len(rows))
    return numpy.asarray(total)


def _columns(runs: polars.DataFrame, settings: Mapping[str, Any]) -> dict[str, Any]:
    position = numpy.log(runs["warmup"].to_numpy() + settings["smooth"]["offset"])
    return {
        "position": position,
        "architecture": runs["architecture"].to_list(),
        "task": runs["task"].to_list(),
    }


def _spread(runs: polars.DataFrame, settings: Mapping[str, Any]) -> Floats:
    """Residual sd of log(outcome) of each run's cell [runs], up to a common factor; ones where weights are equal."""
    if settings["mixed_model"]["weights"] == "equal":
        return numpy.ones(len(runs))
    found = {}
    for part in runs.partition_by(list(CELL), maintain_order=True):
        wide = part.pivot("warmup", index="seed", values="outcome").drop("seed").drop_nulls()
        if wide.height < 2 or wide.width < 2:
            raise NoModelError(f"the cell {part['architecture'][0]}, {part['task'][0]} has no two complete seeds")
        found[tuple(part.select(CELL).row(0))] = residual_mean_square(numpy.log(wide.to_numpy()))
    squares = numpy.array([found[row] for row in runs.select(CELL).iter_rows()])
    if not squares.min() > 1e-12 * squares.max():
        raise NoModelError("the outcomes of a cell do not vary between seeds")
    return numpy.asarray(numpy.sqrt(squares / squares.mean()))


def _rows(runs: polars.DataFrame, found: Fit, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    common = {"n": found.observations, "groups": found.groups}
    spline = [index for index, name in enumerate(found.names) if name.startswith("cr(")]
    crossed = [index for index in spline if ":" in found.names[index]]
    task = [index for index, name in enumerate(found.names) if name.startswith("C(task)")]
    rows = [
        _test("warmup has an effect in some architecture", spline, found),
        _test("the effect of warmup differs between architectures", crossed, found)
        if crossed
        else {"term": "the effect of warmup differs between architectures", **_cannot("one architecture only")},
        *([_test("outcomes differ between tasks", task, found)] if task else []),
    ]
    rows = [{"kind": "test", **row} for row in rows]
    return [common | row for row in [*rows, *_variances(found), *_effects(runs, found, settings)]]


def _test(term: str, indices: list[int], found: Fit) -> dict[str, Any]:
    """Wald F test that the coefficients at `indices` are all zero."""
    some = found.effects[indices]
    statistic = float(some @ numpy.linalg.solve(found.covariance[numpy.ix_(indices, indices)], some)) / len(indices)
    p = float(special.fdtrc(len(indices), found.freedom, statistic))
    return {
        "term": term,
        "statistic": statistic,
        "freedom": len(indices),
        "freedom_residual": found.freedom,
        "p": p,
    } | {
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


def _effects(runs: polars.DataFrame, found: Fit, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Relative change of the outcome at each warmup against the reference, per architecture, with t intervals."""
    import patsy

    reference, offset = settings["reference"], settings["smooth"]["offset"]
    task = runs["task"][0]
    grid = [
        (architecture, warmup)
        for architecture in runs["architecture"].unique(maintain_order=True)
        for warmup in runs.filter(architecture=architecture)["warmup"].unique().sort()
        if warmup != reference
    ]

    def rows_at(points: list[tuple[str, float]]) -> Floats:
        data = {
            "position": numpy.log(numpy.array([warmup for _, warmup in points]) + offset),
            "architecture": [architecture for architecture, _ in points],
            "task": [task] * len(points),
        }
        return numpy.asarray(patsy.build_design_matrices([found.design], data)[0])

    if reference not in runs["warmup"].to_list():
        return [{"kind": "effect", **_cannot(f"the reference warmup {reference:g} was not run")}]
    contrasts = rows_at(grid) - rows_at([(architecture, reference) for architecture, _ in grid])
    change = contrasts @ found.effects
    errors = numpy.sqrt(numpy.einsum("ip,pq,iq->i", contrasts, found.covariance, contrasts))
    reach = t_quantile(0.5 + settings["confidence"] / 2.0, found.freedom) * errors
    return [
        {"kind": "effect", "term": "relative change of the outcome", "architecture": architecture, "warmup": warmup}
        | {"reference": reference, "estimate": float(numpy.expm1(change[i]))}
        | {"low": float(numpy.expm1(change[i] - reach[i])), "high": float(numpy.expm1(change[i] + reach[i]))}
        | {"verdict": "ok", "note": ""}
        for i, (architecture, warmup) in enumerate(grid)
    ]


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
    "n": polars.Int64(),
    "groups": polars.Int64(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the mixed_model table; `kind`: test (F, p), variance (of log outcome), effect (relative change)."""
