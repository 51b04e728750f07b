"""What happened inside runs: probe curves, gradient norms beside them, and which of the two moves first.

In: folders of no-warmup runs (log, attention, summary). Out: `probe_curves` (per run, layer and probed step),
`norm_curves` (thinned for drawing), `matrices` (stored maps and spectra), `entropy_order` (lead and lag per run) and
`order_summary` (per cell, over seeds, with intervals and a verdict).
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base import gradient_norms, run_folders
from warmup.statistics.base.intervals import CANNOT_SAY, Floats, paired_t
from warmup.statistics.base.outcomes import CELL

RUN = ("architecture", "task", "recipe", "warmup", "seed")
ENTROPIES = {"relative_entropy": "attention", "mixing_relative_entropy": "mixing"}
"""Quantities whose fall is called entropy collapse, and what mixes the tokens there."""
MATRICES = ("attention_map", "mixing_map", "singular_values")
WINDOW = 0.3
"""Share of training in which lead and lag are looked at; both series then follow the schedule more than each other."""
SHORTEST_WINDOW = 20
LARGEST_LAG = 0.25
"""Largest lag, as a share of the window: at larger ones too few pairs are left."""
BINS = 240
"""Points of a thinned curve, log-spaced in the step."""
MEANS = ("lag", "r", "r_zero", "r_matched", "r_control", "entropy_start", "entropy_low", "entropy_step", "spike_step")
WHOLE = -1
"""Layer number of rows that average over all layers."""


def probe_curves(folders: Iterable[str | Path]) -> polars.DataFrame:
    """One row per run, quantity, layer and probed step: mean, low and high over the heads (channels, matrices) there.

    Rows that are null (the run had diverged) are left out; count says how many values stand behind a row.
    """
    parts = [polars.DataFrame(schema=CURVES)]
    for run in map(run_folders.read, folders):
        rows = polars.scan_parquet(run.attention).filter(polars.col("value").is_not_null())
        grouped = rows.group_by("quantity", "layer", "step").agg(
            polars.col("value").cast(polars.Float64).mean().alias("mean"),
            polars.col("value").cast(polars.Float64).min().alias("low"),
            polars.col("value").cast(polars.Float64).max().alias("high"),
            polars.len().cast(polars.Int64).alias("count"),
        )
        parts.append(_with_run(grouped.collect(), run, CURVES).sort("quantity", "layer", "step"))
    return polars.concat(parts)


def matrices(folders: Iterable[str | Path]) -> polars.DataFrame:
    """Stored attention and mixing maps and singular values of the lowest seed of each cell (rows as probed)."""
    first: dict[tuple[str, ...], run_folders.RunFolder] = {}
    for run in map(run_folders.read, folders):
        key = (run.architecture, run.task, run.recipe)
        if key not in first or run.seed < first[key].seed:
            first[key] = run
    parts = [polars.DataFrame(schema=MATRIX_ROWS)]
    for run in first.values():
        rows = polars.scan_parquet(run.attention).filter(polars.col("quantity").is_in(MATRICES))
        parts.append(_with_run(rows.drop("value").collect(), run, MATRIX_ROWS))
    return polars.concat(parts)


def norm_curves(folders: Iterable[str | Path]) -> polars.DataFrame:
    """Global gradient norm of each run, thinned to BINS log-spaced bins: the largest norm of each bin and its step."""
    parts = [polars.DataFrame(schema=NORMS)]
    for run in map(run_folders.read, folders):
        norms = gradient_norms.of_run(run)
        edges = bin_edges(len(norms))
        places = [start + _largest(norms[start:stop]) for start, stop in pairwise(edges)]
        frame = polars.DataFrame(
            {"step": places, "value": norms[places]}, schema={"step": polars.Int64, "value": polars.Float64}
        )
        parts.append(_with_run(frame, run, NORMS))
    return polars.concat(parts)


def bin_edges(steps: int) -> list[int]:
    """At most BINS + 1 distinct, increasing edges from 0 to `steps`, log-spaced."""
    if steps <= BINS:
        return list(range(steps + 1))
    spaced = np.expm1(np.linspace(0.0, np.log1p(steps), BINS + 1)).round().astype(int)
    return sorted({0, steps, *spaced.tolist()})


def entropy_order(folders: Sequence[str | Path]) -> polars.DataFrame:
    """Per run and layer (and for the mean of the layers), how the fall of entropy and the gradient norm are timed.

    Over the window, the first WINDOW of training: `lag` is the k that maximises r(k), the correlation of -entropy at
    step t with the log gradient norm at step t + k; positive if entropy falls before the norm rises. `r` is r(lag),
    `r_zero` r(0). `r_matched` is r at the mean lag of the other seeds of the cell, `r_control` the same entropy against
    those seeds' norms at that lag: what the course that all seeds share gives. `entropy_step` attains the lowest
    entropy, `spike_step` the largest norm. Entropy between probed steps is interpolated; `resolution` is the widest
    gap there, in steps.
    """
    runs = [run_folders.read(folder) for folder in folders]
    norms = {(*_cell(run), run.seed): gradient_norms.of_run(run) for run in runs}
    rows: list[dict[str, Any]] = []
    for run in runs:
        curves = probe_curves([run.path]).filter(polars.col("quantity").is_in(list(ENTROPIES)))
        others = {key: found for key, found in norms.items() if key[:3] == _cell(run) and key[3] != run.seed}
        for quantity, mixer in ENTROPIES.items():
            part = curves.filter(polars.col("quantity") == quantity)
            if part.is_empty():
                continue
            whole = part.group_by("step").agg(polars.col("mean").mean()).sort("step")
            layers = {WHOLE: whole} | {layer: rest.sort("step") for (layer,), rest in part.group_by("layer")}
            for layer, curve in sorted(layers.items()):
                own = norms[*_cell(run), run.seed]
                timing = _timing(
                    curve["step"].to_numpy(), curve["mean"].to_numpy(), own, list(others.values()), run.steps
                )
                rows.append({**run.coordinates, "mixer": mixer, "layer": layer, **timing})
    for row in rows:
        _add_control(row, [other for other in rows if other is not row and _comparable(row, other)])
    return polars.DataFrame([{name: row.get(name) for name in ORDER} for row in rows], schema=ORDER, orient="row")


def _comparable(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rows are of the same cell, mixer and layer, both with a lag, over the same window."""
    names = (*CELL, "mixer", "layer", "window")
    return all(row[name] == other[name] for name in names) and other.get("lag") is not None


