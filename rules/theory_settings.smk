# Needs: the effective settings and the grid (common.smk).
# Makes: for every rule of theory.smk, the one mapping that its result depends on.
from warmup import registry
from warmup.theory import heights

MODEL = {
    name: value
    for name, value in SETTINGS["theory"].items()
    if name != "plateau_outcome"
}


def theory_settings(script, *sections):
    """What a table of the model depends on: the landscapes, some sections, the code; labels are the figures' affair."""
    unlabelled = {
        name: {key: value for key, value in entry.items() if key != "label"}
        for name, entry in MODEL["landscapes"].items()
    }
    return {
        "clock": MODEL["clock"],
        "landscapes": unlabelled,
        **{section: MODEL[section] for section in sections},
        "code": code_of(script),
    }


def spectrum_settings(wildcards):
    """What the spectra depend on."""
    return theory_settings("theory_spectrum.py", "search")


def decay_settings(wildcards):
    """What quenches and decays depend on."""
    return theory_settings("theory_decay.py", "quench", "decay")


def simulation_settings(wildcards):
    """What the simulation depends on."""
    return theory_settings("theory_simulation.py", "simulation")


def theory_figure_settings(wildcards):
    """What the model's figures depend on beside their tables."""
    labels = {
        name: entry.get("label", name) for name, entry in MODEL["landscapes"].items()
    }
    return {"labels": labels, "code": code_of("theory_figures.py")}


def gallery_settings(wildcards):
    """What the schedule gallery depends on."""
    keys = (
        "label",
        "schedule",
        "peak_learning_rate",
        "start",
        "floor",
        "schedule_options",
    )
    recipes = {
        name: {key: recipe[key] for key in keys}
        for name, recipe in SETTINGS["recipes"].items()
    }
    choices = {"schedules": registry.names("schedules")}
    return {
        "recipes": recipes,
        "steps": SETTINGS["training"]["steps"],
        "warmups": SETTINGS["warmups"],
        "code": code_of("schedule_gallery.py", choices),
    }


def plateau_settings(wildcards):
    """What the comparison of plateau heights depends on beside the runs."""
    names = list(dict.fromkeys(run.recipe for run in RUNS))
    return {
        "recipes": {
            name: {k: v for k, v in SETTINGS["recipes"][name].items() if k != "label"}
            for name in names
        },
        "outcome": SETTINGS["theory"]["plateau_outcome"],
        "confidence": SETTINGS["statistics"]["confidence"],
        "pool_below": SETTINGS["statistics"]["pool_below"],
        "labels": {
            **{
                name: entry["label"]
                for name, entry in SETTINGS["architectures"].items()
            },
            **{name: entry["label"] for name, entry in SETTINGS["tasks"].items()},
        },
        "code": code_of("plateau_heights.py"),
    }
