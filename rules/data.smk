# Needs: the source each task names (installed package, hub, address or the user's own file).
# Makes: one folder of memory-mapped arrays per task.


def data_settings(wildcards):
    """What the prepared data of a task depend on."""
    return {
        **grid.data_settings(SETTINGS, wildcards.task),
        "code": code_of("prepare_data.py", grid.data_choices(SETTINGS, wildcards.task)),
    }


def own_file(wildcards):
    """The user's own file or folder, if the task takes its data from one."""
    path = SETTINGS["tasks"][wildcards.task]["source"].get("path")
    return [path] if path else []


rule prepare_data:
    input:
        own_file,
    output:
        f"{DATA}/data.json",  # written last, with the sha256 of the arrays beside it
    params:
        settings=data_settings,
    log:
        f"{LOGS}/prepare_data/{{task}}.log",
    benchmark:
        f"{BENCHMARKS}/prepare_data/{{task}}.tsv"
    priority: 100
    conda:
        "../envs/data.yaml"
    threads: 4 if SETTINGS["training"]["device"] == "cuda" else 1
    resources:
        mem_mb=4000,
        runtime=120,
    script:
        "../workflow_scripts/prepare_data.py"
