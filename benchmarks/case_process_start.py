"""The start and end of a process that trains, which at the laptop scale costs as much as the training between them."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measure import REPOSITORY, Machine, Row, interleaved, share_of

IMPORTS = "from warmup.training import loop; import torch._dynamo, transformers.models.mamba.modeling_mamba"
OURS, PLAIN = "garbage collection left out", "imports as they are"
PROGRAMS = {
    OURS: "from warmup.training import startup\n"
    f"with startup.quick_exit():\n  with startup.no_collection():\n    {IMPORTS}",
    PLAIN: IMPORTS,
}
ROUNDS = 5


def rows(machine: Machine) -> Iterator[Row]:
    """Seconds from start to end without training anything, with `warmup.startup` and without."""
    del machine
    folder = REPOSITORY / "workflow_scripts"
    contenders = {
        name: lambda program=program: subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
        for name, program in PROGRAMS.items()
    }
    yield share_of("start and end of a training's process", interleaved(contenders, ROUNDS), OURS, PLAIN, None)
