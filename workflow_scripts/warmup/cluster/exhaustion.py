"""What a run's earlier jobs ran out of, read from the logs that SLURM left of them.

Snakemake raises `attempt` after any failure: a lost node, an scancel, a full disk. Asking for more memory or time is
right only after running out of it, and SLURM says so in the last lines of a job's log. Standard library only.
"""

import re
from collections.abc import Mapping
from pathlib import Path

SLURM_LOGS = Path(".snakemake/slurm_logs")
"""Where the executor plugin has jobs write, below the working directory: <rule>/<wildcards joined by _>/<job>.log."""

MEMORY = re.compile(
    r"oom.kill|exceeded (?:job )?memory limit|DUE TO MEMORY"
    r"|(?<!CUDA )(?<!CUDA error: )(?<!\[CUDA\]: )out of memory(?! \(cuda\))",
    re.IGNORECASE,
)
"""slurmstepd with cgroups ("Detected 1 oom_kill event") and without ("exceeded memory limit"), our own message. That a
GPU's memory ran out is no reason to ask for more of the host's: "out of memory (cuda)" (ours), "CUDA out of memory" and
"CUDA error: out of memory" (PyTorch's), "[CUDA]: out of memory" (Triton's)."""

TIME = re.compile(r"DUE TO TIME LIMIT")
"""slurmstepd: "*** JOB 12 ON node CANCELLED AT ... DUE TO TIME LIMIT ***"."""

TAIL_BYTES = 20_000  # both messages stand at the end; a training's progress before them is not worth reading


def log_folder(rule: str, coordinates: Mapping[str, str], root: Path = SLURM_LOGS) -> Path:
    """Folder of the SLURM logs of one run's jobs. `coordinates` in the order of the rule's wildcards."""
    return root / f"rule_{rule}" / "_".join(str(value) for value in coordinates.values())


def times(folder: Path) -> tuple[int, int]:
    """(jobs that ran out of memory, jobs that ran out of time) among the logs in `folder`; (0, 0) if there is none."""
    memory = time = 0
    for path in sorted(folder.glob("*.log")):
        tail = _tail(path)
        if TIME.search(tail):
            time += 1
        elif MEMORY.search(tail):
            memory += 1
    return memory, time


def _tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - TAIL_BYTES))
        return stream.read().decode(errors="replace")
