"""drive_lightning_recorder.py FILE STEPS FIRST: a real Lightning Trainer, plain and recorded into FILE.

Two batches per update, dropout, clipping. Run with Lightning's own environment; prints as JSON the gradient norms of
the recorded training before clipping, its rates, whether both trainings end with the same bits, and the hooks left.
"""

import json
import sys

import lightning
import torch

from warmup.record import EarlyDiagnostics

STEPS, FIRST = int(sys.argv[2]), int(sys.argv[3])
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


class Module(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1))
        self.norms: list[float] = []
        self.rates: list[float] = []

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        return self.layers(batch).square().mean()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning calls it after backward and before clipping."""
        gradients = [each.grad.double().ravel() for each in self.parameters()]
        self.norms.append(float(torch.cat(gradients).norm()))
        self.rates.append(optimizer.param_groups[0]["lr"])

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: 1.0 / (1 + update))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def trained(*callbacks: lightning.Callback) -> Module:
    torch.manual_seed(0)
    module, batches = Module(), torch.utils.data.DataLoader(torch.randn(48, 4), batch_size=4)
    options = {"accumulate_grad_batches": 2, "gradient_clip_val": 1e-3, "enable_checkpointing": False, **QUIET}
    lightning.Trainer(max_steps=STEPS, callbacks=list(callbacks), **options).fit(module, batches)
    return module


recorder = EarlyDiagnostics(sys.argv[1], planned_steps=STEPS, first=FIRST)
plain, recorded = trained(), trained(recorder.for_lightning())
pairs = zip(plain.state_dict().values(), recorded.state_dict().values(), strict=True)
print(
    json.dumps(
        {
            "norms": recorded.norms,
            "rates": recorded.rates,
            "same": all(torch.equal(one, other) for one, other in pairs),
            "hooks": sum(bool(each._post_accumulate_grad_hooks) for each in recorded.parameters()),
        }
    )
)
