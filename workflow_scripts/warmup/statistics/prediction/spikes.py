"""Spike ratios of runs, globally and per layer group, from their gradient-norm logs.

In: run folders. Out: one row per run and group (`spike_table`), one row per cell (`cell_spike_ratios`), and the norms
of the first steps (`early_norms`). Logs are read one column at a time, so memory is a few columns per thread whatever
the length of a run or the number of its layer groups.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray
from scipy import stats

from warmup.statistics.base import gradient_norms, run_folders
from warmup.statistics.base.gradient_norms import GLOBAL

GSS_LIMIT = 50.0
"""A step is a spike if its norm exceeds this multiple of the run's mean (gradient spike score, arXiv 2501.06842)."""
SPIKE_SCORE_WINDOW = 128
"""Steps of the past that a norm is compared with (SpikeScore); a power of two, see `_window_sums`."""
SPIKE_SCORE_DEVIATIONS = 6.0

BLOCK = 8192
"""Steps taken at once where intermediate arrays are many: they stay in the processor's cache (measured 3 times
faster).
"""

Series = NDArray[np.floating[Any]]


def spike_table(folders: Sequence[str | Path], settings: Mapping[str, Any], threads: int = 1) -> polars.DataFrame:
    """Spike ratio and companions of every run and layer group; see `series_spikes` for the columns.

    `settings` has `stable_from` (share of training) and `early_spikes` (steps). Rows keep the order of `folders`.
    """
    with ThreadPoolExecutor(max(1, threads)) as pool:
        rows = [row for part in pool.map(lambda folder: run_spikes(folder, settings), folders) for row in part]
    return polars.DataFrame(rows, schema=_schema(settings["early_spikes"]), orient="row")


