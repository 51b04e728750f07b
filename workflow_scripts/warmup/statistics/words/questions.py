"""What a study that does not only sweep the warmup asks, answered first: a table, then sentences.

In: the tables of the study by name, words (labels, question). Out: a `Reply`, or None for a study of warmups, which
`answers` answers itself. What is compared with what, and in which unit:
  - learning_rate: warmups at one rate and at each one's best rate, rates at each warmup; the outcome's unit;
  - recipes: each recipe and warmup with the first recipe, without warmup and at its best; the outcome's unit;
  - plateau_heights: heights of the plateau after the same decay, two by two; the outcome's unit;
  - attribution: roles warmed alone, left out, and all against none; warmup's gain between optimisers and networks;
  - families: the warmups not excluded of two relatives of one lineage; fractions of training;
  - initialisation: an architecture from its authors' start and from the library's; fractions of training (best
    warmup), the outcome's unit (regret of no warmup), a factor (spike ratio without warmup). No verdict;
  - unit: warmups that other corners choose, counted in each unit, two units at a time; margins (`units`);
  - rewarming: branches of a run with and without another warmup, with and without its optimiser's state (`rewarming`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import polars

from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.words import rewarming, units
from warmup.statistics.words.sentence_parts import (
    Row,
    Words,
    counts,
    label,
    listed,
    number,
    percent,
    place,
    rates,
    reason,
)

Tables = Mapping[str, polars.DataFrame]


@dataclass(frozen=True)
class Reply:
    """Sentences, and a table of text under `header`."""

    sentences: list[str]
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def reply(tables: Tables, words: Words) -> Reply | None:
    """The answer to the study's own question; None where that is how much warmup is needed."""
    answer = {
        "learning_rate": learning_rate,
        "recipes": recipes,
        "plateau_heights": plateau_heights,
        "families": families,
        "initialisation": initialisation,
        "attribution": attribution,
        "unit": lambda tables, words: Reply(*units.unit(tables, words)),
        "rewarming": lambda tables, words: Reply(*rewarming.rewarming(tables, words)),
    }.get(words["question"])
    return answer(tables, words) if answer else None


def learning_rate(tables: Tables, words: Words) -> Reply:
    """Does warmup raise the rate that can be used; does the best warmup change with the rate; which to take."""
    table = tables["rate_answers"]
    known, unknown = table.filter(verdict="ok"), table.filter(verdict=CANNOT_SAY)
    header = (
        *("", "no warmup, fixed rate", "no warmup, best rates", "recommended, fixed rate", "recommended, best rates"),
        *("warmup and usable rate", "best warmup"),
    )
    rows = [
        (
            place(row, words),
            *(row[f"{name}_reference"] for name in ("fixed", "tuned")),
            *(_recommended(row, name) for name in ("fixed", "tuned")),
            "raises it" if row["raises"] else "lowers it" if row["lowers"] else "not shown",
            "moves" if row["best_moves"] else listed_or(row["everywhere"], "at every rate", "move not shown"),
        )
        for row in known.iter_rows(named=True)
    ]
    said = _left_out(unknown, words)
    if known.is_empty():
        return Reply([f"Whether warmup and learning rate depend on each other cannot be said: {said}."], header, [])
    total, tried = known.height, rates([rate for row in known["rates"].to_list() for rate in row])
    raised, lowered = int(known["raises"].fill_null(False).sum()), int(known["lowers"].fill_null(False).sum())
    moved = int(known["best_moves"].fill_null(False).sum())
    everywhere = sum(bool(found) for found in known["everywhere"].to_list())
    excluded = {name: known.filter(polars.col(f"{name}_reference") == "excluded").height for name in ("fixed", "tuned")}
    within = {name: known.filter(polars.col(f"{name}_reference") == "within").height for name in ("fixed", "tuned")}
    sentences = [
        f"Warmup raises the learning rate that can be used in {raised} of {number(total, 'cell')} and lowers it in "
        f"{lowered}; in the others neither is shown (peak rates tried: {tried}). Raised means: with some warmup a rate "
        "is demonstrated to be as good as that warmup's best rate which is excluded without warmup.",
        f"The best warmup moves with the rate in {moved} of {number(total, 'cell')} (two rates share no warmup that is "
        f"not excluded); in {everywhere} some warmup is demonstrated at every rate.",
        f"At one fixed rate, training without warmup is excluded in {excluded['fixed']} and demonstrated to be as good "
        f"as the best in {within['fixed']} of {number(total, 'cell')}; with the rate tuned for each warmup in "
        f"{excluded['tuned']} and {within['tuned']}.",
    ]
    return Reply([*sentences, *([f"Left out: {said}."] if said else [])], header, rows)