def _add_control(row: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """r_matched and r_control at the mean lag of the other seeds, so that both are free of this seed's own choice."""
    if row.get("lag") is None or not others or not row["against_others"]:
        return
    place = round(float(np.mean([other["lag"] for other in others]))) + row["largest_lag"]
    row["r_matched"] = float(row["correlations"][place])
    row["r_control"] = float(np.mean([found[place] for found in row["against_others"]]))


def lagged_correlations(first: Floats, second: Floats, largest: int) -> Floats:
    """Pearson r of first[t] with second[t + k] for k = -largest .. largest [2 largest + 1]; NaN where undefined."""
    found = []
    for lag in range(-largest, largest + 1):
        one = first[max(0, -lag) : len(first) - max(0, lag)]
        other = second[max(0, lag) : len(second) - max(0, -lag)]
        spread = one.std() * other.std()
        found.append(((one - one.mean()) * (other - other.mean())).mean() / spread if spread > 0 else np.nan)
    return np.array(found)


def order_summary(order: polars.DataFrame, confidence: float) -> polars.DataFrame:
    """Per cell, mixer and layer: means over seeds, t intervals of the lag and of r_matched - r_control (`excess`).

    Where all seeds have the same lag its limits are half a `resolution` to either side. `related`: r_matched is
    positive, and its excess beyond doubt.
    verdict: `entropy first` or `gradient first` if the interval of the lag excludes 0, `together` if it does not,
    `not related` if a seed's own norms do not correlate (positively) better than other seeds' do, `cannot say` with
    fewer than two usable seeds.
    """
    rows = []
    key = [*CELL, "mixer", "layer"]
    for names, part in order.group_by(key, maintain_order=True):
        usable = part.drop_nulls(["lag", "r"])
        row: dict[str, Any] = dict(zip(key, names, strict=True)) | {"n": usable.height}
        for column in MEANS:
            row[column] = usable[column].cast(polars.Float64).mean()
        row["resolution"] = part["resolution"].max()
        if usable.height == 0:
            rows.append(row | {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {part['note'][0]}"})
            continue
        lag = paired_t(usable["lag"].cast(polars.Float64).to_numpy(), confidence)
        contrast = usable.drop_nulls("r_control")
        excess = paired_t((contrast["r_matched"] - contrast["r_control"]).to_numpy(), confidence)
        low, high = lag.low, lag.high
        if usable.height > 1 and usable["lag"].n_unique() == 1:  # no spread, but known to the step of the probes only
            low, high = (usable["lag"][0] + side * row["resolution"] / 2 for side in (-1, 1))
        row |= {"lag_low": low, "lag_high": high, "excess": excess.estimate, "excess_low": excess.low}
        row["related"] = excess.low is not None and excess.low > 0 and (row["r_matched"] or 0.0) > 0
        rows.append(row | _verdict(row, lag.note))
    return polars.DataFrame(rows, schema=SUMMARY, orient="row")


def _verdict(row: dict[str, Any], note: str) -> dict[str, str]:
    """Verdict of a summary row and its reason; `note` says why the lag has no interval."""
    if row["n"] < 2:
        return {"verdict": CANNOT_SAY, "note": note}
    if not row["related"]:
        return {"verdict": "not related", "note": "the norms of other seeds correlate as well with this entropy"}
    if row["lag_low"] is None or row["lag_high"] is None:
        return {"verdict": CANNOT_SAY, "note": note}
    if row["lag_low"] > 0:
        return {"verdict": "entropy first", "note": ""}
    if row["lag_high"] < 0:
        return {"verdict": "gradient first", "note": ""}
    return {"verdict": "together", "note": "the interval of the lag holds 0"}


def _timing(
    steps: NDArray[Any], entropy: NDArray[Any], norms: Floats, others: list[Floats], planned: int
) -> dict[str, Any]:
    length = min(max(SHORTEST_WINDOW, round(WINDOW * planned)), len(norms))
    inside = steps < length
    head = {"window": length, "resolution": _widest_gap(steps, length), "note": ""}
    if inside.sum() < 4 or not _positive(norms[:length]):
        reason = "fewer than four probed steps" if inside.sum() < 4 else "a norm is zero or not finite"
        return head | {"note": f"{reason} among the first {length}"}
    curve = np.interp(np.arange(length), steps, entropy)
    largest = max(1, int(LARGEST_LAG * length))
    own = lagged_correlations(-curve, np.log(norms[:length]), largest)
    if not np.isfinite(own).any():
        return head | {"note": "entropy does not vary"}
    best = int(np.nanargmax(own))
    usable = [other for other in others if len(other) >= length and _positive(other[:length])]
    return head | {
        "correlations": own,
        "against_others": [lagged_correlations(-curve, np.log(other[:length]), largest) for other in usable],
        "largest_lag": largest,
        "lag": best - largest,
        "r": float(own[best]),
        "r_zero": float(own[largest]),
        "entropy_start": float(curve[0]),
        "entropy_low": float(curve.min()),
        "entropy_step": int(curve.argmin()),
        "spike_step": int(norms[:length].argmax()),
    }


def _positive(norms: Floats) -> bool:
    return bool(np.isfinite(norms).all() and (norms > 0).all())


def _widest_gap(steps: NDArray[Any], length: int) -> int:
    inside = [step for step in steps.tolist() if step < length]
    beyond = [step for step in steps.tolist() if step >= length][:1]
    return int(max(np.diff([*inside, *beyond]), default=length))


def _largest(norms: Floats) -> int:
    finite = np.isfinite(norms)
    return int(np.where(finite, norms, -np.inf).argmax()) if finite.any() else 0


def _cell(run: run_folders.RunFolder) -> tuple[str, str, str]:
    return run.architecture, run.task, run.recipe


def _with_run(frame: polars.DataFrame, run: run_folders.RunFolder, schema: dict[str, Any]) -> polars.DataFrame:
    known = {name: polars.lit(value).alias(name) for name, value in run.coordinates.items()}
    return frame.with_columns(*known.values()).select(polars.col(name).cast(kind) for name, kind in schema.items())


COORDINATES: dict[str, Any] = {
    **dict.fromkeys(CELL, polars.String),
    "warmup": polars.Float64,
    "seed": polars.Int64,
}
CURVES: dict[str, Any] = {
    **COORDINATES,
    "quantity": polars.String,
    "layer": polars.Int32,
    "step": polars.Int32,
    **dict.fromkeys(("mean", "low", "high"), polars.Float64),
    "count": polars.Int64,
}
MATRIX_ROWS: dict[str, Any] = {
    **COORDINATES,
    "step": polars.Int32,
    "module": polars.String,
    "layer": polars.Int32,
    "head": polars.Int32,
    "quantity": polars.String,
    "values": polars.List(polars.Float32),
}
NORMS: dict[str, Any] = {**COORDINATES, "step": polars.Int64, "value": polars.Float64}
ORDER: dict[str, Any] = {
    **COORDINATES,
    "mixer": polars.String,
    "layer": polars.Int64,
    "lag": polars.Int64,
    **dict.fromkeys(("r", "r_zero", "r_matched", "r_control", "entropy_start", "entropy_low"), polars.Float64),
    "entropy_step": polars.Int64,
    "spike_step": polars.Int64,
    "window": polars.Int64,
    "resolution": polars.Int64,
    "note": polars.String,
}
SUMMARY: dict[str, Any] = {
    **dict.fromkeys(CELL, polars.String),
    "mixer": polars.String,
    "layer": polars.Int64,
    "n": polars.Int64,
    **dict.fromkeys(("lag", "lag_low", "lag_high", "r", "r_zero", "r_matched", "r_control"), polars.Float64),
    **dict.fromkeys(("excess", "excess_low"), polars.Float64),
    "related": polars.Boolean,
    **dict.fromkeys(("entropy_start", "entropy_low", "entropy_step", "spike_step"), polars.Float64),
    "resolution": polars.Int64,
    "verdict": polars.String,
    "note": polars.String,
}
