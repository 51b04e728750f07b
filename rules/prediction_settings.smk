# Needs: the effective settings (common.smk). Makes: what each rule of prediction.smk depends on.
from warmup.config.claim_tables import claim_tables

PREDICTION = SETTINGS["prediction"]
SHARED = {
    "outcome": SETTINGS["statistics"]["outcome"],
    "confidence": SETTINGS["statistics"]["confidence"],
    "log_offset": SETTINGS["statistics"]["smooth"]["offset"],
}
UNWARMED = [run for run in RUNS if float(run.warmup) == 0]
LABELS = {
    name: entry["label"]
    for section in ("architectures", "tasks", "recipes")
    for name, entry in SETTINGS[section].items()
}
PREDICTION_FIGURES = {
    "spike_and_optimum": "Spike ratio and optimum",
    "early_norms": "Gradient norm over the first steps",
    "leaderboard": "Regret of predicted warmup",
    "budget_curve": "Regret and budget",
}


CLAIM_TABLES = claim_tables(SETTINGS["claims"], STUDY)


def table_path(name):
    """Path of a statistics table of the study, or, as theory/<name>, of one of the model."""
    return f"{RESULTS if name.startswith('theory/') else TABLES}/{name}.parquet"


def prediction_settings(script, *keys):
    """Some keys of the section `prediction`, and the code."""
    return {**{key: PREDICTION[key] for key in keys}, "code": code_of(script)}


def spike_settings(wildcards):
    """What spike ratios depend on beside the logs."""
    keys = ("stable_from", "early_spikes", "figure_steps")
    return {
        "confidence": SHARED["confidence"],
        **prediction_settings("spike_ratios.py", *keys),
    }


def diagnostic_settings(wildcards):
    """What diagnostics depend on beside the runs."""
    keys = ("stable_from", "budgets", "diagnostics", "cap_tau")
    return prediction_settings("diagnostics.py", *keys)


def correlation_settings(wildcards):
    """What the correlation depends on beside the tables."""
    keys = ("folds", "bootstrap", "permutations", "seed_replicates")
    more = ("cluster_replicates", "icc", "lineage_icc", "coverage_tolerance")
    return {**SHARED, **prediction_settings("correlation.py", *keys, *more)}


def leaderboard_settings(wildcards):
    """What the leaderboard depends on beside the tables."""
    keys = ("maps", "constants", "shuffles", "folds")
    return {**SHARED, **prediction_settings("leaderboard.py", *keys)}


def claim_settings(wildcards):
    """What the verdicts depend on beside the tables: the claims with their rules."""
    return {
        "scale": SCALE,
        "study": STUDY,
        "confidence": SHARED["confidence"],
        "claims": SETTINGS["claims"],
        "tables": CLAIM_TABLES,
        "code": code_of("claims.py"),
    }


def predict_settings(wildcards):
    """What predictions depend on beside the tables and the probe runs."""
    keys = ("stable_from", "budgets", "diagnostics", "cap_tau")
    more = ("maps", "constants", "folds", "interval_level")
    return {
        **SHARED,
        "steps": SETTINGS["training"]["steps"],
        "labels": LABELS,
        **prediction_settings("predict.py", *keys, *more),
    }


def prediction_figure_settings(wildcards):
    """What the figures depend on beside the tables."""
    return {"labels": LABELS, "code": code_of("prediction_figures.py")}
