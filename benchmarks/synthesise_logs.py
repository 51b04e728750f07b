"""Full-scale logs, synthesised: their size under several encodings, and what spike ratios of all 840 runs cost.

.venv/bin/python benchmarks/synthesise_logs.py [--runs 84] [--steps 50000] [--groups 70] [--folder DIR] [--json FILE]

Norms are log-normal noise about a decaying trend with an early spike, groups correlated through a common factor: as
incompressible in their mantissas as measured ones. Logs of `runs` runs (default a tenth of the 840) are written as
training writes them; spike ratios are timed in processes of their own on half of them and on all, so that growth with
the number of runs is seen, and scaled to 840. Peak memory is that of the timed process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow_scripts"))

from warmup import files  # noqa: E402  (the package is found through the line above)

FULL = 840
SETTINGS = {"stable_from": 0.1, "early_spikes": [50, 100, 500]}
SPLIT = "BYTE_STREAM_SPLIT"
DELTA = "DELTA_BINARY_PACKED"
ENCODINGS: dict[str, dict[str, Any]] = {
    "pyarrow's default (snappy, dictionary)": {},
    "zstd, dictionary": {"compression": "zstd"},
    "zstd, no dictionary": {"compression": "zstd", "use_dictionary": False},
    "snappy, split": {"compression": "snappy", "floats": SPLIT},
    "lz4, split": {"compression": "lz4", "floats": SPLIT},
    "zstd 1, split": {"compression": "zstd", "floats": SPLIT},
    "zstd 1, split, delta for whole numbers": {"compression": "zstd", "floats": SPLIT, "integers": DELTA},
    "zstd 3, split, delta for whole numbers": {
        "compression": "zstd",
        "compression_level": 3,
        "floats": SPLIT,
        "integers": DELTA,
    },
    "zstd 9, split, delta for whole numbers": {
        "compression": "zstd",
        "compression_level": 9,
        "floats": SPLIT,
        "integers": DELTA,
    },
}
"""What the size of a log is compared under; `records.write_parquet` is measured beside them. "split":
byte-stream-split.
"""


def log_table(steps: int, groups: int, seed: int) -> pyarrow.Table:
    """A log as training writes it, without warmup.

    Step, learning rate, loss, global norm, `groups` - 1 group norms.
    """
    rng = np.random.default_rng(seed)
    step = np.arange(steps)
    trend = 0.4 + 6.0 * np.exp(-step / 80.0) + 1.2 * (1 + step) ** -0.3
    common = rng.normal(0.0, 0.2, steps)
    columns: dict[str, Any] = {
        "step": pyarrow.array(step.astype(np.int32)),
        "learning_rate": pyarrow.array(6e-4 * (0.55 + 0.45 * np.cos(np.pi * step / steps))),
        "loss": pyarrow.array((3.0 + 7.0 * (1 + step) ** -0.25 + rng.normal(0, 0.05, steps)).astype(np.float32)),
    }
    squares = np.zeros(steps)
    norms = {}
    for group in range(groups - 1):
        values = trend * np.exp(common + rng.normal(0.0, 0.25, steps)) * rng.uniform(0.05, 0.5)
        squares += values**2
        norms[f"gradient_norm/block{group // 3:02d}.{('mixer', 'feed_forward', 'norm')[group % 3]}"] = values
    columns["gradient_norm"] = pyarrow.array(np.sqrt(squares).astype(np.float32))
    columns |= {name: pyarrow.array(values.astype(np.float32)) for name, values in norms.items()}
    return pyarrow.table(columns)


def raw_bytes(table: pyarrow.Table) -> int:
    """Bytes of the table with every number as a raw float32."""
    return 4 * table.num_rows * table.num_columns


def write_encoded(table: pyarrow.Table, path: Path, options: dict[str, Any]) -> None:
    """Write `table` with pyarrow's options, and `floats` / `integers` as encodings of those columns."""
    own = dict(options)
    kinds = {"floats": pyarrow.types.is_floating, "integers": pyarrow.types.is_integer}
    chosen = {
        field.name: own[kind]
        for kind, test in kinds.items()
        for field in table.schema
        if kind in own and test(field.type)
    }
    plain = {name: value for name, value in own.items() if name not in kinds}
    more = {"column_encoding": chosen, "use_dictionary": False} if chosen else {}
    pyarrow.parquet.write_table(table, path, **plain, **more)


def encodings(table: pyarrow.Table, folder: Path, repeats: int = 5) -> Iterator[dict[str, Any]]:
    """Size over raw float32, and seconds to write and to read (medians), per encoding of a whole log."""
    path = folder / "encoding.parquet"
    for name, options in [*ENCODINGS.items(), ("as training writes (records.write_parquet)", None)]:
        write, read = [], []
        for _ in range(repeats):
            start = time.perf_counter()
            if options is None:
                files.write_parquet(table, path)
            else:
                write_encoded(table, path, options)
            write.append(time.perf_counter() - start)
            start = time.perf_counter()
            pyarrow.parquet.read_table(path, use_threads=False)
            read.append(time.perf_counter() - start)
        share = path.stat().st_size / raw_bytes(table)
        yield {"encoding": name, "of_raw": share, "write": statistics.median(write), "read": statistics.median(read)}
    path.unlink()


