"""The keys of a recipe, as `lpo-tts keys` prints them and docs/recipe.md lists them: read off the settings dataclasses.

Types and defaults are those of the fields, ranges those of `bounds`, meanings those of the docstrings' `Attributes`.
"""

import dataclasses
import difflib
import inspect
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import yaml

from lpo_tts.bounds import bounds_of
from lpo_tts.errors import ConfigError
from lpo_tts.recipe import FAMILIES, STRUCTURER, Recipe
from lpo_tts.registry import Registry

_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", type(None): "null"}
_PLURALS = {str: "texts", int: "integers", float: "numbers", Path: "paths"}
_LINK = re.compile(r"\[([^\]]*)\]\(#[^)]*\)")
_LONGEST = 60  # characters of a default that a table shows
_ENTRY = re.compile(r"^    (?P<names>\w[\w, ]*): (?P<text>.*)$")


class Key(NamedTuple):
    """One key.

    Attributes:
        name: dotted path below its section.
        type: in words.
        default: as YAML; "" where the key is required.
        bounds: the range of a number; "" where there is none.
        meaning: from the docstring of its class.
    """

    name: str
    type: str
    default: str
    bounds: str
    meaning: str


def keys_of(settings: type, prefix: str = "") -> Iterator[Key]:
    """The keys of a settings dataclass, those of nested ones after the key that holds them."""
    hints, meanings, ranges = get_type_hints(settings), _meanings(settings), bounds_of(settings)
    for field in dataclasses.fields(settings):
        kind = hints[field.name]
        bounds = str(ranges.get(field.name, ""))
        yield Key(prefix + field.name, _type(kind), _default(field, kind), bounds, meanings.get(field.name, ""))
        inner = _nested(kind)
        if inner is not None:
            mark = {list: "[].", tuple: "[].", dict: ".NAME."}.get(get_origin(kind) or kind, ".")
            yield from keys_of(inner, f"{prefix}{field.name}{mark}")


def sections() -> dict[str, type]:
    """Section of a recipe -> its settings class; "" are the keys outside of sections."""
    hints = get_type_hints(Recipe)
    found = {field.name: hints[field.name] for field in dataclasses.fields(Recipe)}
    return {"": Recipe} | {
        name: kind for name, kind in found.items() if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    }


def members(registry: Registry) -> Iterator[tuple[str, type]]:
    """The members of a family whose libraries are there, by name."""
    for name in registry:
        yield name, registry.get(name)


def listing(section: str) -> list[str]:
    """Lines for a terminal: the keys of a section, or of a member of a family as `losses/simpo`.

    Raises:
        ConfigError: no section or member has this name.
    """
    table = sections()
    if section in table:
        chosen = _own(table[section]) if section == "" else list(keys_of(table[section]))
    elif "/" in section:
        family, _, name = section.partition("/")
        registries = {registry.family: registry for registry in FAMILIES.values()}
        if family not in registries:
            raise ConfigError(f"no family named {family!r}{_near(family, registries)} (there are: {', '.join(registries)})")
        chosen = list(keys_of(registries[family].get(name)))
    else:
        known = [name for name in table if name]
        raise ConfigError(
            f"no section named {section!r}{_near(section, known)} (there are: {', '.join(known)}; members of a family are "
            "named as losses/simpo)"
        )
    return [line for key in chosen for line in _lines(key)] or [f"{section} has no keys."]


def page() -> str:
    """docs/recipe.md."""
    parts = [_HEAD, _table(_own(Recipe))]
    for name, settings in sections().items():
        if name:
            parts += [f"## `{name}`", _caption(settings), _table(list(keys_of(settings)))]
    for registry in FAMILIES.values():
        parts += [f"## Family `{registry.family}`", _FAMILY.format(names=", ".join(f"`{name}`" for name in registry))]
        for name, settings in members(registry):
            listed = list(keys_of(settings))
            parts += [f"### `{registry.family}/{name}`", _caption(settings), _table(listed) if listed else "It has no keys."]
    return "\n\n".join(parts) + "\n"


