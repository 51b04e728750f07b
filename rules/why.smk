# Needs: the records of the last start.
# Makes: nothing on disk; says what would run again, and why, in sentences (docs/provenance.md).


rule why:
    log:
        f"{LOGS}/why/{STUDY}.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        snakefile=workflow.main_snakefile,
    script:
        "../workflow_scripts/why.py"
