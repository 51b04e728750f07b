"""The first steps of any PyTorch training, kept for `warmup advise --from`: rates, gradient norms, moves of matrices.

    recorder = EarlyDiagnostics("early.parquet", planned_steps=20_000)
    recorder.attach(model, optimizer)        # before the loop; it lets go by itself after the first steps

In: a model and its optimizer, through their hooks; nothing in the loop is touched. Out: one Parquet file. Weights,
gradients, optimizer state and random numbers stay bit for bit what they were. Gradients are seen as backward leaves
them, before any clipping, and of this process alone; under loss scaling (float16) they are scaled.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import torch
from torch import Tensor, nn

from warmup import files

FORMAT = "1"
MOVES_SEEN = 12
"""Steps, spread over the recorded ones, at which the relative update is taken (a copy of the matrices each time)."""


class EarlyDiagnostics:
    """Records the first `first` optimizer steps of a training of `planned_steps` into `path`.

    `peak_learning_rate`: the rate that the schedule is heading for, by default the largest one in the optimizer when it
    is attached. Diagnostics are about training *without* warmup: for advice record a short run of its own.
    """

    def __init__(
        self, path: str | Path, *, planned_steps: int, first: int = 100, peak_learning_rate: float | None = None
    ) -> None:
        if not 1 <= first <= planned_steps:
            raise ValueError(f"first: {first} steps to record do not lie between 1 and the planned {planned_steps}")
        self.path, self.planned, self.first = Path(path), planned_steps, first
        self._peak = peak_learning_rate
        self._rows: list[dict[str, Any]] = []
        self._handles: list[Any] = []
        self._looks = {round(place * (first - 1) / max(1, MOVES_SEEN - 1)) for place in range(MOVES_SEEN)}

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Start with the optimizer's next step."""
        optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        trained = [each for each in model.parameters() if each.requires_grad]
        self._squares = torch.zeros(len(trained), dtype=torch.float64, device=trained[0].device)
        self._matrices = [each for each in trained if each.ndim == 2]
        self._facts = self._about(optimizer, trained)
        for place, parameter in enumerate(trained):
            self._handles.append(parameter.register_post_accumulate_grad_hook(self._gradient_hook(place)))
        self._handles.append(optimizer.register_step_pre_hook(self._before))
        self._handles.append(optimizer.register_step_post_hook(self._after))

    def close(self) -> None:
        """Write what is there and let go of model and optimizer; called after the last step that is recorded."""
        while self._handles:
            self._handles.pop().remove()
        if not self._rows:
            return
        norms = torch.stack([row["norm"] for row in self._rows]).sqrt().tolist()
        moves = [None if row["move"] is None else float(row["move"]) for row in self._rows]
        table = pyarrow.table(
            {
                "step": pyarrow.array(range(len(self._rows)), pyarrow.int32()),
                "learning_rate": pyarrow.array([row["rate"] for row in self._rows], pyarrow.float64()),
                "gradient_norm": pyarrow.array(norms, pyarrow.float64()),
                "relative_update": pyarrow.array(moves, pyarrow.float64()),
            },
            metadata={"early_diagnostics": FORMAT, "facts": json.dumps(self._facts)},
        )
        files.write_parquet(table, self.path)
        self._rows = []

    def for_transformers(self) -> Any:
        """A callback for transformers' Trainer: `Trainer(callbacks=[recorder.for_transformers()])`."""
        from transformers import TrainerCallback

        recorder = self

        class Callback(TrainerCallback):
            """Attaches when training begins."""

            def on_train_begin(self, *_: Any, **parts: Any) -> None:
                recorder.attach(parts["model"], parts["optimizer"])

            def on_train_end(self, *_: Any, **__: Any) -> None:
                recorder.close()

        return Callback()

    def for_lightning(self) -> Any:
        """A callback for Lightning: `Trainer(callbacks=[recorder.for_lightning()])`; ValueError in its training if the
        module has several optimizers.
        """
        from lightning import Callback

        recorder = self

        class Attaching(Callback):
            """Attaches when training begins."""

            def on_train_start(self, trainer: Any, pl_module: Any) -> None:
                if len(trainer.optimizers) != 1:
                    raise ValueError(
                        f"{len(trainer.optimizers)} optimizers; attach() the recorder to the one that is meant"
                    )
                recorder.attach(pl_module, trainer.optimizers[0])

            def on_train_end(self, *_: Any) -> None:
                recorder.close()

        return Attaching()

    def _gradient_hook(self, place: int) -> Any:
        def seen(parameter: Tensor) -> None:
            self._squares[place] = torch.linalg.vector_norm(parameter.grad.detach(), dtype=torch.float64).square()  # type: ignore[union-attr]

        return seen

    @torch.no_grad()
    def _before(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        step = len(self._rows)
        self._old = [each.detach().clone() for each in self._matrices] if step in self._looks else []
        rate = max(float(group["lr"]) for group in optimizer.param_groups)
        self._rows.append({"rate": rate, "norm": None, "move": None})

    @torch.no_grad()
    def _after(self, *_: Any) -> None:
        self._rows[-1]["norm"] = self._squares.sum()  # only now: Lightning runs backward inside optimizer.step
        self._squares.zero_()
        pairs = [(new.detach() - old, old) for new, old in zip(self._matrices, self._old, strict=False)]
        if pairs:
            moved = torch.stack([torch.linalg.vector_norm(move.float()) for move, _ in pairs])
            sizes = torch.stack([torch.linalg.vector_norm(old.float()) for _, old in pairs])
            self._rows[-1]["move"] = (moved / sizes)[sizes > 0].quantile(0.5)
        self._old = []
        if len(self._rows) >= self.first:
            self.close()

    def _about(self, optimizer: torch.optim.Optimizer, trained: list[nn.Parameter]) -> dict[str, Any]:
        groups: Sequence[Mapping[str, Any]] = optimizer.param_groups
        decays = [float(group.get("weight_decay", 0.0)) for group in groups]
        rates = [float(group.get("initial_lr", group["lr"])) for group in groups]
        return {
            "optimizer": type(optimizer).__name__,
            "betas": list(groups[0].get("betas", ())) or None,
            "weight_decay": max(decays),
            "peak_learning_rate": self._peak or max(rates),
            "planned_steps": self.planned,
            "parameters": sum(each.numel() for each in trained),
            "torch": str(torch.__version__),
        }