def run_spikes(folder: str | Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of one run: `global` first, then its layer groups in the order of the log's columns."""
    run = run_folders.read(folder)
    with gradient_norms.NormLog(run) as log:
        norms = log.of()
        overall = {**run.coordinates, "group": GLOBAL, **series_spikes(norms, run.steps, run.status, settings)}
        peak = overall["spike_step"]
        largest, rows = -np.inf, [overall]
        for group in log.groups:
            norms = log.of(group)
            rows.append({**run.coordinates, "group": group, **series_spikes(norms, run.steps, run.status, settings)})
            if peak is not None and norms[peak] > largest:
                largest, overall["attained_by"] = float(norms[peak]), group
    return rows


def series_spikes(norms: Series, steps: int, status: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Spike ratio and companions of one series of norms [steps done], of a run planned for `steps` steps.

    spike_ratio: max_t g_t / mean of g_t over the stable window, the steps from `stable_from` x steps on ([S0]); null,
    with a note, if the run ended before its planned steps (there is no stable window then), or a norm is not finite,
    or all are zero. spike_step: the first step that attains the maximum; null if no norm is finite. early_spike_n:
    max over the first n steps / median over steps n/5 .. n; null if the run has fewer steps. gss_count: steps with
    g_t > 50 x mean g. spike_score: share of steps, from the 129th on, above mean + 6 sd (population) of the 128
    before.
    """
    finite = np.isfinite(norms)
    row: dict[str, Any] = dict.fromkeys(_schema(settings["early_spikes"]), None)
    for name in ("architecture", "task", "recipe", "warmup", "seed", "group"):
        del row[name]
    for n in settings["early_spikes"]:
        row[f"early_spike_{n}"] = early_spike(norms, n)
    if not (norms.size and finite.all()):
        if finite.any():
            row["spike_step"] = int(np.where(finite, norms, -np.inf).argmax())
        row["note"] = f"{status}: a norm is not finite, at step {int(finite.argmin()) if norms.size else 0}"
        return row
    row["spike_step"] = int(norms.argmax())
    row["gss_count"] = int(np.count_nonzero(norms > GSS_LIMIT * norms.mean(dtype=np.float64)))
    row["spike_score"] = spike_score(norms)
    stable = norms[round(settings["stable_from"] * steps) :]
    if norms.size < steps:
        row["note"] = f"{status} after {norms.size} of {steps} steps: no stable window"
    elif not (level := float(stable.mean(dtype=np.float64))):
        row["note"] = "the norm is zero over the stable window"
    else:
        row["spike_ratio"] = float(norms.max()) / level
        row["log_spike_ratio"] = float(np.log(row["spike_ratio"]))
    return row


def early_spike(norms: Series, n: int) -> float | None:
    """max of the first n norms / median of norms n/5 .. n; null if fewer than n, or not finite, or the median is 0."""
    first = norms[:n]
    if first.size < n or n < 1 or not np.isfinite(first).all():
        return None
    middle = float(np.median(first[n // 5 :].astype(np.float64)))
    return float(first.max()) / middle if middle > 0 else None


def spike_score(norms: Series) -> float | None:
    """Share of steps above mean + 6 sd of the previous 128; null if there are no more than 128 steps."""
    window = SPIKE_SCORE_WINDOW
    if norms.size <= window:
        return None
    above = 0
    for start in range(0, norms.size - window, BLOCK):
        part = norms[start : start + BLOCK + window].astype(np.float64)
        before = part[:-1]
        mean = _window_sums(before, window) / window
        variance = np.maximum(_window_sums(before * before, window) / window - mean * mean, 0.0)
        above += int(np.count_nonzero(part[window:] > mean + SPIKE_SCORE_DEVIATIONS * np.sqrt(variance)))
    return above / (norms.size - window)


def cell_spike_ratios(spikes: polars.DataFrame, confidence: float) -> polars.DataFrame:
    """Per cell and group: geometric mean over seeds of the no-warmup runs, with a t interval on the log scale.

    Columns: architecture, task, recipe, group, runs, undefined, defined (runs behind the mean), log_spike_ratio,
    error (standard error of it), spike_ratio, low, high, note. Null if half of the runs or more have no spike ratio;
    if some have none the mean is over the others and the note says so, since runs that diverge early are those with
    the largest spikes.
    """
    key = ["architecture", "task", "recipe", "group"]
    rows: list[dict[str, Any]] = []
    for names, part in spikes.filter(polars.col("warmup") == 0).group_by(key, maintain_order=True):
        values = part["log_spike_ratio"].drop_nulls().to_numpy()
        runs, undefined = part.height, part.height - len(values)
        row: dict[str, Any] = dict(zip(key, names, strict=True)) | {
            "runs": runs,
            "undefined": undefined,
            "defined": len(values),
        }
        if 2 * undefined >= runs:
            row["note"] = f"cannot say: {undefined} of {runs} runs have no stable window"
        else:
            row |= _geometric(values, confidence)
            if undefined:
                row["note"] = (
                    f"{undefined} of {runs} runs have no stable window; the mean is over the others, a lower bound"
                )
        rows.append(row)
    numbers = dict.fromkeys(("runs", "undefined", "defined"), polars.Int64)
    reals = dict.fromkeys(("log_spike_ratio", "error", "spike_ratio", "low", "high"), polars.Float64)
    return polars.DataFrame(
        rows, schema={**dict.fromkeys(key, polars.String), **numbers, **reals, "note": polars.String}, orient="row"
    )


def early_norms(folders: Sequence[str | Path], steps: int) -> polars.DataFrame:
    """Gradient norms of the first `steps` steps of no-warmup runs.

    Per run and group: coordinates, group, step, value.
    """
    parts = []
    for folder in folders:
        run = run_folders.read(folder)
        if run.warmup != 0:
            continue
        with gradient_norms.NormLog(run) as log:
            for group in (GLOBAL, *log.groups):
                first = log.of(group)[:steps]
                frame = polars.DataFrame(
                    {"group": group, "step": np.arange(len(first)), "value": first},
                    schema={name: EARLY_NORMS[name] for name in ("group", "step", "value")},
                )
                known = [polars.lit(value, EARLY_NORMS[name]).alias(name) for name, value in run.coordinates.items()]
                parts.append(frame.with_columns(*known))
    return polars.concat(parts).select(*EARLY_NORMS) if parts else polars.DataFrame(schema=EARLY_NORMS)


def _geometric(values: Series, confidence: float) -> dict[str, Any]:
    """Mean of `values` (logs), its exponential, and a t interval where there are two or more."""
    mean = float(values.mean())
    row: dict[str, Any] = {"log_spike_ratio": mean, "spike_ratio": float(np.exp(mean))}
    if values.size < 2:
        return row | {"note": "one run: no interval"}
    error = float(values.std(ddof=1) / np.sqrt(values.size))
    half = float(stats.t.ppf(0.5 + confidence / 2, values.size - 1)) * error
    return row | {"error": error, "low": float(np.exp(mean - half)), "high": float(np.exp(mean + half))}


def _window_sums(values: Series, window: int) -> Series:
    """Sums of every `window` consecutive values, `window` a power of two, by doubling.

    A running sum would carry the rounding of one huge spike through all later windows; here each sum holds its own
    values alone.
    """
    width, sums = 1, values
    while width < window:
        sums = sums[:-width] + sums[width:]
        width *= 2
    return sums


EARLY_NORMS: dict[str, Any] = {
    **dict.fromkeys(("architecture", "task", "recipe"), polars.String),
    "warmup": polars.Float64,
    "seed": polars.Int64,
    "group": polars.String,
    "step": polars.Int32,
    "value": polars.Float32,
}
"""Columns of the early norms."""


def _schema(early: Sequence[int]) -> dict[str, Any]:
    coordinates = {
        "architecture": polars.String,
        "task": polars.String,
        "recipe": polars.String,
        "warmup": polars.Float64,
    }
    return {
        **coordinates,
        "seed": polars.Int64,
        "group": polars.String,
        "spike_ratio": polars.Float64,
        "log_spike_ratio": polars.Float64,
        "spike_step": polars.Int64,
        "attained_by": polars.String,
        **{f"early_spike_{n}": polars.Float64 for n in early},
        "gss_count": polars.Int64,
        "spike_score": polars.Float64,
        "note": polars.String,
    }