def _recommended(row: Row, name: str) -> str:
    return f"{percent(row[f'{name}_recommended'])}, costs at most {row[f'{name}_recommended_high']:.2g}"


def listed_or(warmups: Sequence[float] | None, words: str, otherwise: str) -> str:
    """The warmups and what holds for them, or what is said where there are none."""
    return f"{listed(warmups)} {words}" if warmups else otherwise


def recipes(tables: Tables, words: Words) -> Reply:
    """Does another recipe without warmup do as well as the first one with it?"""
    table = tables["recipe_arms"].filter(family="at its best warmup")
    sentences, rows = [], []
    for part in table.partition_by("architecture", "task", maintain_order=True):
        first = part.row(0, named=True)
        where = place(first, words)
        reference = part.filter(verdict="reference")
        if reference.is_empty():
            sentences.append(f"For {where} nothing can be compared: {reason(first['note'] or 'no reference')}.")
            continue
        base = reference.row(0, named=True)
        bare = part.filter(warmup=0.0, recipe=base["recipe"])
        others = part.filter(polars.col("recipe") != base["recipe"], polars.col("warmup") == 0).drop_nulls("mean")
        name, least = label(base["recipe"], words), percent(base["warmup"])
        start = f"For {where}, {name} reaches {base['mean']:.3g} at {least} warmup"
        if base["warmup"] != 0 and not bare.is_empty():
            start += f" and {bare['mean'][0]:.3g} without"
        if others.is_empty():
            sentences.append(f"{start}; no other recipe was trained without warmup.")
            continue
        best = others.sort("mean").row(0, named=True)
        lowest = f"{label(best['recipe'], words)} is lowest of {number(others.height, 'other recipe')}"
        end = f"without warmup {lowest}: {best['mean']:.3g}{_difference(best)}"
        sentences.append(f"{start}; {end}. {_verdicts(others)}")
        rows += [
            (where, label(row["recipe"], words), f"{row['mean']:.3g}", _limits(row), row["verdict"])
            for row in others.sort("mean").iter_rows(named=True)
        ]
    header = ("", "recipe, without warmup", "mean", "less the first at its best warmup", "verdict (Holm)")
    return Reply(sentences, header, rows)


def _difference(row: Row) -> str:
    return f" ({_limits(row)} from it)" if row["difference"] is not None else ""


def _limits(row: Row) -> str:
    if row["difference"] is None:
        return CANNOT_SAY
    return f"{row['difference']:+.2g} ({row['low']:+.2g} to {row['high']:+.2g})"


def _verdicts(others: polars.DataFrame) -> str:
    better, worse = (others.filter(verdict=verdict).height for verdict in ("better", "worse"))
    if better + worse == 0:
        seeds = int(min(others["n"].to_list()))
        return f"At n = {seeds} no difference is shown, nor its absence: whether one replaces warmup stays open."
    return f"After Holm's correction {better} of them do better and {worse} worse than the first at its best warmup."


def plateau_heights(tables: Tables, words: Words) -> Reply:
    """Does a higher plateau leave a lower loss after the same decay?"""
    table = tables["plateau_height_differences"]
    sentences, rows = [], []
    for part in table.partition_by("architecture", "task", "decay", maintain_order=True):
        row = part.row(0, named=True)
        where = f"{place(row, words)} (decay {row['decay']})"
        lower, higher = (part.filter(verdict=f"hotter {side}") for side in ("lower", "higher"))
        rows.append((where, str(part.height), str(lower.height), str(higher.height), str(row["n"])))
        shown = [
            f"a plateau of {pair['hotter']:g} times the peak ends lower than one of {pair['cooler']:g}"
            for pair in lower.iter_rows(named=True)
        ]
        if shown:
            sentences.append(f"For {where} {'; '.join(shown)}.")
    total, decided = table.height, table.filter(polars.col("verdict").str.starts_with("hotter")).height
    hotter = table.filter(verdict="hotter lower").height
    first = (
        f"Of {number(total, 'pair')} of plateau heights the hotter one ends lower after the same decay in {hotter}, "
        f"higher in {decided - hotter}, and in {total - decided} no difference is shown."
    )
    header = ("", "pairs of heights", "hotter ends lower", "hotter ends higher", "seeds")
    return Reply([first, *sentences], header, rows)


