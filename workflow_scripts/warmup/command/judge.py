"""`warmup judge RUNS`: which of the warmups (or of anything else) in a table of your own runs are the best, how sure.

Through the functions that the rules `optima` and `comparisons` call, on the table that `own_runs` makes. No training,
no torch.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars

from warmup import html_page
from warmup.command import judge_page, own_runs
from warmup.command.answer import Answer
from warmup.command.own_runs import Meaning, OwnRuns
from warmup.errors import ConfigurationError
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.effect import comparisons, optimum, plateau, power
from warmup.statistics.effect.best import UNDECIDED

DESCRIPTION = "what a table of your own runs says: CSV, Parquet, or a folder of TensorBoard's event files"
BEST, ALIKE, NARROWED = "best", "alike", "narrowed"
"""Verdicts of a cell, beside undecided and cannot say: one treatment is shown to be the best; all are shown to lie
within the margin; some are excluded, or shown to be good enough."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add = parser.add_argument
    add("runs", type=Path, help="one row per run (.csv, .tsv, .parquet), or a folder of event files")
    add(
        "--cell",
        nargs="+",
        metavar="COLUMN",
        help="what is judged apart (default: architecture, task, recipe if there)",
    )
    add("--treatment", default="warmup", metavar="COLUMN", help="what is compared (default: warmup)")
    add("--seed", default="seed", metavar="COLUMN", help="runs of one seed are paired (default: seed)")
    add("--outcome", default="best_validation_loss", metavar="COLUMN", help="by which (default: best_validation_loss)")
    add("--larger-is-better", action="store_true", help="the outcome is an accuracy or the like")
    add("--diverged-as", type=float, metavar="NUMBER", help="what a run counts as whose outcome is nan or inf")
    add("--reference", metavar="VALUE", help="the treatment that others are held against (default: the smallest)")
    add("--margin", default="1%", help='what is as good as the best: "1%%" of it (default), or "0.02" in its unit')
    add("--confidence", type=float, default=0.95, help="of all statements of a cell together (default 0.95)")
    add("--page", type=Path, metavar="FILE", help="write an HTML page as well")
    add("--tag", help="event files: the scalar that is the outcome")
    add("--pattern", help="event files: regular expression with named groups, over a run's folder")
    add("--take", choices=["min", "max", "last"], default="min", help="event files: of the scalar (default min)")


def answer(arguments: argparse.Namespace) -> Answer:
    """The judgement of each cell; cannot say where none is more than undecided."""
    if not 0.5 < arguments.confidence < 1:
        raise ConfigurationError(f"--confidence: {arguments.confidence:g} is not between 0.5 and 1")
    given = own_runs.read(arguments.runs, arguments.tag, arguments.pattern, arguments.take)
    outcome = arguments.tag if arguments.runs.is_dir() and arguments.tag else arguments.outcome
    used = (arguments.treatment, arguments.seed, outcome)
    cell = arguments.cell or list(own_runs.default_cell(given.columns, used))
    meaning = Meaning(
        tuple(cell), arguments.treatment, arguments.seed, outcome, arguments.larger_is_better, arguments.diverged_as
    )
    runs = own_runs.runs_table(given, meaning)
    data = judged(runs, meaning, _settings(runs, arguments))
    text = "\n".join(judge_page.lines(data))
    if arguments.page:
        html_page.save(judge_page.page(data), arguments.page)
        text += f"\n\npage: {arguments.page}"
    return Answer(text, data, said=any(one["verdict"] in (BEST, ALIKE, NARROWED) for one in data["cells"]))


