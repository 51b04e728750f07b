"""One training step at its true shapes and dtypes, without memory: what it keeps, and what each operation costs.

In: an architecture, a task, how training is done. Out: peak bytes on the device, and the operations of the step as
(FLOPs, bytes moved, dtype) with how often each occurs. torch runs the whole step, forward, loss and backward, on
tensors that have shapes only (FakeTensorMode), with autocast as in training and with the GPU's kernels as
cost/gpu_kernels.py describes them: no formula per model type, and no CUDA build. Tensors are called `cpu` here; a test
repeats the step with `cuda` ones (tests/fake_cuda), whose autocast tables differ in places, and holds the two together.
"""

import inspect
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import transformers.integrations.moe
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from warmup import kernels
from warmup.architectures import model, roles
from warmup.cost import gpu_kernels
from warmup.kernels import cuda
from warmup.tasks._task import Task

MOMENTS = 8
"""Bytes per trained parameter that AdamW keeps between steps, float32."""


@dataclass(frozen=True)
class Step:
    """What a step of `examples` examples costs (one forward and backward pass, no update)."""

    examples: int
    weights: int
    """Bytes of the parameters, trained or not."""
    gradients: int
    moments: int
    peak: int
    """Largest sum of bytes that live at once: weights, gradients, moments, activations and what operations make."""
    kept: int
    """Bytes of activations that live when the backward pass begins."""
    operations: tuple[tuple[float, float, str, int], ...]
    """(FLOPs, bytes read and written, dtype of the product, how often)."""
    largest: int
    """Elements of the largest tensor that an operation makes."""
    loss: str
    """Dtype of the loss."""
    product_flops: float
    """FLOPs of all products."""
    slow_flops: float
    """Those of products in float32, or of matrices whose rows do not begin on 16 bytes: no work for tensor cores."""


def measure(
    architecture: Mapping[str, Any],
    task: Task,
    examples: int,
    precision: str,
    device: str = "cpu",
    update: Callable[[model.Model, Tensor], None] | None = None,
) -> Step:
    """The step of `examples` examples of `task`; raises ConfigurationError if the network cannot be built.

    update: called with the network and the loss when gradients are there; it is no part of what is measured.
    """
    built = model.build(architecture, task, seed=0, device="meta")  # type: ignore[arg-type]
    built.train()
    with FakeTensorMode() as fake, as_on_a_gpu(str(architecture["model_type"]), device), fake:
        without_memory(built, device)
        trained = [parameter for _, parameter in roles.trained(built)]
        inputs, targets = batch(task, examples, device)
        watch = Watch(device)
        watch.add([*built.parameters(), *built.buffers(), inputs, targets])
        with watch:
            with arithmetic(precision, device):
                loss = task.loss(built(inputs), targets)
            kept = watch.live
            loss.backward()
        if update is not None:
            update(built, loss)
    weights = sum(size_of(parameter) for parameter in built.parameters())
    moments = MOMENTS * sum(parameter.numel() for parameter in trained)
    return Step(
        examples=examples,
        weights=weights,
        gradients=sum(size_of(parameter) for parameter in trained),
        moments=moments,
        peak=watch.peak + moments,
        kept=kept - weights,
        operations=tuple((*cost, count) for cost, count in sorted(watch.operations.items())),
        largest=watch.largest,
        loss=str(loss.dtype).removeprefix("torch."),
        product_flops=watch.product_flops,
        slow_flops=watch.slow_flops,
    )


def of_products_alone(trained: int, flops: float, examples: int, precision: str) -> Step:
    """What is left to say of a network whose step cannot run without memory: `trained` parameters, the FLOPs of its
    products; activations and everything else count nothing."""
    weights = 4 * trained
    return Step(
        examples=examples,
        weights=weights,
        gradients=weights,
        moments=MOMENTS * trained,
        peak=2 * weights + MOMENTS * trained,
        kept=0,
        operations=((flops, 0.0, precision, 1),),
        largest=0,
        loss="float32",
        product_flops=flops,
        slow_flops=flops if precision == "float32" else 0.0,
    )


def size_of(tensor: Tensor) -> int:
    """Bytes of a tensor's elements."""
    return tensor.numel() * tensor.element_size()


