# Needs: the configuration.
# Makes: the effective settings, the grid of runs, paths, and the few helpers that rules share.
import sys
from pathlib import Path

REPOSITORY = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
sys.path.insert(0, str(REPOSITORY / "workflow_scripts"))

from warmup import shipped
from warmup.config import configuration, grid, wording
from warmup.cost import resources as estimates
from warmup.errors import ConfigurationError
from warmup.provenance import closure, differences, staleness, versions
from warmup.training import checkpoint_folders

if problem := shipped.shadow():
    raise WorkflowError(problem)

try:
    SETTINGS = configuration.effective(config)
except ConfigurationError as error:
    raise WorkflowError(f"configuration: {error}")

SCALE = SETTINGS["scale"]
STUDY = SETTINGS["study"]
RUNS = grid.runs(SETTINGS)
PROBE_RUNS = grid.probe_runs(SETTINGS, RUNS)
TRUNK_RUNS = grid.trunk_runs(SETTINGS, [*RUNS, *PROBE_RUNS])
PREDICTED = [
    *PROBE_RUNS,
    *(
        run
        for run in RUNS
        if SETTINGS["architectures"][run.architecture]["role"] == "validate"
    ),
]
TASKS = list(dict.fromkeys(run.task for run in RUNS))
RECIPES = list(dict.fromkeys(run.recipe for run in RUNS))
ARCHITECTURES = {
    run.architecture: SETTINGS["architectures"][run.architecture] for run in RUNS
}
UNWARMED = [run for run in RUNS if float(run.warmup) == 0]

RESULTS = f"{SETTINGS['results']}/{SCALE}"
STUDY_FOLDER = f"{RESULTS}/studies/{STUDY}"
TABLES = f"{STUDY_FOLDER}/tables"
FIGURES = f"{STUDY_FOLDER}/figures"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
DATA = f"{RESULTS}/data/{{task}}"
CELL = "architecture={architecture}/task={task}/recipe={recipe}"
RUN = f"{RESULTS}/runs/{CELL}/warmup={{warmup}}/seed={{seed}}"
PROBE_RUN = f"{RESULTS}/probes/{CELL}/seed={{seed}}"
TRUNK_RUN = f"{RESULTS}/trunks/{CELL}/warmup={{warmup}}/seed={{seed}}"


def any_of(axis):
    """Regular expression of the values an axis takes in this study: nothing else is a legal target."""
    everyone = [*RUNS, *PROBE_RUNS, *TRUNK_RUNS]
    values = dict.fromkeys(getattr(run, axis) for run in everyone)
    return "|".join(re.escape(value) for value in values)


wildcard_constraints:
    architecture=any_of("architecture"),
    task=any_of("task"),
    recipe=any_of("recipe"),
    warmup=any_of("warmup"),
    seed=any_of("seed"),


def of_runs(name, runs=RUNS, folder=RUN):
    """Path of the named file of every run."""
    return [f"{folder}/{name}".format(**run._asdict()) for run in runs]


def run_of(wildcards):
    """The run that wildcards name; a probe run has no warmup."""
    return grid.Run(**{"warmup": "0", **dict(wildcards)})


def tables(*names):
    """Paths of statistics tables of the study (Parquet)."""
    return [f"{TABLES}/{name}.parquet" for name in names]


# Small tables in, small tables out: what most steps need of a machine.
SMALL = {"mem_mb": 1000, "runtime": 10}

# How many seeds an adaptive design has was decided by data: whatever is no look itself may spend what one look may.
STATISTICS = {**SETTINGS["statistics"], "confidence": grid.spent_confidence(SETTINGS)}
LABELS = wording.labels(SETTINGS)
# How figures and sentences call things, and in which units they stand.
WORDS = {
    "labels": LABELS,
    "units": {task: wording.units(SETTINGS)[task] for task in TASKS},
    "outcome": STATISTICS["outcome"],
    "offset": STATISTICS["log_offset"],
    "confidence": STATISTICS["confidence"],
    "scale": SCALE,
    "question": SETTINGS["studies"][STUDY]["question"],
}


def table_path(name):
    """Path of a statistics table of the study, or, as theory/<name>, of one of the model."""
    return f"{RESULTS if name.startswith('theory/') else TABLES}/{name}.parquet"


def resources_of_cells():
    """[cell, where each of its runs, trunks too, leaves what it took] of every cell."""
    found = {}
    for runs, folder in ((RUNS, RUN), (TRUNK_RUNS, TRUNK_RUN)):
        for run, path in zip(runs, of_runs("resources.json", runs, folder)):
            found.setdefault(run[:3], []).append(path)
    return [[list(cell), paths] for cell, paths in found.items()]


def code_of(script, choices={}):
    """Digests of the code that the results of this script depend on."""
    return closure.code(script, choices)


def own_code(names):
    """Digests of the user's files that the architectures with these names are classes of."""
    sources = [SETTINGS["architectures"][name].get("source") for name in names]
    files = dict.fromkeys(entry["module"] for entry in sources if entry)
    return {key: code for file in files for key, code in closure.own_code(file).items()}


SECTIONS = {**SETTINGS, "statistics": STATISTICS}


def depends(script, *keys, section="statistics", choices={}, own_of=(), **values):
    """What a result depends on (nothing else makes it anew), as a function of wildcards for `params`:

    `keys` of a section of the configuration, further `values` by name (one that is a function is called when a job is
    planned), and the digests of the code that its script uses, with the user's own of the architectures `own_of`.
    """

    def settings(wildcards):
        return {
            **{key: SECTIONS[section][key] for key in keys},
            **{
                name: value() if callable(value) else value
                for name, value in values.items()
            },
            "code": {**code_of(script, choices), **own_code(own_of)},
        }

    return settings


def twins():
    """[architecture, the same one with the library's start] of those that the study trains from both."""
    used = dict.fromkeys(run.architecture for run in RUNS)
    apart = ("label", "role", "lineage", "initialisation")
    entries = {
        name: {k: v for k, v in ARCHITECTURES[name].items() if k not in apart}
        for name in used
    }
    start = {name: ARCHITECTURES[name]["initialisation"] for name in used}
    return [
        [name, twin]
        for name in used
        for twin in used
        if (start[name], start[twin]) == ("authors", "library")
        and entries[name] == entries[twin]
    ]