def families(tables: Tables, words: Words) -> Reply:
    """Do relatives need different warmups?"""
    lineages = dict(tables["runs"].select("architecture", "lineage").unique().iter_rows())
    known = tables["plateaus"].filter(verdict="ok")
    members = known.with_columns(
        lineage=polars.col("architecture").replace_strict(lineages, return_dtype=polars.String)
    )
    rows, apart, pairs, sentences = [], 0, 0, []
    for part in members.partition_by("lineage", "task", "recipe", maintain_order=True):
        found = part.to_dicts()
        if len(found) < 2:
            continue
        here = [(a, b) for a, b in combinations(found, 2) if not set(a["not_excluded"]) & set(b["not_excluded"])]
        pairs, apart = pairs + len(found) * (len(found) - 1) // 2, apart + len(here)
        head = f"{label(found[0]['lineage'], words)} on {label(found[0]['task'], words)}"
        flat = sum(row["whole_grid"] for row in found)
        rows.append((head, str(len(found)), str(flat), str(len(here))))
        sentences += [
            f"On {label(a['task'], words)}, {label(a['architecture'], words)} ({listed(a['not_excluded'])}) and "
            f"{label(b['architecture'], words)} ({listed(b['not_excluded'])}) share no warmup that is not excluded."
            for a, b in here
        ]
    first = (
        f"Of {number(pairs, 'pair')} of relatives on the same task, {apart} are shown to need different warmups: no "
        "warmup is left unexcluded in both."
        if pairs
        else "No two relatives have an answer on the same task."
    )
    return Reply([first, *sentences], ("", "relatives", "nothing excluded in", "pairs that differ"), rows)


QUANTITIES = {
    "optimum": "the best warmup",
    "regret": "the regret of no warmup",
    "log_spike_ratio": "the spike ratio without warmup",
}


def initialisation(tables: Tables, words: Words) -> Reply:
    """What the authors' start changes against the library's: sizes with their intervals, and no verdict."""
    table = tables["start_differences"]
    header = ("", *(f"{name.removeprefix('the ')}, authors' against library's" for name in QUANTITIES.values()))
    if table.is_empty():
        return Reply(["No architecture was trained from both its authors' start and the library's."], header, [])
    several = table["recipe"].n_unique() > 1
    rows = []
    for part in table.partition_by("architecture", "task", "recipe", maintain_order=True):
        found = {row["quantity"]: row for row in part.iter_rows(named=True)}
        first = found["optimum"]
        recipe = f", {label(first['recipe'], words)}" if several else ""
        rows.append((f"{place(first, words)}{recipe}", *(_start_difference(found[name]) for name in QUANTITIES)))
    clear = polars.col("difference_low").gt(0) | polars.col("difference_high").lt(0)
    apart = " and ".join(
        f"for {name} in {table.filter(clear, quantity=key).height}" for key, name in QUANTITIES.items()
    ).replace(" and ", ", ", 1)
    opening = (
        f"{number(len(rows), 'cell')} were trained from their authors' start and from the library's. The interval of "
        f"the difference leaves out zero {apart} of them ({100 * words['confidence']:g} % confidence, "
        f"n = {counts(table['n'].to_list())} seeds). An interval that holds zero shows neither a difference nor that "
        "there is none, so no verdict is drawn: the sizes stand in the table, with their intervals."
    )
    return Reply([opening, *(_largest(table.filter(quantity=name), words) for name in QUANTITIES)], header, rows)


def _largest(rows: polars.DataFrame, words: Words) -> str:
    """Where a quantity differs most between the two starts, by its estimate, and in how many cells it does at all."""
    quantity = rows["quantity"][0]
    name = QUANTITIES[quantity][0].upper() + QUANTITIES[quantity][1:]
    known = rows.drop_nulls("difference")
    if known.is_empty():
        return f"{name} cannot be compared: {reason(rows['note'][0])}."
    most = known.sort(polars.col("difference").abs(), descending=True).row(0, named=True)
    if most["difference"] == 0:
        return f"{name} is the same from both starts in all {number(known.height, 'cell')} where it is known."
    higher = known.filter(polars.col("difference") > 0).height
    lower = known.filter(polars.col("difference") < 0).height
    return (
        f"{name} is higher from the authors' start in {higher} and lower in {lower} of "
        f"{number(known.height, 'cell')}, by its estimates; it differs most for {place(most, words)}: "
        f"{_start_difference(most)}."
    )


def _start_difference(row: Row) -> str:
    """ "3.2 against 1.1, 2.9 times (0.8 to 11)": from the authors' start, from the library's, the difference."""
    if row["authors"] is None or row["library"] is None or row["difference"] is None:
        return f"{CANNOT_SAY}: {reason(row['note'] or 'not known')}"
    known = row["difference_low"] is not None
    numbers = [row[name] for name in ("difference", "difference_low", "difference_high") if row[name] is not None]
    if row["quantity"] == "log_spike_ratio":
        both, size = [f"{math.exp(row[name]):.3g}" for name in ("authors", "library")], [_factor(x) for x in numbers]
        size[0] += " times"
    elif row["quantity"] == "optimum":
        both, size = [percent(row[name]) for name in ("authors", "library")], [f"{100 * x:+.3g}" for x in numbers]
        size[0] += " points"
    else:
        both, size = [f"{row[name]:.3g}" for name in ("authors", "library")], [f"{x:+.2g}" for x in numbers]
    limits = f" ({size[1]} to {size[2]})" if known else f" ({row['note']})"
    return f"{both[0]} against {both[1]}, {size[0]}{limits}"


