# Needs: prepared data.
# Makes: the files of every run (log, evaluation, attention, summary, resources), of the short probe runs of
# architectures whose warmup is to be predicted, and of runs that others continue (trunks), which alone keep their last
# weights: such a run is trained apart from the one of the same name in the study, whose files stay as they are. Models are checked once before anything is trained. Checkpoints that no
# run of any study of this scale would resume from are listed (orphaned_checkpoints) or removed (clean_checkpoints).
from warmup.training.warm import address

# as text: Snakemake rounds numbers
OPERATION = {key: str(SETTINGS["training"][key] or 0) for key in grid.OPERATION}
if workflow.is_main_process:
    address.announce_study()  # its trainings share a process that ends with it
elif workflow.remote_exec:
    OPERATION["start"] = "cold"
# What changes no result travels as a resource, so that it never re-runs a training (0 stands for null).
OPERATED = {
    **OPERATION,
    "gpu": 1 if SETTINGS["training"]["device"] == "cuda" else 0,
    "checkpoints": SETTINGS["checkpoints"],
}


CHECKED = [*RUNS, *PROBE_RUNS, *TRUNK_RUNS]


rule check_models:
    input:
        data=expand(
            f"{DATA}/data.json", task=dict.fromkeys(run.task for run in CHECKED)
        ),
    output:
        f"{STUDY_FOLDER}/models.json",
    log:
        f"{LOGS}/check_models/{STUDY}.log",
    priority: 100  # no input of trainings (a new architecture would re-train the others), but before them
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=depends(
            "check_models.py",
            own_of=dict.fromkeys(run.architecture for run in CHECKED),
            **grid.models_settings(SETTINGS, CHECKED),
        ),
    script:
        "../workflow_scripts/check_models.py"


rule train:
    input:
        data=f"{DATA}/data.json",
        trunk=trunk_of,
    output:
        log=f"{RUN}/log.parquet",
        evaluation=f"{RUN}/evaluation.parquet",
        attention=f"{RUN}/attention.parquet",
        summary=f"{RUN}/summary.json",
        resources=f"{RUN}/resources.json",
    log:
        f"{LOGS}/train/{CELL}/warmup={{warmup}}/seed={{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/train/{CELL}/warmup={{warmup}}/seed={{seed}}.tsv"
    priority: 50  # before pages: one that fails leaves Snakemake with fewer trainings to stop at
    conda:
        "../envs/train.yaml"
    threads: SETTINGS["training"]["threads"]
    resources:
        **OPERATED,
        mem_mb=memory_mb,
        runtime=runtime_minutes,
    params:
        settings=run_settings,
    script:
        "../workflow_scripts/train.py"


use rule train as probe_run with:
    output:
        log=f"{PROBE_RUN}/log.parquet",
        evaluation=f"{PROBE_RUN}/evaluation.parquet",
        attention=f"{PROBE_RUN}/attention.parquet",
        summary=f"{PROBE_RUN}/summary.json",
        resources=f"{PROBE_RUN}/resources.json",
    log:
        f"{LOGS}/probe_run/{CELL}/seed={{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/probe_run/{CELL}/seed={{seed}}.tsv"
    params:
        settings=probe_settings,


use rule train as trunk_run with:
    output:
        log=f"{TRUNK_RUN}/log.parquet",
        evaluation=f"{TRUNK_RUN}/evaluation.parquet",
        attention=f"{TRUNK_RUN}/attention.parquet",
        summary=f"{TRUNK_RUN}/summary.json",
        resources=f"{TRUNK_RUN}/resources.json",
        last=f"{TRUNK_RUN}/{checkpoint_folders.LAST}",
    log:
        f"{LOGS}/trunk_run/{CELL}/warmup={{warmup}}/seed={{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/trunk_run/{CELL}/warmup={{warmup}}/seed={{seed}}.tsv"
    resources:
        **OPERATED,
        mem_mb=trunk_memory_mb,
        runtime=trunk_runtime_minutes,
    params:
        settings=trunk_settings,


# Every file of a run: one that is missing is made again only if something asks for it.
MADE_AGAIN = [name for name in grid.RUN_FILES if name != "resources.json"]


rule train_all:
    input:
        [of_runs(name, KNOWN_RUNS) for name in MADE_AGAIN],
        *[files for name in MADE_AGAIN for files in of_each_cell(name) if ADAPTIVE],
        rules.check_models.output,


rule orphaned_checkpoints:
    log:
        f"{LOGS}/orphaned_checkpoints.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        root=SETTINGS["checkpoints"],
        scale=SCALE,
        live=live_checkpoints,
        delete=False,
    script:
        "../workflow_scripts/orphaned_checkpoints.py"


use rule orphaned_checkpoints as clean_checkpoints with:
    log:
        f"{LOGS}/clean_checkpoints.log",
    params:
        root=SETTINGS["checkpoints"],
        scale=SCALE,
        live=live_checkpoints,
        delete=True,
