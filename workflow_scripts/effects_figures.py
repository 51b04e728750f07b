"""Rule effects_figures: statistics tables -> figures of the effect of warmup, the answer in sentences, the methods."""

from typing import Any

import polars

from warmup.job import run_job
from warmup.plots import effects, effects_interactive, style
from warmup.statistics.words import answers, methods


def main(job: Any) -> None:
    tables = {name: polars.read_parquet(path) for name, path in job.input.items()}
    words, statistics = job.params.settings["words"], job.params.settings["statistics"]
    paths = dict(job.output.items())
    drawn = tables | {"plateaus": effects.swept(tables["plateaus"])}
    for name, drawing in effects.figures(drawn, words).items():
        style.save(drawing, paths[name])
    style.save_interactive(effects_interactive.chart(drawn, words), "Loss against warmup", paths["interactive"])
    answers.write(answers.restructured_text(answers.answers(tables, words)), paths["answers"])
    answers.write(answers.text(tables, words), paths["terminal"])
    answers.write(methods.restructured_text(tables, words, statistics), paths["methods"])


run_job(main, snakemake)
