"""The 12 cells of the paper's study, one step each as a GPU would run it, on CUDA tensors without memory."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from warmup import registry
from warmup.config import configuration
from warmup.cost import bill, expected_data, gpu_kernels, step

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests" / "fake_cuda"
CELLS = [f"{a}/{t}" for a in ("gpt2", "mamba", "jamba", "rwkv") for t in ("language", "images", "series")]

SLOW = 1e-3
"""Largest share of a step's FLOPs in products that tensor cores do not do at full speed; 4e-5 are (100 classes)."""

pytestmark = pytest.mark.xdist_group("fake_cuda")


def compiled(folder: Path) -> Path:
    """The guard's library; without a C++ compiler the test fails and says so."""
    compiler = shutil.which("g++")
    assert compiler, "the fake CUDA device needs g++ (a Debian package of that name)"
    library, place = folder / "guard.so", Path(torch.__file__).parent
    subprocess.run(
        [
            compiler, "-O1", "-std=c++20", "-shared", "-fPIC", f"-I{place / 'include'}", str(FAKE / "guard.cpp"),
            "-o", str(library), f"-L{place / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{place / 'lib'}",
        ],
        check=True,
    )  # fmt: skip
    return library


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What tests/fake_cuda prints of every cell."""
    library = compiled(tmp_path_factory.mktemp("guard"))
    answer = subprocess.run(
        [sys.executable, str(FAKE), str(ROOT / "config.yaml"), *CELLS],
        env=dict(os.environ, LD_PRELOAD=str(library), OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    yield {entry["cell"]: entry for entry in map(json.loads, answer.stdout.splitlines())}


@pytest.mark.parametrize("cell", CELLS)
def test_a_step_of_the_paper_goes_through_on_cuda_tensors(cell: str, steps: dict[str, dict[str, Any]]) -> None:
    found = steps[cell]
    assert found["loss"] == "float32"
    assert found["dtypes"] == ["torch.float32"], "every trained parameter has a gradient, in float32"
    assert found["fused"], "the optimiser's fused kernels are chosen"
    assert found["slow"] < SLOW, "products in float32, or of unaligned matrices, are a matter of the heads' last layers"
    if found["logits"]:
        assert found["largest"] < found["logits"] / 4, "the logits of all positions are never there at once"


@pytest.mark.parametrize("cell", CELLS)
def test_the_bills_memory_is_that_of_the_step_on_cuda_tensors_within_a_tenth(
    cell: str, steps: dict[str, dict[str, Any]]
) -> None:
    settings = configuration.effective({**yaml.safe_load((ROOT / "config.yaml").read_text()), "scale": "paper"})
    architecture, name = cell.split("/")
    entry = settings["tasks"][name]
    with expected_data.folder(entry, Path("/nowhere")) as (folder, _):
        task = registry.load("tasks", entry["kind"]).Task(entry, folder)
        examples = bill.part(settings, architecture, name)
        reckoned = step.measure(settings["architectures"][architecture], task, examples, "bfloat16")
    assert reckoned.peak == pytest.approx(steps[cell]["peak"], rel=0.1)
    assert bill.fits(settings, reckoned)


def test_the_step_counts_products_that_tensor_cores_do_slowly() -> None:
    even, odd = torch.zeros(64, 64, dtype=torch.bfloat16), torch.zeros(64, 65, dtype=torch.bfloat16)
    for factors, slow in (
        ((even, even.t()), False),
        ((odd.t(), even), True),
        ((even, odd), True),
        ((even[:, 1:33], even[:32]), True),
        ((even.float(), even.float()), True),
    ):
        with step.Watch("cpu") as watch:
            torch.mm(*factors)
        flops = 2 * factors[0].shape[0] * factors[0].shape[1] * factors[1].shape[1]
        assert (watch.product_flops, watch.slow_flops) == (flops, flops if slow else 0)


SCAN: dict[str, Any] = {
    "u": torch.zeros(2, 8, 5, dtype=torch.bfloat16),
    "delta": torch.zeros(2, 8, 5, dtype=torch.bfloat16),
    "a": torch.zeros(8, 4),
    "b": torch.zeros(2, 1, 4, 5, dtype=torch.bfloat16),
    "c": torch.zeros(2, 1, 4, 5, dtype=torch.bfloat16),
    "d": torch.zeros(8),
    "z": torch.zeros(2, 8, 5, dtype=torch.bfloat16),
    "bias": torch.zeros(8),
}


@pytest.mark.parametrize(
    "change",
    [
        {"delta": torch.zeros(2, 8, 5)},
        {"b": torch.zeros(2, 1, 4, 5)},
        {"z": torch.zeros(2, 8, 5)},
        {"a": torch.zeros(8, 4, dtype=torch.bfloat16)},
        {"a": torch.zeros(8, 300)},
        {"d": torch.zeros(8, dtype=torch.bfloat16)},
        {"bias": torch.zeros(7)},
        {"u": torch.zeros(2, 5, 8, dtype=torch.bfloat16).transpose(1, 2)},
    ],
)
def test_what_the_scans_own_checks_refuse_is_refused(change: dict[str, torch.Tensor]) -> None:
    gpu_kernels.check_scan(**SCAN)
    with pytest.raises(RuntimeError, match="refused by the kernel: selective_scan"):
        gpu_kernels.check_scan(**{**SCAN, **change})


def test_what_the_convolutions_own_checks_refuse_is_refused() -> None:
    x, weight = torch.zeros(2, 8, 6), torch.zeros(8, 4)
    gpu_kernels.check_convolution(x, weight, torch.zeros(8))
    for wrong in (
        (x, torch.zeros(8, 5), None),
        (x, weight, torch.zeros(8, dtype=torch.bfloat16)),
        (torch.zeros(2, 6, 12).transpose(1, 2), torch.zeros(12, 4), None),
        (torch.zeros(2, 8, 12)[:, :, ::2], weight, None),
    ):
        with pytest.raises(RuntimeError, match="refused by the kernel: causal_conv1d"):
            gpu_kernels.check_convolution(*wrong)
    query = torch.zeros(1, 2, 4, 8, dtype=torch.bfloat16)
    with pytest.raises(RuntimeError, match="flash attention with a mask"):
        step.flash_attention(query, query, query, attn_mask=torch.zeros(4, 4))
