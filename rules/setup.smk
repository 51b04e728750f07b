# Needs: the configuration.
# Makes: the page that says with which configuration and which versions the study was made.


rule setup:
    output:
        report(
            f"{FIGURES}/setup.html",
            caption="../report/setup.rst",
            category="Setup",
            labels={"figure": "Configuration and versions"},
        ),
    log:
        f"{LOGS}/setup/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        settings=depends("setup.py", settings=SETTINGS),
    script:
        "../workflow_scripts/setup.py"
