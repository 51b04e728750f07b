# Needs: the source each task names (installed package, hub, address or the user's own file).
# Makes: one folder of memory-mapped arrays per task.


rule prepare_data:
    input:
        own_file,
    output:
        f"{DATA}/data.json",  # written last, with the sha256 of the arrays beside it
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
    params:
        settings=data_settings,
    script:
        "../workflow_scripts/prepare_data.py"
