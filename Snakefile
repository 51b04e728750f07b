# warmup-sweep: how much learning-rate warmup does an architecture need?
# Table of contents; every step lives in rules/, all logic in workflow_scripts/warmup/.
from snakemake.utils import min_version

min_version("9.19")


configfile: f"{workflow.basedir}/config.yaml"  # the checkout's, whatever --directory says


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/runs.smk"
include: "rules/provenance.smk"
include: "rules/why.smk"
include: "rules/data.smk"
include: "rules/design.smk"
include: "rules/train.smk"
include: "rules/looks.smk"
include: "rules/statistics.smk"
include: "rules/prediction.smk"
include: "rules/starts.smk"
include: "rules/mechanism.smk"
include: "rules/theory.smk"
include: "rules/plan.smk"
include: "rules/leftovers.smk"
include: "rules/setup.smk"
include: "rules/collect.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
