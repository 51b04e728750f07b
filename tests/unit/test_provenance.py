"""Which files a script's results depend on, on small packages written for each test."""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warmup import registry
from warmup.errors import ConfigurationError, UserError
from warmup.provenance import closure, code_state

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write files given as {path: text} under an import root of their own; returns the root."""
    root = tmp_path / "workflow_scripts"

    def writing(files: dict[str, str]) -> Path:
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(textwrap.dedent(text))
        closure.forget()
        return root

    yield writing
    closure.forget()


def files_of(root: Path, script: str = "train.py", **choices: list[str]) -> list[str]:
    return list(closure.code(root / script, {name.replace("__", "."): names for name, names in choices.items()}))


PACKAGE = {
    "train.py": "from warmup import training\ntraining.main()",
    "plot.py": "from warmup.plots import curves",
    "warmup/__init__.py": "",
    "warmup/training.py": """
        from warmup import registry
        from warmup.numbers import half
        def main(name):
            return registry.load("schedules", name)
    """,
    "warmup/numbers.py": "half = 0.5",
    "warmup/registry.py": "import importlib\ndef load(package, name): return importlib.import_module(package + name)",
    "warmup/schedules/__init__.py": "from . import _shared",
    "warmup/schedules/_shared.py": "",
    "warmup/schedules/cosine.py": "import math",
    "warmup/schedules/linear.py": "from warmup.schedules.helper import curve",
    "warmup/schedules/helper.py": "curve = 1",
    "warmup/plots/__init__.py": "",
    "warmup/plots/curves.py": "import matplotlib",
}

TRAINING = ["train.py", "warmup/__init__.py", "warmup/numbers.py", "warmup/registry.py"]
SCHEDULES = ["warmup/schedules/__init__.py", "warmup/schedules/_shared.py"]


def test_the_closure_holds_what_is_imported_with_the_packages_on_the_way(write: Write) -> None:
    root = write(PACKAGE)
    assert files_of(root, "plot.py") == [
        "plot.py",
        "warmup/__init__.py",
        "warmup/plots/__init__.py",
        "warmup/plots/curves.py",
    ]


def test_a_package_chosen_by_name_is_narrowed_to_the_choice(write: Write) -> None:
    root = write(PACKAGE)
    found = files_of(root, schedules=["cosine"])
    assert found == [*TRAINING, *SCHEDULES, "warmup/schedules/cosine.py", "warmup/training.py"]


def test_what_a_chosen_module_imports_counts_too(write: Write) -> None:
    root = write(PACKAGE)
    found = files_of(root, schedules=["linear"])
    assert {"warmup/schedules/linear.py", "warmup/schedules/helper.py"} <= set(found)
    assert "warmup/schedules/cosine.py" not in found


def test_a_package_without_a_choice_counts_whole(write: Write) -> None:
    root = write(PACKAGE)
    assert {path for path in files_of(root) if "/schedules/" in path} == {
        path for path in PACKAGE if "/schedules/" in path
    }


def test_no_choice_is_not_the_same_as_choosing_nothing(write: Write) -> None:
    root = write(PACKAGE)
    assert [path for path in files_of(root, schedules=[]) if "/schedules/" in path] == []


def test_an_unknown_choice_names_the_known(write: Write) -> None:
    root = write(PACKAGE)
    with pytest.raises(ConfigurationError, match=r"'cosin' is not known; known are cosine, helper, linear"):
        files_of(root, schedules=["cosin"])


@pytest.mark.parametrize(
    "text",
    [
        'from warmup import registry\nregistry.load("schedules", x)',
        'from warmup import registry as r\nr.load("schedules", x)',
        'from warmup.registry import load\nload("schedules", x)',
        'from warmup.registry import load as get\nget(package="schedules", name=x)',
        'import warmup.registry\nwarmup.registry.load("schedules", x)',
        'import warmup.registry as reg\ndef f():\n    return [reg.load("schedules", n) for n in x]',
        'def f(): return registry.load("schedules", x)\nfrom warmup import registry',
        'from warmup import registry\nregistry.load("schedules", "cosine")',
        'import importlib\nimportlib.import_module("warmup.schedules.cosine")',
        'from importlib import import_module as im\nim("warmup.schedules.cosine")',
        "def f():\n    import warmup.schedules.cosine",
        "def f():\n    from warmup.schedules import cosine",
        "try:\n    from warmup.schedules.cosine import a\nexcept ImportError:\n    pass",
    ],
)
def test_every_spelling_of_an_import_is_followed(write: Write, text: str) -> None:
    root = write(PACKAGE | {"train.py": text})
    found = files_of(root, schedules=["cosine"])
    assert "warmup/schedules/cosine.py" in found
    assert "warmup/schedules/linear.py" not in found
    assert closure.doubts(root / "train.py", {"schedules": ["cosine"]}) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import importlib\nimportlib.import_module(x)", "dynamic import"),
        ("__import__(x)", "dynamic import"),
        ("import importlib\nlist(map(importlib.import_module, x))", "used as a value"),
        ("exec(x)", "use of exec"),
        ("import runpy\nrunpy.run_path(x)", "use of runpy.run_path"),
        ('import importlib\nimportlib.import_module(f".{x}", y)', "dynamic import"),
        ('import importlib\nimportlib.import_module(".a", y)', "import relative to another package"),
    ],
)
def test_an_import_that_cannot_be_read_counts_the_whole_package_and_is_said(
    write: Write, text: str, reason: str
) -> None:
    root = write(PACKAGE | {"train.py": text})
    assert set(files_of(root, schedules=["cosine"])) == set(PACKAGE) - {"plot.py"}
    (doubt,) = closure.doubts(root / "train.py")
    assert doubt.startswith("train.py, line ") and reason in doubt


def test_a_dynamic_import_with_a_known_package_counts_that_package(write: Write) -> None:
    root = write(PACKAGE | {"train.py": 'import importlib\nimportlib.import_module(f"warmup.schedules.{x}")'})
    assert set(files_of(root)) == {"train.py", "warmup/__init__.py"} | {p for p in PACKAGE if "/schedules/" in p}
    (doubt,) = closure.doubts(root / "train.py")
    assert doubt == "train.py, line 2: dynamic import; all of warmup.schedules counts"


def test_a_relative_dynamic_import_counts_its_own_package(write: Write) -> None:
    root = write(
        PACKAGE
        | {
            "train.py": "import warmup.schedules",
            "warmup/schedules/__init__.py": """
                import importlib
                def __getattr__(name):
                    return importlib.import_module(f".{name}", __name__)
            """,
        }
    )
    assert {p for p in PACKAGE if "/schedules/" in p} < set(files_of(root))
    assert "warmup/plots/curves.py" not in files_of(root)


def test_importing_a_library_by_name_counts_nothing(write: Write) -> None:
    root = write(PACKAGE | {"train.py": 'import importlib\nimportlib.import_module(f"transformers.models.{x}")'})
    assert files_of(root) == ["train.py"]
    assert closure.doubts(root / "train.py") == []


def test_a_star_import_counts_the_whole_package_and_is_said(write: Write) -> None:
    root = write(PACKAGE | {"train.py": "from warmup.schedules import *\nfrom numpy import *"})
    assert {p for p in PACKAGE if "/schedules/" in p} < set(files_of(root))
    assert closure.doubts(root / "train.py") == [
        "train.py, line 1: star import of warmup.schedules; all of warmup.schedules counts"
    ]


def test_loading_from_a_package_that_is_not_literal_counts_every_registered_package(write: Write) -> None:
    root = write(
        PACKAGE
        | {
            "train.py": "from warmup import registry\nregistry.load(package, 'cosine')",
            "warmup/probes/attention.py": "",
            "warmup/probes/spectra.py": "",
        }
    )
    found = files_of(root, probes=["attention"])
    assert {"warmup/probes/attention.py", "warmup/schedules/linear.py"} <= set(found)
    assert "warmup/probes/spectra.py" not in found
    assert closure.doubts(root / "train.py", {"probes": ["attention"]}) == [
        "train.py, line 2: registry.load of a package that is not a literal"
    ]


def test_relative_imports_are_resolved(write: Write) -> None:
    root = write(
        {
            "train.py": "import warmup.a.b.c",
            "warmup/__init__.py": "",
            "warmup/top.py": "",
            "warmup/a/__init__.py": "from .side import x",
            "warmup/a/side.py": "",
            "warmup/a/b/c.py": "from . import d\nfrom ... import top\nfrom ..near import y",
            "warmup/a/b/d.py": "",
            "warmup/a/near.py": "",
            "warmup/a/far.py": "",
        }
    )
    assert {path.removeprefix("warmup/") for path in files_of(root)} == {
        "train.py", "__init__.py", "top.py", "a/__init__.py", "a/side.py", "a/b/c.py", "a/b/d.py", "a/near.py"
    }  # fmt: skip


def test_an_import_for_type_checking_only_does_not_count(write: Write) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import warmup.numbers\nelse:\n    import plot"
    root = write(PACKAGE | {"train.py": text})
    assert "warmup/numbers.py" not in files_of(root)
    assert "warmup/plots/curves.py" in files_of(root)


def test_a_cycle_of_imports_ends(write: Write) -> None:
    root = write({"train.py": "import a", "a.py": "import b", "b.py": "import a"})
    assert files_of(root) == ["a.py", "b.py", "train.py"]


def test_a_data_file_named_beside_its_module_counts(write: Write) -> None:
    files = PACKAGE | {
        "plot.py": 'from pathlib import Path\nsource = Path(__file__).parent / "warmup" / "scan.c"\nimport warmup.fast',
        "warmup/fast.py": 'from pathlib import Path\nSOURCE = Path(__file__).with_name("scan.c")',
        "warmup/scan.c": "int x;",
        "warmup/other.c": "int y;",
    }
    root = write(files)
    before = closure.code(root / "plot.py")
    assert "warmup/scan.c" in before and "warmup/other.c" not in before
    write({"warmup/scan.c": "int z;"})
    after = closure.code(root / "plot.py")
    assert {path for path in after if after[path] != before[path]} == {"warmup/scan.c"}


def test_an_edit_changes_the_digest_of_its_file_alone(write: Write) -> None:
    root = write(PACKAGE)
    before = closure.code(root / "train.py")
    write({"warmup/numbers.py": "# one half\nhalf = 0.50"})
    assert closure.code(root / "train.py") == before
    write({"warmup/numbers.py": "half = 0.51"})
    after = closure.code(root / "train.py")
    assert {path for path in after if after[path] != before[path]} == {"warmup/numbers.py"}


def test_one_process_sees_one_state_of_the_code(write: Write) -> None:
    root = write(PACKAGE)
    before = closure.code(root / "train.py")
    (root / "warmup/numbers.py").write_text("half = 0.7")
    assert closure.code(root / "train.py") == before


def changed(code: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a job would say has changed, its process of its own left out."""
    monkeypatch.setattr(code_state, "meanings", closure.meanings)
    return code_state.changed(code)


