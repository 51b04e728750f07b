"""One shell for the pages of the report: no network, no script, readable on a phone."""

from html import escape
from pathlib import Path

from warmup.files import replace_atomically

STYLE = """
body { font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #222 }
body { margin: 1.5rem auto; max-width: 68rem; padding: 0 1rem }
h1 { font-size: 1.25rem } h2 { font-size: 1.02rem; margin: 1.6rem 0 .3rem } p { margin: .3rem 0 }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .88rem; margin: .6rem 0 }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid #ddd }
th { border-bottom: 2px solid #999; font-weight: 600 } td.number { text-align: right; white-space: nowrap }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; border-radius: 4px }
.small { color: #666; font-size: .82rem }
"""
"""Wide tables scroll inside an element of the class `wide`, not the page."""


def page(title: str, body: str, style: str = "") -> str:
    """A whole HTML page; `body` is HTML, `title` text, `style` further rules of CSS."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{style}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def save(text: str, path: str | Path) -> None:
    """Write a page whole or not at all."""
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