def _factor(log: float) -> str:
    """A ratio from its natural logarithm; one that no reader could use is said as a bound."""
    if abs(log) > math.log(1e4):
        return "over 10,000" if log > 0 else "under 0.0001"
    return f"{math.exp(log):.2g}" if log < math.log(100) else f"{math.exp(log):,.0f}"


def _left_out(unknown: polars.DataFrame, words: Words) -> str:
    return "; ".join(f"{place(row, words)} ({reason(row['note'])})" for row in unknown.iter_rows(named=True))


ROLE_WORDS = {
    "attention_matrices": "attention's matrices",
    "mixer_matrices": "the mixers' matrices",
    "feed_forward_matrices": "the feed-forward matrices",
    "rest": "the rest (biases, convolutions, A_log)",
}
"""Roles whose names in the configuration are no words of a sentence."""


def attribution(tables: Tables, words: Words) -> Reply:
    """Which role needs the warmup; with which optimiser, in which changed network does warmup gain less?"""
    table = tables["attribution"]
    sentences, rows = [], []
    for part in table.partition_by("architecture", "task", "warmup", maintain_order=True):
        where = f"{place(part.row(0, named=True), words)}, {percent(part['warmup'][0])} warmup"
        sentences += [*_roles_that_need_it(part, where), *_gains_elsewhere(part, where, words)]
        rows += [
            (
                where,
                CONTRASTS[row["kind"]].format(
                    role=ROLE_WORDS.get(row["role"], row["role"]),
                    recipe=label(row["recipe"], words),
                    against=label(row["against"], words),
                ),
                _limits(row) if row["low"] is not None else CANNOT_SAY,
                str(row["n"]),
                row["verdict"],
            )
            for row in part.iter_rows(named=True)
        ]
    header = ("", "difference (below 0: lower loss)", "with limits", "seeds", "verdict")
    return Reply(sentences or ["No two recipes of this study differ in what they warm."], header, rows)


CONTRASTS = {
    "all": "all warmed, less none",
    "alone": "{role} alone, less none",
    "enough": "{role} alone, less all",
    "without": "all but {role}, less all",
    "optimizer": "warmup's gain with {recipe}, less with {against}",
    "network": "warmup's gain here, less in {against}",
}
"""What a row of the table of contrasts compares."""


def _roles_that_need_it(part: polars.DataFrame, where: str) -> list[str]:
    everything = part.filter(kind="all")
    if everything.is_empty():
        return []
    row = everything.row(0, named=True)
    verdict = {"helps": "helps", "harms": "harms"}.get(row["verdict"], "is not shown to help or to harm")
    size = f" ({_limits(row)}, margin {row['margin']:.2g})" if row["low"] is not None else f" ({reason(row['note'])})"
    found = {
        (kind, said): [ROLE_WORDS.get(role, role) for role in part.filter(kind=kind, verdict=said)["role"]]
        for kind, said in (
            *(
                ("without", "needed"),
                ("without", "not needed"),
                ("without", "better left out"),
                ("without", CANNOT_SAY),
            ),
            *(("enough", "enough"), ("alone", "helps")),
        )
    }
    parts = [
        f"{text} {', '.join(found[key])}"
        for key, text in (
            (("without", "needed"), "the warmup cannot be left away from"),
            (("without", "not needed"), "it can, at less than the margin, from"),
            (("without", "better left out"), "better not warmed are"),
            (("without", CANNOT_SAY), "cannot say of"),
            (("enough", "enough"), "enough is to warm"),
            (("alone", "helps"), "alone helps to warm"),
        )
        if found[key]
    ]
    return [
        f"For {where}: warming everything rather than nothing {verdict}{size}{''.join('; ' + one for one in parts)}."
    ]


def _gains_elsewhere(part: polars.DataFrame, where: str, words: Words) -> list[str]:
    said = []
    for row in part.filter(polars.col("kind").is_in(["optimizer", "network"])).iter_rows(named=True):
        what = f"with {label(row['recipe'], words)} warmup" if row["kind"] == "optimizer" else "warmup"
        verdict = "is not shown to gain more or less" if row["verdict"] == CANNOT_SAY else row["verdict"]
        limits = f" ({_limits(row)})" if row["low"] is not None else f" ({reason(row['note'])})"
        said.append(f"For {where}, {what} {verdict} than {_with(row)}{label(row['against'], words)}{limits}.")
    return said


def _with(row: Row) -> str:
    return "with " if row["kind"] == "optimizer" else "in "