def test_files_that_changed_since_they_were_digested_are_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(PACKAGE | {"warmup/numbers.py": 'half = open("half.txt")', "warmup/half.txt": "0.5"})
    monkeypatch.setattr(closure, "ROOT", root)
    code = closure.code(root / "train.py")
    assert changed(code, monkeypatch) == []
    write({"warmup/training.py": f"# a comment\n{(root / 'warmup/training.py').read_text()}"})
    assert changed(code, monkeypatch) == []
    write({"warmup/training.py": "main = print", "warmup/half.txt": "0.6"})
    (root / "warmup/schedules/cosine.py").unlink()
    closure.forget()
    assert changed(code, monkeypatch) == ["warmup/half.txt", "warmup/schedules/cosine.py", "warmup/training.py"]


def test_the_answer_is_the_callers_own(write: Write) -> None:
    root = write(PACKAGE)
    closure.code(root / "train.py").clear()
    assert closure.code(root / "train.py")


def test_the_order_of_choices_does_not_matter(write: Write) -> None:
    root = write(PACKAGE)
    one = closure.code(root / "train.py", {"schedules": ["cosine", "linear"], "probes": []})
    other = closure.code(root / "train.py", {"probes": (), "schedules": ("linear", "cosine", "linear")})
    assert one == other and list(one) == list(other)


