"""An installed copy of the package: complete, with the same digests, never run in place of a checkout's own code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import yaml

from warmup import shipped
from warmup.command import answer
from warmup.command.__main__ import main
from warmup.config import configuration, grid
from warmup.errors import EnvironmentProblemError
from warmup.job import refuse_other_package
from warmup.provenance import closure

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    "Snakefile",
    "config.yaml",
    "schemas",
    "workflow_scripts",
    "examples",
    "pilot",
)
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
OPTIONS = ("--no-deps", "--no-build-isolation")
JOB = """
rule job:
    output: "page.svg"
    log: "job.log"
    params: settings={{}}
    script: "{root}/workflow_scripts/schedule_gallery.py"
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second checkout."""
    copy = tmp_path_factory.mktemp("second")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / part, copy / part)
    return copy


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `pip install .` puts into an environment."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", *OPTIONS, "--target", folder, checkout], check=True)
    return folder


def python(code: str, path: Path, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout


def snakemake(folder: Path, *arguments: str, path: Path) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", "1", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_an_installed_copy_brings_schemas_and_defaults_and_reads_them(installed: Path, tmp_path: Path) -> None:
    code = (
        "import yaml; from warmup import shipped; from warmup.config import configuration; "
        "print(shipped.STUDY, configuration.effective(yaml.safe_load((shipped.STUDY / 'config.yaml').read_text()))"
        "['scale'])"
    )
    assert python(code, installed, tmp_path).split() == [str(installed / "warmup" / "study"), "laptop"]


def test_an_installed_copy_is_all_of_the_package_and_nothing_else(installed: Path) -> None:
    def listed(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}

    examples = {f"study/examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    assert listed(installed / "warmup") == listed(shipped.PACKAGE) | examples
    assert {path.name for path in installed.iterdir() if path.name != "bin"} == {
        "warmup",
        "warmup_sweep-0.2.0.dist-info",
    }
    data = {path.relative_to(installed / "warmup").as_posix() for path in installed.rglob("*.yaml")}
    assert (installed / "warmup" / "advice" / "reference" / "provenance.json").is_file()
    assert {"study/config.yaml", "study/schemas/config.schema.yaml", "command/answers.schema.yaml"} <= data


def test_digests_are_of_the_package_wherever_it_lies(installed: Path, tmp_path: Path) -> None:
    code = (
        "import json; from warmup.provenance import closure, code_state; "
        "print(json.dumps([closure.code('warmup/training/loop.py'), list(closure.meanings())]))"
    )
    digests, files = json.loads(python(code, installed, tmp_path))
    assert digests == closure.code("warmup/training/loop.py")
    assert {path.partition("/")[0] for path in files} == {"warmup"}


def test_runs_are_judged_without_torch(installed: Path, tmp_path: Path) -> None:
    rows = [f"{warmup},{seed},{3 + warmup + 0.001 * seed * warmup}" for warmup in (0, 0.5) for seed in range(3)]
    (tmp_path / "runs.csv").write_text("\n".join(["warmup,seed,loss", *rows]))
    code = (
        "import sys; from warmup.command.__main__ import main; "
        "code = main(['judge', 'runs.csv', '--outcome', 'loss']); "
        "print(code, [name for name in ('torch', 'transformers', 'pyarrow', 'numba') if name in sys.modules])"
    )
    assert python(code, installed, tmp_path).splitlines()[-1] == "0 []"


@pytest.mark.slow
def test_a_bare_environment_judges_and_schedules_and_says_what_else_needs(checkout: Path, tmp_path: Path) -> None:
    """`pip install .` as a user does it, without PyTorch; the files of the verbs are written from anywhere."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    own = tmp_path / "venv" / "bin" / "python"
    subprocess.run([*PIP, "--python", own, "install", checkout], check=True)
    rows = [f"{warmup},{seed},{3 + warmup + 0.001 * seed * warmup}" for warmup in (0, 0.5) for seed in range(3)]
    (tmp_path / "runs.csv").write_text("\n".join(["warmup,seed,loss", *rows]))
    (tmp_path / "mine.yaml").write_text("architectures: {own: {model_type: llama, settings: {}}}")
    for arguments, code, said in (
        (["judge", "runs.csv", "--outcome", "loss", "--page", "page.html"], 0, "verdict"),
        (["schedule", "mine.yaml", "--for", "hf", "--warmup", "2%"], 0, "warmup_steps=3"),
        (["entry", "llama"], 2, "is not installed; `pip install '.[train]'`"),
        (["advise", "mine.yaml"], 2, "is not installed; `pip install '.[train]'`"),
    ):
        command = [own.with_name("warmup"), *arguments, "--json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stdout) == (code, True), (arguments, done.stdout, done.stderr)
        jsonschema.validate(json.loads(done.stdout), answer.schema())


def test_a_job_that_would_run_an_installed_copy_stops_with_a_sentence(installed: Path, tmp_path: Path) -> None:
    """In an environment of its own (conda, a container), where the Snakefile cannot see what the job will import."""
    (tmp_path / "Snakefile").write_text(JOB.format(root=ROOT))
    done = snakemake(tmp_path, path=installed)
    assert done.returncode != 0
    said = (tmp_path / "job.log").read_text()
    assert (
        f"imported from {installed / 'warmup'}, but this workflow's own is {ROOT / 'workflow_scripts/warmup'}" in said
    )
    assert "Traceback" not in said and "pip uninstall warmup-sweep" in said


def test_a_study_does_not_start_where_an_installed_copy_would_hide_its_package(installed: Path, tmp_path: Path) -> None:
    done = snakemake(tmp_path, "-n", "--snakefile", str(ROOT / "Snakefile"), path=installed)
    assert done.returncode != 0
    assert f"would be imported from {installed / 'warmup'}" in done.stdout + done.stderr


def test_a_job_knows_its_own_package() -> None:
    refuse_other_package(SimpleNamespace(scriptdir=str(ROOT / "workflow_scripts")))
    with pytest.raises(EnvironmentProblemError, match="take the other off PYTHONPATH"):
        refuse_other_package(SimpleNamespace(scriptdir="/somewhere/else/workflow_scripts"))


def test_an_editable_install_hides_no_other_checkouts_package(checkout: Path, tmp_path: Path) -> None:
    """`make env` of one checkout, jobs of another with the same environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    own = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    shared = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "shared.pth").write_text(f"{shared}\n")
    subprocess.run([*PIP, "--python", own, "install", *OPTIONS, "--editable", checkout], check=True)

    def imported(*behind: Path) -> Path:
        code = f"import sys; sys.path.extend({[str(path) for path in behind]}); import warmup; print(warmup.__file__)"
        done = subprocess.run([own, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        return Path(done.stdout.strip())

    assert imported(ROOT / "workflow_scripts") == shipped.PACKAGE / "__init__.py"
    assert imported() == checkout / "workflow_scripts" / "warmup" / "__init__.py"
    listed = subprocess.run(
        [own.with_name("warmup"), "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "entry" in listed.stdout


@pytest.mark.parametrize("model_type", ["qwen3_next", "gemma3_text"])  # known to config.yaml as a variant, and not
def test_an_entry_pasted_into_a_file_of_ones_own_is_swept_beside_the_study(
    model_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["entry", model_type]) == 0
    pasted = yaml.safe_load(capsys.readouterr().out)
    (name,) = pasted["architectures"]
    study = yaml.safe_load((shipped.STUDY / "config.yaml").read_text())
    settings = configuration.effective(configuration.merge(study, pasted))
    assert settings["architectures"][name]["settings"] == pasted["architectures"][name]["settings"]
    assert {run.architecture for run in grid.runs(settings)} == {"gpt2", "mamba", "jamba", "rwkv", name}


@pytest.mark.parametrize(("model_type", "code"), [("llama", 0), ("bert", 3), ("lama", 2)])
def test_an_entry_is_tried_before_it_is_handed_out(
    model_type: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["entry", model_type, "--json"]) == code
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    assert (reply["answered"], "error" in reply) == (code == 0, code == 2)
    if code == 0:
        assert reply["entry"]["settings"]["hidden_size"] == 64 and reply["tried"]["layers"] == 2