def write_runs(folder: Path, runs: int, steps: int, groups: int, different: int = 8) -> list[Path]:
    """Folders of `runs` finished runs; logs repeat after `different` ones, as files of their own."""
    folders: list[Path] = []
    for run in range(runs):
        at = folder / f"run={run}"
        at.mkdir(parents=True)
        if run < different:
            files.write_parquet(log_table(steps, groups, run), at / "log.parquet")
        else:
            (at / "log.parquet").write_bytes((folders[run % different] / "log.parquet").read_bytes())
        where = {"scale": "paper", "architecture": "a", "task": "t", "recipe": "r", "warmup": "0", "seed": str(run)}
        summary = {
            "coordinates": where,
            "status": "finished",
            "steps": steps,
            "settings": {"training": {"steps": steps}},
        }
        files.write_json(summary, at / "summary.json")
        folders.append(at)
    return folders


TIMED = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
from warmup.statistics.prediction import spikes
start = time.perf_counter()
table = spikes.spike_table(sys.argv[4:], json.loads(sys.argv[2]), int(sys.argv[3]))
seconds = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_SELF)
peak, cpu = usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime
found = {"seconds": seconds, "cpu": cpu, "peak_mib": peak}
print(json.dumps(found | {"rows": table.height, "known": table["spike_ratio"].count()}))
"""


def timed_spikes(folders: list[Path], threads: int) -> dict[str, Any]:
    """Seconds and peak memory (MiB) of the spike ratios of `folders`, in a fresh process."""
    scripts = str(REPOSITORY / "workflow_scripts")
    command = [sys.executable, "-c", TIMED, scripts, json.dumps(SETTINGS), str(threads), *map(str, folders)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if found["known"] != found["rows"]:
        raise AssertionError("every synthesised run has a spike ratio in every group")
    return found


def measure(runs: int, steps: int, groups: int, folder: Path, threads: int, repeats: int) -> dict[str, Any]:
    """All measurements; medians over `repeats` of the timings; processor time too, for a machine that is not idle."""
    table = log_table(steps, groups, 0)
    sizes = list(encodings(table, folder))
    folders = write_runs(folder, runs, steps, groups)
    whole = statistics.mean((at / "log.parquet").stat().st_size for at in folders)
    times: dict[int, list[dict[str, Any]]] = {runs // 2: [], runs: []}
    for _ in range(repeats):
        for count, found in times.items():
            found.append(timed_spikes(folders[:count], threads))
    median = {count: statistics.median(one["seconds"] for one in found) for count, found in times.items()}
    per_run = (median[runs] - median[runs // 2]) / (runs - runs // 2)
    return {
        "runs": runs,
        "steps": steps,
        "columns": len(table.column_names),
        "threads": threads,
        "encodings": sizes,
        "log_of_raw_float32": whole / raw_bytes(table),
        "seconds": median,
        "seconds_per_run": per_run,
        "cpu_seconds_per_run": statistics.median(one["cpu"] for one in times[runs]) / runs,
        "growth": (median[runs] / runs) / (median[runs // 2] / (runs // 2)),
        "seconds_for_840": per_run * FULL,
        "peak_mib": {count: max(one["peak_mib"] for one in found) for count, found in times.items()},
    }


def report(found: dict[str, Any]) -> str:
    """The measurements as text."""
    lines = [f"one log, {found['steps']} steps, {found['columns']} columns (size / raw, write s, read s)"]
    lines += [
        f"  {row['encoding']:<44}{row['of_raw']:6.3f}{row['write']:8.3f}{row['read']:8.3f}"
        for row in found["encodings"]
    ]
    lines.append(f"whole log / raw float32: {found['log_of_raw_float32']:.3f} (goal <= 0.8)")
    for count, seconds in found["seconds"].items():
        lines.append(f"spike ratios of {count} runs: {seconds:.1f} s, peak {found['peak_mib'][count]:.0f} MiB")
    lines.append(
        f"growth per run {found['growth']:.2f} (1 is linear); {FULL} runs: {found['seconds_for_840']:.0f} s on "
        f"{found['threads']} threads (goal < 90 s, 2048 MiB)"
    )
    lines.append(f"processor time per run {1000 * found['cpu_seconds_per_run']:.0f} ms")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("runs", FULL // 10), ("steps", 50_000), ("groups", 70), ("threads", 2), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="also write the measurements here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = measure(chosen.runs, chosen.steps, chosen.groups, Path(folder), chosen.threads, chosen.repeats)
    print(report(found))
    if chosen.json:
        files.write_json({**found, "seconds": {str(k): v for k, v in found["seconds"].items()}}, chosen.json)


if __name__ == "__main__":
    main()
