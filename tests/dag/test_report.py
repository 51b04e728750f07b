"""The report as a reader meets it: opened in headless Chromium, no error in its console, every figure drawn."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dag.studies import CONFIGURATION, Study
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

CATEGORIES = ("Claims", "Cost", "Effect of warmup", "Mechanism", "Prediction", "Setup", "Theory")
FRAME = ("matplotlib.axis", "patch_", "text_", "legend")
"""Beginnings of the names that matplotlib gives to what it draws around the data."""
MARKS = "g[id^='axes_'] > g" + "".join(f":not([id^='{name}'])" for name in FRAME)
REASONS = ("cannot say", "this study has no")
"""Words of a figure that has nothing to draw."""
CONTENT = "table, pre, canvas, svg.marks, .vega-embed"
IN_SENTENCES = {"starts.html": "h1 + p"}
"""Pages that say what they found in sentences where there is nothing to tabulate."""
PATIENCE = 60
"""Seconds a page may take to draw itself on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    for program in ("chromium", "chromedriver"):
        assert shutil.which(program), f"{program} is missing: apt-get install chromium chromium-driver (see .ci/run)"
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for switch in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"):
        options.add_argument(f"--{switch}")
    for switch in ("disable-component-update", "disable-sync", "window-size=1400,1000", "allow-file-access-from-files"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def report(study: Study) -> Path:
    """The unpacked report of the finished study."""
    command = [sys.executable, "-m", "snakemake", "--configfile", *CONFIGURATION, "--report", "report.zip"]
    done = subprocess.run(command, cwd=study.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    with zipfile.ZipFile(study.folder / "report.zip") as archive:
        archive.extractall(study.folder)
    return study.folder / "report" / "report.html"


def visit(browser: webdriver.Chrome, page: Path) -> None:
    browser.get_log("browser")
    browser.get(page.resolve().as_uri())


def complaints(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_report_opens_with_the_answer_and_without_an_error(report: Path, browser: webdriver.Chrome) -> None:
    visit(browser, report)
    WebDriverWait(browser, PATIENCE).until(lambda page: "How much warmup?" in page.page_source)
    text = browser.find_element(By.TAG_NAME, "body").text
    assert re.search(r"n = \d+|\d+ runs", text), "the first page does not say how many runs it speaks of"
    assert "Methods" in text
    for category in CATEGORIES:
        assert category in text
    assert browser.find_elements(By.CSS_SELECTOR, "svg path"), "the main figure is not on the first page"
    top = browser.execute_script("return document.querySelector('h1.title').getBoundingClientRect().top")
    assert top >= 0, "the beginning of the first page cannot be scrolled to"
    assert complaints(browser) == []


def test_every_figure_is_drawn(report: Path, browser: webdriver.Chrome) -> None:
    results = report.parents[1] / "results"
    pages = sorted(results.glob("**/figures/*.html"))
    drawings = sorted(results.glob("**/figures/*.svg"))
    assert len(pages) >= 5
    assert len(drawings) >= 10
    for drawing in drawings:
        visit(browser, drawing)
        words = browser.execute_script("return document.documentElement.textContent").lower()
        drawn = browser.find_elements(By.CSS_SELECTOR, MARKS)
        assert drawn or any(reason in words for reason in REASONS), f"{drawing.name} is empty"
        assert complaints(browser) == [], drawing.name
    for page in pages:
        visit(browser, page)
        content = IN_SENTENCES.get(page.name, CONTENT)
        WebDriverWait(browser, PATIENCE).until(
            expected_conditions.presence_of_element_located((By.CSS_SELECTOR, content)), f"{page.name} is empty"
        )
        assert complaints(browser) == [], page.name
