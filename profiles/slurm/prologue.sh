# Sourced at the start of every job (profile.yaml: precommand), before Snakemake runs in it.
#
# One run, one job. A Snakemake that was killed leaves its jobs in the queue and running; started again, it does not know
# them and submits their runs once more. The newest job wins: it ends the earlier ones of its run, which write a
# checkpoint as they go, waits until they are gone, and goes on from there. Jobs of the same run are known by the folder
# of their logs, which names the working directory, the rule and the wildcards.
log=$(scontrol show job --oneliner "$SLURM_JOB_ID" | sed -n 's/.* StdOut=//p' | sed 's/ [A-Za-z]*=.*//')
earlier=$(
    squeue --noheader --user="$(id -u)" --Format='JobID:.20,STDOUT:.4000' |
        FOLDER="${log%/*}/" awk -v own="$SLURM_JOB_ID" '
            { id = $1; sub(/^ *[0-9]+ */, "") }
            id < own + 0 && index($0, ENVIRON["FOLDER"]) == 1 { print id }'
)
if [ -n "$earlier" ]; then
    echo "prologue: this run has earlier jobs, which are ended first:" $earlier
    scancel $earlier
    while [ -n "$(squeue --noheader --jobs="$(echo $earlier | tr ' ' ',')" 2>/dev/null)" ]; do
        sleep 2
    done
fi
