"""`make benchmark-gpu`: the 12 cells of the paper's study on the card at hand, beside their peers, in one table.

    benchmarks/gpu.py [--steps 20] [--cells gpt2/language ...] [--into FILE.yaml] [--dry]

FILE holds hardware.step_seconds, for `--configfile`: measured times then replace the bill's. Columns: milliseconds of a
step, positions per second, share of the time that the card was busy, launches, peak memory (and the bill's), and
milliseconds of each peer (gpu_peers.py) on the same batch. --dry: at the sizes of tests/config.tiny.yaml on a CPU, to
see that it runs. Never run on a card.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu_peers
import torch
import yaml
from measure import REPOSITORY

from warmup import kernels
from warmup.config import configuration, grid
from warmup.cost import bill, expected_data, step
from warmup.training.loop import Training

WARMUPS = 3
CELLS = [f"{a}/{t}" for a in ("gpt2", "mamba", "jamba", "rwkv") for t in ("language", "images", "series")]
COLUMNS = ["cell", "ms", "positions/s", "busy", "launches", "GB (bill)", *(f"{name}, ms" for name in gpu_peers.PEERS)]


def cell_settings(settings: dict[str, Any], cell: str) -> dict[str, Any]:
    """Settings of a run of `cell` without probes."""
    architecture, task = cell.split("/")
    run = grid.Run(architecture, task, "adamw", str(settings["warmups"][1]), "0")
    return {**grid.run_settings(settings, run), "probes": {"samples": 1}, "code": {}}


def seconds_of(step: Callable[[], Any], steps: int) -> float:
    """Seconds of a step, the mean over `steps` after WARMUPS; the card is waited for at both ends alone."""
    for _ in range(WARMUPS):
        step()
    gpu_peers.wait()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    gpu_peers.wait()
    return (time.perf_counter() - started) / steps


def ours(settings: dict[str, Any], cell: str, data: Path, steps: int, device: str) -> dict[str, Any]:
    """What the training loop does on a cell: {seconds, positions, busy (seconds of a step), launches, peak (bytes)}."""
    training = Training(cell_settings(settings, cell), data, torch.device(device))  # type: ignore[arg-type]
    training.evaluation_steps = set()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found: dict[str, Any] = {"positions": training.task.positions * training.task.batch_size}
    found["seconds"] = seconds_of(training.update, steps)
    if device == "cuda":
        found["peak"] = torch.cuda.max_memory_allocated()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiled:
            training.update()
            gpu_peers.wait()
        events = [event for event in profiled.events() if event.device_type == torch.autograd.DeviceType.CUDA]
        found |= {"busy": sum(event.device_time for event in events) / 1e6, "launches": len(events)}
    kernels.uninstall()
    return found


def row(cell: str, found: dict[str, Any], reckoned: float, peers: dict[str, str]) -> str:
    """A line of the table; what only a card can say is "-" elsewhere."""
    busy = f"{100 * found['busy'] / found['seconds']:.0f} %" if "busy" in found else "-"
    memory = f"{found['peak'] / 1e9:.1f} ({reckoned / 1e9:.1f})" if "peak" in found else f"- ({reckoned / 1e9:.1f})"
    own = [cell, f"{1000 * found['seconds']:.1f}", f"{found['positions'] / found['seconds']:,.0f}", busy]
    return line([*own, str(found.get("launches", "-")), memory, *(peers[name] for name in gpu_peers.PEERS)])


def line(fields: list[str]) -> str:
    """Fields as a line of a Markdown table."""
    return f"| {' | '.join(fields)} |"


def emptied(device: str) -> None:
    """Give back the memory of what went before."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def measured(settings: dict[str, Any], cell: str, folder: Path, steps: int, device: str) -> tuple[float, str]:
    """(seconds of a step of ours, the cell's line)."""
    architecture, name = cell.split("/")
    data = folder / name
    if not data.exists():
        expected_data.fill(settings["tasks"][name], data)
    found = ours(settings, cell, data, steps, device)
    emptied(device)
    peers = {}
    for peer, milliseconds in gpu_peers.PEERS.items():
        try:
            seconds = milliseconds(cell_settings(settings, cell), data, steps, WARMUPS, device)
            peers[peer] = "-" if seconds is None else f"{1000 * seconds:.1f}"
        except torch.OutOfMemoryError:
            peers[peer] = "out of memory"
        except ImportError as missing:
            peers[peer] = f"needs {missing.name}"
        emptied(device)
    examples = bill.part(settings, architecture, name)
    task = gpu_peers.task_of(settings["tasks"][name], data)
    reckoned = step.measure(settings["architectures"][architecture], task, examples, settings["training"]["precision"])
    return found["seconds"], row(f"{architecture}, {name}", found, reckoned.peak, peers)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--steps", type=int, default=20)
    arguments.add_argument("--cells", nargs="+", choices=CELLS, default=CELLS, metavar="CELL")
    arguments.add_argument("--gpu", default="h100", help="the entry of hardware.gpus that the card is")
    arguments.add_argument("--into", type=Path)
    arguments.add_argument("--dry", action="store_true")
    chosen = arguments.parse_args()
    if not chosen.dry and not torch.cuda.is_available():
        raise SystemExit("make benchmark-gpu needs an NVIDIA GPU and a PyTorch that sees it; here there is none")
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    if chosen.dry:
        config = configuration.merge(config, yaml.safe_load((REPOSITORY / "tests" / "config.tiny.yaml").read_text()))
    settings = configuration.effective(config if chosen.dry else {**config, "scale": "paper"})
    device = "cpu" if chosen.dry else "cuda"
    print(f"{torch.cuda.get_device_name() if device == 'cuda' else 'dry, on a CPU'}, torch {torch.__version__}\n")
    print(line(COLUMNS), line(["---"] * len(COLUMNS)), sep="\n")
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        for cell in chosen.cells:
            seconds, text = measured(settings, cell, Path(folder), chosen.steps, device)
            times[cell] = round(seconds, 6)
            print(text, flush=True)
    if chosen.into is not None:
        chosen.into.write_text(yaml.safe_dump({"hardware": {"gpu": chosen.gpu, "step_seconds": {chosen.gpu: times}}}))


if __name__ == "__main__":
    main()
