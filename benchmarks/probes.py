"""What probing costs: its processor time over that of a whole laptop run, from the start of its process to its end.

    python benchmarks/probes.py [architecture ...]      # default gpt2

Each line is one real run in a process of its own, in which the calls of the probes are timed.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from warmup import registry  # noqa: E402
from warmup.training import startup  # noqa: E402  (found through the line above)

KINDS = tuple(registry.names("probes"))


def share(architecture: str, kinds: Collection[str] = KINDS) -> float:
    """Processor time of the probes `kinds` over that of a laptop run of `architecture` on text with them."""
    command = [sys.executable, "-P", __file__, "--run", architecture, *kinds]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    probing, process = json.loads(done.stdout.splitlines()[-1])
    return probing / process


def run(architecture: str, kinds: Collection[str]) -> None:
    """One run as rule train does it, on bytes of this repository's sources; prints the seconds of probes and of all."""
    with startup.no_collection():
        import numpy as np
        import yaml

        from warmup import probes
        from warmup.config import configuration, grid
        from warmup.training import loop
    settings = configuration.effective(yaml.safe_load((ROOT / "config.yaml").read_text()))
    for name in KINDS:
        settings["probes"][name]["enabled"] = name in kinds
    probing = 0.0

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal probing
            before = time.process_time()
            result = method(*arguments)
            probing += time.process_time() - before
            return result

        return call

    for method in ("before_update", "after_update"):
        setattr(probes.Probes, method, timed(getattr(probes.Probes, method)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = b"".join(path.read_bytes() for path in sorted((ROOT / "workflow_scripts").rglob("*.py")))
        values = np.frombuffer(text, np.uint8)
        np.save(folder / "train.npy", values[: len(values) // 2])
        np.save(folder / "validation.npy", values[len(values) // 2 :])
        (folder / "data.json").write_text(json.dumps({"vocabulary": {"size": 256}}))
        chosen = grid.run_settings(settings, grid.Run(architecture, "language", "adamw", "0", "0"))
        operation = loop.Operation(folder / "checkpoints", 10.0, None, 60.0)
        loop.run({**chosen, "code": {}}, folder, folder / "run", operation)
    print(json.dumps([probing, time.process_time()]))


def main() -> None:
    """A line per probe and one for all."""
    for name in sys.argv[1:] or ["gpt2"]:
        for kinds in [(kind,) for kind in KINDS] + [KINDS]:
            words = kinds[0] if len(kinds) == 1 else "all"
            print(f"{name:8} {words:10} {100 * share(name, kinds):5.1f} % of the run", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        with startup.quick_exit():
            run(sys.argv[2], sys.argv[3:])
    else:
        main()
