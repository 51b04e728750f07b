"""Everything the `theory` section of the configuration asks for, as tables.

In: the section (see schemas/theory.schema.yaml). Out: polars tables keyed by landscape. Spectra come first; quenches,
decays and simulations take from them the plateau to test (`best`) and the cooler one it is to beat (`reference`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars

from warmup import files
from warmup.theory import decays, quench, simulation, strong_points
from warmup.theory.landscapes import Array, Landscape, landscape
from warmup.theory.spectrum import slow_modes

Settings = Mapping[str, Any]

PROFILE_CELLS = 400
"""Points of a landscape's profile in figures."""

COOLEST_OF_THE_MAP = 1.05
"""Lowest plateau of the decay map, over the final rate: at 1 the river is at its end before the decay begins."""


def landscapes(settings: Settings) -> Iterator[Landscape]:
    """Landscapes of the section, in its order."""
    return (landscape(name, entry, settings["clock"]) for name, entry in settings["landscapes"].items())


def spectra(settings: Settings) -> dict[str, polars.DataFrame]:
    """Tables `landscapes` (one row each, with the verdict), `strong_points`, `modes`, `amplitudes`, `profiles`."""
    search = settings["search"]
    found: dict[str, list[polars.DataFrame]] = {name: [] for name in SPECTRA}
    for land in landscapes(settings):
        etas = land.final * np.geomspace(search["lowest"], search["highest"], search["plateaus"])
        analysis = strong_points.analyse(
            land,
            etas=etas,
            **{key: search[key] for key in ("cells", "modes", "widening", "tolerance")},
        )
        for name, frame in _analysis_tables(land, analysis).items():
            found[name].append(frame)
    return {name: polars.concat(frames) for name, frames in found.items()}


SPECTRA = ("landscapes", "strong_points", "modes", "amplitudes", "profiles")


def quenches_and_decays(settings: Settings, known: polars.DataFrame) -> dict[str, polars.DataFrame]:
    """Tables `quenches`, `decay_map`, `slowest_decays`, `decay_curves`; `known`: table `landscapes` of `spectra`."""
    options, decay = settings["quench"], settings["decay"]
    found: dict[str, list[polars.DataFrame]] = {name: [] for name in DECAYS}
    for land in landscapes(settings):
        row = known.row(by_predicate=polars.col("landscape") == land.name, named=True)
        modes = slow_modes(land, options["cells"], 2)
        found["quenches"].append(
            quench.curves(
                land, modes, plateaus(land, options["ratios"], row), cells=options["cells"], until=options["until"]
            )
        )
        found["decay_map"].append(
            decays.final_distance_map(
                land,
                modes,
                plateaus=(land.final * np.geomspace(COOLEST_OF_THE_MAP, decay["highest"], decay["plateaus"])).tolist(),
                **{key: decay[key] for key in ("tail", "horizon", "lengths", "cells")},
            )
        )
        slowest, curves = decays.slowest_decays(
            land,
            modes,
            best=row["best"],
            reference=row["reference"],
            tails=decay["tails"],
            share=decay["share_kept"],
            lengths=2 * decay["lengths"],
            cells=decay["cells"],
        )
        found["decay_curves"].append(curves)
        found["slowest_decays"].append(_slowest_table(land, slowest, modes.rates, decay["share_kept"], row))
    return {name: polars.concat(frames) for name, frames in found.items()}


DECAYS = ("quenches", "decay_map", "slowest_decays", "decay_curves")


def simulations(settings: Settings, known: polars.DataFrame) -> polars.DataFrame:
    """Simulated against reduced expectations of every landscape (see `simulation.compare`)."""
    options = settings["simulation"]
    parts = []
    for land in landscapes(settings):
        row = known.row(by_predicate=polars.col("landscape") == land.name, named=True)
        parts.append(
            simulation.compare(
                land,
                plateaus=plateaus(land, options["ratios"], row),
                **{key: value for key, value in options.items() if key != "ratios"},
            )
        )
    return polars.concat(parts)


def save(tables: Mapping[str, polars.DataFrame], output: Mapping[str, Any]) -> None:
    """Each table at its path or paths in `output` (a rule's named outputs)."""
    for name, frame in tables.items():
        paths = output[name]
        files.write_table(frame, *([paths] if isinstance(paths, str) else paths))


def plateaus(land: Landscape, ratios: list[float], row: Mapping[str, Any]) -> list[float]:
    """Learning rates of `ratios` (over the final rate), and the landscape's best plateau if it has one; ascending."""
    best = [] if row["best"] is None else [row["best"]]
    return sorted([land.final * float(ratio) for ratio in ratios] + best)