_HEAD = """# The keys of a recipe

This page is generated from the code by `python -m lpo_tts.keys`. `lpo-tts keys SECTION` prints the same for one section.
A key is written in YAML under its section, or given as `section.key=value` on the command line. A key without a default must
be given. `[]` stands for each entry of a list, and `NAME` for a name that you choose.

A section whose type is a family takes `name: MEMBER` and the keys of that member, or `name: my_module:MyClass` for your own."""
_FAMILY = "Members: {names}."


def _own(settings: type) -> list[Key]:
    """Keys that are no sections."""
    hints = get_type_hints(settings)
    names = {field.name for field in dataclasses.fields(settings) if not dataclasses.is_dataclass(hints[field.name])}
    return [key for key in keys_of(settings) if key.name in names]


def _table(rows: list[Key]) -> str:
    lines = ["| key | type | default | range | meaning |", "|---|---|---|---|---|"]
    for row in rows:
        default = row.default if row.default in ("", "the keys below") else f"`{row.default}`"
        default = default or "required"
        cells = (f"`{row.name}`", row.type, default, row.bounds, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _lines(key: Key) -> list[str]:
    first = f"{key.name}: {_plain(key.type)}" + (f", {key.bounds}" if key.bounds else "")
    first += f", default {key.default}" if key.default else ", required"
    return [first, f"    {key.meaning}"] if key.meaning else [first]


def _plain(text: str) -> str:
    """Without links and marks of code."""
    return _LINK.sub(r"\1", text).replace("`", "")


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _caption(settings: type) -> str:
    return inspect.cleandoc(settings.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ")


@cache
def _meanings(settings: type) -> Mapping[str, str]:
    """Field -> its entry in the docstring of the class or of one it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(settings.__mro__):
        text = inspect.cleandoc(cls.__doc__ or "")
        if "Attributes:\n" not in text:
            continue
        names: list[str] = []
        for line in text.split("Attributes:\n", 1)[1].splitlines():
            entry = _ENTRY.match(line)
            if entry:
                names = [name.strip() for name in entry["names"].split(",")]
                found.update(dict.fromkeys(names, entry["text"]))
            elif line.startswith("     "):
                found.update({name: f"{found[name]} {line.strip()}" for name in names})
            else:
                break
    return {name: _sentence(text) for name, text in found.items()}


def _sentence(text: str) -> str:
    """With a capital letter where a word begins it, and null for None, as YAML has it."""
    text = re.sub(r"\bNone\b", "null", text)
    return text[0].upper() + text[1:] if re.match(r"[a-z]+(-[a-z]+)*(?![\w(.])", text) else text


def _nested(kind: Any) -> type | None:
    """The settings class inside a type: itself, or that of an optional, a list or a mapping of it."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in FAMILIES:
        return kind
    inner = [_nested(one) for one in get_args(kind) if get_origin(kind) is not Literal]
    return next((one for one in inner if one is not None), None)


def _type(kind: Any, *, many: bool = False) -> str:
    """In words; `many`: of several ones, as after "list of"."""
    if kind in FAMILIES:
        return f"{'members' if many else 'a member'} of [{FAMILIES[kind].family}](#family-{FAMILIES[kind].family})"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments)
    if origin in (tuple, list):
        return f"{'lists' if many else 'list'} of {_type(arguments[0], many=True)}"
    if origin is dict or origin is Mapping:
        return f"mapping of names to {_type(arguments[1], many=True)}"
    if dataclasses.is_dataclass(kind):
        return "the keys below"
    words = _PLURALS if many and kind in _PLURALS else _WORDS
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def _default(field: "dataclasses.Field[Any]", kind: Any) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return ""
    tree = STRUCTURER.unstructure(value, kind)
    if kind in FAMILIES and value == type(value)():
        tree = {"name": tree["name"]}  # the member's own page has the rest
    text = yaml.safe_dump(tree, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    text = text.removesuffix("...\n").strip()
    return text if len(text) <= _LONGEST else "the keys below"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
