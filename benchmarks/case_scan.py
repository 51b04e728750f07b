"""The selective scan alone, forward and backward, against the machine's floor and against mambapy's scan."""

from collections.abc import Iterator

import torch
from mambapy.pscan import pscan

from benchmarks.measure import Machine, Row, interleaved, times_faster, times_floor
from warmup.kernels import memory, runtime
from warmup.kernels import selective_scan_loops as loops
from warmup.kernels.selective_scan import selective_scan

BATCH, CHANNELS, LENGTH, STATES = 16, 256, 128, 16
"""The scan of one layer of the models in case_training_step."""

# Floating-point operations for one state of one channel at one step; a fused multiply-add counts as two. The
# exponential: a polynomial of degree 6 (12), its range reduction (clamps 2, sums 3), the product in its argument (1).
_EXPONENTIAL = 18
_FORWARD = _EXPONENTIAL + 5  # decay x state + drive x B: 3; output: 2
_BACKWARD = _FORWARD + 14  # recomputed forward; gradients of state 2, C 2, B 2, drive 2, decay 2, delta 2, A 2
# For one channel at one step: softplus and its derivative about 50 (exponential, division, series), sigmoid and gate
# about 30, skip and drive 3; backward the same again and the products of the chain rule.
_ROW_FORWARD, _ROW_BACKWARD = 83, 100

GOAL = 3.0


def rows(machine: Machine) -> Iterator[Row]:
    """Against the floor, and against mambapy."""
    runtime.set_threads(machine.threads)
    memory.keep_freed()  # as in training
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    projection = normal(BATCH, LENGTH, 2 * STATES)
    inputs = [
        normal(BATCH, LENGTH, CHANNELS).transpose(1, 2),
        normal(BATCH, LENGTH, CHANNELS).transpose(1, 2),
        -torch.arange(1.0, STATES + 1).repeat(CHANNELS, 1),
        projection[..., :STATES].transpose(1, 2),
        projection[..., STATES:].transpose(1, 2),
        normal(CHANNELS),
        normal(BATCH, LENGTH, CHANNELS).transpose(1, 2),
        normal(CHANNELS),
    ]
    leaves = [x.requires_grad_() for x in inputs]
    g_out = normal(BATCH, LENGTH, CHANNELS).transpose(1, 2)

    def ours() -> None:
        torch.autograd.grad(selective_scan(*leaves, delta_softplus=True)[0], leaves, g_out)

    def theirs() -> None:
        torch.autograd.grad(with_pscan(*leaves), leaves, g_out)

    seconds = interleaved({"compiled scan": ours, "mambapy's scan": theirs}, 3 * machine.rounds, warmups=3)
    case = "selective scan, forward and backward"
    yield times_floor(case, seconds, "compiled scan", floor(machine), GOAL)
    yield times_faster(case, seconds, "compiled scan", "mambapy's scan", None)


def floor(machine: Machine) -> float:
    """Seconds that the scan's operations and memory traffic take at the machine's peaks."""
    rows_of_states = BATCH * CHANNELS * LENGTH
    flops = rows_of_states * (STATES * (_FORWARD + _BACKWARD) + _ROW_FORWARD + _ROW_BACKWARD)
    kept = rows_of_states * STATES // loops.CHUNK
    # Forward: u, dt, z, out, and kept written; backward: u, dt, z, gradient of out, kept, three gradients written.
    numbers = 4 * rows_of_states + kept + 7 * rows_of_states + kept
    return machine.floor(flops=flops, bytes_moved=4 * numbers)


def with_pscan(
    u: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    z: torch.Tensor,
    bias: torch.Tensor,
) -> torch.Tensor:
    """The same scan by mambapy's parallel scan, as transformers calls it."""
    delta = torch.nn.functional.softplus(dt + bias[:, None])
    decays = torch.exp(A[None, :, None, :] * delta[..., None])
    drives = delta[..., None] * B.transpose(1, 2)[:, None] * u[..., None]
    states = pscan(decays.transpose(1, 2), drives.transpose(1, 2))
    out = (states @ C.transpose(1, 2).unsqueeze(-1)).squeeze(3).transpose(1, 2)
    return (out + u * D[:, None]) * torch.nn.functional.silu(z)
