"""Simulation table of adaptive designs: false verdicts over all looks, at the boundary; and what looks save.

.venv/bin/python benchmarks/looks.py [--studies 2000] [--arms 4 7] [--levels 0.012 0.015 0.018]

Each row sends that many studies of one cell through the function that rule look calls (tests/known_truth/looks.py).
`--levels` prints the rows for other error rates per look than the calibrated one, which is how that was found.
"""

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow_scripts"), str(REPOSITORY / "tests")]

from known_truth import looks as simulation  # noqa: E402

from warmup.statistics.effect import looks  # noqa: E402  (the package is found through the line above)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--studies", type=int, default=2000)
    arguments.add_argument("--arms", type=int, nargs="+", default=[4, 7])
    arguments.add_argument("--levels", type=float, nargs="+", default=[])
    chosen = arguments.parse_args()
    declared = tuple(simulation.SETTINGS["looks"]["seeds"])
    for level in chosen.levels or [looks.LEVELS[declared]]:
        looks.LEVELS[declared] = level
        print(f"error rate per look {level:g}: falsely demonstrated, excluded, upper limit | decided, futile, runs")
        for arms in chosen.arms:
            for world in simulation.worlds(arms):
                rates = simulation.simulate(world, chosen.studies)
                upper = rates.upper(chosen.studies)
                verdict = "ok  " if upper <= 0.06 else "FAIL"
                print(
                    f"{verdict} {rates.demonstrated:.3f} {rates.excluded:.3f} {upper:.3f} | "
                    f"{rates.decided:.2f} {rates.futile:.2f} {rates.runs:.2f}  {arms} warmups: {world.name}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
