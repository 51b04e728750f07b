# Needs: the section `theory` and the recipes of the configuration; `plateau_heights` also the runs table.
# Makes: spectra, quenches, decays and simulations of the valley-river model, with their figures; the schedule gallery;
# losses of warmup-stable-decay recipes against the height of their plateau.
from warmup import registry
from warmup.theory import heights

THEORY = f"{RESULTS}/theory"
LANDSCAPES = SETTINGS["theory"]["landscapes"]
# The model depends on its landscapes, not on what they are called.
UNLABELLED = {
    name: {key: value for key, value in entry.items() if key != "label"}
    for name, entry in LANDSCAPES.items()
}
THEORY_FIGURES = {
    "landscapes": "Landscapes",
    "amplitudes": "Plateaus and the slowest mode",
    "quenches": "Quenches",
    "decay_map": "Plateau and length of the decay",
    "slowest_decays": "How slow the decay may be",
    "simulation": "Reduced against simulated",
}


rule theory_spectrum:
    output:
        landscapes=multiext(f"{THEORY}/landscapes", ".parquet", ".csv"),
        strong_points=multiext(f"{THEORY}/strong_points", ".parquet", ".csv"),
        modes=f"{THEORY}/modes.parquet",
        amplitudes=f"{THEORY}/amplitudes.parquet",
        profiles=f"{THEORY}/profiles.parquet",
    log:
        f"{LOGS}/theory_spectrum.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "theory_spectrum.py",
            *("clock", "search"),
            section="theory",
            landscapes=UNLABELLED,
        ),
    script:
        "../workflow_scripts/theory_spectrum.py"


rule theory_decay:
    input:
        landscapes=rules.theory_spectrum.output.landscapes[0],
    output:
        quenches=f"{THEORY}/quenches.parquet",
        decay_map=f"{THEORY}/decay_map.parquet",
        slowest_decays=multiext(f"{THEORY}/slowest_decays", ".parquet", ".csv"),
        decay_curves=f"{THEORY}/decay_curves.parquet",
    log:
        f"{LOGS}/theory_decay.log",
    benchmark:
        f"{BENCHMARKS}/theory_decay.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=depends(
            "theory_decay.py",
            *("clock", "quench", "decay"),
            section="theory",
            landscapes=UNLABELLED,
        ),
    script:
        "../workflow_scripts/theory_decay.py"


rule theory_simulation:
    input:
        landscapes=rules.theory_spectrum.output.landscapes[0],
    output:
        simulation=multiext(f"{THEORY}/simulation", ".parquet", ".csv"),
    log:
        f"{LOGS}/theory_simulation.log",
    benchmark:
        f"{BENCHMARKS}/theory_simulation.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=depends(
            "theory_simulation.py",
            *("clock", "simulation"),
            section="theory",
            landscapes=UNLABELLED,
        ),
    script:
        "../workflow_scripts/theory_simulation.py"


rule theory_figures:
    input:
        landscapes=rules.theory_spectrum.output.landscapes[0],
        strong_points=rules.theory_spectrum.output.strong_points[0],
        amplitudes=rules.theory_spectrum.output.amplitudes,
        profiles=rules.theory_spectrum.output.profiles,
        quenches=rules.theory_decay.output.quenches,
        decay_map=rules.theory_decay.output.decay_map,
        slowest_decays=rules.theory_decay.output.slowest_decays[0],
        decay_curves=rules.theory_decay.output.decay_curves,
        simulation=rules.theory_simulation.output.simulation[0],
    output:
        **{
            name: report(
                f"{THEORY}/figures/{name}.svg",
                caption=f"../report/theory_{name}.rst",
                category="Theory",
                subcategory="Valley-river model",
                labels={"figure": title},
            )
            for name, title in THEORY_FIGURES.items()
        },
    log:
        f"{LOGS}/theory_figures.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "theory_figures.py",
            labels={
                name: entry.get("label", name) for name, entry in LANDSCAPES.items()
            },
        ),
    script:
        "../workflow_scripts/theory_figures.py"


# What the gallery draws of a recipe.
DRAWN = (
    *("label", "schedule", "peak_learning_rate"),
    *("start", "floor", "schedule_options"),
    *("warmup_roles", "warmup_excludes", "role_rate_factors"),
)


rule schedule_gallery:
    output:
        gallery=report(
            f"{THEORY}/figures/schedules.html",
            caption="../report/theory_schedules.rst",
            category="Theory",
            subcategory="Schedules",
            labels={"figure": "Schedule gallery"},
        ),
        table=f"{THEORY}/common_recipe.csv",
    log:
        f"{LOGS}/schedule_gallery.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "schedule_gallery.py",
            choices={"schedules": registry.names("schedules")},
            recipes={
                name: {key: recipe[key] for key in DRAWN}
                for name, recipe in SETTINGS["recipes"].items()
            },
            steps=SETTINGS["training"]["steps"],
            warmups=SETTINGS["warmups"],
        ),
    script:
        "../workflow_scripts/schedule_gallery.py"


rule plateau_heights:
    input:
        runs=f"{TABLES}/runs.parquet",
    output:
        arms=multiext(f"{TABLES}/plateau_heights", ".parquet", ".csv"),
        differences=multiext(f"{TABLES}/plateau_height_differences", ".parquet", ".csv"),
        figure=report(
            f"{FIGURES}/plateau_heights.svg",
            caption="../report/theory_plateau_heights.rst",
            category="Theory",
            subcategory="Real trainings",
            labels={"figure": "Plateau height and loss after the decay"},
        ),
    log:
        f"{LOGS}/plateau_heights/{STUDY}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **SMALL,
    params:
        settings=depends(
            "plateau_heights.py",
            "confidence",
            recipes={
                name: {
                    k: v for k, v in SETTINGS["recipes"][name].items() if k != "label"
                }
                for name in RECIPES
            },
            outcome=SETTINGS["theory"]["plateau_outcome"],
            labels=LABELS,
        ),
    script:
        "../workflow_scripts/plateau_heights.py"


# What a study asks of this file: the gallery always, the model if there are landscapes, plateau heights if there are any.
THEORY_TARGETS = [
    *rules.schedule_gallery.output,
    *(rules.theory_figures.output if LANDSCAPES else []),
    *(
        rules.plateau_heights.output
        if heights.families(SETTINGS["recipes"], RECIPES)
        else []
    ),
]


rule theory:
    input:
        THEORY_TARGETS,
