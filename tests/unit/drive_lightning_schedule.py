"""drive_lightning_schedule.py LINES STEPS: learning rates of a real Lightning Trainer, stopped and resumed.

Run with Lightning's own environment; prints a JSON list.
"""

import json
import sys
from pathlib import Path

import lightning
import torch

names = {"torch": torch}
exec(Path(sys.argv[1]).read_text(), names)
STEPS, STOP = int(sys.argv[2]), 17
RATES: list[float] = []


class Module(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        return self.layer(batch).square().mean()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        RATES.append(optimizer.param_groups[0]["lr"])


Module.configure_optimizers = names["configure_optimizers"]
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def trainer(steps: int) -> lightning.Trainer:
    return lightning.Trainer(max_steps=steps, max_epochs=-1, enable_checkpointing=False, **QUIET)


data = torch.utils.data.DataLoader(torch.ones(5, 1), batch_size=1)  # an epoch is five updates
first = trainer(STOP)
first.fit(Module(), data)
first.save_checkpoint("stopped.ckpt")
trainer(STEPS).fit(Module(), data, ckpt_path="stopped.ckpt")
print(json.dumps(RATES))
