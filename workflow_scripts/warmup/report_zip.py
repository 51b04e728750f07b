"""The report that Snakemake wrote, finished: read on a phone and by a screen reader, each large script stored once.

    python -m warmup.report_zip results/laptop/report.zip

In: the zip of `snakemake --report`. Out: the same zip, and its folder unpacked beside it. Nothing that was found is
touched. Drawing libraries that several pages carry in themselves move into files beside report.html; controls that have
but a picture get a name; on a narrow screen the menu stands above the page.
"""

import hashlib
import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from warmup.files import replace_atomically

SCRIPT = re.compile(r"<script(?: type=\"text/javascript\")?>(.*?)</script>", re.DOTALL)
LARGE = 50_000
"""Characters from which a script is stored in a file of its own; shorter ones hold what is particular to a page."""

STYLE = """
@media (max-width: 640px) {
  #app > .flex { flex-direction: column; width: 100%; height: auto }
  #app nav.w-0 { display: none }
  #app > .flex > nav:not(.w-0) { width: 100%; min-width: 0; height: auto; max-height: 55vh }
  #app .h-screen.overflow-auto { width: 100%; height: auto; min-height: 100vh }
  #app h1.title { margin-top: 1.8rem }
  #app iframe { height: 100vh } #app .p-3 > img { max-width: none }
}
"""

NAMES = """
// Controls of Snakemake's report that show nothing but a picture, by what they do.
(function () {
  function name(element, text) {
    if (!element.getAttribute("aria-label")) element.setAttribute("aria-label", text);
  }
  function all(pattern, act) { document.querySelectorAll(pattern).forEach(act) }
  var narrow = window.innerWidth <= 640;
  function nameAll() {
    all("#app img:not([alt])", function (image) { image.alt = "" });
    all("#app nav", function (nav) { name(nav, nav.parentElement.closest("nav") ? "Path" : "Menu") });
    all("#app .grow.h-screen", function (page) { page.setAttribute("role", "main") });
    // What scrolls is reached by keyboard.
    all("#app .grow.h-screen, #app .grow.h-screen > .flex > div", function (part) { part.tabIndex = 0 });
    all("#app input", function (input) { name(input, "Search all results") });
    all("#app iframe:not([title])", function (frame) { frame.title = "Page of the report" });
    all("#app a, #app button", function (link) {
      if (link.textContent.trim()) return;
      var header = link.closest("h1"), menu = link.closest("nav");
      name(link, header ? "Hide the menu" : menu ? "Back, or home" : "Show the menu");
    });
    all("summary", function (summary) { name(summary, "Save or view this drawing") });
    if (narrow && app) { narrow = false; app.setView({ hideNavbar: true }) }  // once: a reader may open it again
  }
  new MutationObserver(nameAll).observe(document.getElementById("app"), { childList: true, subtree: true });
  nameAll();
})();
"""


def finish(report: Path) -> None:
    """Rewrite the zip `report`, and unpack it beside itself in place of what lay there."""
    with zipfile.ZipFile(report) as archive:
        pages = {name: archive.read(name) for name in archive.namelist()}
    for name, content in pages.copy().items():
        if name.endswith(".html"):
            text = content.decode()
            if PurePosixPath(name).name == "report.html":
                text = _readable(text)
            pages |= _without_large_scripts(PurePosixPath(name), text)
    replace_atomically(report, lambda temporary: _write(pages, temporary))
    folder = report.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(report) as archive:
        archive.extractall(report.parent)


def _readable(page: str) -> str:
    """Snakemake's page with a title, the style of narrow screens, and names for its controls."""
    page = page.replace("<title>Snakemake Report</title>", "<title>How much warmup?</title>", 1)
    page = page.replace("</head>", f"<style>{STYLE}</style></head>", 1)
    start, _, end = page.rpartition("</body>")
    return f"{start}<script>{NAMES}</script></body>{end}"


def _without_large_scripts(name: PurePosixPath, page: str) -> dict[str, bytes]:
    """The page and the files of its large scripts, by their names in the zip; equal scripts have one name."""
    top, *below = name.parent.parts
    files: dict[str, bytes] = {}

    def moved(found: re.Match[str]) -> str:
        code = found[1]
        if len(code) < LARGE:
            return found[0]
        file = f"scripts/{hashlib.sha256(code.encode()).hexdigest()[:16]}.js"
        files[f"{top}/{file}"] = code.encode()
        return f'<script src="{"../" * len(below)}{file}"></script>'

    return {str(name): SCRIPT.sub(moved, page).encode(), **files}


def _write(pages: dict[str, bytes], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in pages.items():
            archive.writestr(name, content)


def main(arguments: Sequence[str]) -> int:
    """Finish the report that is named."""
    finish(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
