# Needs: the effective settings (common.smk). Makes: what each rule of mechanism.smk depends on.
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


def mechanism_settings(wildcards):
    """What probe curves and their statistics depend on beside the runs."""
    return {
        "confidence": STATISTICS["confidence"],
        "code": code_of("mechanism.py"),
    }


def recipe_settings(wildcards):
    """What the comparison of recipes depends on beside the runs."""
    named = dict.fromkeys(run.recipe for run in RUNS)
    recipes = {
        name: {
            "optimizer": SETTINGS["recipes"][name]["optimizer"],
            "tau": SETTINGS["recipes"][name]["options"].get("tau"),
        }
        for name in SETTINGS["recipes"]
        if name in named
    }
    kept = ("outcome", "confidence", "pool_below")
    return {
        "recipes": recipes,
        "statistics": {key: STATISTICS[key] for key in kept},
        "code": code_of("recipe_arms.py"),
    }


def mechanism_figure_settings(wildcards):
    """What the figures of probes depend on beside the tables."""
    return {"labels": WORDS["labels"], "code": code_of("mechanism_figures.py")}


def recipe_figure_settings(wildcards):
    """What the figures of recipes depend on beside the tables."""
    return {"words": WORDS, "code": code_of("recipe_figures.py")}
