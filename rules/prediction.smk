# Needs: runs (log, attention, summary) of the study, its runs table and plateau sets; for predictions the probe runs.
# Makes: spike ratios, diagnostics, their correlation with the optimum, the leaderboard of out-of-sample regret, the
# claims table, predictions for architectures that were not swept, and the figures of all these.
from warmup.config.claim_tables import claim_tables

SHARED = {
    "outcome": STATISTICS["outcome"],
    "confidence": STATISTICS["confidence"],
    "log_offset": STATISTICS["log_offset"],
}
CLAIM_TABLES = claim_tables(SETTINGS["claims"], STUDY)
PREDICTION_FIGURES = {
    "spike_and_optimum": "Spike ratio and optimum",
    "early_norms": "Gradient norm over the first steps",
    "leaderboard": "Regret of predicted warmup",
    "budget_curve": "Regret and budget",
}


rule spike_ratios:
    input:
        log=of_study("log.parquet"),
        summary=of_study("summary.json"),
    output:
        runs=multiext(f"{TABLES}/spike_ratios", ".parquet", ".csv"),
        cells=multiext(f"{TABLES}/cell_spike_ratios", ".parquet", ".csv"),
        early=f"{TABLES}/early_norms.parquet",
    log:
        f"{LOGS}/spike_ratios/{STUDY}.log",
    benchmark:
        f"{BENCHMARKS}/spike_ratios/{STUDY}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=depends(
            "spike_ratios.py",
            *("stable_from", "early_spikes", "figure_steps"),
            section="prediction",
            confidence=STATISTICS["confidence"],
        ),
    script:
        "../workflow_scripts/spike_ratios.py"


rule diagnostics:
    input:
        log=of_study("log.parquet", UNWARMED),
        attention=of_study("attention.parquet", UNWARMED),
        summary=of_study("summary.json", UNWARMED),
        spikes=rules.spike_ratios.output.runs[0],
    output:
        multiext(f"{TABLES}/diagnostics", ".parquet", ".csv"),
    log:
        f"{LOGS}/diagnostics/{STUDY}.log",
    benchmark:
        f"{BENCHMARKS}/diagnostics/{STUDY}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=depends(
            "diagnostics.py",
            *("budgets", "diagnostics", "cap_tau"),
            section="prediction",
        ),
    script:
        "../workflow_scripts/diagnostics.py"


rule correlation:
    input:
        runs=f"{TABLES}/runs.parquet",
        spikes=rules.spike_ratios.output.runs[0],
    output:
        multiext(f"{TABLES}/correlation", ".parquet", ".csv"),
    log:
        f"{LOGS}/correlation/{STUDY}.log",
    benchmark:
        f"{BENCHMARKS}/correlation/{STUDY}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=depends(
            "correlation.py",
            *("folds", "bootstrap", "permutations", "seed_replicates"),
            *("cluster_replicates", "icc", "lineage_icc", "coverage_tolerance"),
            section="prediction",
            **SHARED,
        ),
    script:
        "../workflow_scripts/correlation.py"


rule leaderboard:
    input:
        runs=f"{TABLES}/runs.parquet",
        diagnostics=rules.diagnostics.output[0],
        plateaus=f"{TABLES}/plateaus.parquet",
    output:
        leaderboard=multiext(f"{TABLES}/leaderboard", ".parquet", ".csv"),
        held_out=multiext(f"{TABLES}/held_out", ".parquet", ".csv"),
    log:
        f"{LOGS}/leaderboard/{STUDY}.log",
    benchmark:
        f"{BENCHMARKS}/leaderboard/{STUDY}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=depends(
            "leaderboard.py",
            *("maps", "constants", "shuffles", "folds"),
            section="prediction",
            **SHARED,
        ),
    script:
        "../workflow_scripts/leaderboard.py"


rule claims:
    input:
        [table_path(name) for name in CLAIM_TABLES],
    output:
        table=multiext(f"{TABLES}/claims", ".parquet", ".csv"),
        page=report(
            f"{FIGURES}/claims.html",
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "Claims of the papers"},
        ),
    log:
        f"{LOGS}/claims/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "claims.py",
            scale=SCALE,
            study=STUDY,
            confidence=STATISTICS["confidence"],
            claims=SETTINGS["claims"],
            tables=CLAIM_TABLES,
        ),
    script:
        "../workflow_scripts/claims.py"


rule predict:
    input:
        runs=f"{TABLES}/runs.parquet",
        diagnostics=rules.diagnostics.output[0],
        leaderboard=rules.leaderboard.output.leaderboard[0],
        held_out=rules.leaderboard.output.held_out[0],
        plateaus=f"{TABLES}/plateaus.parquet",
        log=of_runs("log.parquet", PROBE_RUNS, PROBE_RUN),
        attention=of_runs("attention.parquet", PROBE_RUNS, PROBE_RUN),
        summary=of_runs("summary.json", PROBE_RUNS, PROBE_RUN),
    output:
        table=multiext(f"{TABLES}/predictions", ".parquet", ".csv"),
        json=f"{STUDY_FOLDER}/predictions.json",
        page=report(
            f"{FIGURES}/predictions.html",
            caption="../report/predictions.rst",
            category="Prediction",
            labels={"figure": "Predicted warmup"},
        ),
    log:
        f"{LOGS}/predict/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "predict.py",
            *("budgets", "diagnostics", "cap_tau"),
            *("maps", "constants", "folds", "interval_level"),
            section="prediction",
            steps=SETTINGS["training"]["steps"],
            labels=LABELS,
            **SHARED,
        ),
    script:
        "../workflow_scripts/predict.py"


rule prediction_figures:
    input:
        spikes=rules.spike_ratios.output.cells[0],
        early=rules.spike_ratios.output.early,
        correlation=rules.correlation.output[0],
        leaderboard=rules.leaderboard.output.leaderboard[0],
        optima=f"{TABLES}/optima.parquet",
        plateaus=f"{TABLES}/plateaus.parquet",
    output:
        **{
            name: report(
                f"{FIGURES}/{name}.svg",
                caption=f"../report/{name}.rst",
                category="Prediction",
                labels={"figure": title},
            )
            for name, title in PREDICTION_FIGURES.items()
        },
        interactive=report(
            f"{FIGURES}/spike_and_optimum.html",
            caption="../report/spike_and_optimum.rst",
            category="Prediction",
            labels={"figure": "Spike ratio and optimum, interactive"},
        ),
    log:
        f"{LOGS}/prediction_figures/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends("prediction_figures.py", labels=LABELS),
    script:
        "../workflow_scripts/prediction_figures.py"
