# Needs: the summaries of all runs of the study.
# Makes: the runs table; per cell and arm the optimum, its plateau sets and cross-fitted advantage; the declared comparisons;
# the mixed model; the design's power; the figures of all these, the answer in sentences and a Methods paragraph.
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
    """What a rule depends on: some keys of the section `statistics`, and the code."""
    return {**{key: STATISTICS[key] for key in keys}, "code": code_of(script)}


def runs_settings(wildcards):
    """What the runs table depends on beside the summaries: the architectures' roles, and what each run should be."""
    roles = {
        run.architecture: SETTINGS["architectures"][run.architecture]["role"]
        for run in RUNS
    }
    return {
        "roles": roles,
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


rule runs_table:
    input:
        of_runs("summary.json"),
    output:
        multiext(f"{TABLES}/runs", ".parquet", ".csv"),
    log:
        f"{LOGS}/runs_table/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=runs_settings,
    script:
        "../workflow_scripts/runs_table.py"


rule optima:
    input:
        rules.runs_table.output[0],
    output:
        arms=multiext(f"{TABLES}/arms", ".parquet", ".csv"),
        optima=multiext(f"{TABLES}/optima", ".parquet", ".csv"),
        plateaus=multiext(f"{TABLES}/plateaus", ".parquet", ".csv"),
        regrets=multiext(f"{TABLES}/regrets", ".parquet", ".csv"),
        crossfit=multiext(f"{TABLES}/crossfit", ".parquet", ".csv"),
    log:
        f"{LOGS}/optima/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=optima_settings,
    script:
        "../workflow_scripts/optima.py"


rule comparisons:
    input:
        rules.runs_table.output[0],
    output:
        comparisons=multiext(f"{TABLES}/comparisons", ".parquet", ".csv"),
        power=multiext(f"{TABLES}/power", ".parquet", ".csv"),
    log:
        f"{LOGS}/comparisons/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=comparison_settings,
    script:
        "../workflow_scripts/comparisons.py"


rule mixed_model:
    input:
        rules.runs_table.output[0],
    output:
        multiext(f"{TABLES}/mixed_model", ".parquet", ".csv"),
    log:
        f"{LOGS}/mixed_model/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=mixed_model_settings,
    script:
        "../workflow_scripts/mixed_model.py"


rule effects_figures:
    input:
        runs=rules.runs_table.output[0],
        optima=rules.optima.output.optima[0],
        plateaus=rules.optima.output.plateaus[0],
        regrets=rules.optima.output.regrets[0],
        arms=rules.optima.output.arms[0],
        crossfit=rules.optima.output.crossfit[0],
        comparisons=rules.comparisons.output.comparisons[0],
        power=rules.comparisons.output.power[0],
        mixed_model=rules.mixed_model.output[0],
    output:
        **{
            name: report(
                f"{FIGURES}/{name}.svg",
                caption=f"../report/{name}.rst",
                category="Effect of warmup",
                labels={"figure": title},
            )
            for name, title in EFFECT_FIGURES.items()
        },
        interactive=report(
            f"{FIGURES}/loss_against_warmup.html",
            caption="../report/loss_against_warmup.rst",
            category="Effect of warmup",
            labels={"figure": "Loss against warmup, interactive"},
        ),
        answers=f"{STUDY_FOLDER}/answers.rst",
        methods=f"{STUDY_FOLDER}/methods.rst",
    log:
        f"{LOGS}/effects_figures/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=effect_figure_settings,
    script:
        "../workflow_scripts/effects_figures.py"
