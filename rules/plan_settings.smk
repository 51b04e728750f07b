# Needs: the effective settings (common.smk). Makes: what each rule of plan.smk depends on.
BILLED = ("scale", "training", "tasks", "architectures", "recipes", "hardware")


def bill_settings(wildcards):
    """What the bill depends on."""
    return {
        "settings": {key: SETTINGS[key] for key in BILLED},
        "runs": [list(run) for run in RUNS],
        "data": {task: f"{RESULTS}/data/{task}" for task in TASKS},
        "code": code_of("bill.py"),
    }


def plan_settings(wildcards):
    """What the plan shows beside the bill: where each cell's runs leave what they took."""
    cells = dict.fromkeys((run.architecture, run.task, run.recipe) for run in RUNS)
    return {
        "settings": {key: SETTINGS[key] for key in BILLED},
        "resources": [
            [
                list(cell),
                of_runs("resources.json", [run for run in RUNS if run[:3] == cell]),
            ]
            for cell in cells
        ],
    }


def bill_comparison_settings(wildcards):
    """What the comparison of bill and reality depends on."""
    return {
        "settings": {key: SETTINGS[key] for key in BILLED},
        "runs": [list(run) for run in RUNS],
        "code": code_of("bill_compared.py"),
    }
