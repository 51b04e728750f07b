"""The finished report: large scripts stored once, controls named, nothing of its content touched."""

import zipfile
from pathlib import Path

import pytest

from warmup import report_zip

LIBRARY = "var drawn = 1;" * 5_000
SNAKEMAKE = (
    "<html><head><title>Snakemake Report</title></head><body><p>kept</p>"
    f"<script>{LIBRARY}</script><script>var app;</script></body></html>"
)
PAGE = f'<html><body><script type="text/javascript">{LIBRARY}</script><script>draw()</script></body></html>'


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("report/report.html", SNAKEMAKE)
        for folder in ("a", "b"):
            archive.writestr(f"report/data/raw/{folder}/drawing.html", PAGE)
        archive.writestr("report/data/raw/a/drawing.svg", b"<svg/>")
    report_zip.finish(path)
    return path


def test_a_library_that_three_pages_carry_is_stored_once_and_found_from_each(report: Path) -> None:
    (library,) = (report.parent / "report" / "scripts").iterdir()
    assert library.read_text() == LIBRARY
    for page in (report.parent / "report").rglob("*.html"):
        text = page.read_text()
        assert LIBRARY not in text
        source = text.split('<script src="')[1].split('"')[0]
        assert (page.parent / source).resolve() == library.resolve()


def test_what_is_particular_to_a_page_stays_in_it(report: Path) -> None:
    folder = report.parent / "report"
    assert "<script>draw()</script>" in (folder / "data/raw/a/drawing.html").read_text()
    assert (folder / "data/raw/a/drawing.svg").read_text() == "<svg/>"
    page = (folder / "report.html").read_text()
    assert "<p>kept</p>" in page and "aria-label" in page and "<title>How much warmup?</title>" in page


def test_finishing_twice_changes_the_pages_no_more(report: Path) -> None:
    def drawings() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (report.parent / "report" / "data").rglob("*.*")}

    before, size = drawings(), report.stat().st_size
    report_zip.finish(report)
    assert drawings() == before and abs(report.stat().st_size - size) < 3_000
