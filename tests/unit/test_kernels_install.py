"""Kernels in their place: whole models, other processes, other machines."""

import importlib
import inspect
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from warmup import kernels
from warmup.errors import EnvironmentProblemError
from warmup.kernels import cuda, memory, runtime

SMALL: dict[str, dict[str, Any]] = {
    "mamba": {},
    "falcon_mamba": {},
    "jamba": {
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    },
    "zamba": {
        "num_hidden_layers": 5,  # it ties the weights of its attention layers: there must be two
        "intermediate_size": 48,
        "attention_hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "attention_head_dim": 16,
        "n_mamba_heads": 2,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
    },
    "rwkv": {"context_length": 40},
}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    kernels.uninstall()
    runtime.set_threads(1)


def build(model_type: str) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "use_cache": False, **SMALL[model_type]}
    config = AutoConfig.for_model(model_type, **sizes)
    for token in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, token, 0)
    return AutoModelForCausalLM.from_config(config).train()


def loss_and_gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    tokens = torch.randint(0, 50, (3, 21), generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    gradients = {name: x.grad.clone() for name, x in model.named_parameters() if x.grad is not None}
    return {"loss": loss.detach(), **gradients}


@pytest.mark.parametrize("model_type", SMALL)
def test_a_model_has_the_same_loss_and_gradients_with_the_kernels(model_type: str) -> None:
    model = build(model_type)
    before = loss_and_gradients(model)
    assert len(kernels.install("cpu", 2, model_type)) >= 2
    after = loss_and_gradients(model)
    assert before.keys() == after.keys()
    for name, expected in before.items():
        assert (after[name] - expected).norm() <= 1e-5 * expected.norm() + 1e-9, name


@pytest.mark.parametrize("model_type", ["mamba", "rwkv"])
def test_generation_with_a_cache_gives_the_same_tokens(model_type: str) -> None:
    model = build(model_type).eval()
    start = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(2))
    options = {"max_new_tokens": 8, "do_sample": False, "use_cache": True, "eos_token_id": None}
    expected = model.generate(start, **options)
    kernels.install("cpu", 1, model_type)
    assert torch.equal(model.generate(start, **options), expected)


def test_installing_twice_and_uninstalling_leaves_transformers_as_it_was() -> None:
    from transformers.models.mamba import modeling_mamba

    names = ("mamba_selective_scan", "causal_conv1d_fn", "mamba_inner_fn")
    before = [getattr(modeling_mamba, name) for name in names]
    assert kernels.install("cpu", 1, "mamba") == kernels.install("cpu", 2, "mamba")
    assert inspect.unwrap(modeling_mamba.mamba_selective_scan) is inspect.unwrap(before[0])
    assert modeling_mamba.mamba_selective_scan is not before[0]
    kernels.uninstall()
    assert [getattr(modeling_mamba, name) for name in names] == before


def test_a_model_without_scans_gets_no_kernels_and_no_compiler() -> None:
    code = (
        "import sys; from warmup import kernels; installed = kernels.install('cpu', 2, 'gpt2');"
        "assert not any('modeling' in line for line in installed), installed; assert 'numba' not in sys.modules"
    )
    environment = dict(os.environ, PYTHONPATH=str(Path(kernels.__file__).parents[2]))
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="cpu and cuda"):
        kernels.install("tpu", 1, "mamba")


@pytest.mark.parametrize(("model_type", "package"), [("mamba", "mamba-ssm"), ("jamba", "mamba-ssm")])
def test_a_missing_kernel_on_cuda_is_an_error_that_says_how_to_get_it(model_type: str, package: str) -> None:
    with pytest.raises(EnvironmentProblemError, match=f"needs {package}.*pip install.*training.device to cpu"):
        kernels.install("cuda", 1, model_type)


def test_an_operator_that_cannot_be_loaded_on_cuda_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fla.ops.rwkv4", None)  # importing it fails
    with pytest.raises(EnvironmentProblemError, match=r"rwkv, which needs fla-core.*pip install"):
        kernels.install("cuda", 1, "rwkv")


def test_rwkv_on_cuda_asks_the_internet_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.rwkv import modeling_rwkv

    class Operators:
        fused_recurrent_rwkv4 = staticmethod(lambda *_: None)

    monkeypatch.setitem(sys.modules, "fla.ops.rwkv4", Operators)  # type: ignore[arg-type]
    assert kernels.install("cuda", 1, "rwkv") == ["modeling_rwkv.rwkv_linear_attention: fla-core"]
    with pytest.raises(ImportError, match="fla-core"):  # what transformers catches while it builds a layer
        modeling_rwkv.load_wkv_cuda_kernel(128)
    assert loss_and_gradients(build("rwkv"))["loss"].isfinite()  # on the CPU the original still serves


