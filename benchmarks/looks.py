"""Simulation table of adaptive designs: false verdicts over all looks, at the boundary; and what looks save.

.venv/bin/python benchmarks/looks.py [--studies 2000] [--arms 4 7] [--spending late even] [--levels 0.012 0.015]

Each row sends that many studies of one cell through the function that rule look calls (tests/known_truth/looks.py).
`--levels` prints the rows where looks spend alike for other error rates than the calibrated one, which is how that was
found.
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
    arguments.add_argument("--spending", nargs="+", choices=[looks.LATE, looks.EVEN], default=[looks.LATE, looks.EVEN])
    arguments.add_argument("--levels", type=float, nargs="+", default=[])
    chosen = arguments.parse_args()
    declared = tuple(simulation.SETTINGS["looks"]["seeds"])
    tables = [(spending, looks.LEVELS[declared]) for spending in chosen.spending]
    for spending, level in [(looks.EVEN, level) for level in chosen.levels] or tables:
        looks.LEVELS[declared] = level
        settings = {**simulation.SETTINGS, "looks": {**simulation.SETTINGS["looks"], "spending": spending}}
        spent = ", ".join(f"{each:.2g}" for each in looks.levels(settings))
        print(f"{spending}, error rates {spent}: falsely demonstrated, excluded, upper limit | decided, futile, runs")
        for arms in chosen.arms:
            for world in simulation.worlds(arms):
                rates = simulation.simulate(world, chosen.studies, settings=settings)
                upper = rates.upper(chosen.studies)
                verdict = "ok  " if upper <= 0.06 else "FAIL"
                print(
                    f"{verdict} {rates.demonstrated:.3f} {rates.excluded:.3f} {upper:.3f} | "
                    f"{rates.decided:.2f} {rates.futile:.2f} {rates.runs:.2f}  {arms} warmups: {world.name}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
