# Needs: the configuration alone; `bill_compared` also the finished runs of the study.
# Makes: what the study costs (`snakemake plan` prints it before anything is trained), and the bill against reality.
BILLED = {
    key: SETTINGS[key]
    for key in ("scale", "training", "tasks", "architectures", "recipes", "hardware")
}


localrules:
    bill,
    plan,


rule bill:
    output:
        table=multiext(f"{TABLES}/bill", ".parquet", ".csv"),
        page=report(
            f"{FIGURES}/bill.html",
            caption="../report/bill.rst",
            category="Cost",
            labels={"figure": "Before training"},
        ),
    log:
        f"{LOGS}/bill/{STUDY}.log",
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=depends(
            "bill.py",
            own_of=ARCHITECTURES,
            settings=BILLED,
            runs=[list(run) for run in [*RUNS, *TRUNK_RUNS]],
            data={
                run.task: f"{RESULTS}/data/{run.task}" for run in [*RUNS, *TRUNK_RUNS]
            },
        ),
    script:
        "../workflow_scripts/bill.py"


rule bill_compared:
    input:
        bill=rules.bill.output.table[0],
        resources=of_study("resources.json"),
        trunks=of_runs("resources.json", TRUNK_RUNS, TRUNK_RUN),
    output:
        table=multiext(f"{TABLES}/bill_compared", ".parquet", ".csv"),
        page=report(
            f"{FIGURES}/bill_compared.html",
            caption="../report/bill_compared.rst",
            category="Cost",
            labels={"figure": "Against reality"},
        ),
    log:
        f"{LOGS}/bill_compared/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends("bill_compared.py", settings=BILLED),
    script:
        "../workflow_scripts/bill_compared.py"


rule plan:
    input:
        bill=rules.bill.output.table[0],
    log:
        f"{LOGS}/plan/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends("plan.py", settings=BILLED, resources=resources_of_cells),
    script:
        "../workflow_scripts/plan.py"
