"""Wiki markup to plain text: what a reader sees of an article, without tables, templates, footnotes and formulas."""

import html
import re

# Passages that are dropped with what they enclose. References may be empty (<ref name="x"/>).
DROPPED = re.compile(
    r"<!--.*?-->|<ref\b[^>]*/>|<(ref|math|gallery|timeline|imagemap|syntaxhighlight|source|score|hiero)\b[^>]*>.*?</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)*([^\[\]|]*)\]\]")
"""[[target|words]] and [[words]]."""
UNSHOWN_LINK = re.compile(r"(?:file|image|category|media|[a-z]{2,3}|simple|[a-z]{2,3}-[a-z-]+)\s*:", re.IGNORECASE)
"""Targets that are not words of the article: media with their captions, categories, the article in other languages."""
LINK_MARK = re.compile(r"\[\[|\]\]")
ADDRESS = re.compile(r"\[(?:[a-z]+:)?//[^\s\]]+\s*([^\]]*)\]", re.IGNORECASE)
HEADING = re.compile(r"^(={1,6})\s*(.*?)\s*\1\s*$", re.MULTILINE)
LIST_MARK = re.compile(r"^[*#:;]+[ \t]*", re.MULTILINE)
SWITCH = re.compile(r"__[A-Z]+__")
BRACKETS_LEFT_EMPTY = re.compile(r"[ \t]*\((?:[\s,;:]|or)*\)")
BRACKET_BEGINS_WITH_COMMA = re.compile(r"\((?:\s*[,;])+\s*")


def plain_text(markup: str) -> str:
    """Text of an article: one paragraph, heading or list item a line, one blank line at most between them."""
    text = DROPPED.sub("", html.unescape(markup))
    text = without_nested(text, "{{", "}}")
    text = without_nested(text, "{|", "|}")
    text = without_unshown_links(text)
    for _ in range(3):  # a link may hold links (three levels occur)
        text, found = LINK.subn(r"\1", text)
        if not found:
            break
    text = TAG.sub("", ADDRESS.sub(r"\1", text))
    text = HEADING.sub(r"\n\2\n", text).replace("'''", "").replace("''", "")
    text = SWITCH.sub("", LIST_MARK.sub("", text))
    text = html.unescape(text).replace("\N{NO-BREAK SPACE}", " ").replace("\0", "")
    text = BRACKET_BEGINS_WITH_COMMA.sub("(", BRACKETS_LEFT_EMPTY.sub("", text))
    text = re.sub(r" (?=[,;])", "", re.sub(r"[ \t]+", " ", text))
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def without_nested(text: str, opening: str, closing: str) -> str:
    """`text` without its passages from `opening` to the matching `closing`; an unmatched mark alone is dropped."""
    marks = [
        (match.start(), match.group() == opening)
        for match in re.finditer(f"{re.escape(opening)}|{re.escape(closing)}", text)
    ]
    open_at: list[int] = []
    spans: list[tuple[int, int]] = []
    for position, opens in marks:
        if opens:
            open_at.append(position)
        elif open_at:
            spans.append((open_at.pop(), position + len(closing)))
    kept: list[str] = []
    end = 0
    for start, stop in sorted(spans):
        if start >= end:
            kept.append(text[end:start])
            end = stop
        else:
            end = max(end, stop)
    kept.append(text[end:])
    return "".join(kept).replace(opening, "").replace(closing, "")


def without_unshown_links(text: str) -> str:
    """`text` without [[File:...]] and the like, captions and links included; of an unclosed one the mark alone."""
    kept: list[str] = []
    end = 0
    for match in re.finditer(r"\[\[", text):
        start = match.start()
        if start < end or not UNSHOWN_LINK.match(text, match.end()):
            continue
        depth = 1
        for mark in LINK_MARK.finditer(text, match.end()):
            depth += 1 if mark.group() == "[[" else -1
            if depth == 0:
                stop = mark.end()
                break
        else:
            stop = match.end()
        kept.append(text[end:start])
        end = stop
    kept.append(text[end:])
    return "".join(kept)
