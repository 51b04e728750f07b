"""The pilot of the laptop scale, by the rules of docs/pilot.md: `make pilot`.

Trains studies `pilot_rates`, `pilot_rates_more` and, at the rates they choose, `pilot_designs`; prints the tables that
the choices were made from, and writes pilot/choice.yaml (what config.yaml then says), pilot/laptop.csv (the runs of
the design that was chosen) and pilot/budgets.csv (what more steps would gain). Processor seconds are those of the runs'
resources.json.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import polars
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from warmup.config import configuration  # noqa: E402
from warmup.statistics.base import budgets  # noqa: E402
from warmup.statistics.base.outcomes import SCHEMA  # noqa: E402
from warmup.statistics.effect import pilot  # noqa: E402

FOLDER = ROOT / "pilot"
TODAY, LONGEST = "pilot_today", "pilot_300"


def train(study: str, cores: int, *configfiles: Path) -> polars.DataFrame:
    """Train a study of the laptop scale; its runs table. Raises CalledProcessError if a training fails."""
    table = f"results/laptop/studies/{study}/tables/runs.csv"
    own = [part for path in configfiles for part in ("--configfile", str(path))]
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *own]
    subprocess.run([*command, "--config", f"study={study}", "design=fixed", "--", table], cwd=ROOT, check=True)
    return polars.read_csv(ROOT / table, schema_overrides=dict(SCHEMA))


def seconds() -> dict[tuple[str, str, str], float]:
    """Median processor seconds of the runs on disk, by architecture, task and recipe."""
    found = defaultdict(list)
    for path in (ROOT / "results/laptop/runs").glob("*/*/*/*/*/resources.json"):
        where = dict(part.split("=", 1) for part in path.parent.parts[-5:])
        spent = json.loads(path.read_text())["processor_seconds"]
        found[where["architecture"], where["task"], where["recipe"]].append(spent)
    return {key: median(values) for key, values in found.items()}


def chosen_rates(table: polars.DataFrame) -> dict[str, dict[str, float]]:
    """Peak rates by architecture and task, as config.yaml holds them."""
    rates: dict[str, dict[str, float]] = {}
    for row in table.filter("lowest").iter_rows(named=True):
        rates.setdefault(row["architecture"], {})[row["task"]] = row["peak_learning_rate"]
    return rates


def main() -> None:
    """Run the pilot and write what it chose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    cores = parser.parse_args().cores
    polars.Config.set_tbl_rows(-1), polars.Config.set_tbl_cols(-1), polars.Config.set_fmt_float("full")
    polars.Config.set_float_precision(4)
    given = yaml.safe_load((ROOT / "config.yaml").read_text())
    settings = configuration.effective({**given, "scale": "laptop"})
    outcome, margins = settings["statistics"]["outcome"], settings["statistics"]["margins"]
    FOLDER.mkdir(exist_ok=True)

    first = train("pilot_rates", cores)
    today = first.filter(recipe=TODAY)
    tried = first.filter(polars.col("recipe") != TODAY)
    if "pilot_rates_more" in settings["studies"]:
        tried = polars.concat([tried, train("pilot_rates_more", cores)])
    rates = pilot.rates(tried, outcome)
    print(rates)
    ends = rates.filter("at_the_end")
    if not ends.is_empty():
        sys.exit(f"the lowest loss lies at an end of its grid: add rates for these to study pilot_rates_more\n{ends}")
    own = {"recipes": {"adamw": {"peak_learning_rates": chosen_rates(rates)}}}
    (FOLDER / "rates.yaml").write_text(yaml.safe_dump(own, sort_keys=False))

    runs = train("pilot_designs", cores, FOLDER / "rates.yaml")
    table = pilot.designs(runs, today, seconds(), outcome, relative(margins))
    print(table)
    order = pilot.best_design(table)
    print(order)
    slopes = budgets.slopes(runs.filter(polars.col("recipe").is_in(["pilot_150", LONGEST])), outcome)
    print(slopes)
    choice: dict[str, Any] = {"design": order.row(0, named=True)["recipe"], **own}
    (FOLDER / "choice.yaml").write_text(yaml.safe_dump(choice, sort_keys=False))
    runs.filter(recipe=choice["design"]).write_csv(FOLDER / "laptop.csv")
    slopes.write_csv(FOLDER / "budgets.csv")
    (FOLDER / "rates.yaml").unlink()


def relative(margins: dict[str, Any]) -> dict[str, float]:
    """Relative margins by task. Raises KeyError for an absolute one, of which the pilot's rules say nothing."""
    return {task: margin["relative"] for task, margin in margins.items()}


if __name__ == "__main__":
    main()
