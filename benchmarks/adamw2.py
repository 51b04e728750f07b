"""What AdamW^2 costs beside AdamW: whole training steps at width 128, and the optimiser alone at GPT-2-small's shapes.

    python benchmarks/adamw2.py [--small]      # --small leaves out GPT-2-small (124 M parameters, about 3 GB)

Both optimisers step alternately in one process; printed are medians and the median of the paired ratios.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from warmup.architectures import roles
from warmup.optimizers import adamw, adamw2

RECIPE = {"peak_learning_rate": 6e-4, "betas": [0.9, 0.999], "epsilon": 1e-8}
TAU = 1e-2


def language_model(width: int, layers: int, heads: int, vocabulary: int, positions: int) -> GPT2LMHeadModel:
    """A GPT-2 of these sizes, the same weights at every call."""
    torch.manual_seed(0)
    sizes = {"n_embd": width, "n_layer": layers, "n_head": heads, "vocab_size": vocabulary, "n_positions": positions}
    return GPT2LMHeadModel(
        GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    )


def pair(*sizes: int) -> list[tuple[GPT2LMHeadModel, torch.optim.Optimizer]]:
    """Two equal models, one with AdamW, one with AdamW^2."""
    made = []
    for module, options in ((adamw, {}), (adamw2, {"tau": TAU})):
        model = language_model(*sizes)
        made.append((model, module.create(roles.parameter_groups(model, 0.1), RECIPE | {"options": options})))
    return made


def whole_steps(steps: int = 60, skip: int = 8) -> None:
    """Forward, backward and update at width 128, 4 layers, batch 16 x 64."""
    made = pair(128, 4, 4, 256, 64)
    times: list[list[float]] = [[], []]
    for step in range(steps):
        tokens = torch.randint(0, 256, (16, 64), generator=torch.Generator().manual_seed(step))
        for which in (0, 1) if step % 2 else (1, 0):
            model, optimizer = made[which]
            started = time.perf_counter()
            optimizer.zero_grad()
            model(tokens, labels=tokens).loss.backward()
            optimizer.step()
            times[which].append(time.perf_counter() - started)
    report("training step, width 128, 4 layers, batch 16 x 64", [part[skip:] for part in times])


def optimizer_alone(steps: int = 7, skip: int = 3) -> None:
    """The optimiser's step at GPT-2-small's shapes, on the gradients of real batches (2 x 64 bytes of this file).

    Random gradients would not do: their spectra have no gap, which is the power iteration's worst case.
    """
    text = torch.frombuffer(bytearray(Path(__file__).read_bytes()), dtype=torch.uint8).long()
    made = pair(768, 12, 12, 50257, 1024)
    times: list[list[float]] = [[], []]
    for step in range(steps):
        start = 128 * step
        tokens = text[start : start + 128].view(2, 64)
        for which, (model, optimizer) in enumerate(made):
            optimizer.zero_grad()
            model(tokens, labels=tokens).loss.backward()
            started = time.perf_counter()
            optimizer.step()
            times[which].append(time.perf_counter() - started)
    report("optimiser step alone, GPT-2 small (124 M)", [part[skip:] for part in times])


def report(case: str, times: list[list[float]]) -> None:
    """One line: medians in ms and the median of paired ratios."""
    plain, capped = (statistics.median(part) * 1e3 for part in times)
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    print(f"{case}: AdamW {plain:.1f} ms, AdamW^2 {capped:.1f} ms, ratio {ratio:.2f}")


def main() -> None:
    arguments: Any = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--small", action="store_true", help="leave out GPT-2 small")
    arguments.add_argument("--threads", type=int, default=1)
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    whole_steps()
    if not chosen.small:
        optimizer_alone()


if __name__ == "__main__":
    main()
