# Needs: the summaries of all runs of the study.
# Makes: the runs table; per cell and arm the optimum, its plateau sets and cross-fitted advantage; the answer as a table;
# what another validation set would move; the declared comparisons; the mixed model; the design's power; what
# warmup is counted in; whether branches need another one; the figures of all these, the answer in sentences (a page, and `answer.txt` for a terminal) and a Methods paragraph.
EFFECT_FIGURES = {
    "loss_against_warmup": "Loss against warmup",
    "regret": "Regret and plateaus",
    "comparisons": "Paired comparisons",
}


rule runs_table:
    input:
        *of_each_cell("summary.json"),
    output:
        multiext(f"{TABLES}/runs", ".parquet", ".csv"),
    log:
        f"{LOGS}/runs_table/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "runs_table.py",
            roles={name: ARCHITECTURES[name]["role"] for name in ARCHITECTURES},
            lineages={name: ARCHITECTURES[name]["lineage"] for name in ARCHITECTURES},
            expected=expected_of_study,
        ),
    script:
        "../workflow_scripts/runs_table.py"


rule optima:
    input:
        rules.runs_table.output[0],
        looks=records_of_looks if ADAPTIVE else [],
    output:
        arms=multiext(f"{TABLES}/arms", ".parquet", ".csv"),
        optima=multiext(f"{TABLES}/optima", ".parquet", ".csv"),
        plateaus=multiext(f"{TABLES}/plateaus", ".parquet", ".csv"),
        regrets=multiext(f"{TABLES}/regrets", ".parquet", ".csv"),
        crossfit=multiext(f"{TABLES}/crossfit", ".parquet", ".csv"),
    log:
        f"{LOGS}/optima/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "optima.py",
            *("outcome", "confidence", "reference", "margins", "equivalence_margins"),
            "bootstrap",
            confidence_of_looks=SETTINGS["statistics"]["confidence"],
        ),
    script:
        "../workflow_scripts/optima.py"


rule answer:
    input:
        runs=rules.runs_table.output[0],
        plateaus=rules.optima.output.plateaus[0],
        regrets=rules.optima.output.regrets[0],
        resources=of_study("resources.json"),
        budgets=SETTINGS["statistics"]["budgets"] or [],
    output:
        multiext(f"{TABLES}/answer", ".parquet", ".csv"),
    log:
        f"{LOGS}/answer/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends("answer.py"),
    script:
        "../workflow_scripts/answer.py"


rule validation_errors:
    input:
        *of_each_cell("evaluation.parquet"),
        runs=rules.runs_table.output[0],
        plateaus=rules.optima.output.plateaus[0],
    output:
        multiext(f"{TABLES}/validation_errors", ".parquet", ".csv"),
    log:
        f"{LOGS}/validation_errors/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=depends("validation_errors.py", "outcome", "confidence"),
    script:
        "../workflow_scripts/validation_errors.py"


rule comparisons:
    input:
        rules.runs_table.output[0],
    output:
        comparisons=multiext(f"{TABLES}/comparisons", ".parquet", ".csv"),
        power=multiext(f"{TABLES}/power", ".parquet", ".csv"),
    log:
        f"{LOGS}/comparisons/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "comparisons.py",
            *("outcome", "confidence", "margins", "equivalence_margins"),
            *("comparisons", "power"),
        ),
    script:
        "../workflow_scripts/comparisons.py"


rule mixed_model:
    input:
        rules.runs_table.output[0],
    output:
        multiext(f"{TABLES}/mixed_model", ".parquet", ".csv"),
    log:
        f"{LOGS}/mixed_model/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=depends(
            "mixed_model.py",
            *("outcome", "confidence", "reference", "bootstrap", "log_offset"),
            "mixed_model",
        ),
    script:
        "../workflow_scripts/mixed_model.py"


rule rates:
    input:
        rules.runs_table.output[0],
    output:
        rates=multiext(f"{TABLES}/rates", ".parquet", ".csv"),
        answers=multiext(f"{TABLES}/rate_answers", ".parquet", ".csv"),
    log:
        f"{LOGS}/rates/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=depends(
            "rates.py",
            *("outcome", "confidence", "reference", "margins", "equivalence_margins"),
        ),
    script:
        "../workflow_scripts/rates.py"


