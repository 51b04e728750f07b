# Needs: the effective settings (common.smk). Makes: what each rule of statistics.smk depends on.
STATISTICS = SETTINGS["statistics"]
UNITS = {
    "language": "nats per token",
    "classification": "nats",
    "forecasting": "mean squared error, standardised",
}
WORDS = {
    "labels": {
        name: entry["label"]
        for section in ("architectures", "tasks", "recipes")
        for name, entry in SETTINGS[section].items()
    },
    "units": {task: UNITS[SETTINGS["tasks"][task]["kind"]] for task in TASKS},
    "outcome": STATISTICS["outcome"],
    "offset": STATISTICS["smooth"]["offset"],
    "confidence": STATISTICS["confidence"],
    "scale": SCALE,
}
EFFECT_FIGURES = {
    "loss_against_warmup": "Loss against warmup",
    "regret": "Regret and plateaus",
    "comparisons": "Paired comparisons",
}


def statistics_settings(script, *keys):
    """Some keys of the section `statistics`, and the code."""
    return {**{key: STATISTICS[key] for key in keys}, "code": code_of(script)}


def runs_settings(wildcards):
    """What the runs table depends on beside the summaries: what each architecture is to the study, each run should be."""
    architectures = {
        run.architecture: SETTINGS["architectures"][run.architecture] for run in RUNS
    }
    return {
        "roles": {name: entry["role"] for name, entry in architectures.items()},
        "lineages": {name: entry["lineage"] for name, entry in architectures.items()},
        "expected": expected_fingerprints(of_runs("summary.json")),
        "code": code_of("runs_table.py"),
    }


def optima_settings(wildcards):
    """What optima, plateaus and advantages depend on beside the runs table."""
    keys = ("outcome", "confidence", "reference", "margins", "equivalence_margins")
    return statistics_settings("optima.py", *keys, "pool_below", "bootstrap", "smooth")


def comparison_settings(wildcards):
    """What comparisons and power depend on beside the runs table."""
    keys = ("outcome", "confidence", "margins", "equivalence_margins", "pool_below")
    return statistics_settings(
        "comparisons.py", *keys, "bootstrap", "comparisons", "power"
    )


def mixed_model_settings(wildcards):
    """What the mixed model depends on beside the runs table."""
    keys = ("outcome", "confidence", "reference", "bootstrap", "smooth", "mixed_model")
    return statistics_settings("mixed_model.py", *keys)


def effect_figure_settings(wildcards):
    """What the figures and sentences depend on beside the tables."""
    return {
        "words": WORDS,
        "statistics": STATISTICS,
        "code": code_of("effects_figures.py"),
    }
