# Needs: the grid of runs (common.smk), what each depends on (runs.smk, provenance.smk).
# Makes: which runs the study rests on. A fixed design: all of the grid, known beforehand. An adaptive one: those that looks
# have opened so far (looks.smk). Runs on disk are planned like any other, so that a change re-trains them whatever a look
# would decide now (docs/looks.md).
import json
from functools import cache

from snakemake.logging import logger

from warmup.config import looks

ADAPTIVE = grid.is_adaptive(SETTINGS)
CELLS = looks.by_cell(RUNS)
FIRST = {cell: looks.first_opening(SETTINGS, CELLS[cell]) for cell in CELLS}
BILL = f"{TABLES}/bill.csv"
LOOK = f"{STUDY_FOLDER}/looks/{CELL}/look={{look}}.json"

look_settings = depends(
    "look.py",
    *("outcome", "reference", "margins"),
    confidence=SETTINGS["statistics"]["confidence"],
    # not the budget: it decides no verdict
    looks={
        key: SETTINGS["looks"][key]
        for key in ("seeds", "extensions", "futile", "spending")
    },
)


def record_of(cell, look):
    """Path of the record of a look."""
    return LOOK.format(look=look, **dict(zip(grid.Run._fields, cell)))


def after(cell, look):
    """What a look of a cell opened; Snakemake takes the look first where it has to."""
    checkpoints.look.get(look=look, **dict(zip(grid.Run._fields, cell)))
    record = Path(record_of(cell, look))
    return opening_of(record, record.stat().st_mtime_ns)


@cache
def opening_of(record, changed):
    """The opening that stands in a look's record; None if the cell stopped there."""
    return looks.opening(json.loads(record.read_bytes()))


def openings_of(cell, until=None):
    """What is opened to a cell, or what its look number `until` looks at."""
    if until == 1:
        return [FIRST[cell]]
    if SETTINGS["looks"]["budget"]:
        after(cell, 1)  # takes the bill with it, where prices stand
    budget = looks.budget(SETTINGS, CELLS, Path(BILL))
    if budget is None:
        return looks.openings(cell, FIRST[cell], after, until)
    bound = until and (cell, until)
    return looks.bounded_openings(CELLS, FIRST, after, budget, bound)[cell]


def of_study(name, chosen=RUNS):
    """Input of a rule: the named file of each run that the study rests on, among the chosen ones."""
    if not ADAPTIVE:
        return of_runs(name, chosen)
    of_cells = of_each_cell(name, chosen)
    return lambda wildcards: [path for paths in of_cells for path in paths(wildcards)]


def of_each_cell(name, chosen=RUNS):
    """The same as positional inputs of a rule, one per cell, so that no cell waits for the looks of another."""
    if not ADAPTIVE:
        return [of_runs(name, chosen)]
    wanted = set(chosen)

    def of_cell(cell):
        def paths(wildcards):
            opened = looks.opened_runs(CELLS[cell], openings_of(cell))
            return of_runs(name, [run for run in opened if run in wanted])

        return paths

    return [of_cell(cell) for cell in CELLS]


def records_of_looks(wildcards):
    """Records of all looks that the study takes."""
    return [
        record_of(cell, opening.look) for cell in CELLS for opening in openings_of(cell)
    ]


def runs_looked_at(wildcards):
    """Summaries that a look of a cell looks at."""
    cell = (wildcards.architecture, wildcards.task, wildcards.recipe)
    opened = openings_of(cell, int(wildcards.look))
    return of_runs("summary.json", looks.opened_runs(CELLS[cell], opened))


def known_runs():
    """Runs that are planned whatever looks decide: all of a fixed design, of an adaptive one the first look and all
    that lie on disk."""
    if not ADAPTIVE:
        return RUNS
    first = {
        run for cell in CELLS for run in looks.opened_runs(CELLS[cell], [FIRST[cell]])
    }
    paths = zip(RUNS, of_runs("summary.json"))
    return [run for run, path in paths if run in first or Path(path).exists()]


KNOWN_RUNS = known_runs()


def refuse_stale_looks():
    """No report of looks that were not taken at the present runs by the present rules (Snakemake would accept them)."""
    wanted = differences.fingerprint(look_settings(None))
    budget, after = looks.budget(SETTINGS, CELLS, Path(BILL)), looks.on_disk(record_of)
    granted = (
        {cell: looks.openings(cell, FIRST[cell], after) for cell in CELLS}
        if budget is None
        else looks.bounded_openings(CELLS, FIRST, after, budget)
    )
    records = [
        record_of(cell, opening.look) for cell in CELLS for opening in granted[cell]
    ]
    stale = [record for record in records if staleness.stale_look(record, wanted)]
    if stale:
        raise WorkflowError(
            f"no report: {len(stale)} look(s) were not taken at the present runs with the present settings and code "
            f"({differences.listed(stale)}); start Snakemake once more"
        )


if workflow.is_main_process:
    if looks.why_fixed(SETTINGS):
        logger.info(looks.why_fixed(SETTINGS))
    if ADAPTIVE:
        seeds = ", ".join(map(str, grid.all_looks(SETTINGS)))
        most = min(len(RUNS), SETTINGS["looks"]["budget"].get("runs", len(RUNS)))
        logger.info(
            f"adaptive design: looks at {seeds} seeds; {len(KNOWN_RUNS)} runs in the first look or on disk, "
            f"at most {max(most - len(KNOWN_RUNS), 0)} more may follow as looks open them"
        )
        if "seeds" in config:
            logger.warning(
                f"seeds: {config['seeds']} is not used, since the design is adaptive: looks.seeds says how many, or set "
                "design: fixed"
            )
        if REPORTING:
            refuse_stale_looks()
