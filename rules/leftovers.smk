# Needs: nothing. Makes: nothing; before the first job of a start, ends SLURM jobs that a killed Snakemake left behind.
from warmup import leftovers


onstart:
    leftovers.end(Path(".snakemake/slurm_logs"))
