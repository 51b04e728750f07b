# Needs: the runs of the study, and what each would be made with now (docs/provenance.md).
# Makes: at every start a warning that names runs on disk which present code and settings would not give but which
# Snakemake has no record of; a report is refused while there is any such run, or one that waits to be trained again.
from snakemake.logging import logger


def expected_fingerprints(wildcards=None):
    """{path of its summary.json: fingerprint of present settings and code} for every run of the study."""
    runs = zip(of_runs("summary.json"), RUNS)
    probes = zip(of_runs("summary.json", PROBE_RUNS, PROBE_RUN), PROBE_RUNS)
    return {
        **{path: provenance.fingerprint(run_settings(run._asdict())) for path, run in runs},
        **{path: provenance.fingerprint(probe_settings(run._asdict())) for path, run in probes},
    }


def warn_of_stale_runs():
    """Tell what a survey of the runs on disk found; refuse a report of stale ones."""
    survey = provenance.survey(expected_fingerprints(), provenance.versions())
    for warning in survey.warnings():
        logger.warning(warning)
    if any(argument.startswith("--report") for argument in sys.argv):
        try:
            provenance.refuse_stale(survey.stale)
        except UserError as error:
            raise WorkflowError(f"no report: {error}")


if workflow.is_main_process:
    warn_of_stale_runs()