def arithmetic(precision: str, device: str) -> Any:
    """Autocast as training has it."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def without_memory(network: nn.Module, device: str) -> None:
    """Put a network from torch's meta device on `device`, tied parameters still tied; needs FakeTensorMode."""
    made: dict[int, Tensor] = {}

    def there(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            new = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
            made[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
        return made[id(tensor)]

    for module in network.modules():
        for own in (module._parameters, module._buffers):
            for name, tensor in own.items():
                if tensor is not None:
                    own[name] = there(tensor)  # type: ignore[assignment]


def batch(task: Task, examples: int, device: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets of `examples` examples; needs FakeTensorMode."""
    if task.vocabulary is not None:
        tokens = torch.zeros(examples, task.positions, dtype=torch.int64, device=device)
        return tokens, tokens.clone()
    if task.shape is not None:
        height, width, channels = task.shape
        return (
            torch.zeros(examples, channels, height, width, device=device),
            torch.zeros(examples, dtype=torch.int64, device=device),
        )
    context, horizon = int(task.settings["context"]), int(task.settings["horizon"])
    channels = task.channels  # type: ignore[attr-defined]
    return torch.zeros(examples, context, channels, device=device), torch.zeros(
        examples, horizon, channels, device=device
    )


ROW = 16
"""Bytes on whose multiples the rows of a matrix must begin for tensor cores to read them at full speed."""

PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm, torch.ops.aten.baddbmm)


def aligned(matrix: Tensor) -> bool:
    """Whether the rows (or columns, if those are contiguous) of a matrix, or of a batch of them, begin on ROW bytes."""
    size = matrix.element_size()
    steps = [step for step, count in zip(matrix.stride(), matrix.shape, strict=True) if count > 1 and step != 1]
    return all(place * size % ROW == 0 for place in (matrix.storage_offset(), *steps))


class Watch(TorchDispatchMode):
    """Bytes that live on `device`, and the cost of every operation, while it is entered."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.live = self.peak = self.largest = 0
        self.product_flops = self.slow_flops = 0.0
        self.operations: Counter[tuple[float, float, str]] = Counter()
        self._seen: dict[int, weakref.ref[Any]] = {}

    def add(self, tensors: list[Any]) -> int:
        """Count the storages of `tensors` that were not there; returns their bytes."""
        added = 0
        for tensor in tensors:
            if not isinstance(tensor, Tensor) or tensor.device.type != self.device:
                continue
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key in self._seen and self._seen[key]() is storage:
                continue

            def gone(_: Any, key: int = key, size: int = size) -> None:
                self._seen.pop(key, None)
                self.live -= size

            self._seen[key] = weakref.ref(storage, gone)
            added += size
        self.live += added
        self.peak = max(self.peak, self.live)
        return added

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        given = [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in torch.utils._pytree.tree_leaves(out) if isinstance(x, Tensor)]
        new = self.add(made)
        changes = func._schema.is_mutable
        if new and not changes:
            self.largest = max(self.largest, *(x.numel() for x in made))
        if new or changes:
            moved = sum(map(size_of, given)) + sum(map(size_of, made))
            flops, dtype = 0.0, "float32"
            counter = flop_registry.get(func._overloadpacket)
            if counter is not None:
                flops = float(counter(*args, **kwargs, out_val=out))
                dtype = str(given[0].dtype).removeprefix("torch.")
                self.product_flops += flops
                matrices = [x for x in (*given, *made) if x.ndim > 1] if func._overloadpacket in PRODUCTS else []
                if dtype == "float32" or not all(map(aligned, matrices)):
                    self.slow_flops += flops
            self.operations[flops, float(moved), dtype] += 1
        return out


@contextmanager
def as_on_a_gpu(model_type: str, device: str) -> Iterator[None]:
    """transformers' modelling module with the functions of the GPU's kernels, flash attention included, inside."""
    with ExitStack() as stack:
        replace = stack.enter_context
        replace(mock.patch("torch.nn.functional.scaled_dot_product_attention", flash_attention))
        if device == "cpu":
            for module in kernels._modelling_modules(model_type):
                for function, stand_in in _stand_ins().items():
                    owner, name = kernels._owner(module, function), function.rpartition(".")[2]
                    if owner is not None:
                        replace(mock.patch.object(owner, name, stand_in))
            grouped = cuda.grouped_in_one_type(_product_of_experts)
            replace(mock.patch.object(transformers.integrations.moe, "_grouped_mm", grouped))
        yield


def _stand_ins() -> dict[str, Any]:
    from warmup.kernels import token_mixing_cuda

    return {
        "mamba_inner_fn": _taking_its_own(gpu_kernels.mamba_inner_fn),
        "mamba_selective_scan": cuda.scan_in_one_type(_taking_its_own(gpu_kernels.selective_scan_fn)),
        "causal_conv1d_fn": _taking_its_own(gpu_kernels.causal_conv1d_fn),
        "rwkv_linear_attention": _wkv,
        "RwkvSelfAttention.extract_key_value": token_mixing_cuda.key_and_value,
        "RwkvFeedForward.forward": token_mixing_cuda.feed_forward,
    }


def _product_of_experts(input: Tensor, weight: Tensor, offs: Tensor) -> Tensor:
    """Size and FLOPs of torch's grouped product, which refuses float32 here and whose FLOPs torch does not count."""
    del offs
    return input @ weight[0]


def _taking_its_own(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function` without the named arguments that it does not know, as transformers calls the packages' own."""
    known = inspect.signature(function).parameters

    def called(*arguments: Any, **named: Any) -> Tensor:
        return function(*arguments, **{name: value for name, value in named.items() if name in known})

    return called


def _wkv(time_decay: Tensor, time_first: Tensor, key: Tensor, value: Tensor, **_: Any) -> tuple[Tensor, None]:
    return cuda.wkv(time_decay, time_first, key, value, operator=gpu_kernels.fused_recurrent_rwkv4)[0], None


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, **_: Any,
) -> Tensor:  # fmt: skip
    """torch's flash attention, refusing what it refuses: a mask, float32, heads wider than 256. (Plain products for
    float32, which it does not take.)"""
    if query.dtype == torch.float32:
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], dim=1) for x in (key, value))
        return torch.softmax(query @ key.transpose(-2, -1), -1) @ value
    gpu_kernels._require(attn_mask is None, "flash attention with a mask")
    gpu_kernels._require(query.dtype == key.dtype == value.dtype, "flash attention of several dtypes")
    gpu_kernels._require(query.shape[-1] <= 256 and query.stride(-1) == 1, "flash attention: width of a head")
    out: Tensor = torch.ops.aten._scaled_dot_product_flash_attention(
        query, key, value, dropout_p, is_causal, scale=scale
    )[0]
    return out
