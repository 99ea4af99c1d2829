"""The keys of a recipe, as `lpo-tts keys` prints them and docs/recipe.md lists them: read off the settings dataclasses.

Types and defaults are those of the fields, ranges those of `bounds`, meanings those of the docstrings' `Attributes`.
"""

import dataclasses
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from lpo_tts.errors import ConfigError
from lpo_tts.recipe import FAMILIES, STRUCTURER, Recipe
from lpo_tts.registry import Registry

_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", type(None): "null"}
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
    hints, meanings = get_type_hints(settings), _meanings(settings)
    for field in dataclasses.fields(settings):
        kind = hints[field.name]
        bounds = getattr(settings, "bounds", {}).get(field.name, "")
        yield Key(prefix + field.name, _type(kind), _default(field, kind), str(bounds), meanings.get(field.name, ""))
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
            raise ConfigError(f"no family named {family!r} (there are: {', '.join(registries)})")
        chosen = list(keys_of(registries[family].get(name)))
    else:
        known = ", ".join(name for name in table if name)
        raise ConfigError(f"no section named {section!r} (there are: {known}; members of a family are named as losses/simpo)")
    return [line for key in chosen for line in _lines(key)]


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
            parts += [f"### `{name}`", _caption(settings), _table(listed) if listed else "It has no keys."]
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
        default = "required" if row.default == "" else f"`{row.default}`"
        cells = (f"`{row.name}`", row.type, default, row.bounds, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _lines(key: Key) -> list[str]:
    first = f"{key.name}: {key.type}" + (f", {key.bounds}" if key.bounds else "")
    first += f", default {key.default}" if key.default else ", required"
    return [first, f"    {key.meaning}"] if key.meaning else [first]


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
    return found


def _nested(kind: Any) -> type | None:
    """The settings class inside a type: itself, or that of an optional, a list or a mapping of it."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in FAMILIES:
        return kind
    inner = [_nested(one) for one in get_args(kind) if get_origin(kind) is not Literal]
    return next((one for one in inner if one is not None), None)


def _type(kind: Any) -> str:
    if kind in FAMILIES:
        return f"a member of [{FAMILIES[kind].family}](#family-{FAMILIES[kind].family})"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments)
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict or origin is Mapping:
        return f"mapping of names to {_type(arguments[1])}"
    if dataclasses.is_dataclass(kind):
        return "the keys below"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def _default(field: "dataclasses.Field[Any]", kind: Any) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return ""
    if dataclasses.is_dataclass(value) and dataclasses.is_dataclass(kind):
        return "its defaults"
    return json.dumps(STRUCTURER.unstructure(value, kind), ensure_ascii=False)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
