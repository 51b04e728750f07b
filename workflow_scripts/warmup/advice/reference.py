"""Finished studies that a prediction is read off: their runs and diagnostics, and how predicting did on those left out.

In: folders of studies of this workflow (or the small reference that is shipped, made of some). Out: `Reference`.
`python -m warmup.advice.reference STUDY ... --into FOLDER` (`make reference`) makes the one that is shipped.
"""

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars

from warmup import files, shipped
from warmup.advice import coverage
from warmup.errors import DataError
from warmup.provenance import versions
from warmup.statistics.base import outcomes
from warmup.statistics.effect import plateau
from warmup.statistics.prediction import leaderboard

SHIPPED = shipped.PACKAGE / "advice" / "reference"
PREDICTS_FROM = ("runs", "diagnostics", "plateaus", "leaderboard", "held_out")
"""Tables that `prediction.predict` takes."""
TABLES = (*PREDICTS_FROM, "coverage")
PROVENANCE = "provenance.json"
MADE_BY = "make reference"
OF_MAKE = ("warmup", "families", "modern")
"""Studies of the Makefile's target."""
COMMAND = "python -m warmup.advice.reference"


@dataclass(frozen=True)
class Reference:
    """`tables` by name (those of a study), and `about`: scale, studies, steps, recipes, settings, versions."""

    tables: Mapping[str, polars.DataFrame]
    about: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """Section prediction with outcome, confidence and log_offset: those that the tables were made with."""
        return dict(self.about["settings"])


def read(folder: Path | None) -> Reference:
    """The reference in `folder`, or the shipped one; DataError with the command that makes it if there is none."""
    place = folder or SHIPPED
    if not (place / PROVENANCE).is_file():
        whose = "the shipped reference" if folder is None else str(folder)
        raise DataError(
            f"{whose}: there is no {PROVENANCE}; in a checkout `{MADE_BY}` trains its studies and makes the reference, "
            "and --reference FOLDER takes one of your own (python -m warmup.advice.reference STUDY ... --into FOLDER)"
        )
    missing = [name for name in TABLES if not (place / f"{name}.parquet").is_file()]
    if missing:
        raise DataError(f"{place / missing[0]}.parquet: missing; make this reference again, with {COMMAND}")
    tables = {name: polars.read_parquet(place / f"{name}.parquet") for name in TABLES}
    return Reference(tables, json.loads((place / PROVENANCE).read_text()))


def build(studies: Sequence[Path], settings: Mapping[str, Any]) -> dict[str, polars.DataFrame]:
    """Tables of all `studies` (folders with tables/) together; each run counts once.

    `settings`: the effective settings that they were made with. Plateaus, held-out predictions and the coverage of
    their intervals are computed anew, so that every lineage is left out of all of them. Where looks dropped warmups, a
    cell has as many seeds as have every warmup. DataError where a run is stale, or differs between studies.
    """
    parts = {name: [_table(study, name) for study in studies] for name in ("runs", "diagnostics")}
    runs = _each_once(polars.concat(parts["runs"])).with_columns(polars.lit("study").alias("role"))
    known = ["architecture", "task", "recipe", "seed", "diagnostic", "budget"]
    diagnostics = polars.concat(parts["diagnostics"]).unique(known, maintain_order=True)
    plateaus, _ = plateau.plateaus(runs, settings["statistics"])
    board, held_out = leaderboard.leaderboard(runs, diagnostics, plateaus, of_prediction(settings))
    tried = coverage.coverage(runs, diagnostics, of_prediction(settings))
    return dict(zip(TABLES, (runs, diagnostics, plateaus, board, held_out, tried), strict=True))


def _each_once(runs: polars.DataFrame) -> polars.DataFrame:
    """One row per run; studies share runs."""
    if runs["stale"].any():
        named = runs.filter("stale").select(outcomes.COORDINATES).row(0)
        raise DataError(f"run {' '.join(map(str, named))}: made by other code or settings; train the study again")
    once = runs.unique(outcomes.COORDINATES, maintain_order=True)
    if runs.select(*outcomes.COORDINATES, "best_validation_loss").unique().height > once.height:
        raise DataError("the studies have runs of the same coordinates with different losses; train them by one code")
    return once


def of_prediction(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Section prediction, with what it shares with the section statistics."""
    shared = {name: settings["statistics"][name] for name in ("outcome", "confidence", "log_offset")}
    return {**settings["prediction"], **shared}


def about(runs: polars.DataFrame, studies: Sequence[Path], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance of `build`'s tables: what was trained and how, by which code, with which libraries.

    `seeds`: fewest and most that have every warmup of their cell; `commit`: of the checkout that the studies lie in.
    """
    seeds = [len(cell.block.complete) for cell in outcomes.cells(runs)]
    recipes = {name: settings["recipes"][name] for name in runs["recipe"].unique().sort()}
    return {
        "scale": settings["scale"],
        "studies": [study.name for study in studies],
        "command": MADE_BY if [study.name for study in studies] == list(OF_MAKE) else f"{COMMAND} {_listed(studies)}",
        "commit": _commit(studies[0]),
        "runs": runs.height,
        "lineages": runs["lineage"].unique().sort().to_list(),
        "tasks": {name: settings["tasks"][name] for name in runs["task"].unique().sort()},
        "steps": runs["steps"].unique().sort().to_list(),
        "seeds": [min(seeds), max(seeds)],
        "warmups": runs["warmup"].unique().sort().to_list(),
        "peak_learning_rates": runs["peak_learning_rate"].unique().sort().to_list(),
        "recipes": recipes,
        "settings": of_prediction(settings),
        "versions": versions.versions(),
    }


def write(tables: Mapping[str, polars.DataFrame], facts: Mapping[str, Any], folder: Path) -> None:
    """The reference in `folder`; the provenance last, so that half of one is none."""
    for name, table in tables.items():
        files.write_table(table, folder / f"{name}.parquet")
    files.write_json(facts, folder / PROVENANCE)


def _table(study: Path, name: str) -> polars.DataFrame:
    path = study / "tables" / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"{path}: missing; finish the study first (snakemake --config study={study.name})")
    return polars.read_parquet(path)


def _listed(studies: Sequence[Path]) -> str:
    return " ".join(f"results/{study.parts[-3]}/studies/{study.name}" for study in studies)


def _commit(study: Path) -> str:
    """Of the checkout in which `study` lies."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=study, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> None:
    """Make a reference from finished studies of this checkout's configuration."""
    import yaml

    from warmup.config import configuration

    parser = argparse.ArgumentParser(
        description="Make a reference from finished studies of this checkout's configuration."
    )
    parser.add_argument("studies", nargs="+", type=Path, help="results/SCALE/studies/STUDY")
    parser.add_argument("--into", type=Path, default=SHIPPED)
    chosen = parser.parse_args()
    study = yaml.safe_load((shipped.STUDY / "config.yaml").read_text())
    settings = configuration.effective({**study, "scale": chosen.studies[0].resolve().parents[1].name})
    tables = build(chosen.studies, settings)
    write(tables, about(tables["runs"], chosen.studies, settings), chosen.into)
    print(f"{tables['runs'].height} runs of {tables['runs']['lineage'].n_unique()} lineages -> {chosen.into}")


if __name__ == "__main__":
    main()
