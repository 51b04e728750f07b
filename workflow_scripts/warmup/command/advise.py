"""`warmup advise mine.yaml`: how much warmup one's own model needs, predicted from short runs or measured."""

import argparse
import sys
from pathlib import Path
from typing import Any

from warmup.command import own_settings
from warmup.command.answer import Answer
from warmup.config import feasibility
from warmup.errors import ConfigurationError

DESCRIPTION = "how much warmup your own model needs, from short runs of it, with the record of such predictions"
FOLDER = Path("warmup-advice")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add = parser.add_argument
    add(
        "configuration",
        type=Path,
        nargs="?",
        help="as for snakemake --configfile: architectures, tasks, recipes, training",
    )
    add("--from", dest="recorded", type=Path, metavar="FILE", help="what warmup.record kept of your own loop, instead")
    add("--architecture", help="entry of architectures (default: the only one of the file)")
    add("--task", help="entry of tasks (default: the only one of the file, else language)")
    add("--recipe", default="adamw", help="entry of recipes (default: adamw)")
    add("--reference", type=Path, metavar="FOLDER", help="finished studies to predict from (default: those shipped)")
    add("--confirm", type=float, metavar="MINUTES", help="sweep your own model for as long, and say what that shows")
    add("--seeds", type=int, default=2, help="short runs (default 2)")
    add("--record", action="store_true", help="only print how choosing did on lineages left out; trains nothing")
    add("--folder", type=Path, default=FOLDER, help=f"where data and runs are kept (default {FOLDER})")


def answer(arguments: argparse.Namespace) -> Answer:
    """The advice; cannot say where neither a prediction with a record nor a decided sweep stands behind it."""
    if [arguments.configuration is None, arguments.recorded is None, not arguments.record].count(False) != 1:
        raise ConfigurationError(
            "advise: give a configuration, or --from a recorded file, or --record, and one of them"
        )
    if arguments.record:
        return _record(arguments)
    if arguments.recorded is not None:
        return _from_recorded(arguments)
    own, settings = own_settings.read(arguments.configuration)
    name = _one_of(own, settings, "architectures", arguments.architecture, None)
    task = _one_of(own, settings, "tasks", arguments.task, "language")
    recipe = own_settings.chosen(settings["recipes"], arguments.recipe, "adamw", "--recipe")
    settings = dict(feasibility.of_recipe(settings, recipe))
    cell = (name, task, recipe)
    if arguments.confirm is not None:
        return _confirmed(arguments, settings, cell)
    return _predicted(arguments, settings, cell)


def _record(arguments: argparse.Namespace) -> Answer:
    from warmup.advice import reference, say, track_record

    known = reference.read(arguments.reference)
    data = {"how": "record", "reference": {name: known.about[name] for name in say.SHOWN}}
    data |= {"level": known.settings["interval_level"], "confidence": known.settings["confidence"]}
    return Answer("\n".join(track_record.lines(known)), data | {"rules": track_record.rules(known)})


def _one_of(own: dict[str, Any], settings: dict[str, Any], section: str, name: str | None, default: str | None) -> str:
    """The entry that is meant: named, or the only one of the user's file, or the default."""
    mine = list(own.get(section) or {})
    singular = section.removesuffix("s")
    if name is None and len(mine) != 1 and (mine or default is None):
        listed = f"there are {', '.join(mine)}" if mine else f"the file has no {section}"
        raise ConfigurationError(f"--{singular}: say which one; {listed} (`warmup entry` writes one)")
    return own_settings.chosen(settings[section], name, mine[0] if len(mine) == 1 else str(default), f"--{singular}")


def _predicted(arguments: argparse.Namespace, settings: dict[str, Any], cell: tuple[str, str, str]) -> Answer:
    from warmup.advice import reference, say, short_runs
    from warmup.config import grid
    from warmup.statistics.prediction import diagnostics

    known = reference.read(arguments.reference)
    budgets = diagnostics.budgets(settings["training"]["steps"], known.settings)
    if not budgets:
        raise ConfigurationError(
            f"training.steps: {settings['training']['steps']} leave no room for a short run below half of them"
        )
    first = int(settings["first_seed"])
    runs = [grid.Run(*cell, "0", str(seed)) for seed in range(first, first + arguments.seeds)]
    print(f"{len(runs)} short runs of {max(budgets)} steps without warmup", file=sys.stderr)
    places = short_runs.train(settings, runs, arguments.folder, stop_after=max(budgets))
    probes = diagnostics.diagnostic_table(places, known.settings)
    tokens = own_settings.tokens_per_step(settings["tasks"][cell[1]])
    return _said(known, probes, _planned(settings, cell), tokens, cell, say)


