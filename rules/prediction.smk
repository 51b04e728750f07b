# Needs: runs (log, attention, summary) of the study, its runs table and plateau sets; for predictions the probe runs.
# Makes: spike ratios, diagnostics, their correlation with the optimum, the leaderboard of out-of-sample regret, the
# claims table, predictions for architectures that were not swept, and the figures of all these.
rule spike_ratios:
    input:
        log=of_runs("log.parquet"),
        summary=of_runs("summary.json"),
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
        settings=spike_settings,
    script:
        "../workflow_scripts/spike_ratios.py"


rule diagnostics:
    input:
        log=of_runs("log.parquet", UNWARMED),
        attention=of_runs("attention.parquet", UNWARMED),
        summary=of_runs("summary.json", UNWARMED),
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
        settings=diagnostic_settings,
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
        settings=correlation_settings,
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
        settings=leaderboard_settings,
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
        mem_mb=1000,
        runtime=10,
    params:
        settings=claim_settings,
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
        mem_mb=1000,
        runtime=10,
    params:
        settings=predict_settings,
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
        mem_mb=1000,
        runtime=10,
    params:
        settings=prediction_figure_settings,
    script:
        "../workflow_scripts/prediction_figures.py"