@pytest.mark.parametrize("model_type", ["mamba", "jamba"])
def test_the_scan_on_cuda_gets_its_inputs_in_one_type_under_autocast(
    model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mamba-ssm refuses others; Jamba normalises dt, B and C, which leaves them in float32."""
    types: list[set[torch.dtype]] = []
    module = importlib.import_module(f"transformers.models.{model_type}.modeling_{model_type}")
    original = module.mamba_selective_scan.__wrapped__

    def strict(u: torch.Tensor, delta: torch.Tensor, A: torch.Tensor, B: Any, C: Any, **others: Any) -> Any:
        types.append({tensor.dtype for tensor in (u, delta, B, C, others["z"]) if tensor is not None})
        return original(u, delta, A, B, C, **others)

    monkeypatch.setattr(module, "mamba_selective_scan", cuda.scan_in_one_type(strict))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss_and_gradients(build(model_type))["loss"].isfinite()
    assert types and all(len(found) == 1 for found in types), types


def test_experts_on_cuda_are_multiplied_in_the_type_of_the_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """autocast does not know torch's grouped product, and its weights are kept in float32."""
    from transformers.integrations import moe

    types: list[tuple[torch.dtype, torch.dtype]] = []
    original = moe._grouped_mm

    def strict(input: Tensor, weight: Tensor, offs: Tensor) -> Tensor:
        types.append((input.dtype, weight.dtype))
        return original(input, weight, offs)

    model = build("jamba")
    monkeypatch.setattr(moe, "_grouped_mm", cuda.grouped_in_one_type(strict))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss_and_gradients(model)
    assert set(types) == {(torch.bfloat16, torch.bfloat16)}
    assert {found[name].dtype for name in found if "experts" in name} == {torch.float32}
    types.clear()
    assert loss_and_gradients(model)["loss"].isfinite()
    assert set(types) == {(torch.float32, torch.float32)}


def test_gpt2_on_cuda_needs_nothing() -> None:
    assert kernels.install("cuda", 1, "gpt2") == []


GRADIENTS = """
import hashlib, sys
import torch
sys.path.insert(0, sys.argv[1])
from unit import test_kernels_install as this
from warmup import kernels
torch.set_num_threads(1)
for model_type in ("mamba", "rwkv"):
    model = this.build(model_type)
    kernels.install("cpu", int(sys.argv[2]), model_type)
    digest = hashlib.sha256()
    for name, x in sorted(this.loss_and_gradients(model).items()):
        digest.update(name.encode() + x.contiguous().numpy().tobytes())
    print(model_type, digest.hexdigest())
"""


def test_processes_with_different_numbers_of_threads_get_the_same_bits() -> None:
    environment = dict(os.environ, PYTHONPATH=str(Path(kernels.__file__).parents[2]))
    tests = str(Path(__file__).parents[1])
    answers = {
        subprocess.run(
            [sys.executable, "-c", GRADIENTS, tests, threads],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(answers) == 1
    assert len(answers.pop().splitlines()) == 2


def test_compiled_code_is_kept_outside_the_checkout_and_named_after_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = runtime.cache_folder()
    assert folder.is_relative_to(tmp_path / "cache")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert runtime.cache_folder() == tmp_path / "chosen" / folder.name


def test_an_unusable_cache_folder_is_replaced_by_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch(mode=stat.S_IRUSR)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(in_the_way))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert runtime.cache_folder().is_relative_to(tmp_path / f"warmup-sweep-{os.getuid()}")


@pytest.mark.parametrize("pool", [False, True])
def test_every_unit_of_work_is_done_once_whatever_the_threads(pool: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if pool:  # as where PyTorch's OpenMP cannot be reached
        monkeypatch.setattr(runtime, "_team", lambda: runtime._pool)
    for threads in (1, 2, 5):
        runtime.set_threads(threads)
        done: list[int] = []
        runtime.spread(lambda first, last, out: out.extend(range(first, last)), 37, done)
        assert sorted(done) == list(range(37))


def test_kernels_run_on_the_threads_of_pytorch_where_it_has_openmp() -> None:
    if "USE_OPENMP=ON" in torch.__config__.show():
        assert runtime._team() is not runtime._pool


@pytest.mark.parametrize("pool", [False, True])
def test_an_error_in_a_unit_is_raised(pool: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if pool:
        monkeypatch.setattr(runtime, "_team", lambda: runtime._pool)
    runtime.set_threads(2)

    def fail(first: int, last: int) -> None:
        if first <= 30 < last:
            raise ZeroDivisionError(last)

    with pytest.raises(ZeroDivisionError):
        runtime.spread(fail, 40)


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    code = """
import ctypes, sys, torch
from warmup.kernels import memory
if sys.argv[1] == "keep":
    print(memory.keep_freed())
class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
library = ctypes.CDLL(None)
library.mallinfo2.restype = Mallinfo2
tensor = torch.ones(1 << 22)
del tensor
print(library.mallinfo2().fordblks)
"""
    environment = dict(os.environ, PYTHONPATH=str(Path(kernels.__file__).parents[2]))
    command = [sys.executable, "-c", code]
    if not memory.keep_freed():
        return  # not glibc's allocator: nothing is promised
    kept, left = (
        subprocess.run([*command, way], env=environment, capture_output=True, text=True, check=True).stdout.split()
        for way in ("keep", "leave")
    )
    assert kept[0] == "True"
    assert int(kept[1]) >= 4 << 22  # the 16 MB lie free in the heap
    assert int(left[0]) < 4 << 22  # by default they went back to the system
