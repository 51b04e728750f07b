"""Profiles: one party restarts jobs, every line has its reason, no site is named, the scale survives --config."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("default", "slurm", "slurm-preemptible", "workstation")
SCALES = {"slurm": "paper", "slurm-preemptible": "paper", "workstation": "workstation"}


def profile(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text())
    return content


@pytest.mark.parametrize("name", ["slurm", "slurm-preemptible"])
def test_exactly_one_party_restarts_a_job(name: str) -> None:
    content = profile(name)
    slurm_restarts = content.get("slurm-requeue", False)
    snakemake_restarts = content["retries"] > 0
    assert slurm_restarts != snakemake_restarts
    assert slurm_restarts != content.get("slurm-no-requeue", False), (
        "the other party is switched off, not left to chance"
    )


@pytest.mark.parametrize("name", PROFILES)
def test_every_line_has_its_reason(name: str) -> None:
    for line in (ROOT / "profiles" / name / "profile.yaml").read_text().splitlines():
        opens_a_mapping = re.fullmatch(r"[\w-]+:\s*", line)
        if line.strip() and not line.startswith("#") and not opens_a_mapping and name != "default":
            assert " #" in line, f"{name}: no reason beside {line!r}"


@pytest.mark.parametrize("name", sorted(SCALES))
def test_the_scale_comes_by_a_configuration_file(name: str) -> None:
    content = profile(name)
    assert "config" not in content, "--config on the command line would replace it"
    assert yaml.safe_load((ROOT / content["configfile"]).read_text()) == {"scale": SCALES[name]}


def test_the_default_profile_sets_nothing_that_another_sets() -> None:
    """It is loaded beside every other and wins key by key."""
    portable = set(profile("default"))
    for name in SCALES:
        assert not portable & set(profile(name))


@pytest.mark.parametrize("name", PROFILES)
def test_no_site_is_named(name: str) -> None:
    content = profile(name)
    for key in (
        "slurm_partition",
        "slurm_account",
        "constraint",
        "qos",
        "slurm-qos",
        "slurm-reservation",
        "slurm-partition-config",
    ):
        assert key not in content and key not in content.get("default-resources", {})
    assert "set-resources" not in content


@pytest.mark.parametrize("name", ["slurm", "slurm-preemptible"])
def test_known_faults_of_the_plugin_are_kept_away_from(name: str) -> None:
    content = profile(name)
    assert not {"slurm-array-jobs", "groups", "group-components"} & set(content)
    assert content["slurm-status-attempts"] >= 20
    scripts = [part.strip().removeprefix(". ") for part in content["precommand"].split("&&")]
    assert all((ROOT / script.removeprefix("$PWD/")).is_file() for script in scripts)
    assert not any("$" in script.removeprefix("$PWD/") for script in scripts), "the submitting shell would expand it"


def test_snakemake_makes_the_prologues_paths_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in --directory, which need not be the checkout."""
    from snakemake.profiles import ProfileConfigFileParser

    monkeypatch.setenv("PWD", "/the/checkout")
    for name, scripts in (("slurm", ["slurm"]), ("slurm-preemptible", ["slurm", "slurm-preemptible"])):
        with (ROOT / f"profiles/{name}/profile.yaml").open() as stream:
            found = ProfileConfigFileParser().parse(stream)
        expected = " && ".join(f". /the/checkout/profiles/{script}/prologue.sh" for script in scripts)
        assert found["precommand"] == expected


def test_options_exist_in_the_installed_snakemake() -> None:
    from snakemake.cli import get_argument_parser

    known = {option for action in get_argument_parser()._actions for option in action.option_strings}
    for name in PROFILES:
        for key in profile(name):
            assert f"--{key}" in known, f"{name}: Snakemake has no --{key}"
