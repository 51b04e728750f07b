"""Peers of a training step on a GPU: what others make of the same batch, with nothing of ours in place.

In: the settings of a run, its data, numbers of steps. Out: seconds of a step, or None where a peer has no such model.
ImportError where its package is missing. The Trainer runs on a CPU too, where a test tries it; the others need a card.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from warmup import kernels, registry
from warmup.architectures import model as models
from warmup.tasks._task import Task

Settings = Mapping[str, Any]


def task_of(entry: Mapping[str, Any], data: Path) -> Task:
    """The task of an entry of the configuration."""
    task: Task = registry.load("tasks", entry["kind"]).Task(entry, data)
    return task


def wait() -> None:
    """Until the card has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class WithLoss(nn.Module):
    """A network that returns its loss, all logits at once, as transformers' own models do."""

    def __init__(self, network: models.Model, task: Task) -> None:
        super().__init__()
        self.network, self.task = network, task

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """{"loss": the batch's mean loss}."""
        outputs = self.network(inputs)
        if self.task.vocabulary is None:
            return {"loss": self.task.loss(outputs, labels)}
        return {"loss": functional.cross_entropy(outputs.logits().float().flatten(0, 1), labels.flatten())}


def plain_network(settings: Settings, task: Task) -> WithLoss:
    """The cell's network by transformers' own lines: its attention with its masks, its choice of kernels."""
    kernels.uninstall()
    network = models.build(settings["architecture"], task, seed=0)  # type: ignore[arg-type]
    if network.backbone.config._attn_implementation == models.NO_MASK:
        network.backbone.set_attn_implementation("sdpa")
    return WithLoss(network, task)


def trainer(settings: Settings, data: Path, steps: int, warmups: int, device: str) -> float | None:
    """transformers' Trainer with fused AdamW and bfloat16 where the training has it; no logging, no saving."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    task = task_of(settings["task"], data)
    batch, part = task.batch_size, settings["training"]["micro_batch"] or task.batch_size
    examples = []
    for number in range(steps + warmups):
        inputs, labels = task.batch(0, number)
        examples += [{"inputs": one, "labels": other} for one, other in zip(inputs, labels, strict=True)]

    class Clock(TrainerCallback):
        """Times at which the measured steps began and ended, the card waited for."""

        began = ended = 0.0

        def on_step_end(self, _arguments: Any, state: Any, _control: Any, **_: Any) -> None:
            if state.global_step in (warmups, steps + warmups):
                wait()
                self.began, self.ended = self.ended, time.perf_counter()

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=part,
            gradient_accumulation_steps=batch // part,
            max_steps=steps + warmups,
            learning_rate=1e-4,
            weight_decay=0.1,
            max_grad_norm=0.0,
            optim="adamw_torch_fused" if device == "cuda" else "adamw_torch",
            bf16=settings["training"]["precision"] == "bfloat16",
            use_cpu=device == "cpu",
            remove_unused_columns=False,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        network = plain_network(settings, task)
        Trainer(model=network, args=options, train_dataset=examples, callbacks=[clock]).train()  # type: ignore[arg-type]
    return (clock.ended - clock.began) / steps


def mamba_ssm(settings: Settings, data: Path, steps: int, warmups: int, device: str) -> float | None:
    """mamba-ssm's own language model at Mamba's sizes."""
    if device == "cpu" or not _is(settings, "mamba", "language"):
        return None
    from mamba_ssm.models.config_mamba import MambaConfig
    from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel

    sizes, task = settings["architecture"]["settings"], task_of(settings["task"], data)
    config = MambaConfig(
        d_model=sizes["hidden_size"],
        n_layer=sizes["num_hidden_layers"],
        vocab_size=sizes.get("vocab_size", task.vocabulary),
        ssm_cfg={"layer": "Mamba1", "d_state": sizes["state_size"]},
    )
    network = MambaLMHeadModel(config).to(device)

    def loss(inputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(network(inputs).logits.float().flatten(0, 1), labels.flatten())

    return _by_hand(network, loss, task, settings, steps, warmups)


FLA = {"gpt2": ("transformer", "Transformer"), "mamba": ("mamba", "Mamba"), "rwkv": ("rwkv7", "RWKV7")}
"""Model type -> module and name of fla's nearest model: a transformer with rotary positions and SwiGLU instead of
GPT-2, Mamba itself, RWKV-7 instead of RWKV-4 (an operator only, there). Width, depth and vocabulary are the cell's."""


def fla(settings: Settings, data: Path, steps: int, warmups: int, device: str) -> float | None:
    """The nearest of fla's own language models (FLA), with fla's loss."""
    model_type = settings["architecture"]["model_type"]
    if device == "cpu" or settings["task"]["kind"] != "language" or model_type not in FLA:
        return None
    import importlib

    module, name = FLA[model_type]
    offered = importlib.import_module(f"fla.models.{module}")
    sizes, task = settings["architecture"]["settings"], task_of(settings["task"], data)
    config = getattr(offered, f"{name}Config")(
        hidden_size=sizes.get("hidden_size") or sizes["n_embd"],
        num_hidden_layers=sizes.get("num_hidden_layers") or sizes["n_layer"],
        vocab_size=sizes.get("vocab_size", task.vocabulary),
        use_cache=False,
    )
    network = getattr(offered, f"{name}ForCausalLM")(config).to(device)

    def loss(inputs: Tensor, _labels: Tensor) -> Tensor:
        found: Tensor = network(input_ids=inputs, labels=inputs).loss  # shifts the labels itself
        return found

    return _by_hand(network, loss, task, settings, steps, warmups)


def _is(settings: Settings, model_type: str, kind: str) -> bool:
    return bool(settings["architecture"]["model_type"] == model_type and settings["task"]["kind"] == kind)


def _by_hand(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    task: Task,
    settings: Settings,
    steps: int,
    warmups: int,
) -> float:
    """Seconds of a step of a plain loop: autocast, backward, fused AdamW, in the training's micro-batches."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    part = settings["training"]["micro_batch"] or task.batch_size
    started = 0.0
    for number in range(warmups + steps):
        if number == warmups:
            wait()
            started = time.perf_counter()
        inputs, labels = (whole.cuda(non_blocking=True) for whole in task.batch(0, number))
        for some, wanted in zip(inputs.split(part), labels.split(part), strict=True):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                part_loss = loss(some, wanted) * (len(some) / len(inputs))
            part_loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    wait()
    return (time.perf_counter() - started) / steps


PEERS: dict[str, Callable[[Settings, Path, int, int, str], float | None]] = {
    "transformers' Trainer": trainer,
    "mamba-ssm's model": mamba_ssm,
    "fla's nearest model": fla,
}
"""Peer -> function (settings of a run, data, steps, steps before them, device) -> seconds of a step."""