def _analysis_tables(land: Landscape, analysis: strong_points.Analysis) -> dict[str, polars.DataFrame]:
    rates = analysis.spectrum.rates
    established = [point for point in analysis.strong if point.established]
    above = [point.eta for point in established if point.eta > land.final]
    overview = {
        "landscape": land.name,
        "clock": land.clock,
        "final": land.final,
        "rate_2": float(rates[0]),
        "rate_3": float(rates[1]),
        "relative_error_of_rate_2": float(analysis.rate_errors[0]),
        "strong_points": len(above),
        "strong_point": min(above, default=None),
        "weak_from": [low for low, _ in analysis.weak],
        "weak_to": [high for _, high in analysis.weak],
        "best": analysis.best,
        "reference": analysis.reference,
        "verdict": "strong" if above else "weak" if analysis.weak else "none",
        "note": analysis.note,
    }
    points = [
        {
            "landscape": land.name,
            "plateau": point.eta,
            "ratio": point.eta / land.final,
            "refinement_error": point.refinement_error,
            "widening_error": point.widening_error,
            "order": point.order,
            "established": point.established,
            "note": point.note,
        }
        for point in analysis.strong
    ]
    modes = {
        "landscape": land.name,
        "mode": np.arange(2, len(rates) + 2),
        "rate": rates,
        "time": 1 / rates,
        "relative_error": analysis.rate_errors,
    }
    amplitudes = {
        "landscape": land.name,
        "plateau": analysis.etas,
        "ratio": analysis.etas / land.final,
        **{f"a_{mode}": values for mode, values in enumerate(analysis.amplitudes, start=2)},
    }
    return {
        "landscapes": polars.DataFrame([overview], schema=OVERVIEW),
        "strong_points": polars.DataFrame(points, schema=POINTS),
        "modes": polars.DataFrame(modes),
        "amplitudes": polars.DataFrame(amplitudes),
        "profiles": _profile(land, analysis),
    }


def _profile(land: Landscape, analysis: strong_points.Analysis) -> polars.DataFrame:
    """The landscape itself: c, ln a, F at the final rate, u_2, and laws at rest (per unit of y) at final and `best`."""
    y = land.centres(PROFILE_CELLS)
    width = y[1] - y[0]
    shown = analysis.best or land.final * 4
    c, log_a = land.potential(y), land.log_sharpness(y)
    return polars.DataFrame(
        {
            "landscape": land.name,
            "y": y,
            "c": c,
            "log_a": log_a,
            "free_energy": c + 0.5 * land.final * log_a,
            "slow_mode": np.interp(y, analysis.spectrum.y, analysis.spectrum.functions[0]),
            "law_final": land.stationary(land.final, y) / width,
            "law_plateau": land.stationary(shown, y) / width,
            "plateau": shown,
        }
    )


def _slowest_table(
    land: Landscape, slowest: list[decays.Slowest], rates: Array, share: float, row: Mapping[str, Any]
) -> polars.DataFrame:
    rows = [
        {
            "landscape": land.name,
            "tail": found.tail,
            "best": row["best"],
            "reference": row["reference"],
            "share_kept": share,
            "slowest_decay": found.length,
            "times_rate_2": None if found.length is None else found.length * float(rates[0]),
            "times_rate_3": None if found.length is None else found.length * float(rates[1]),
            "advantage_of_a_quench": found.advantage_of_a_quench,
            "note": found.note,
        }
        for found in slowest
    ]
    return polars.DataFrame(rows, schema=SLOWEST)


TEXT, NUMBER = polars.String(), polars.Float64()

OVERVIEW: dict[str, polars.DataType] = {
    **dict.fromkeys(("landscape", "clock"), TEXT),
    **dict.fromkeys(("final", "rate_2", "rate_3", "relative_error_of_rate_2"), NUMBER),
    "strong_points": polars.Int64(),
    "strong_point": NUMBER,
    **dict.fromkeys(("weak_from", "weak_to"), polars.List(NUMBER)),
    **dict.fromkeys(("best", "reference"), NUMBER),
    **dict.fromkeys(("verdict", "note"), TEXT),
}

POINTS: dict[str, polars.DataType] = {
    "landscape": TEXT,
    **dict.fromkeys(("plateau", "ratio", "refinement_error", "widening_error", "order"), NUMBER),
    "established": polars.Boolean(),
    "note": TEXT,
}

SLOWEST: dict[str, polars.DataType] = {
    **dict.fromkeys(("landscape", "tail"), TEXT),
    **dict.fromkeys(("best", "reference", "share_kept", "slowest_decay", "times_rate_2", "times_rate_3"), NUMBER),
    "advantage_of_a_quench": NUMBER,
    "note": TEXT,
}
