"""Recipes against each other: every arm (recipe and warmup) of an architecture and task, paired by seed.

In: the runs table, and for each recipe its optimiser and tau. Out: `recipe_arms` (one row per arm and reference),
`loss_curves` (thinned training losses and validations of every run) and `implied_warmup` (AdamW^2's caps as curves).
Pairing, pooling and intervals are those of all comparisons (pairing.py); the family is an architecture and task.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars

from warmup.statistics.base import run_folders
from warmup.statistics.base.blocks import Block, block
from warmup.statistics.base.implied_caps import implied_caps
from warmup.statistics.base.intervals import CANNOT_SAY, holm
from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.base.pairing import PairedErrors, paired_errors
from warmup.statistics.mechanism.mechanism import COORDINATES, bin_edges

PLACE = ("architecture", "task")
ARM = ("recipe", "warmup")
TAUS = (1e-3, 1e-2, 1e-1)
"""Values of tau at which a plain AdamW run is asked what AdamW^2's cap would have been."""


def recipe_arms(
    runs: polars.DataFrame, recipes: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> polars.DataFrame:
    """Every arm against two references: the first recipe without warmup, and the first recipe at its best warmup.

    recipes: in the order of the configuration, each with `optimizer` and `tau` (null where it has none); settings: the
    section `statistics`. difference = outcome - outcome of the reference, so negative is better; `p_holm` is corrected
    over the arms of the architecture and task. The second reference is picked on the same runs, which favours it.
    """
    table = with_outcome(runs, settings["outcome"])
    places = table.partition_by(list(PLACE), maintain_order=True)
    order = {name: place for place, name in enumerate(recipes)}
    everywhere = sorted(set(table.select(ARM).iter_rows()), key=lambda arm: (order[arm[0]], arm[1]))
    blocks = [_block(part, everywhere) for part in places]
    rows: list[dict[str, Any]] = []
    for here, part in zip(blocks, places, strict=True):
        same_task = [other for other, there in zip(blocks, places, strict=True) if there["task"][0] == part["task"][0]]
        errors, arms = paired_errors(here, same_task), here.arms
        heads = [_arm_row(part, arm, recipes) for arm in arms]
        means = np.nanmean(here.values, axis=0)
        first = [index for index, (recipe, _) in enumerate(arms) if recipe == arms[0][0]]
        references = {
            "without warmup": next((index for index in first if arms[index][1] == 0), None),
            "at its best warmup": min(first, key=lambda index: means[index]),
        }
        for family, reference in references.items():
            compared = [
                head | {"family": family} | _difference(here, errors, index, reference, settings["confidence"])
                for index, head in enumerate(heads)
            ]
            adjusted = holm([row.get("p") for row in compared if row["verdict"] != "reference"])
            rest = iter(adjusted)
            for row in compared:
                if row["verdict"] != "reference":
                    row |= _judged(row, next(rest), settings["confidence"])
            rows += compared
    return polars.DataFrame([{name: row.get(name) for name in SCHEMA} for row in rows], schema=SCHEMA)


def loss_curves(folders: Iterable[str | Path]) -> polars.DataFrame:
    """Of every run: training loss as means over log-spaced bins (`kind` training), and each validation (validation)."""
    parts = [polars.DataFrame(schema=LOSSES)]
    for run in map(run_folders.read, folders):
        losses = polars.read_parquet(run.log, columns=["loss"])["loss"].cast(polars.Float64).to_numpy()
        edges = bin_edges(len(losses))
        pairs = list(pairwise(edges))
        training = {"step": [stop - 1 for _, stop in pairs], "value": [losses[a:b].mean() for a, b in pairs]}
        checks = polars.read_parquet(run.path / "evaluation.parquet", columns=["step", "loss"])
        for kind, frame in (
            ("training", polars.DataFrame(training, schema={"step": polars.Int64, "value": polars.Float64})),
            ("validation", checks.rename({"loss": "value"})),
        ):
            marked = frame.with_columns(
                *(polars.lit(value).alias(name) for name, value in run.coordinates.items()),
                polars.lit(kind).alias("kind"),
            )
            parts.append(marked.select(polars.col(name).cast(kind_) for name, kind_ in LOSSES.items()))
    return polars.concat(parts)


def implied_warmup(folders: Iterable[str | Path]) -> polars.DataFrame:
    """a_t / lr_t over the matrices of each no-warmup run at each probed step: median, quartiles, share below 1.

    source `recorded`: AdamW^2's own caps. source `implied`: what the cap would have been along a run of another
    optimiser, min(1, tau sigma_1(W) / (lr sigma_1(U))) from the probed norms, for each of TAUS.
    """
    parts = [polars.DataFrame(schema=CAPS)]
    for run in map(run_folders.read, folders):
        options = run.settings["recipe"].get("options") or {}
        rows = polars.read_parquet(run.attention, columns=["step", "module", "quantity", "value"]).drop_nulls("value")
        caps = rows.filter(polars.col("quantity") == "cap").select("step", "value")
        if not caps.is_empty():
            parts.append(_cap_curve(caps, run, "recorded", float(options["tau"])))
            continue
        rates = polars.read_parquet(run.log, columns=["learning_rate"])["learning_rate"].to_numpy()
        for tau in TAUS:
            implied = implied_caps(rows, rates, tau)
            if not implied.is_empty():
                parts.append(_cap_curve(implied, run, "implied", tau))
    return polars.concat(parts)


def _cap_curve(caps: polars.DataFrame, run: run_folders.RunFolder, source: str, tau: float) -> polars.DataFrame:
    value = polars.col("value").cast(polars.Float64)
    curve = caps.group_by("step").agg(
        value.median().alias("median"),
        value.quantile(0.25).alias("low"),
        value.quantile(0.75).alias("high"),
        (value < 1).mean().alias("binding"),
    )
    known = {**run.coordinates, "source": source, "tau": tau}
    marked = curve.with_columns(polars.lit(value).alias(name) for name, value in known.items())
    return marked.select(polars.col(name).cast(kind) for name, kind in CAPS.items()).sort("step")


def _block(part: polars.DataFrame, everywhere: list[tuple[str, float]]) -> Block:
    """The arms of an architecture and task, in the order of the study's."""
    present = set(part.select(ARM).iter_rows())
    return block(part, ARM, [arm for arm in everywhere if arm in present])


def _arm_row(part: polars.DataFrame, arm: tuple[str, float], recipes: Mapping[str, Any]) -> dict[str, Any]:
    runs = part.filter(polars.col("recipe") == arm[0], polars.col("warmup") == arm[1])
    first, entry = runs.row(0, named=True), recipes[arm[0]]
    return {
        **{name: first[name] for name in (*PLACE, *ARM)},
        "optimizer": entry["optimizer"],
        "tau": entry["tau"],
        "n": runs["outcome"].drop_nulls().len(),
        "mean": runs["outcome"].mean(),
        "diverged": int((runs["status"] == "diverged").sum()),
        "metric": first["metric"],
        "mean_metric": runs["final_metric"].mean(),
    }


def _difference(
    here: Block, errors: PairedErrors, index: int, reference: int | None, confidence: float
) -> dict[str, Any]:
    if reference is None:
        return {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: the first recipe was not run without warmup"}
    recipe, warmup = here.arms[reference]
    named = {"reference_recipe": recipe, "reference_warmup": warmup}
    if index == reference:
        return named | {"verdict": "reference", "note": ""}
    if not errors.known:
        return named | {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {errors.note}"}
    complete = here.complete
    difference = float((complete[:, index] - complete[:, reference]).mean())
    half = float(errors.reach(confidence)[index, reference])
    statistic = errors.statistic(difference, index, reference)
    return named | {
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "p": errors.p_value(statistic, index, reference),
        "method": errors.method,
        "verdict": "",
        "note": "",
    }


def _judged(row: dict[str, Any], p_holm: float | None, confidence: float) -> dict[str, Any]:
    if p_holm is None:
        return {}
    if p_holm > 1.0 - confidence:
        return {"p_holm": p_holm, "verdict": "inconclusive", "note": "no difference is shown; nor is its absence"}
    return {"p_holm": p_holm, "verdict": "better" if row["difference"] < 0 else "worse"}


SCHEMA: dict[str, Any] = {
    **dict.fromkeys((*PLACE, "recipe"), polars.String),
    "warmup": polars.Float64,
    "optimizer": polars.String,
    "tau": polars.Float64,
    "n": polars.Int64,
    "mean": polars.Float64,
    "diverged": polars.Int64,
    "metric": polars.String,
    "mean_metric": polars.Float64,
    "family": polars.String,
    "reference_recipe": polars.String,
    "reference_warmup": polars.Float64,
    **dict.fromkeys(("difference", "low", "high", "p", "p_holm"), polars.Float64),
    "method": polars.String,
    "verdict": polars.String,
    "note": polars.String,
}
LOSSES: dict[str, Any] = {**COORDINATES, "kind": polars.String, "step": polars.Int64, "value": polars.Float64}
CAPS: dict[str, Any] = {
    **COORDINATES,
    "source": polars.String,
    "tau": polars.Float64,
    "step": polars.Int32,
    **dict.fromkeys(("median", "low", "high", "binding"), polars.Float64),
}