def test_a_missing_script_and_broken_python_are_told(write: Write) -> None:
    root = write(PACKAGE | {"warmup/numbers.py": "half = = 0.5"})
    with pytest.raises(ConfigurationError, match=r"nothing\.py: there is no such script"):
        closure.code(root / "nothing.py")
    with pytest.raises(UserError, match=r"numbers\.py, line 1: not valid Python"):
        closure.code(root / "train.py")


def test_scripts_of_this_repository_may_be_named_relative_to_their_folder() -> None:
    module = closure.code("warmup/provenance/closure.py")
    assert closure.code("workflow_scripts/warmup/provenance/closure.py") == module
    assert closure.code(closure.ROOT / "warmup" / "provenance" / "closure.py") == module
    assert {"warmup/__init__.py", "warmup/provenance/meaning.py", "warmup/registry.py"} < set(module)
    assert closure.doubts("warmup/provenance/closure.py") == []


def test_the_registry_offers_what_provenance_follows() -> None:
    """Both list a package's public files; a difference would leave a loadable module out of the closure."""
    sources = closure._sources(closure.ROOT)
    for package in registry.PACKAGES:
        children = closure._children(sources, f"warmup.{package}")
        assert sorted(module.rpartition(".")[2] for module in children) == registry.names(package)


def test_an_environment_is_its_packages_not_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("dependencies:\n  - pytorch =2.9  # CUDA\n")
    before = closure.environment(path)
    path.write_text("# For training.\n\ndependencies:\n  # fixed\n  - pytorch =2.9\n")
    assert closure.environment(path) == before
    path.write_text("dependencies:\n  - pytorch =2.8\n")
    assert closure.environment(path) != before


def test_no_rule_of_this_workflow_leaves_an_import_in_doubt() -> None:
    """A doubt would make an edit anywhere in the package re-run the rule."""
    scripts = sorted(closure.ROOT.glob("*.py"))
    assert scripts
    assert {script.name: closure.doubts(script) for script in scripts if closure.doubts(script)} == {}


def test_code_of_several_scripts_merged_is_not_taken_for_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training records is the code of the preparation and of the training in one mapping."""
    data = closure.code("prepare_data.py", {"data.sources": ["gensim_wikipedia"]})
    assert changed({**data, **closure.code("train.py"), **closure.code("optima.py")}, monkeypatch) == []
    assert changed({**data, "warmup/files.py": "0"}, monkeypatch) == ["warmup/files.py"]
