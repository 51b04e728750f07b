"""Trainings struck in every way a cluster knows. Whatever happens: the study completes, its logs equal those of the
undisturbed study byte for byte, nothing is trained twice from the start, and no run is written by two jobs."""

import time
from collections.abc import Callable
from itertools import combinations, pairwise

import pytest

from slurm.cluster import Cluster, wait_for
from slurm.study import PATIENCE, RESULTS, Study, overlap

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first test waits for the undisturbed study too

Drill = Callable[[str], Study]


def assert_as_undisturbed(study: Study, undisturbed: Study) -> None:
    """The drill left the bytes of the undisturbed study, each step trained once, by one job at a time."""
    for name in RESULTS:
        found, expected = study.files(name), undisturbed.files(name)
        assert len(found) == 2
        for run, content in found.items():
            assert content == expected[run], f"{name} of {run} differs from the undisturbed study's\n{study.report()}"
    study.assert_each_run_trained_once()
    for run, pieces in study.pieces().items():
        assert [piece.finished for piece in pieces] == [False] * (len(pieces) - 1) + [True], (run, pieces)
        for before, after in pairwise(pieces):
            assert after.first > 0, f"{run} was trained twice from the start: {pieces}"
            stopped = before.last if before.said_goodbye else after.first  # a lost node cuts the log of its job short
            assert after.first == stopped, f"{run} did not go on where it stopped: {pieces}"
        for one, other in combinations(pieces, 2):
            assert not overlap(one, other), f"{run} was trained by two jobs at once: {pieces}"


def struck(study: Study, run: str) -> set[int]:
    """Jobs of the run; it was interrupted and went on from a checkpoint, or the drill did not do what it is for."""
    sessions = study.sessions()[run]
    assert len(sessions) >= 2, f"{run} was not interrupted: {sessions}"
    return {session.job for session in sessions}


def test_scancel_of_a_running_training(cluster: Cluster, undisturbed: Study, drill: Drill) -> None:
    study = drill("slurm")
    snakemake = study.start()
    job, run = study.await_training()
    cluster.run("scancel", str(job))
    study.finish(snakemake)
    struck(study, run)
    assert_as_undisturbed(study, undisturbed)


def test_scontrol_requeue_of_a_running_training(cluster: Cluster, undisturbed: Study, drill: Drill) -> None:
    study = drill("slurm-preemptible")
    snakemake = study.start()
    job, run = study.await_training()
    cluster.run("scontrol", "requeue", str(job))
    study.finish(snakemake)
    assert struck(study, run) == {job}, "a requeued job keeps its number"
    assert_as_undisturbed(study, undisturbed)


def test_preemption_by_signal(cluster: Cluster, undisturbed: Study, drill: Drill) -> None:
    study = drill("slurm-preemptible")
    snakemake = study.start()
    job, run = study.await_training()
    cluster.run("srun", "--partition=urgent", "--gpus=2", "--mem=100", "--time=1", "true")
    study.finish(snakemake)
    assert struck(study, run) == {job}, "a preempted job keeps its number"
    assert_as_undisturbed(study, undisturbed)


def test_node_set_down_and_resumed(cluster: Cluster, undisturbed: Study, drill: Drill) -> None:
    study = drill("slurm")
    snakemake = study.start()
    job, run = study.await_training()
    cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=DOWN", "Reason=drill")
    wait_for(lambda: cluster.jobs().get(job) == "NODE_FAIL", 60, "SLURM to give the job up")
    cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=RESUME")
    study.finish(snakemake)
    struck(study, run)
    assert_as_undisturbed(study, undisturbed)


def test_slurmctld_restarted(cluster: Cluster, undisturbed: Study, drill: Drill) -> None:
    study = drill("slurm")
    snakemake = study.start()
    study.await_training()
    cluster.stop_controller()
    time.sleep(15)  # long enough for Snakemake to ask in vain
    cluster.start_controller()
    study.finish(snakemake)
    assert_as_undisturbed(study, undisturbed)


def test_snakemake_killed_and_started_again(cluster: Cluster, undisturbed: Study, drill: Drill) -> None:
    study = drill("slurm")
    snakemake = study.start()
    job, run = study.await_training()
    snakemake.kill()
    snakemake.wait()
    assert cluster.jobs("train")[job] == "RUNNING", "a job should outlive its Snakemake"
    study.unlock()
    study.finish(study.start())
    struck(study, run)
    assert cluster.jobs("train")[job] == "CANCELLED", "the second start should end the first one's job"
    assert_as_undisturbed(study, undisturbed)


def test_runs_that_finish_while_snakemake_is_gone_are_kept(cluster: Cluster, undisturbed: Study, drill: Drill) -> None:
    study = drill("slurm")
    snakemake = study.start()
    wait_for(lambda: len(cluster.jobs("train", "PENDING,RUNNING")) == 2, PATIENCE, "both trainings to be submitted")
    snakemake.kill()
    snakemake.wait()
    wait_for(lambda: not cluster.jobs(states="PENDING,RUNNING,COMPLETING"), PATIENCE, "the jobs to finish")
    study.unlock()
    assert "Nothing to be done" in study.dry_run()
    assert_as_undisturbed(study, undisturbed)
