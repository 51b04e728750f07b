# Needs: prepared data.
# Makes: the files of every run (log, evaluation, attention, summary, resources), and of the short probe runs of
# architectures whose warmup is to be predicted. Models are checked once before anything is trained.


def check_settings(wildcards):
    """What the check of all models depends on."""
    return {**grid.models_settings(SETTINGS, [*RUNS, *PROBE_RUNS]), "code": code_of("check_models.py")}


def run_settings(wildcards):
    """What a training depends on: its own part of the configuration, and the code it uses."""
    run = run_of(wildcards)
    return {
        **grid.run_settings(SETTINGS, run),
        "code": {
            **code_of("prepare_data.py", grid.data_choices(SETTINGS, run.task)),
            **code_of("train.py", grid.run_choices(SETTINGS, run)),
        },
    }


def probe_settings(wildcards):
    """As a training, stopped after the steps that diagnostics may see."""
    settings = run_settings(wildcards)
    return {**settings, "stop_after": grid.probe_steps(SETTINGS)}


def memory_mb(wildcards, attempt):
    """Host memory of a training, MB."""
    return estimates.memory_mb(grid.run_settings(SETTINGS, run_of(wildcards)), attempt)


def runtime_minutes(wildcards, attempt):
    """Time limit of a training, minutes."""
    return estimates.runtime_minutes(grid.run_settings(SETTINGS, run_of(wildcards)), attempt)


rule check_models:
    input:
        data=expand(f"{DATA}/data.json", task=TASKS),
    output:
        f"{STUDY_FOLDER}/models.json",
    params:
        settings=check_settings,
    log:
        f"{LOGS}/check_models/{STUDY}.log",
    priority: 100  # no input of trainings (a new architecture would re-train the others), but before them
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    script:
        "../workflow_scripts/check_models.py"


rule train:
    input:
        data=f"{DATA}/data.json",
    output:
        log=f"{RUN}/log.parquet",
        evaluation=f"{RUN}/evaluation.parquet",
        attention=f"{RUN}/attention.parquet",
        summary=f"{RUN}/summary.json",
        resources=f"{RUN}/resources.json",
    params:
        settings=run_settings,
    log:
        f"{LOGS}/train/{CELL}/warmup={{warmup}}/seed={{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/train/{CELL}/warmup={{warmup}}/seed={{seed}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: SETTINGS["training"]["threads"]
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
        gpu=1 if SETTINGS["training"]["device"] == "cuda" else 0,
        # what changes no result travels as a resource, so that it never re-runs a training (0 stands for null):
        checkpoints=SETTINGS["checkpoints"],
        **{key: SETTINGS["training"][key] or 0 for key in grid.OPERATION},
    script:
        "../workflow_scripts/train.py"


use rule train as probe_run with:
    output:
        log=f"{PROBE_RUN}/log.parquet",
        evaluation=f"{PROBE_RUN}/evaluation.parquet",
        attention=f"{PROBE_RUN}/attention.parquet",
        summary=f"{PROBE_RUN}/summary.json",
        resources=f"{PROBE_RUN}/resources.json",
    params:
        settings=probe_settings,
    log:
        f"{LOGS}/probe_run/{CELL}/seed={{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/probe_run/{CELL}/seed={{seed}}.tsv"


rule train_all:
    input:
        of_runs("summary.json"),
        rules.check_models.output,