def _planned(settings: dict[str, Any], cell: tuple[str, str, str]) -> dict[str, Any]:
    from warmup.config import grid

    recipe = settings["recipes"][cell[2]]
    rate = grid.peak_learning_rate(settings, grid.Run(*cell, "0", "0"))
    return {
        "steps": int(settings["training"]["steps"]),
        "peak_learning_rate": rate,
        "optimizer": recipe["optimizer"],
        "betas": recipe["betas"],
    }


def _said(known: Any, probes: Any, planned: dict[str, Any], tokens: int | None, cell: Any, say: Any) -> Answer:
    import polars

    yours = f"{cell[0]} (yours)"  # never taken for an architecture of the reference
    found = say.advise(known, probes.with_columns(polars.lit(yours).alias("architecture")), planned, tokens)
    data = {"how": "predicted", "architecture": cell[0], "task": cell[1], "recipe": cell[2], **found, "sweep": None}
    text = "\n".join(say.lines(found, f"{cell[0]} on {cell[1]}"))
    return Answer(text, data, said=found["verdict"] == "predicted")


def _from_recorded(arguments: argparse.Namespace) -> Answer:
    from warmup.advice import recorded, reference, say

    if not arguments.recorded.is_file():
        raise ConfigurationError(f"--from: {arguments.recorded} is no file")
    table, facts = recorded.read(arguments.recorded)
    known = reference.read(arguments.reference)
    cell = (arguments.architecture or "model", arguments.task or "language", arguments.recipe)
    own_settings.chosen(known.about["recipes"], arguments.recipe, "adamw", "--recipe")
    if recorded.warmed(table, facts):
        note = (
            f"it was recorded during a warmup (a first rate of {table['learning_rate'][0]:.2g}, heading for "
            f"{facts['peak_learning_rate']:.2g}); record a short run without one"
        )
        data = {"how": "predicted", "architecture": cell[0], "task": cell[1], "recipe": cell[2]}
        data |= {"verdict": "cannot say", "note": note, "warmup": None, "record": None, "sweep": None}
        return Answer(f"cannot say: {note}", data, said=False)
    probes = recorded.rows(table, facts, cell, known.settings)
    planned = {
        "steps": int(facts["planned_steps"]),
        "peak_learning_rate": facts["peak_learning_rate"],
        "optimizer": facts["optimizer"],
        "betas": facts["betas"],
    }
    return _said(known, probes, planned, None, cell, say)


def _confirmed(arguments: argparse.Namespace, settings: dict[str, Any], cell: tuple[str, str, str]) -> Answer:
    from warmup.advice import sweep

    if not arguments.confirm > 0:
        raise ConfigurationError(f"--confirm: {arguments.confirm:g} minutes are no time; give some")
    found = sweep.sweep(settings, cell, arguments.folder, arguments.confirm)
    steps = int(settings["training"]["steps"])
    decided = found.get("verdict") == "decided"
    tokens = own_settings.tokens_per_step(settings["tasks"][cell[1]])
    warmup = None
    if found.get("recommended") is not None:
        warmup = {"fraction": found["recommended"], "steps": int(found["recommended"] * steps + 0.5)}
        warmup |= {"tokens": None if tokens is None else warmup["steps"] * tokens}
    note = "" if decided else f"the sweep stopped undecided: {found['stopped']}"
    data = {"how": "swept", "architecture": cell[0], "task": cell[1], "recipe": cell[2], "steps": steps}
    data |= {"verdict": "measured" if decided else "cannot say", "note": note, "warmup": warmup, "record": None}
    return Answer("\n".join(_swept(data, found)), {**data, "sweep": found}, said=decided)


def _swept(data: dict[str, Any], found: dict[str, Any]) -> list[str]:
    name = f"{data['architecture']} on {data['task']}"
    told = f"{found['runs']} runs of your own model in {found['minutes']:.1f} minutes, n = {found.get('n', 0)} seeds"
    warmup = data["warmup"]
    if warmup is None:
        return [f"{name}: cannot say: {data['note']}", f"  {told}"]
    amount = f"{warmup['steps']} of {data['steps']} steps ({100 * warmup['fraction']:.3g} %)"
    amount += f", {warmup['tokens']:,} tokens" if warmup["tokens"] is not None else ""
    costs = f"{found['recommended_high']:.3g} over the best warmup tried (margin {found['margin']:.3g})"
    opening = "measured, warm up over" if data["verdict"] == "measured" else f"cannot say: {data['note']}; take"
    return [
        f"{name}: {opening} {amount}",
        f"  it costs at most {costs}",
        f"  without warmup: {found['reference_verdict']}",
        f"  {told}; a sweep, not a prediction",
    ]
