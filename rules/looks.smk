# Needs: the summaries of the runs that are open (design.smk).
# Makes: of an adaptive design, the record of each look: which warmups it dropped, what it found, what it opened next; and
# the record of all looks as a table. A fixed design takes none.
localrules:
    look,
    looks_table,


checkpoint look:
    input:
        summary=runs_looked_at,
        pilot=SETTINGS["looks"]["pilot"] or [],
        bill=BILL if "device_hours" in SETTINGS["looks"]["budget"] else [],
    output:
        LOOK,
    log:
        f"{LOGS}/look/{STUDY}/{CELL}/look={{look}}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=look_settings,
    script:
        "../workflow_scripts/look.py"


rule looks_table:
    input:
        records_of_looks,
    output:
        looks=multiext(f"{TABLES}/looks", ".parquet", ".csv"),
        page=report(
            f"{FIGURES}/looks.html",
            caption="../report/looks.rst",
            category="Effect of warmup",
            labels={"figure": "Record of looks"},
        ),
    log:
        f"{LOGS}/looks_table/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends("looks_table.py", labels=LABELS),
    script:
        "../workflow_scripts/looks_table.py"
