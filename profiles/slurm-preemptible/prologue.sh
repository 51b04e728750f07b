# Sourced at the start of every job (profile.yaml: precommand), after profiles/slurm/prologue.sh, before Snakemake runs in it.

# Back into the queue after a preemption. SLURM requeues a job that is still alive when its grace ends; a training that
# writes its checkpoint and exits within the grace would count as failed. So a job that fails after SLURM announced its
# preemption puts itself back.
requeue_if_preempted() {
    code=$?
    if [ "$code" -ne 0 ] && scontrol show job --oneliner "$SLURM_JOB_ID" | grep -q ' PreemptTime=[0-9]'; then
        echo "prologue: preempted, back into the queue"
        scontrol requeue "$SLURM_JOB_ID"
    fi
    exit "$code"
}
trap requeue_if_preempted EXIT