rule attribution:
    input:
        rules.runs_table.output[0],
    output:
        multiext(f"{TABLES}/attribution", ".parquet", ".csv"),
    log:
        f"{LOGS}/attribution/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "attribution.py",
            *("outcome", "confidence", "margins", "equivalence_margins"),
            recipes={
                name: {
                    key: SETTINGS["recipes"][name][key]
                    for key in ("optimizer", "warmup_roles", "warmup_excludes")
                }
                for name in RECIPES
            },
            lineages={name: ARCHITECTURES[name]["lineage"] for name in ARCHITECTURES},
        ),
    script:
        "../workflow_scripts/attribution.py"


rule units:
    input:
        rules.runs_table.output[0],
    output:
        unit_curves=multiext(f"{TABLES}/unit_curves", ".parquet", ".csv"),
        unit_choices=multiext(f"{TABLES}/unit_choices", ".parquet", ".csv"),
        unit_regrets=multiext(f"{TABLES}/unit_regrets", ".parquet", ".csv"),
        unit_differences=multiext(f"{TABLES}/unit_differences", ".parquet", ".csv"),
        unit_answers=multiext(f"{TABLES}/unit_answers", ".parquet", ".csv"),
        figure=report(
            f"{FIGURES}/unit_curves.svg",
            caption="../report/unit_curves.rst",
            category="Effect of warmup",
            labels={"figure": "What warmup is counted in"},
        ),
    log:
        f"{LOGS}/units/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "units.py",
            *("outcome", "confidence", "margins", "equivalence_margins"),
            corners=grid.corners(SETTINGS, RUNS),
            labels=LABELS,
        ),
    script:
        "../workflow_scripts/units.py"


rule rewarming:
    input:
        rules.runs_table.output[0],
    output:
        table=multiext(f"{TABLES}/rewarming", ".parquet", ".csv"),
        figure=report(
            f"{FIGURES}/rewarming.svg",
            caption="../report/rewarming.rst",
            category="Effect of warmup",
            labels={"figure": "Going on from another run"},
        ),
    log:
        f"{LOGS}/rewarming/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "rewarming.py",
            *("outcome", "confidence", "margins", "equivalence_margins"),
            branches=grid.branches(SETTINGS, RECIPES),
            words=WORDS,
        ),
    script:
        "../workflow_scripts/rewarming.py"


# The tables that the study's own question needs beside those of every study (none: how much warmup is needed).
QUESTION_TABLES = {
    "learning_rate": ["rate_answers"],
    "recipes": ["recipe_arms"],
    "plateau_heights": ["plateau_height_differences"],
    "initialisation": ["start_differences"],
    "attribution": ["attribution"],
    "unit": ["unit_answers", "unit_regrets"],
    "rewarming": ["rewarming"],
}
OWN_TABLES = QUESTION_TABLES.get(WORDS["question"], [])


rule effects_figures:
    input:
        **{name: table_path(name) for name in OWN_TABLES},
        runs=rules.runs_table.output[0],
        answer=rules.answer.output[0],
        optima=rules.optima.output.optima[0],
        plateaus=rules.optima.output.plateaus[0],
        regrets=rules.optima.output.regrets[0],
        arms=rules.optima.output.arms[0],
        crossfit=rules.optima.output.crossfit[0],
        comparisons=rules.comparisons.output.comparisons[0],
        power=rules.comparisons.output.power[0],
        validation_errors=rules.validation_errors.output[0],
        mixed_model=rules.mixed_model.output[0],
    output:
        **{
            name: report(
                f"{FIGURES}/{name}.svg",
                caption=f"../report/{name}.rst",
                category="Effect of warmup",
                labels={"figure": title},
            )
            for name, title in EFFECT_FIGURES.items()
        },
        interactive=report(
            f"{FIGURES}/loss_against_warmup.html",
            caption="../report/loss_against_warmup.rst",
            category="Effect of warmup",
            labels={"figure": "Loss against warmup, interactive"},
        ),
        answers=f"{STUDY_FOLDER}/answers.rst",
        terminal=f"{STUDY_FOLDER}/answer.txt",
        methods=f"{STUDY_FOLDER}/methods.rst",
    log:
        f"{LOGS}/effects_figures/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends("effects_figures.py", words=WORDS, statistics=STATISTICS),
    script:
        "../workflow_scripts/effects_figures.py"
