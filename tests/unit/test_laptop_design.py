"""config.yaml says of the laptop scale what its pilot chose (docs/pilot.md)."""

from pathlib import Path
from typing import Any

import polars
import yaml

from warmup.config import configuration, grid, selections
from warmup.statistics.base.outcomes import SCHEMA

PILOT = Path(__file__).resolve().parents[2] / "pilot"


def test_rates_steps_floor_and_batches_are_those_that_the_pilot_chose(config: dict[str, Any]) -> None:
    settings = configuration.effective({**config, "scale": "laptop"})
    choice = yaml.safe_load((PILOT / "choice.yaml").read_text())
    chosen, study = settings["recipes"][choice["design"]], settings["recipes"]["adamw"]
    assert study["peak_learning_rates"] == choice["recipes"]["adamw"]["peak_learning_rates"]
    assert (settings["training"]["steps"], study["floor"]) == (chosen["steps"], chosen["floor"])
    sizes = {name: settings["tasks"][name]["batch_size"] for name in selections.study_tasks(settings, {})}
    assert sizes == chosen["batch_sizes"]


def test_what_the_pilot_lends_to_looks_are_runs_of_the_chosen_design_with_seeds_of_their_own(
    config: dict[str, Any],
) -> None:
    settings = configuration.effective({**config, "scale": "laptop"})
    lent = polars.read_csv(settings["looks"]["pilot"], schema_overrides=dict(SCHEMA))
    choice = yaml.safe_load((PILOT / "choice.yaml").read_text())
    assert lent["recipe"].unique().to_list() == [choice["design"]]
    study = grid.runs(settings)
    assert {(row["architecture"], row["task"]) for row in lent.iter_rows(named=True)} == {run[:2] for run in study}
    assert not set(lent["seed"].unique()) & {int(run.seed) for run in study}
