# Needs: prepared data; the comparison also the runs table and spike ratios.
# Makes: an audit of how every model of the study starts, before anything is trained (no input of trainings), and where a
# study trains a network from both starts, their differences; each as tables, a figure and sentences.
TWINS = twins()


rule audit_starts:
    input:
        data=expand(f"{DATA}/data.json", task=TASKS),
    output:
        parameters=multiext(f"{TABLES}/start_parameters", ".parquet", ".csv"),
        networks=multiext(f"{TABLES}/start_networks", ".parquet", ".csv"),
    log:
        f"{LOGS}/audit_starts/{STUDY}.log",
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=depends(
            "audit_starts.py",
            own_of=ARCHITECTURES,
            **grid.models_settings(SETTINGS, RUNS),
        ),
    script:
        "../workflow_scripts/audit_starts.py"


rule starts_figures:
    input:
        parameters=rules.audit_starts.output.parameters[0],
        networks=rules.audit_starts.output.networks[0],
    output:
        figure=report(
            f"{FIGURES}/starts.svg",
            caption="../report/starts.rst",
            category="Start",
            labels={"figure": "How the networks start"},
        ),
        page=report(
            f"{FIGURES}/starts.html",
            caption="../report/starts.rst",
            category="Start",
            labels={"figure": "In sentences"},
        ),
    log:
        f"{LOGS}/starts_figures/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends("starts_figures.py", labels=LABELS),
    script:
        "../workflow_scripts/starts_figures.py"


rule start_differences:
    input:
        runs=rules.runs_table.output[0],
        spikes=rules.spike_ratios.output.runs[0],
    output:
        table=multiext(f"{TABLES}/start_differences", ".parquet", ".csv"),
        figure=report(
            f"{FIGURES}/start_differences.svg",
            caption="../report/start_differences.rst",
            category="Start",
            labels={"figure": "Authors' against library's start"},
        ),
        page=report(
            f"{FIGURES}/start_differences.html",
            caption="../report/start_differences.rst",
            category="Start",
            labels={"figure": "Authors' against library's, in sentences"},
        ),
    log:
        f"{LOGS}/start_differences/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "start_differences.py",
            *("outcome", "confidence", "reference", "margins", "equivalence_margins"),
            "bootstrap",
            twins=TWINS,
            words=WORDS,
        ),
    script:
        "../workflow_scripts/start_differences.py"
