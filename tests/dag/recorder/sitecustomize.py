"""Put on PYTHONPATH, this makes every script of a rule write down, when it ends, which modules it had imported.

One JSON file per job in the folder RECORDED_MODULES: rule, script, the code the job depends on by its own parameters,
and the files of all modules in sys.modules. Python imports a module of this name by itself at its start.
"""

import atexit
import json
import os
import sys
from pathlib import Path


def write_down() -> None:
    job = getattr(sys.modules["__main__"], "snakemake", None)
    if job is None or not hasattr(job, "rule"):
        return
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    settings = job.params.get("settings", {})
    record = {
        "rule": job.rule,
        "wildcards": dict(job.wildcards),
        "code": list(settings.get("code", {})) if isinstance(settings, dict) else [],
        "files": sorted(str(Path(file).resolve()) for file in files if file),
    }
    Path(os.environ["RECORDED_MODULES"], f"{os.getpid()}.json").write_text(json.dumps(record))


if "RECORDED_MODULES" in os.environ:
    atexit.register(write_down)
