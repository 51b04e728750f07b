# Needs: the runs of the study (log, attention, evaluation, summary), its runs table and spike ratios.
# Makes: probe curves, lead and lag of entropy and gradient norm, spike sources, recipes compared arm by arm, and figures.
MECHANISM_FIGURES = {
    "entropy_and_norm": "Entropy and gradient norm",
    "which_first": "Which comes first",
    "query_key_spectra": "Spectra of queries and keys",
    "mixing_maps": "Attention and mixing maps",
    "spike_sources": "Where the spike comes from",
}
RECIPE_FIGURES = {
    "recipe_losses": "Loss curves by recipe",
    "recipe_outcomes": "Recipes compared",
    "tau_sensitivity": "Sensitivity to tau",
    "implied_warmup": "Warmup implied by AdamW^2",
}


rule mechanism:
    input:
        log=of_study("log.parquet", UNWARMED),
        attention=of_study("attention.parquet", UNWARMED),
        summary=of_study("summary.json", UNWARMED),
        spikes=rules.spike_ratios.output.runs[0],
    output:
        curves=f"{TABLES}/probe_curves.parquet",
        norms=f"{TABLES}/norm_curves.parquet",
        matrices=f"{TABLES}/matrices.parquet",
        runs=multiext(f"{TABLES}/entropy_order_runs", ".parquet", ".csv"),
        order=multiext(f"{TABLES}/entropy_order", ".parquet", ".csv"),
        sources=multiext(f"{TABLES}/spike_sources", ".parquet", ".csv"),
    log:
        f"{LOGS}/mechanism/{STUDY}.log",
    benchmark:
        f"{BENCHMARKS}/mechanism/{STUDY}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=depends("mechanism.py", "confidence"),
    script:
        "../workflow_scripts/mechanism.py"


rule mechanism_figures:
    input:
        curves=rules.mechanism.output.curves,
        norms=rules.mechanism.output.norms,
        matrices=rules.mechanism.output.matrices,
        order=rules.mechanism.output.order[0],
        sources=rules.mechanism.output.sources[0],
    output:
        **{
            name: report(
                f"{FIGURES}/{name}.svg",
                caption=f"../report/mechanism_{name}.rst",
                category="Mechanism",
                labels={"figure": title},
            )
            for name, title in MECHANISM_FIGURES.items()
        },
    log:
        f"{LOGS}/mechanism_figures/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        settings=depends("mechanism_figures.py", labels=LABELS),
    script:
        "../workflow_scripts/mechanism_figures.py"


rule recipe_arms:
    input:
        runs=rules.runs_table.output[0],
        log=of_study("log.parquet"),
        evaluation=of_study("evaluation.parquet"),
        attention=of_study("attention.parquet", UNWARMED),
        summary=of_study("summary.json"),
    output:
        arms=multiext(f"{TABLES}/recipe_arms", ".parquet", ".csv"),
        losses=f"{TABLES}/loss_curves.parquet",
        caps=multiext(f"{TABLES}/implied_warmup", ".parquet", ".csv"),
    log:
        f"{LOGS}/recipe_arms/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=depends(
            "recipe_arms.py",
            recipes={
                name: {
                    "optimizer": SETTINGS["recipes"][name]["optimizer"],
                    "tau": SETTINGS["recipes"][name]["options"].get("tau"),
                }
                for name in RECIPES
            },
            statistics={key: STATISTICS[key] for key in ("outcome", "confidence")},
        ),
    script:
        "../workflow_scripts/recipe_arms.py"


rule recipe_figures:
    input:
        runs=rules.runs_table.output[0],
        arms=rules.recipe_arms.output.arms[0],
        losses=rules.recipe_arms.output.losses,
        caps=rules.recipe_arms.output.caps[0],
    output:
        **{
            name: report(
                f"{FIGURES}/{name}.svg",
                caption=f"../report/mechanism_{name}.rst",
                category="Recipes",
                labels={"figure": title},
            )
            for name, title in RECIPE_FIGURES.items()
        },
    log:
        f"{LOGS}/recipe_figures/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        settings=depends("recipe_figures.py", words=WORDS),
    script:
        "../workflow_scripts/recipe_figures.py"
