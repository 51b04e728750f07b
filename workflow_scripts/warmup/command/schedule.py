"""`warmup schedule mine.yaml --for TRAINER`: a schedule as the exact lines of a trainer, and its table of rates."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars

from warmup import files, registry
from warmup.command import own_settings
from warmup.command.answer import Answer
from warmup.command.trainers import TRAINERS, Lines, NotExpressibleError, Plan
from warmup.config import feasibility
from warmup.errors import ConfigurationError
from warmup.schedules import _options

DESCRIPTION = "the exact lines of your trainer for a warmup and schedule, its unit, its off-by-one, the table of rates"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add = parser.add_argument
    add("configuration", type=Path, help="as for snakemake --configfile: recipes, training.steps, tasks")
    add("--for", dest="trainer", required=True, choices=list(TRAINERS), help="the trainer")
    add("--warmup", required=True, help='with its unit: "2%%", "200 steps" or "1e9 tokens"')
    add("--recipe", help="entry of recipes (default: the one of the file, else adamw)")
    add("--task", help="entry of tasks, for tokens (default: language)")
    add("--accumulate", type=int, default=1, help="batches per optimizer update (default 1)")
    add("--table", type=Path, metavar="FILE", help="write the rates of every update (.csv or .parquet)")


def answer(arguments: argparse.Namespace) -> Answer:
    """The lines; cannot say where the trainer has no such schedule."""
    own, settings = own_settings.read(arguments.configuration)
    recipes = list(own.get("recipes") or {})
    name = own_settings.chosen(
        settings["recipes"], arguments.recipe, recipes[0] if len(recipes) == 1 else "adamw", "--recipe"
    )
    settings = dict(feasibility.of_recipe(settings, name))
    if arguments.accumulate < 1:
        raise ConfigurationError(f"--accumulate: {arguments.accumulate} batches make no update; give 1 or more")
    task = own_settings.chosen(settings["tasks"], arguments.task, "language", "--task")
    tokens = own_settings.tokens_per_step(settings["tasks"][task])
    tokens = tokens * arguments.accumulate if tokens else None
    steps, recipe = int(settings["training"]["steps"]), settings["recipes"][name]
    warmup = own_settings.steps_of(arguments.warmup, steps, tokens)
    schedule = registry.load("schedules", recipe["schedule"])
    options = _options.chosen(recipe["schedule"], schedule.OPTIONS, recipe.get("schedule_options") or {})
    plan = Plan(recipe, steps, warmup, options, arguments.accumulate)
    ours = plan.rates()
    about = {"trainer": arguments.trainer, "recipe": name, "schedule": recipe["schedule"], "peak": plan.peak}
    about |= {"steps": steps, "warmup_steps": warmup, "warmup_fraction": warmup / steps}
    about |= {"warmup_tokens": warmup * tokens if tokens else None}
    try:
        lines = TRAINERS[arguments.trainer](plan)
    except NotExpressibleError as error:
        return Answer(f"cannot say: {error}", {**about, "lines": None, "note": str(error)}, said=False)
    if arguments.table:
        columns = {"update": np.arange(steps), "rate": ours, "rate_of_trainer": lines.rates}
        files.write_table(polars.DataFrame(columns), arguments.table)
    data = {**about, "lines": lines.text, "unit": lines.unit, "differs": lines.differs, "beware": lines.beware}
    data |= {"checked": lines.checked, "source": lines.source, "note": ""}
    data["rates"] = [
        {"update": update, "rate": float(ours[update]), "rate_of_trainer": float(lines.rates[update])}
        for update in shown(steps, warmup)
    ]
    return Answer(_text(data, lines), data)


def shown(steps: int, warmup: int) -> list[int]:
    """Updates worth a look: the first ones, those around the end of warmup, and along the decay."""
    wanted = [0, 1, warmup // 2, warmup - 1, warmup, warmup + 1, (warmup + steps) // 2, steps - 2, steps - 1]
    return sorted({update for update in wanted if 0 <= update < steps})


def _text(data: dict[str, Any], lines: Lines) -> str:
    amount = f"{data['warmup_steps']} of {data['steps']} updates ({data['warmup_fraction']:.3g} of training"
    amount += f", {data['warmup_tokens']:.3g} tokens)" if data["warmup_tokens"] is not None else ")"
    how = "run on the real scheduler by a test" if lines.checked == "run" else "read in its source, not run"
    parts = [
        f"# {data['schedule']} to {data['peak']:g} (recipe {data['recipe']}), warmup over {amount}",
        lines.text,
        f"unit: {lines.unit}",
        f"rates: {lines.differs or 'ours at every update'}",
        *(f"beware: {one}" for one in lines.beware),
        f"checked: {how} ({lines.source})",
        "",
        "update       our rate  trainer's rate",
        *(f"{row['update']:>6}  {row['rate']:>13.6g}  {row['rate_of_trainer']:>14.6g}" for row in data["rates"]),
    ]
    return "\n".join(parts)
