"""The reference page is the schema's."""

from pathlib import Path

from warmup.config import configuration, reference


def test_the_reference_page_is_in_step_with_the_schema(repository: Path) -> None:
    page = (repository / "docs" / "configuration.md").read_text()
    assert page == reference.markdown(), "docs/configuration.md is out of date: run `make docs` and commit it"


def test_every_key_has_a_row() -> None:
    page = reference.markdown()
    assert all(f"| `{path}` |" in page for path, _ in configuration.described_keys())
