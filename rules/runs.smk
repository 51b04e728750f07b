# Needs: the effective settings and the grid (common.smk).
# Makes: what the data of a task and the training of a run depend on, need of a machine, and resume from.
from functools import cache


def own_file(wildcards):
    """The user's own file or folder, if the task takes its data from one."""
    path = SETTINGS["tasks"][wildcards.task]["source"].get("path")
    return [path] if path else []


def data_settings(wildcards):
    """What the prepared data of a task depend on."""
    return {
        **grid.data_settings(SETTINGS, wildcards.task),
        "code": code_of("prepare_data.py", grid.data_choices(SETTINGS, wildcards.task)),
    }


@cache
def settings_of(run):
    """What a training depends on: its own part of the configuration, and the code it uses."""
    settings = grid.run_settings(SETTINGS, run)
    if trunk := grid.trunk(SETTINGS, run):
        settings["continues"]["trunk"] = checkpoint_folders.digest(
            keeping(settings_of(trunk))
        )
    return {
        **settings,
        **decisive_libraries(),
        "code": {
            **code_of("prepare_data.py", grid.data_choices(SETTINGS, run.task)),
            **code_of("train.py", grid.run_choices(SETTINGS, run)),
            **own_code([run.architecture]),
        },
    }


def run_settings(wildcards):
    """What the training that wildcards name depends on."""
    return settings_of(run_of(wildcards))


def short(settings):
    """A training's settings, stopped after the steps that diagnostics may see."""
    return {**settings, "stop_after": grid.probe_steps(SETTINGS)}


def keeping(settings):
    """A training's settings, with its weights kept after the last step for others to continue."""
    return {**settings, "keep_last": True}


def trunk_settings(wildcards):
    """What the run that wildcards name depends on, where others continue it."""
    return keeping(run_settings(wildcards))


def trunk_of(wildcards):
    """Last checkpoint of the run that the one which wildcards name continues, if it continues any."""
    trunk = grid.trunk(SETTINGS, run_of(wildcards))
    return of_runs(checkpoint_folders.LAST, [trunk], TRUNK_RUN) if trunk else []


def probe_settings(wildcards):
    """What the probe run that wildcards name depends on."""
    return short(run_settings(wildcards))


def live_checkpoints(wildcards):
    """Names of the folders of checkpoints that some run of any study of this scale would resume from."""
    studies = [grid.runs(SETTINGS, study) for study in SETTINGS["studies"]]
    probing = [grid.probe_runs(SETTINGS, runs) for runs in studies]
    runs, probes = set().union(*studies), set().union(*probing)
    trunks = grid.trunk_runs(SETTINGS, [*runs, *probes])
    settings = [settings_of(run) for run in runs]
    settings += [short(settings_of(run)) for run in probes]
    settings += [keeping(settings_of(run)) for run in trunks]
    return sorted(checkpoint_folders.digest(entry) for entry in settings)


def estimated(wildcards):
    """What a training's needs are estimated from; a probe run has no warmup in its name."""
    settings = grid.run_settings(SETTINGS, run_of(wildcards))
    return settings if "warmup" in wildcards.keys() else short(settings)


def memory_mb(wildcards, attempt):
    """Host memory of a training, MB."""
    return estimates.memory_mb(estimated(wildcards), attempt)


def runtime_minutes(wildcards, attempt):
    """Time limit of a training, minutes."""
    return estimates.runtime_minutes(estimated(wildcards), attempt)


def trunk_memory_mb(wildcards, attempt):
    """Host memory of a trunk, MB."""
    return estimates.memory_mb(keeping(estimated(wildcards)), attempt)


def trunk_runtime_minutes(wildcards, attempt):
    """Time limit of a trunk, minutes."""
    return estimates.runtime_minutes(keeping(estimated(wildcards)), attempt)
