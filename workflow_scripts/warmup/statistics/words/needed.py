"""How much warmup is needed: the answer of a study, one rule for report, terminal and counts.

In: the tables plateaus and regrets (of a fixed design, or of the looks of an adaptive one), steps and seconds of a run.
Out: one row per cell (ANSWER); three sentences for somebody who has never heard of warmup; what would decide the rest.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars

from warmup.statistics.base import budgets
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.base.outcomes import CELL, SCHEMA
from warmup.statistics.base.pairing import ONE_WARMUP
from warmup.statistics.words.sentence_parts import Row, Words, counts, label, listed, number, percent, place, reason

NEEDS, ANY, UNDECIDED = "needs at least", "any of these does", "undecided"

Cell = tuple[str, str, str]
"""(architecture, task, recipe)."""


def answer(
    plateaus: polars.DataFrame,
    regrets: polars.DataFrame,
    steps: Mapping[Cell, int],
    seconds: Mapping[Cell, float],
    slopes: Mapping[tuple[str, str], float],
) -> polars.DataFrame:
    """One row (ANSWER) per cell whose warmup was swept.

    `steps`: of one training; `seconds`: that one training takes; `slopes` by architecture and task: what more steps
    gain (`budgets.slopes`). A cell may be missing in the last two.
    """
    rows = []
    for plateau in plateaus.iter_rows(named=True):
        if ONE_WARMUP in (plateau["note"] or ""):
            continue
        cell = (plateau["architecture"], plateau["task"], plateau["recipe"])
        arms = regrets.filter(*(polars.col(axis) == plateau[axis] for axis in CELL))
        advised = _advice(plateau, arms, steps[cell], slopes.get(cell[:2]))
        rows.append(_verdict(plateau, arms) | advised | _rest(plateau, seconds.get(cell)))
    return polars.DataFrame(rows, schema=ANSWER)


def _verdict(plateau: Row, arms: polars.DataFrame) -> dict[str, Any]:
    tried = sorted(arms["warmup"].to_list())
    row = {name: plateau[name] for name in (*CELL, "n", "confidence", "state")} | {"tried": tried}
    if plateau["verdict"] == CANNOT_SAY:
        return row | {"verdict": UNDECIDED, "does": [], "excluded": [], "note": reason(plateau["note"])}
    least = _least(tried, plateau)
    out = {warmup for warmup in tried if warmup not in plateau["not_excluded"]}
    out |= {plateau["reference"]} if plateau["reference_verdict"] == "excluded" else set()
    verdict = NEEDS if least is not None else ANY if plateau["demonstrated"] else UNDECIDED
    found = {"at_least": least, "does": plateau["demonstrated"], "excluded": sorted(out)}
    return row | {"verdict": verdict, "no_warmup": plateau["reference_verdict"], "note": ""} | found


def _least(tried: Sequence[float], plateau: Row) -> float | None:
    """The smallest warmup tried that is not excluded, if all below it are; None if the smallest of all is not.

    What excludes the declared warmup (none) alone says nothing of the next larger one.
    """
    first = next(warmup for warmup in tried if warmup in plateau["not_excluded"])
    if first > tried[0]:
        return first
    alone = plateau["reference_verdict"] == "excluded" and plateau["reference"] == tried[0]
    return tried[1] if alone else None


def _advice(plateau: Row, arms: polars.DataFrame, steps: int, slope: float | None) -> dict[str, Any]:
    """What to take now, and what that costs at most."""
    recommended, cost = plateau["recommended"], plateau["recommended_high"]
    if recommended is None:
        return {}
    best: Any = arms["mean"].min()
    return {
        "recommended": recommended,
        "recommended_steps": int(recommended * steps + 0.5),
        "costs_at_most": cost,
        "costs_at_most_share": cost / best if best else None,
        "costs_at_most_steps": budgets.more_steps(cost, slope),
        "margin_steps": budgets.more_steps(plateau["margin"], slope),
        "margin": plateau["margin"],
        "margin_share": plateau["margin"] / best if best else None,
    }


def _rest(plateau: Row, seconds: float | None) -> dict[str, Any]:
    """Seeds, runs and minutes that would bring the next verdict on a cell which is not decided."""
    if plateau["state"] == "decided" or plateau["projected"] is None:
        return {}
    seeds = max(1, math.ceil(plateau["projected"] - plateau["n"]))
    runs = seeds * len(plateau["still_in"])
    return {"more_seeds": seeds, "more_runs": runs, "more_minutes": None if seconds is None else runs * seconds / 60}


def sentences(table: polars.DataFrame) -> list[str]:
    """What was tried, what was found, what to do: three sentences that need no statistics.

    `table`: ANSWER with at least one row.
    """
    warmups = sorted({warmup for row in table["tried"].to_list() for warmup in row})
    architectures, tasks = (number(table[axis].n_unique(), axis) for axis in ("architecture", "task"))
    times = counts(table["n"].to_list())
    tried = (
        "Warmup lets the learning rate rise slowly at the start of training. It was tried over "
        f"{listed(warmups)} of training, for {architectures} on {tasks}, "
        f"{'once' if times == '1' else f'{times} times'} each, with other random numbers every time (seeds)."
    )
    return [tried, _found(table), _advised(table)]


def _found(table: polars.DataFrame) -> str:
    cases = f"{number(table.height, 'pair')} of architecture and task"
    needs, shown = table.filter(verdict=NEEDS).height, table.filter(verdict=ANY).height
    open_ = table.height - needs - shown
    if open_ == table.height:
        reasons = ", ".join(dict.fromkeys(note for note in table["note"] if note))
        why = reasons or "repeats differ too much for so few of them"
        return f"How much is needed cannot be told yet for any of {cases}: {why}."
    parts = []
    if needs:
        parts.append(f"{needs} {'needs' if needs == 1 else 'need'} warmup: with less than named the loss is too high")
    if shown:
        parts.append(f"for {shown} the warmups named are shown to be as good as the best tried")
    if open_:
        parts.append(f"{open_} {'is' if open_ == 1 else 'are'} undecided")
    free = table.filter(no_warmup="within").height
    none = f"; no warmup at all is shown to be as good as the best for {free}" if free else ""
    return f"Of {cases}, {', '.join(parts)}{none}."


def _advised(table: polars.DataFrame) -> str:
    known = table.drop_nulls("recommended")
    if known.is_empty():
        return "Nothing can be recommended yet."
    return (
        "To act now, take the warmup named in the table: even where all else is undecided, it costs at most as much "
        "loss as stands there, against the best warmup tried "
        f"({100 * known['confidence'][0]:g} % confidence for each pair)."
    )


def verdict_in_words(row: Row) -> str:
    """ "needs at least 2 %; 10 and 30 % do", "any of these does: 0, 2 %", "undecided, but not 30 %"."""
    if row["verdict"] == NEEDS:
        shown = f"; {listed(row['does'])} {'does' if len(row['does']) == 1 else 'do'}" if row["does"] else ""
        return f"{NEEDS} {percent(row['at_least'])}{shown}"
    out = f", but not {listed(row['excluded'])}" if row["excluded"] else ""
    if row["verdict"] == ANY:
        text = f"{ANY}: {listed(row['does'])}" if len(row["does"]) > 1 else f"{listed(row['does'])} does"
        return text + (", not " + listed(row["excluded"]) if row["excluded"] else "")
    return f"{UNDECIDED}: {row['note']}" if row["note"] else UNDECIDED + out


def advice_in_words(row: Row) -> list[str]:
    """ "take 10 % (15 steps)" and "costs at most 0.03 (1 %)"; nothing where nothing can be recommended."""
    if row["recommended"] is None:
        return []
    share = row["costs_at_most_share"]
    steps = f" ({number(row['recommended_steps'], 'step')})" if row["recommended"] else ""
    shown = "" if share is None else f" ({100 * share:.2g} %)"
    cost = f"costs at most {row['costs_at_most']:.2g}{shown}" if row["costs_at_most"] else "no other may be better"
    more = row["costs_at_most_steps"] or 0.0
    return [
        f"take {percent(row['recommended']) if row['recommended'] else 'none'}{steps}",
        cost,
        *(
            [f"as {100 * more:.2g} % more steps gain" if more < 1 else f"as {1 + more:.2g} times the steps gain"]
            if more
            else []
        ),
    ]


def explained(table: polars.DataFrame, words: Words) -> str:
    """What *as good as* and the costs mean here, in two sentences."""
    parts = []
    for part in table.drop_nulls("margin_share").partition_by("task", maintain_order=True):
        shares = sorted({f"{100 * share:.2g}" for share in part["margin_share"]}, key=float)
        extent = shares[0] if len(shares) == 1 else f"{shares[0]} to {shares[-1]}"
        parts.append(f"{extent} % ({label(part['task'][0], words)})")
    known = f"As good as the best: a loss higher by at most {', '.join(parts)}. " if parts else ""
    known += "Costs: loss above that of the best warmup tried, and in brackets its share of that loss."
    worth = table.drop_nulls("margin_steps")["margin_steps"]
    if worth.is_empty():
        return known
    shares = sorted(worth.to_list())
    low, high = (f"{100 * share:.2g}" for share in (shares[0], shares[-1]))
    gained = f"as much as {low} to {high} % more steps gain" if low != high else f"as much as {low} % more steps gain"
    return f"{known} What counts as good is {gained}, by the slope of the loss between two budgets (docs/pilot.md)."


def rest(table: polars.DataFrame, words: Words) -> tuple[list[str], list[tuple[str, ...]]]:
    """What would decide the pairs that are undecided: sentences, and rows under REST, the cheapest first."""
    open_ = table.filter(polars.col("state") != "decided")
    if open_.is_empty():
        return ["Nothing is left to decide."], []
    known = open_.drop_nulls("more_seeds").sort("more_runs", maintain_order=True)
    beyond = [place(row, words) for row in open_.filter(polars.col("more_seeds").is_null()).iter_rows(named=True)]
    said = []
    if known.height:
        total, time = number(int(known["more_runs"].sum()), "training"), lasting(known["more_minutes"].to_list())
        after = f", {time} one after another" if time else ""
        said.append(
            "If what was found so far is true, about this much more would decide whether no warmup is as good as the "
            f"best, or, where that is known, whether some warmup is: {total} in all{after}."
        )
    if beyond:
        said.append(f"More than 200 seeds, or more than can be told yet: {'; '.join(beyond)}.")
    rows = [
        (place(row, words), *map(str, (row["n"], row["more_seeds"], row["more_runs"])), lasting([row["more_minutes"]]))
        for row in known.iter_rows(named=True)
    ]
    return said, rows


REST = ("", "seeds so far", "seeds more", "trainings more", "time")


def lasting(minutes: Sequence[float | None]) -> str:
    """ "40 seconds", "3 minutes", "12 hours" in all; empty where a part is not known."""
    known = [part for part in minutes if part is not None]
    total = sum(known)
    if len(known) < len(minutes):
        return ""
    if total < 1.5:
        return number(max(1, round(60 * total)), "second")
    return f"{total:.0f} minutes" if total < 120 else f"{total / 60:,.0f} hours"


ANSWER: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in CELL},
    "n": polars.Int64(),
    "verdict": polars.String(),
    "at_least": polars.Float64(),
    "does": polars.List(polars.Float64()),
    "excluded": polars.List(polars.Float64()),
    "no_warmup": polars.String(),
    "tried": polars.List(polars.Float64()),
    "recommended": polars.Float64(),
    "recommended_steps": polars.Int64(),
    "costs_at_most": polars.Float64(),
    "costs_at_most_share": polars.Float64(),
    "costs_at_most_steps": polars.Float64(),
    "margin": polars.Float64(),
    "margin_share": polars.Float64(),
    "margin_steps": polars.Float64(),
    "confidence": polars.Float64(),
    "state": polars.String(),
    "more_seeds": polars.Int64(),
    "more_runs": polars.Int64(),
    "more_minutes": polars.Float64(),
    "note": polars.String(),
}
"""Columns of the answer table.

`verdict`: needs at least (`at_least`; all warmups tried below it are excluded) | any of these does (`does`, those shown
to lie within the margin) | undecided. `more_minutes`: of training, one run after another."""
