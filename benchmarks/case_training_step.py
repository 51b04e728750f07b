"""A training step of Mamba, Jamba and RWKV with the compiled kernels against transformers' own CPU paths."""

from collections.abc import Callable, Iterator

from benchmarks.measure import Machine, Row, interleaved, times_faster
from benchmarks.models import build, training_step
from warmup import kernels

GOALS = {"mamba": 40.0, "jamba": 25.0, "rwkv": 5.0}
MAMBAPY_GOAL = 5.0

SLOW_ROUNDS = 3
"""transformers' loops take many seconds for a step."""


def rows(machine: Machine) -> Iterator[Row]:
    """One row for each model and peer."""
    for model_type, goal in GOALS.items():
        contenders = {"compiled kernels": with_kernels(model_type, machine.threads)}
        contenders["transformers' loop"] = without_kernels(training_step(build(model_type)))
        rounds = machine.rounds if model_type == "rwkv" else SLOW_ROUNDS
        if model_type == "mamba":
            contenders["transformers with mambapy"] = without_kernels(
                training_step(build(model_type, use_mambapy=True))
            )
        seconds = interleaved(contenders, rounds)
        case = f"{model_type} training step"
        yield times_faster(case, seconds, "compiled kernels", "transformers' loop", goal)
        if model_type == "mamba":
            yield times_faster(case, seconds, "compiled kernels", "transformers with mambapy", MAMBAPY_GOAL)


def with_kernels(model_type: str, threads: int) -> Callable[[], None]:
    """A step during which the kernels are in place."""
    step = training_step(build(model_type))

    def run() -> None:
        kernels.install("cpu", threads, model_type)
        step()

    return run


def without_kernels(step: Callable[[], None]) -> Callable[[], None]:
    """A step during which transformers has its own functions."""

    def run() -> None:
        kernels.uninstall()
        step()

    return run
