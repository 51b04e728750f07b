"""What a training asks of a machine: follows its size, and rises only after running out."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from warmup.cluster import exhaustion
from warmup.config import configuration, grid
from warmup.cost import resources

ROOT = Path(__file__).resolve().parents[2]

OUT_OF_MEMORY = (
    "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed."
)
OVER_THE_LIMIT = "slurmstepd: error: StepId=12.0 exceeded memory limit (5120 > 4096), being killed"
OUT_OF_TIME = "slurmstepd: error: *** JOB 12 ON node7 CANCELLED AT 2026-11-21T22:07:58 DUE TO TIME LIMIT ***"
CANCELLED = "slurmstepd: error: *** JOB 12 ON node7 CANCELLED AT 2026-11-21T22:07:58 ***"
NODE_LOST = (
    "slurmstepd: error: *** JOB 12 ON node7 CANCELLED AT 2026-11-21T22:07:58 DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***"
)
REQUEUED = "slurmstepd: error: *** JOB 12 ON node7 CANCELLED AT 2026-11-21T22:07:58 DUE TO JOB REQUEUE ***"


def run(scale: str, architecture: str, task: str) -> dict[str, Any]:
    settings = configuration.effective({**yaml.safe_load((ROOT / "config.yaml").read_text()), "scale": scale})
    return grid.run_settings(settings, grid.Run(architecture, task, "adamw", "0.05", "3"))


def leave_log(logs: Path, name: str, text: str) -> None:
    folder = logs / "rule_train" / "mamba_language_adamw_0.05_3"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"step 1/50000  loss 10.8\n{text}\n")


@pytest.mark.parametrize(
    ("architecture", "count"), [("gpt2", 124.4e6), ("mamba", 371.5e6), ("jamba", 400e6), ("rwkv", 430.4e6)]
)
def test_rough_parameter_counts_are_near_the_exact_ones(architecture: str, count: float) -> None:
    assert resources.parameters(run("paper", architecture, "language")) == pytest.approx(count, rel=0.15)


def test_requests_grow_with_the_model(tmp_path: Path) -> None:
    small, large = run("laptop", "mamba", "language"), run("paper", "mamba", "language")
    assert resources.memory_mb(small, 1, tmp_path / "none") < resources.memory_mb(large, 1, tmp_path / "none")
    assert resources.runtime_minutes(small, 1, tmp_path / "none") < resources.runtime_minutes(
        large, 1, tmp_path / "none"
    )


def test_a_training_on_cuda_asks_for_one_device() -> None:
    assert resources.gpus(run("paper", "gpt2", "images")) == 1
    assert resources.gpus(run("laptop", "gpt2", "images")) == 0


@pytest.mark.parametrize("text", [CANCELLED, NODE_LOST, REQUEUED])
def test_a_later_attempt_asks_for_the_same_after_a_failure_of_another_kind(text: str, tmp_path: Path) -> None:
    settings = run("paper", "mamba", "language")
    leave_log(tmp_path, "12.log", text)
    assert resources.memory_mb(settings, 2, tmp_path) == resources.memory_mb(settings, 1, tmp_path)
    assert resources.runtime_minutes(settings, 2, tmp_path) == resources.runtime_minutes(settings, 1, tmp_path)


@pytest.mark.parametrize("text", [OUT_OF_MEMORY, OVER_THE_LIMIT])
def test_running_out_of_memory_raises_memory_alone(text: str, tmp_path: Path) -> None:
    settings = run("paper", "mamba", "language")
    before = resources.memory_mb(settings, 1, tmp_path), resources.runtime_minutes(settings, 1, tmp_path)
    leave_log(tmp_path, "12.log", text)
    assert resources.memory_mb(settings, 2, tmp_path) == pytest.approx(1.5 * before[0], abs=100)
    assert resources.runtime_minutes(settings, 2, tmp_path) == before[1]


def test_running_out_of_a_gpus_memory_asks_for_no_more_of_the_hosts(tmp_path: Path) -> None:
    settings = run("paper", "mamba", "language")
    before = resources.memory_mb(settings, 1, tmp_path)
    error = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 6.14 GiB."
    leave_log(
        tmp_path, "1.log", f"error: out of memory (cuda) in architecture=mamba with a batch of 32 ({error})\n{error}"
    )
    assert resources.memory_mb(settings, 2, tmp_path) == before
    leave_log(tmp_path, "2.log", "RuntimeError: CUDA error: out of memory")
    leave_log(tmp_path, "3.log", "RuntimeError: Triton Error [CUDA]: out of memory")
    assert resources.memory_mb(settings, 4, tmp_path) == before


def test_running_out_of_time_raises_time_alone(tmp_path: Path) -> None:
    settings = run("paper", "mamba", "language")
    before = resources.memory_mb(settings, 1, tmp_path), resources.runtime_minutes(settings, 1, tmp_path)
    leave_log(tmp_path, "12.log", OUT_OF_TIME)
    assert resources.runtime_minutes(settings, 2, tmp_path) == pytest.approx(1.5 * before[1], abs=10)
    assert resources.memory_mb(settings, 2, tmp_path) == before[0]


def test_another_runs_failure_raises_nothing(tmp_path: Path) -> None:
    leave_log(tmp_path, "12.log", OUT_OF_MEMORY)
    other = run("paper", "gpt2", "language")
    assert resources.memory_mb(other, 2, tmp_path) == resources.memory_mb(other, 1, tmp_path / "none")


def test_a_probe_run_has_logs_of_its_own_and_asks_for_its_own_time(tmp_path: Path) -> None:
    whole = run("paper", "mamba", "language")
    short = {**whole, "stop_after": 500}
    assert resources.runtime_minutes(short, 1, tmp_path / "none") < resources.runtime_minutes(
        whole, 1, tmp_path / "none"
    )
    leave_log(tmp_path, "12.log", OUT_OF_MEMORY)
    before = resources.memory_mb(short, 1, tmp_path)
    folder = tmp_path / "rule_probe_run" / "mamba_language_adamw_3"
    folder.mkdir(parents=True)
    (folder / "13.log").write_text(f"{OUT_OF_MEMORY}\n")
    assert resources.memory_mb(short, 2, tmp_path) == pytest.approx(1.5 * before, abs=100)


def test_a_later_start_remembers_what_ran_out(tmp_path: Path) -> None:
    settings = run("paper", "mamba", "language")
    before = resources.memory_mb(settings, 1, tmp_path)
    leave_log(tmp_path, "12.log", OUT_OF_MEMORY)
    assert resources.memory_mb(settings, 1, tmp_path) > before


def test_raises_end(tmp_path: Path) -> None:
    settings = run("paper", "mamba", "language")
    before = resources.memory_mb(settings, 1, tmp_path)
    for number in range(10):
        leave_log(tmp_path, f"{number}.log", OUT_OF_MEMORY)
    assert resources.memory_mb(settings, 4, tmp_path) <= before * resources.RAISE**resources.LARGEST_RAISES + 100


def test_an_engine_without_logs_raises_with_the_attempt(tmp_path: Path) -> None:
    settings = run("paper", "mamba", "language")
    nowhere = tmp_path / "none"
    assert resources.memory_mb(settings, 2, nowhere) == pytest.approx(
        1.5 * resources.memory_mb(settings, 1, nowhere), abs=100
    )


def test_only_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    (tmp_path / "1.log").write_text("DUE TO TIME LIMIT\n" + "step 1/50000  loss 10.8\n" * 2000)
    assert exhaustion.times(tmp_path) == (0, 0)
