"""The report as a reader meets it: opened in headless Chromium, no error in its console, every figure drawn."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dag.studies import CONFIGURATION, REPOSITORY, Finished
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from warmup import report_zip

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
AXE = REPOSITORY / ".venv/axe/axe_playwright_python/axe.min.js"
"""The checks of axe-core; the Makefile says which."""
RUN_AXE = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations), error => done(String(error)));
"""
SCREENS = {1280: 900, 390: 844}
"""Widths of a laptop's and a phone's screen, with their heights."""


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


@pytest.fixture(scope="module")
def report(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked report of the finished study, as `make` leaves it."""
    folder = tmp_path_factory.mktemp("reported") / "study"
    shutil.copytree(finished.folder, folder, symlinks=True)
    command = [sys.executable, "-m", "snakemake", "--configfile", *CONFIGURATION, "--report", "report.zip"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    report_zip.finish(folder / "report.zip")
    return folder / "report" / "report.html"


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


def findings(browser: webdriver.Chrome) -> list[str]:
    """What axe-core finds on the page that is open, where it calls it serious or critical."""
    browser.execute_script(AXE.read_text())
    found = browser.execute_async_script(RUN_AXE)
    assert isinstance(found, list), found
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_axe_finds_nothing_serious_on_the_report_or_any_of_its_pages_on_a_laptop_or_a_phone(
    report: Path, browser: webdriver.Chrome
) -> None:
    assert AXE.is_file(), f"{AXE} is missing: `make test-fast` installs it (make .venv/axe/.complete)"
    browser.set_script_timeout(PATIENCE)
    pages = sorted((report.parent / "data").rglob("*.html"))
    assert len(pages) >= 5
    try:
        for width, height in SCREENS.items():
            screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 640}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            for page in (report, *pages):
                visit(browser, page)
                content = "h1.title" if page == report else IN_SENTENCES.get(page.name, CONTENT)
                WebDriverWait(browser, PATIENCE).until(
                    expected_conditions.presence_of_element_located((By.CSS_SELECTOR, content)), f"{page.name} is empty"
                )
                assert browser.execute_script("return window.innerWidth") == width, f"{page.name} is wider than {width}"
                assert findings(browser) == [], f"{page.name} at {width} pixels"
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
