# Needs: nothing. Makes: nothing; before the first job of a start that submits trainings, ends SLURM jobs that a killed
# Snakemake left behind. A start that only looks (why, plan) or trains here leaves them alone.
from warmup.cluster import leftovers


onstart:
    if workflow.non_local_exec and any(
        job.rule.name in ("train", "probe_run", "trunk_run")
        for job in workflow.dag.needrun_jobs()
    ):
        leftovers.end(Path(".snakemake/slurm_logs"))
