"""What `make why` says about the study."""

import subprocess
import sys

from dag.studies import CONFIGURATION, Study


def explain(study: Study, *options: str) -> list[str]:
    command = [sys.executable, "workflow_scripts/why.py", "--configfile", *CONFIGURATION, *options]
    done = subprocess.run(command, cwd=study.folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_nothing_to_run_is_said(study: Study) -> None:
    assert explain(study) == ["nothing to run: every result is up to date"]


def test_an_edited_module_is_named_for_each_run_with_its_cost(study: Study) -> None:
    study.append("architectures/families/mamba.py", "EDITED = True")
    lines = explain(study)
    told = [line for line in lines if line.startswith("train architecture=")]
    assert len(told) == 4
    for line in told:
        assert "architecture=mamba" in line
        assert ": warmup/architectures/families/mamba.py changed [" in line and " s)]" in line
    assert any(line.startswith("train: 4 job(s), 0.") for line in lines)


def test_a_changed_setting_is_told_once_with_both_values(study: Study) -> None:
    (study.folder / "changed.yaml").write_text("recipes: {wsd: {weight_decay: 0.05}}")
    told = [line for line in explain(study, "changed.yaml") if line.startswith("train architecture=")]
    assert len(told) == 4
    assert all(": recipe wsd: weight_decay 0.1 -> 0.05 [" in line for line in told)
