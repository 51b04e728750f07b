"""The reference page of the configuration, written from the schema."""

from collections.abc import Mapping
from typing import Any

from warmup.config import configuration

HEAD = """# Configuration

<!-- Generated from schemas/*.schema.yaml by `make docs`; edit there. -->

`config.yaml` holds one study and several scales. Precedence: the defaults below, then the selected scale's entry under
`scales`, then what stands at the top level or comes with `--config` and `--configfile`. An entry of `architectures` or
`recipes` may be `based_on` another. Whatever cannot be run is refused with one sentence before any job starts.

`<name>` stands for a name of your choosing, `<item>` for an entry of a list.
"""


def markdown() -> str:
    """The page as Markdown: one table per section, one row per key."""
    sections: dict[str, list[str]] = {}
    for path, rule in configuration.described_keys():
        top = path.split(".")[0]
        inside = rule.get("properties") or isinstance(rule.get("additionalProperties"), Mapping)
        shown = "" if inside else _default(rule)
        sections.setdefault(top, []).append(f"| `{path}` | {_kind(rule)} | {shown} | {_text(rule)} |")
    parts = [HEAD]
    single = [rows[0] for rows in sections.values() if len(rows) == 1]
    parts.append(_table("Top level", single))
    parts += [_table(f"`{section}`", rows) for section, rows in sections.items() if len(rows) > 1]
    return "\n".join(parts)


def _table(title: str, rows: list[str]) -> str:
    return "\n".join([f"## {title}", "", "| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _kind(rule: Mapping[str, Any]) -> str:
    if "enum" in rule:
        return " \\| ".join(f"`{value}`" for value in rule["enum"])
    if "const" in rule:
        return f"`{rule['const']}`"
    kind = rule.get("type", "")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    bounds = [
        f"{sign} {rule[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if isinstance(rule.get(key), (int, float))
    ]
    return f"{text} {', '.join(bounds)}".strip()


def _default(rule: Mapping[str, Any]) -> str:
    return f"`{_plain(rule['default'])}`" if "default" in rule else ""


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("|", "\\|")


def _text(rule: Mapping[str, Any]) -> str:
    return " ".join(str(rule.get("description", "")).split()).replace("|", "\\|")
