"""A class in a file of the user's own, on real Snakemake: when its file is read, when imported, what an edit trains."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from dag.studies import CONFIGURATION, Study, rules, trainings

NET = """
import torch
from torch import nn

from parts import SLOPE

class Net(nn.Module):
    def __init__(self, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList([nn.Linear(hidden_size, hidden_size)])

    def forward(self, inputs_embeds):
        return inputs_embeds + SLOPE * torch.tanh(self.layers[0](inputs_embeds))
"""

ADDED = {
    "architectures": {"net": {"source": {"module": "net.py", "class": "Net"}, "settings": {"hidden_size": 8}}},
    "studies": {
        "provenance": {
            "selections": [
                {"architectures": ["gpt2", "mamba"], "tasks": ["language"], "recipes": ["adamw", "wsd"]},
                {"architectures": ["gpt2"], "tasks": ["images"], "recipes": ["adamw"]},
                {"architectures": ["net"], "tasks": ["images"], "recipes": ["adamw"]},
            ]
        }
    },
}
"""The study of the other tests, and an architecture of one's own."""


def write(study: Study, text: str = NET) -> None:
    (study.folder / "net.py").write_text(text)
    (study.folder / "parts.py").write_text("SLOPE = 0.5\n")


def snakemake(folder: Path, *options: str) -> tuple[int, str]:
    """Exit code of real `snakemake` with the architecture added, and all that it says."""
    (folder / "added.yaml").write_text(yaml.safe_dump(ADDED))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *CONFIGURATION, "added.yaml"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_an_edit_of_the_users_file_trains_that_architecture_alone(study: Study) -> None:
    write(study)
    planned = study.plan(configuration=ADDED)
    assert [run["architecture"] for run in trainings(planned)] == ["net"] * 2
    assert "prepare_data" not in rules(planned)
    code, said = snakemake(study.folder, "--quiet", "--", "train_all")
    assert code == 0, said[-5000:]
    assert trainings(study.plan(configuration=ADDED)) == []

    def trained_again(text: str, file: str = "net.py") -> list[str]:
        (study.folder / file).write_text(text)
        return [run["architecture"] for run in trainings(study.plan(configuration=ADDED))]

    assert trained_again(f"# A comment.\n{NET}") == []
    assert trained_again(NET.replace("torch.tanh", "torch.sin")) == ["net"] * 2
    assert trained_again(NET) == []
    assert trained_again("SLOPE = 0.25\n", "parts.py") == ["net"] * 2


def test_a_file_that_fails_when_imported_plans_and_is_refused_in_one_sentence_before_anything_is_trained(
    study: Study,
) -> None:
    write(study, f"raise RuntimeError('not on this machine')\n{NET}")
    planned = study.plan(configuration=ADDED)
    assert [run["architecture"] for run in trainings(planned)] == ["net"] * 2
    code, said = snakemake(study.folder, "--", "train_all")
    assert code != 0
    log = (study.folder / "results/tiny/logs/check_models/provenance.log").read_text()
    told = "architectures.net.source.module: net.py cannot be imported: RuntimeError: not on this machine"
    assert told in said and told in log
    assert "Traceback" not in said
    assert not list((study.folder / "results/tiny/runs").glob("architecture=net/**/summary.json"))


def test_a_missing_file_and_a_missing_class_are_told_when_planning_in_one_sentence(study: Study) -> None:
    for file, told in (
        ("elsewhere.py", "architectures.net.source.module: 'net.py' does not exist"),
        ("net.py", "architectures.net.source.class: 'Net' is not known"),
    ):
        (study.folder / file).write_text("class Other: pass\n")
        code, said = snakemake(study.folder, "-n")
        assert code != 0
        assert said.count(told) == 1, said[-3000:]
        assert "Traceback" not in said
