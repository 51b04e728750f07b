"""A schedule as lines of Python that stand alone: `share(t)`, the share of the peak at update t = 0 .. steps - 1."""

import math
from collections.abc import Mapping
from typing import Any

from warmup.schedules.inverse_square_root import TIMESCALE_WITHOUT_WARMUP

TAILS = {
    "1-sqrt": "FLOOR + (TOP - FLOOR) * (1 - math.sqrt(u))",
    "linear": "FLOOR + (TOP - FLOOR) * (1 - u)",
    "cosine": "FLOOR + (TOP - FLOOR) * 0.5 * (1 + math.cos(math.pi * u))",
    "exponential": "TOP * (FLOOR / TOP) ** u",
    "inverse_time": "1 / (1 / TOP + u * (1 / FLOOR - 1 / TOP))",
}


def share_code(recipe: Mapping[str, Any], options: Mapping[str, Any], steps: int, warmup: int) -> str:
    """The lines; `options` of the schedule have their defaults filled in."""
    schedule, floor, start = recipe["schedule"], float(recipe["floor"]), float(recipe["start"])
    top = float(options["plateau"]) if schedule == "wsd" else 1.0
    constants = {"STEPS": steps, "WARMUP": warmup, "FLOOR": floor}
    if schedule == "cosine":
        decay = ["FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done))"]
    elif schedule == "linear":
        decay = ["FLOOR + (1 - FLOOR) * (1 - done)"]
    elif schedule == "constant":
        decay = ["1.0"]
    elif schedule == "exponential":
        constants["K"] = options["rate"] or -math.log(floor) / max(1, steps - warmup)
        decay = ["max(FLOOR, math.exp(-K * (t + 1 - WARMUP)))"]
    elif schedule == "inverse_square_root":
        constants["SCALE"] = options["timescale"] or warmup or TIMESCALE_WITHOUT_WARMUP
        decay = ["max(FLOOR, 1 / math.sqrt(1 + (t + 1 - WARMUP) / SCALE))"]
    else:
        constants |= {"TOP": top, "DECAY": math.floor(options["decay_fraction"] * steps + 0.5)}
        decay = ["u = min(1.0, max(0.0, (t + 1 - (STEPS - DECAY)) / DECAY))", TAILS[options["tail"]]]
    ramp = "(t + 1) / WARMUP" if (start, top) == (0, 1) else f"{start!r} + ({top!r} - {start!r}) * (t + 1) / WARMUP"
    done = ["done = (t + 1 - WARMUP) / max(1, STEPS - WARMUP)"] if any("done" in line for line in decay) else []
    body = ["if t < WARMUP:", f"    return {ramp}", *done, *decay[:-1], f"return {decay[-1]}"]
    return "\n".join(
        [
            "import math",
            "",
            "import torch",
            "",
            f"{', '.join(constants)} = {', '.join(repr(value) for value in constants.values())}",
            "",
            "def share(t):  # of the peak rate, at optimizer update t = 0 .. STEPS - 1",
            *(f"    {line}" for line in body),
            "",
        ]
    )
