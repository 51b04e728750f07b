"""A Methods paragraph ready to paste, computed from the settings and from what was run.

In: the tables runs, plateaus, validation_errors, comparisons, `words`, and the section `statistics` of the settings.
Out: a paragraph.
"""

from collections.abc import Mapping
from typing import Any

import polars

from warmup.statistics.words.answers import OUTCOMES


def restructured_text(
    tables: Mapping[str, polars.DataFrame], words: Mapping[str, Any], statistics: Mapping[str, Any]
) -> str:
    """The paragraph: design, outcome, plateaus, optimum, comparisons, and the model if it was fitted."""
    parts = [_design(tables, words), _outcome(words), _plateaus(tables, statistics), _validation(tables)]
    parts += [_optimum(statistics)]
    parts += [_comparisons(tables, statistics), _model(tables, statistics)]
    return " ".join(filter(None, parts)) + "\n"


def _design(tables: Mapping[str, polars.DataFrame], words: Mapping[str, Any]) -> str:
    runs = tables["runs"]
    labels = words["labels"]
    names = ", ".join(str(labels.get(name, name)) for name in dict.fromkeys(runs["architecture"]))
    tasks = ", ".join(str(labels.get(name, name)) for name in dict.fromkeys(runs["task"]))
    warmups = ", ".join(f"{100 * warmup:.3g}" for warmup in runs["warmup"].unique().sort())
    known = ", ".join(str(labels.get(name, name)) for name in dict.fromkeys(runs["recipe"]))
    recipes = f"the recipe {known}" if runs["recipe"].n_unique() == 1 else f"the recipes {known}"
    steps = " or ".join(f"{steps:,}" for steps in runs["steps"].unique().sort())
    rates = ", ".join(f"{rate:.2g}" for rate in runs["peak_learning_rate"].unique().sort())
    return (
        f"We trained {names} on {tasks} with {recipes} and linear learning-rate warmup over {warmups} % of {steps} "
        f"steps, {_rates(runs, rates)}, {runs['seed'].n_unique()} seeds each ({runs.height} runs, scale "
        f"{words['scale']}). For a given architecture, task and seed, all warmups shared initial weights and the order "
        "of batches, so that warmups are compared within seeds."
    )


def _rates(runs: polars.DataFrame, rates: str) -> str:
    """Peak rates: one for all warmups of a cell, which no warmup had tuned for it."""
    if runs["recipe"].n_unique() > 1 and runs["peak_learning_rate"].n_unique() > 1:
        return f"at peak rates of {rates}"
    return f"each architecture and task at one peak rate ({rates}), not tuned for any warmup"


def _outcome(words: Mapping[str, Any]) -> str:
    return (
        f"The outcome, declared beforehand, was the {OUTCOMES[words['outcome']]}; a diverged run counted as the "
        "smaller of "
        "its loss and the loss at initialisation, and in a divergence rate with its Wilson interval."
    )


def _plateaus(tables: Mapping[str, polars.DataFrame], statistics: Mapping[str, Any]) -> str:
    margins = "; ".join(f"{task}: {_margin(entry)}" for task, entry in statistics["margins"].items())
    methods = set(tables["plateaus"]["method"].drop_nulls()) - {""}
    kinds = [
        "each cell's own, paired by seed" if "paired t" in methods else "",
        "paired by seed, their shape shrunk over the cells of a task" if methods - {"paired t"} else "",
    ]
    errors = " or ".join(kind for kind in kinds if kind) or "none could be estimated"
    return (
        "The regret of a warmup is its mean outcome less the smallest mean outcome over warmups. Limits on all "
        f"regrets of a cell hold together with {100 * statistics['confidence']:g} % confidence (lower limits: max-t "
        "over all pairs of warmups; upper limits: Hsu's comparisons with the best; errors: "
        f"{errors}). A warmup is not excluded from the plateau while its lower limit is at most the practical margin "
        f"({margins}), and demonstrated to be in it once its upper limit is."
    )


def _validation(tables: Mapping[str, polars.DataFrame]) -> str:
    """What the inference is over, and the sampling error that it leaves out."""
    known = tables["validation_errors"].filter(verdict="ok")
    if known.is_empty():
        return "Inference is over seeds; validation examples are fixed."
    return (
        "Inference is over seeds; validation examples are fixed and the same for all runs of a task. How far other "
        "examples would move a difference between two warmups was reckoned from the losses of the examples, averaged "
        "over seeds and paired by example, in up to "
        f"{max(known['stretches'].to_list())} stretches of consecutive ones."
    )


def _margin(entry: Mapping[str, Any]) -> str:
    if entry.get("absolute") is not None:
        return f"{entry['absolute']:g}"
    return f"{100 * entry['relative']:g} % of the best mean"


def _optimum(statistics: Mapping[str, Any]) -> str:
    return (
        "Where the optimum lies is said for a curve with one valley: between the neighbours of the warmups that may "
        f"be the best. The advantage over a warmup of {100 * statistics['reference']:g} % is cross-fitted: chosen on "
        "one half of the seeds, measured on the other, over all halvings; its limits hold for all warmups and cells."
    )


def _comparisons(tables: Mapping[str, polars.DataFrame], statistics: Mapping[str, Any]) -> str:
    families = []
    for name, entry in statistics["comparisons"].items():
        sizes = sorted(set(tables["comparisons"].filter(family=name)["family_size"]))
        size = " or ".join(map(str, sizes)) or "no"
        families.append(
            f"{name} (against {100 * entry['reference']:g} %, {size} comparisons per {entry['corrected_over']})"
        )
    if not families:
        return "No comparisons were declared."
    return (
        f"Declared families of comparisons, {', '.join(families)}, were tested by t statistics paired by seed with "
        "Holm's and "
        "Bonferroni's correction; absence of a difference by two one-sided tests with Holm's correction."
    )


def _model(tables: Mapping[str, polars.DataFrame], statistics: Mapping[str, Any]) -> str:
    if tables["mixed_model"].filter(verdict="ok").is_empty():
        return ""
    return (
        "Over all cells, log(outcome) was modelled by a natural cubic spline of log(W + W0) with up to "
        f"{statistics['mixed_model']['spline_freedom']} degrees of freedom, crossed with architecture and task, plus a "
        "random effect of the seed (statsmodels MixedLM, REML), tested by a parametric bootstrap that keeps the spread "
        "of each cell and warmup; what is said of architectures holds on average over tasks."
    )