def judged(runs: OwnRuns, meaning: Meaning, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is said of the runs, by cell, as builtins; treatments by their names, signs as given."""
    table = runs.table
    tables = {
        "plateaus": plateau.plateaus(table, settings)[0],
        "regrets": plateau.plateaus(table, settings)[1],
        "pairs": comparisons.pairwise(table, settings),
        "comparisons": comparisons.comparisons(table, settings),
        "power": power.power_table(table, settings).filter(when="after"),
    }
    cells = []
    for key in table.select("architecture", "task").unique(maintain_order=True).iter_rows():
        part = {name: rows.filter(architecture=key[0], task=key[1]) for name, rows in tables.items()}
        own = table.filter(architecture=key[0], task=key[1])
        cells.append(
            {"cell": ", ".join(filter(None, dict.fromkeys(key))) or "all runs", **_cell(part, own, runs, meaning)}
        )
    return {
        "treatment": meaning.treatment,
        "outcome": meaning.outcome,
        "larger_is_better": meaning.larger,
        "confidence": settings["confidence"],
        "runs": table.height,
        "without_outcome": runs.without_outcome,
        "diverged": table.filter(status="diverged").height,
        "cells": cells,
    }


def _cell(
    part: Mapping[str, polars.DataFrame], own: polars.DataFrame, runs: OwnRuns, meaning: Meaning
) -> dict[str, Any]:
    sign = -1.0 if meaning.larger else 1.0
    plateaus, strength = part["plateaus"].row(0, named=True), part["power"].row(0, named=True)
    complete, seeds = plateaus["n"], own["seed"].n_unique()
    row: dict[str, Any] = {
        "seeds": seeds,
        "complete_seeds": complete,
        "missing": seeds * own["warmup"].n_unique() - own.height,
        "note": _said(plateaus["note"], meaning),
        "treatments": [
            {
                "treatment": runs.labels[arm["warmup"]],
                "runs": own.filter(warmup=arm["warmup"]).height,
                "mean": None if arm["mean"] is None else sign * arm["mean"],
                **{name: arm[name] for name in ("regret", "regret_low", "regret_high")},
                **{name: arm[name] for name in ("possible_best", "not_excluded", "demonstrated")},
            }
            for arm in part["regrets"].iter_rows(named=True)
        ],
    }
    if plateaus["verdict"] == CANNOT_SAY:
        return row | {"verdict": CANNOT_SAY, "pairs": [], "against_reference": [], "optimum_between": None}
    arms, possible = part["regrets"]["warmup"].to_numpy(), part["regrets"]["possible_best"].to_numpy()
    valley = optimum.single_valley(arms, possible) if runs.numeric and meaning.treatment == "warmup" else None
    return row | {
        "verdict": _verdict(part["regrets"]),
        "margin": plateaus["margin"],
        "method": plateaus["method"],
        "possible_best": [runs.labels[arm] for arm in plateaus["possible_best"]],
        "not_excluded": [runs.labels[arm] for arm in plateaus["not_excluded"]],
        "demonstrated": [runs.labels[arm] for arm in plateaus["demonstrated"]],
        "recommended": runs.labels[plateaus["recommended"]],
        "recommended_costs_at_most": plateaus["recommended_high"],
        "reference": runs.labels.get(plateaus["reference"]),
        "reference_verdict": plateaus["reference_verdict"],
        "optimum_between": None if valley is None or arms[-1] > 1 else list(valley),
        "pairs": [_pair(pair, runs, sign) for pair in part["pairs"].iter_rows(named=True)],
        "against_reference": [_against(one, runs, sign) for one in part["comparisons"].iter_rows(named=True)],
        "detectable_difference": strength["detectable_gap"],
        "seeds_for_two_margins": strength["seeds_for_two_margins"],
        "seeds_for_two_margins_low": strength["seeds_for_two_margins_low"],
        "seeds_for_two_margins_high": strength["seeds_for_two_margins_high"],
        "power": strength["power"],
    }


def _verdict(regrets: polars.DataFrame) -> str:
    if regrets["demonstrated"].all():
        return ALIKE
    if regrets["possible_best"].sum() == 1:
        return BEST
    return NARROWED if regrets["demonstrated"].any() or not regrets["not_excluded"].all() else UNDECIDED


def _pair(row: Mapping[str, Any], runs: OwnRuns, sign: float) -> dict[str, Any]:
    ends = sorted((sign * row["low"], sign * row["high"]))
    return {
        **{name: runs.labels[row[column]] for name, column in (("treatment", "warmup"), ("other", "other"))},
        **{"difference": sign * row["difference"], "low": ends[0], "high": ends[1]},
        **{name: row[name] for name in ("verdict", "note")},
    }


def _against(row: Mapping[str, Any], runs: OwnRuns, sign: float) -> dict[str, Any]:
    return {
        "treatment": runs.labels.get(row["warmup"]),
        "difference": None if row["difference"] is None else sign * row["difference"],
        **{name: row[name] for name in ("p_holm", "p_equivalence_holm", "verdict", "note")},
    }


def _said(note: str, meaning: Meaning) -> str:
    """A note of the statistics, in the words of the table."""
    told = note.removeprefix(f"{CANNOT_SAY}: ").replace("warmup", meaning.treatment)
    if told.startswith("no seed has every"):
        told += (
            f"; runs are compared within their {meaning.seed}, so train every {meaning.treatment} with the same ones"
        )
    return told


def _settings(runs: OwnRuns, arguments: argparse.Namespace) -> dict[str, Any]:
    """The section `statistics` that the functions read."""
    labels = {label: code for code, label in runs.labels.items()}
    reference = min(runs.labels) if arguments.reference is None else labels.get(arguments.reference)
    if reference is None and runs.numeric:
        reference = next((code for code in runs.labels if f"{code:g}" == arguments.reference), None)
    if reference is None:
        raise ConfigurationError(
            f"--reference: {arguments.reference!r} is not among the treatments, {', '.join(runs.labels.values())}"
        )
    return {
        "outcome": own_runs.OUTCOME,
        "confidence": arguments.confidence,
        "reference": reference,
        "margins": {"default": _margin(arguments.margin)},
        "equivalence_margins": None,
        "comparisons": {"reference": {"reference": reference, "warmups": None, "corrected_over": "cell"}},
        "power": {"target": 0.8, "pilots": {}},
    }


def _margin(text: str) -> dict[str, float]:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise ConfigurationError(
            f'--margin: {text!r} should be a share of the best ("1%") or a number in its unit ("0.02")'
        )
    return {"relative": number / 100} if text.endswith("%") else {"absolute": number}
