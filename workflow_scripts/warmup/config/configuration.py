"""The configuration: merged, completed, and refused with one clear sentence if it cannot be run.

In: the mapping that Snakemake read. Out: the effective settings of the selected scale, builtins only.
Standard library, PyYAML and jsonschema only, since the Snakefile is parsed again in every job.
"""

import copy
import difflib
import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from warmup import shipped
from warmup.architectures import families
from warmup.config import feasibility
from warmup.errors import ConfigurationError

SCHEMAS = shipped.STUDY / "schemas"
ROOT_SCHEMA = "config.schema.yaml"
NOT_IN_A_SCALE = ("scale", "study", "scales")

ONE_RATE, RATES, FACTOR = "peak_learning_rate", "peak_learning_rates", "learning_rate_factor"
"""A recipe's rate for all, its rates by architecture and task, and their factor: who gives the first means it alone."""


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the selected scale: schema defaults < `scales.<scale>` < top level; `based_on` resolved.

    Raises ConfigurationError, naming the key and what would be right, for anything that cannot be run.
    """
    raw = copy.deepcopy(dict(config))
    _check(raw, _without_required(schema()))
    scales = raw.pop("scales", {})
    scale = raw.setdefault("scale", _default("scale"))
    _known(scale, scales, "scale")
    for name, values in scales.items():
        _check_scale(name, values)
    settings = merge(_without_other_rates(scales[scale], raw), raw)
    for section in ("architectures", "recipes"):
        entries = settings.get(section, {})
        settings[section] = {name: _inherit(section, name, entries, ()) for name in entries}
    settings = complete(settings, schema())
    settings.pop("scales", None)
    for section in ("architectures", "tasks", "recipes"):
        for name, entry in settings[section].items():
            entry.setdefault("label", name)
            if section == "architectures" and "source" in entry:
                entry.setdefault("model_type", families.OWN)
    _check(settings, schema())
    for recipe in settings["recipes"].values():
        _multiply_rates(recipe)
    for section, key in (("looks", "pilot"), ("statistics", "budgets")):
        settings[section][key] = _found(settings[section][key])
    _refuse(feasibility.problems(settings))
    return settings


@functools.cache
def schema() -> dict[str, Any]:
    """The whole JSON schema, sections in files of their own put in their places."""
    return _inline(_read(ROOT_SCHEMA))


def merge(below: Any, above: Any) -> Any:
    """`above` laid over `below`: mappings key by key, anything else replaced.

    A mapping that names another thing (a data source) than the one below it replaces that one whole, options and all.
    """
    if (
        isinstance(below, Mapping)
        and isinstance(above, Mapping)
        and above.get("name", None) in (None, below.get("name"))
    ):
        keys = dict.fromkeys([*below, *above])
        return {
            key: merge(below[key], above[key])
            if key in below and key in above
            else copy.deepcopy(above[key] if key in above else below[key])
            for key in keys
        }
    return copy.deepcopy(above)


def complete(value: Any, rule: Mapping[str, Any]) -> Any:
    """`value` with every default that `rule` (a JSON schema) declares filled in, at every depth."""
    rule = _resolve(rule)
    if isinstance(value, Mapping):
        known = rule.get("properties", {})
        filled = dict(value)
        for key, part in known.items():
            if key not in filled and "default" in (part := {**_resolve(part), **part}):
                filled[key] = copy.deepcopy(part["default"])
        others = rule.get("additionalProperties")
        for key, part in filled.items():
            if key in known:
                filled[key] = complete(part, known[key])
            elif isinstance(others, Mapping):
                filled[key] = complete(part, others)
        return filled
    if isinstance(value, list) and isinstance(rule.get("items"), Mapping):
        return [complete(item, rule["items"]) for item in value]
    return value


def _default(key: str) -> Any:
    return schema()["properties"][key]["default"]


def _read(name: str) -> Any:
    """A schema file. libyaml's loader, where PyYAML has it, is ten times as fast, and this is read in every job."""
    return yaml.load((SCHEMAS / name).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _inline(node: Any, own: Mapping[str, Any] | None = None) -> Any:
    """`node` with references to section files, and to definitions of a section's `own`, replaced by what they name."""
    if isinstance(node, Mapping):
        reference, beside = node.get("$ref", ""), {key: value for key, value in node.items() if key != "$ref"}
        if reference.endswith(".schema.yaml"):
            part = _read(reference)
            part.pop("$schema", None)
            return {**_inline(part, part.pop("$defs", {})), **beside}
        if own and reference.removeprefix("#/$defs/") in own:
            return {**_inline(own[reference.removeprefix("#/$defs/")], own), **beside}
        return {key: _inline(value, own) for key, value in node.items()}
    if isinstance(node, list):
        return [_inline(item, own) for item in node]
    return node


def _resolve(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = rule.get("$ref", "")
    if reference.startswith("#/$defs/"):
        return schema()["$defs"][reference.removeprefix("#/$defs/")]
    return rule


def _without_required(node: Any) -> Any:
    """The schema of something incomplete: as `node`, but nothing is required (only counts at the outer levels)."""
    if isinstance(node, Mapping):
        return {
            key: _without_required(value) for key, value in node.items() if key not in ("required", "minProperties")
        }
    if isinstance(node, list):
        return [_without_required(item) for item in node]
    return node


def _check_scale(name: str, values: Mapping[str, Any]) -> None:
    for key in NOT_IN_A_SCALE:
        if key in values:
            raise ConfigurationError(f"scales.{name}.{key}: a scale cannot set `{key}`; set it at the top level")
    _check(dict(values), _without_required(schema()), prefix=("scales", name))


def _check(value: Mapping[str, Any], rule: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> None:
    errors = jsonschema.Draft202012Validator(rule).iter_errors(value)
    _refuse([*(_sentence(_deepest(error), prefix) for error in errors), *_not_finite(value, prefix)])


def _refuse(problems: Iterable[str]) -> None:
    """Raise ConfigurationError with all `problems`, each once; one alone is the whole message."""
    found = list(dict.fromkeys(problems))
    if len(found) == 1:
        raise ConfigurationError(found[0])
    if found:
        raise ConfigurationError("\n".join([f"{len(found)} mistakes:", *(f"  - {problem}" for problem in found)]))


def _deepest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of the branches that a value might have taken, the mistake in the one that it was nearest to."""
    nearest = jsonschema.exceptions.best_match([error])
    return error if nearest is None else nearest


def _not_finite(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Numbers that are none: YAML knows .nan and .inf, and no comparison of the schema refuses them all."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{'.'.join(path)}: {value} is not a finite number"
    elif isinstance(value, Mapping | list):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in parts:
            yield from _not_finite(part, (*path, str(key)))


def _sentence(error: jsonschema.ValidationError, prefix: tuple[str, ...]) -> str:
    """One sentence: the key, what is wrong, what would be right."""
    path = [*prefix, *map(str, error.absolute_path)]
    key = ".".join(path) or "the configuration"
    rule = error.schema if isinstance(error.schema, Mapping) else {}
    about = f" ({rule['description'].strip()})" if rule.get("description") and path else ""
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = list(rule.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        hint = _suggestion(str(unknown), known)
        return f"{'.'.join([*path, str(unknown)])}: unknown key{hint}; known are {', '.join(known)}"
    if error.validator == "required" and isinstance(error.instance, Mapping):
        missing = next(name for name in rule["required"] if name not in error.instance)
        return f"{'.'.join([*path, missing])}: this key is missing"
    if error.validator == "type":
        return (
            f"{key}: {error.instance!r} should be {_kinds(error.validator_value)}{_number_hint(error.instance)}{about}"
        )
    if error.validator == "enum":
        known = [str(choice) for choice in error.validator_value]
        hint = _suggestion(str(error.instance), known)
        return f"{key}: {error.instance!r} is not known{hint}; known are {', '.join(known)}{about}"
    if error.validator == "uniqueItems":
        twice = next(item for item in error.instance if error.instance.count(item) > 1)
        return f"{key}: {twice!r} stands there twice; each value may stand there once{about}"
    if "warmups" in path and error.validator == "maximum":
        return (
            f"{key}: {error.instance!r} is not a fraction of training; "
            f"write {float(error.instance) / 100:g} for {error.instance:g} %, nothing above 1"
        )
    if error.validator == "pattern":
        return f"{key}: {error.instance!r} cannot be a name; a name has letters, digits, _, . and -"
    return f"{key}: {error.message}{about}"


def _kinds(kinds: Any) -> str:
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "array": "a list",
        "object": "a mapping",
    }
    words |= {"boolean": "true or false", "null": "null"}
    return " or ".join(words[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _number_hint(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    mantissa, exponent = f"{number:e}".split("e")
    return (
        f"; YAML reads it as text, write {float(mantissa)!r}e{int(exponent)}"
        if "e" in value.lower()
        else "; write it without quotes"
    )


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _known(name: str, entries: Mapping[str, Any], key: str) -> None:
    if name not in entries:
        raise ConfigurationError(
            f"{key}: {name!r} is not known{_suggestion(name, entries)}; known are {', '.join(entries)}"
        )


def _inherit(section: str, name: str, entries: Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    """Entry `name` with what it takes over from the entry it is based on."""
    entry = dict(entries[name])
    base = entry.pop("based_on", None)
    if base is None:
        return {"lineage": name, **entry} if section == "architectures" else entry
    if base in (*seen, name):
        circle = [*seen, name, base]
        raise ConfigurationError(f"{section}.{circle[0]}.based_on: {' -> '.join(circle)} goes round in a circle")
    _known(base, entries, f"{section}.{name}.based_on")
    below = _inherit(section, base, entries, (*seen, name))
    below.pop("label", None)
    if section == "architectures":
        below.pop("role", None)
    elif ONE_RATE in entry:
        for key in (RATES, FACTOR):
            below.pop(key, None)
    return merge(below, entry)


def _without_other_rates(scale: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """`scale` without the rates per architecture of recipes that `above` gives one rate for all."""
    given = [name for name, recipe in above.get("recipes", {}).items() if ONE_RATE in recipe]
    recipes = {
        name: {key: value for key, value in recipe.items() if key != RATES or name not in given}
        for name, recipe in scale.get("recipes", {}).items()
    }
    return {**scale, **({"recipes": recipes} if recipes else {})}


def _multiply_rates(recipe: dict[str, Any]) -> None:
    """Put the recipe's rates in place of the rates of its base and their factor, which is gone then."""
    factor = recipe.pop(FACTOR)

    def times(rate: float) -> float:
        return float(f"{rate * factor:.10g}")  # 6e-4 x 0.3 is 1.8e-4

    recipe[ONE_RATE] = times(recipe[ONE_RATE])
    recipe[RATES] = {
        architecture: {task: times(rate) for task, rate in by_task.items()}
        for architecture, by_task in recipe[RATES].items()
    }


def _found(path: str | None) -> str | None:
    """A file of the user's, or else the one of this name that comes with the workflow (its pilot)."""
    own = None if path is None or Path(path).is_file() else shipped.STUDY / path
    return str(own) if own is not None and own.is_file() else path


def described_keys(
    rule: Mapping[str, Any] | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key of the schema as (dotted path, its rule), depth first; `<name>` stands for a free name."""
    rule = _resolve(schema() if rule is None else rule)
    for key, part in rule.get("properties", {}).items():
        part = {**_resolve(part), **part}
        yield ".".join([*path, key]), part
        yield from described_keys(part, (*path, key))
    if isinstance(rule.get("additionalProperties"), Mapping):
        yield from described_keys(rule["additionalProperties"], (*path, "<name>"))
    if isinstance(rule.get("items"), Mapping):
        yield from described_keys(rule["items"], (*path, "<item>"))
