# Needs: the configuration alone; `bill_compared` also the finished runs of the study.
# Makes: what the study costs (`snakemake plan` prints it before anything is trained), and the bill against reality.
include: "leftovers.smk"


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
        settings=bill_settings,
    script:
        "../workflow_scripts/bill.py"


rule bill_compared:
    input:
        bill=rules.bill.output.table[0],
        resources=of_runs("resources.json"),
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
        mem_mb=1000,
        runtime=10,
    params:
        settings=bill_comparison_settings,
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
        mem_mb=1000,
        runtime=10,
    params:
        settings=plan_settings,
    script:
        "../workflow_scripts/plan.py"
