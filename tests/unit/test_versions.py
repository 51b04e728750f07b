"""Recorded versions."""

from importlib import metadata
from platform import python_version

from warmup.provenance.versions import ABSENT, DECISIVE, versions


def test_versions_are_those_installed_and_python_is_among_them() -> None:
    found = versions(["numpy", "no-such-distribution"])
    assert found == {
        "no-such-distribution": ABSENT,
        "numpy": metadata.version("numpy"),
        "python": python_version(),
    }
    assert set(versions()) == {"python", *DECISIVE}
