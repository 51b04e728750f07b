# Needs: the source each task names (installed package, hub, address or the user's own file).
# Makes: one folder of memory-mapped arrays per task.


def data_settings(wildcards):
    """What the prepared data of a task depend on."""
    return {
        **grid.data_settings(SETTINGS, wildcards.task),
        "code": code_of("prepare_data.py", grid.data_choices(SETTINGS, wildcards.task)),
    }


rule prepare_data:
    output:
        directory(DATA),
    params:
        settings=data_settings,
    log:
        f"{LOGS}/prepare_data/{{task}}.log",
    benchmark:
        f"{BENCHMARKS}/prepare_data/{{task}}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    script:
        "../workflow_scripts/prepare_data.py"
