# Needs: the runs of the study, and what each would be made with now (docs/provenance.md).
# Makes: at every start a warning that names runs on disk which present code and settings would not give but which
# Snakemake has no record of; a report is refused while there is any such run, or one that waits to be trained again.
# Target `why`: one sentence per job that would run, and its cost.
from snakemake.logging import logger

from warmup.errors import StaleResultError


def decisive_libraries():
    """Versions that a training depends on, where the configuration says that they count."""
    if SETTINGS["provenance"]["libraries"] == "warn":
        return {}
    environment = closure.environment(REPOSITORY / "envs" / "train.yaml")
    return {"libraries": {**versions.versions(), "envs/train.yaml": environment}}


def settings_by_summary():
    """(path of its summary.json, function that gives its present settings and code, its coordinates) of every run."""
    for path, run in zip(of_runs("summary.json"), RUNS):
        yield path, run_settings, run._asdict()
    for path, run in zip(of_runs("summary.json", PROBE_RUNS, PROBE_RUN), PROBE_RUNS):
        yield path, probe_settings, run._asdict()
    for path, run in zip(of_runs("summary.json", TRUNK_RUNS, TRUNK_RUN), TRUNK_RUNS):
        yield path, trunk_settings, run._asdict()


def expected_fingerprints(paths):
    """{path of its summary.json: fingerprint of present settings and code} for those runs of the study."""
    wanted = set(paths)
    return {
        path: differences.fingerprint(settings(run))
        for path, settings, run in settings_by_summary()
        if path in wanted
    }


def expected_of_study():
    """Those of all runs of the study: a summary that says otherwise is no result of it."""
    return expected_fingerprints(of_runs("summary.json"))


REPORTING = any(argument.startswith("--report") for argument in sys.argv)


def survey_of_runs():
    """Tell what is found about the runs on disk; refuse a report of stale ones."""
    on_disk = [path for path, *_ in settings_by_summary() if Path(path).exists()]
    survey = staleness.survey(expected_fingerprints(on_disk), versions.versions())
    for warning in survey.warnings():
        logger.warning(warning)
    if REPORTING:
        try:
            staleness.refuse_stale(survey.stale)
        except StaleResultError as error:
            raise WorkflowError(f"no report: {error}")


if workflow.is_main_process:
    survey_of_runs()
