"""YAML and key=value overrides to frozen dataclasses, strictly: unknown keys and wrong types are refused by name."""

import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cattrs
import yaml
from cattrs.errors import ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn

from lpo_tts.bounds import annotations
from lpo_tts.errors import ArtefactError, ConfigError, LpoTtsError, os_errors, unusable
from lpo_tts.registry import Registry

# Class attributes of members that list settings by which they do what files from elsewhere may not ask for.
UNSAFE = {
    "programs": "start a program",
    "sends": "send recordings to an address",
    "joins": "exchange code with machines at an address",
}


class _Loader(yaml.SafeLoader):
    """YAML without code, whose keys are text and stand once: of two equal keys plain YAML keeps the last, in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise ConfigError(f"line {line}: expected a key that is text, found {key!r}; put it into quotes")
            if key in seen:
                raise ConfigError(f"line {line}: the key {key!r} stands twice, first in line {seen[key]}; join the two")
            seen[key] = line
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str) -> Any:
    """Reads YAML; raises ConfigError in one line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise ConfigError("brackets are nested too deep to read") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(" ".join(str(error).split())) from error


def parse_value(text: str) -> Any:
    """One value of the command line, read as YAML (`1e-6` is a number here, which YAML 1.1 would call text)."""
    try:
        return _parse_yaml(text)
    except ConfigError as error:
        raise ConfigError(f"cannot read the value {text!r}: {error}") from error


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], *, whole: bool = True) -> dict[str, Any]:
    """`base` with `changes` laid over it; naming another member (`name:`) clears what stood beside the old name.

    So the beta of one loss never becomes the beta of another. `whole`: these are whole files, whose own name is no
    member's.
    """
    result = dict(base)
    if not whole and "name" in changes and changes["name"] != base.get("name"):
        result = {}
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merge(old, value, whole=False) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def override(tree: Mapping[str, Any], assignment: str) -> dict[str, Any]:
    """Applies one `a.b.c=value`; raises ConfigError when it is not of that form."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"expected section.key=value, found {assignment!r}")
    change: Any = parse_value(text)
    for key in reversed(keys):
        change = {key: change}
    return merge(tree, change)


def read_yaml(path: Path, what: str = "recipe", _children: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML file as a tree; `extends: other.yaml` (relative to this file) is read first and merged under it.

    Args:
        path: the file.
        what: it is, for messages.

    Raises:
        ConfigError: there is no such file, it is no YAML, or it extends itself.
    """
    try:
        with os_errors(f"read the {what}", path):
            tree = _parse_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a YAML file: {error}") from error
    except ArtefactError as error:
        raise ConfigError(str(error)) from error
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be read as the YAML of a {what}: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, found {type(tree).__name__}")
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    if not isinstance(parent, str) or unusable(parent):
        raise ConfigError(f"{path}: extends must name another {what}, found {parent!r}")
    children = (*_children, path.absolute())
    above = path.parent / parent
    if any(above.exists() and child.exists() and child.samefile(above) for child in children):
        raise ConfigError(f"{path}: extends {parent!r}, which extends this {what} in turn; break the circle")
    return merge(read_yaml(above, what, children), tree)


def _strict_int(value: Any, _: type) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"expected a whole number, found {value!r}")
    return value


def _strict_float(value: Any, _: type) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ConfigError(f"expected a number, found {value!r}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"expected a number, found {value!r}")
    if not math.isfinite(value):
        raise ConfigError(f"expected a finite number, found {value!r}")
    return float(value)


def _strict_bool(value: Any, _: type) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"expected true or false, found {value!r}")
    return value


def _strict_str(value: Any, _: type) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"expected text, found {value!r}")
    if unusable(value):
        raise ConfigError(f"expected text, found a NUL character or a lone surrogate in {value!a}")
    return value


def _one_of(kind: Any) -> Callable[[Any, Any], Any]:
    """The function that takes a Literal's choices alone."""
    choices = typing.get_args(kind)

    def chosen(value: Any, _: Any) -> Any:
        if value not in choices:
            raise ConfigError(f"{value!r} is none of {', '.join(map(str, choices))}")
        return value

    return chosen


def _of_mapping(structure: Callable[[Any, type], Any]) -> Callable[[Any, type], Any]:
    """A dataclass's function of cattrs, which takes for granted that it is given a mapping."""

    def checked(value: Any, cls: type) -> Any:
        if not isinstance(value, Mapping):
            raise ConfigError(f"expected settings as a mapping of names, found {value!r}")
        for name in _list_fields(cls):
            if isinstance(value.get(name), str):  # which would be taken apart, letter by letter
                raise ConfigError(f"{name}: expected a list, found the text {value[name]!r}; write [{value[name]}]")
        return structure(value, cls)

    return checked


@functools.cache
def _list_fields(cls: type) -> tuple[str, ...]:
    """Names of a dataclass's fields that take a list; asked for every row of a table, so answered once."""
    return tuple(name for name, kind in annotations(cls).items() if _is_list(kind))


def _is_list(kind: Any) -> bool:
    """Whether a field takes a list, or nothing, and no text."""
    choices = typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
    lists = [typing.get_origin(one) in (tuple, list, Sequence) for one in choices if one is not type(None)]
    return bool(lists) and all(lists)


def _is_name_or_settings(kind: Any) -> bool:
    """Whether a field takes either a name or settings (`str | SomeDataclass`)."""
    arguments = typing.get_args(kind) if isinstance(kind, types.UnionType) else ()
    return len(arguments) == 2 and arguments[0] is str and dataclasses.is_dataclass(arguments[1])


def _default(member: type, name: str) -> Any:
    """What a setting is where none is given; of one that must be given, something that is not None."""
    found = next((one for one in dataclasses.fields(member) if one.name == name), None)
    return name if found is None or found.default is dataclasses.MISSING else found.default


class Structurer:
    """Turns trees of plain values into settings dataclasses and back.

    Args:
        families: protocol class (as used in annotations) to the registry its `name` is looked up in.
        trusted: whether settings may run code: `name: module:Class`, which imports a module, and those that a member's class
            lists in `programs`, which start one, or in `joins`, which connect to other machines; and whether they may send
            recordings away, by those that it lists in `sends`. False for settings that came with somebody's files.
    """

    def __init__(self, families: Mapping[type, Registry] | None = None, *, trusted: bool = True) -> None:
        self.families = dict(families or {})
        self.trusted = trusted
        converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
        converter.register_structure_hook_factory(
            dataclasses.is_dataclass,
            lambda cls: _of_mapping(make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True)),
        )
        converter.register_structure_hook_factory(lambda kind: typing.get_origin(kind) is typing.Literal, _one_of)
        for kind, hook in ((int, _strict_int), (float, _strict_float), (bool, _strict_bool), (str, _strict_str)):
            converter.register_structure_hook(kind, hook)
        converter.register_structure_hook(Path, lambda value, _: Path(_strict_str(value, str)))
        converter.register_unstructure_hook(Path, str)
        converter.register_structure_hook_func(lambda kind: kind in self.families, self._structure_member)
        converter.register_structure_hook_func(self._is_optional_member, self._structure_optional_member)
        converter.register_structure_hook_func(_is_name_or_settings, self._structure_name_or_settings)
        self._converter = converter

    def _structure_name_or_settings(self, value: Any, kind: Any) -> Any:
        named, settings = typing.get_args(kind)
        return self._converter.structure(value, settings if isinstance(value, Mapping) else named)

    def _is_optional_member(self, kind: Any) -> bool:
        arguments = typing.get_args(kind)
        return type(None) in arguments and len(arguments) == 2 and any(a in self.families for a in arguments)

    def _structure_optional_member(self, value: Any, kind: Any) -> Any:
        family = next(a for a in typing.get_args(kind) if a in self.families)
        return None if value is None else self._structure_member(value, family)

    def _structure_member(self, value: Any, family: type) -> Any:
        registry = self.families[family]
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and registry.default is not None:
            value = {"name": registry.default, **value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ConfigError(f"expected {{name: ..., settings}} of family {registry.family}, found {value!r}")
        settings = {key: item for key, item in value.items() if key != "name"}
        member = registry.get(value["name"], trusted=self.trusted)
        if not dataclasses.is_dataclass(member):
            raise ConfigError(f"{registry.family}: {value['name']!r}: expected a dataclass of settings, found {member!r}")
        for attribute, deed in () if self.trusted else UNSAFE.items():
            named = [one for one in getattr(member, attribute, ()) if settings.get(one, _default(member, one)) is not None]
            if named:
                raise ConfigError(
                    f"{registry.family}: {value['name']!r} would {deed} ({', '.join(named)}), which files from elsewhere "
                    "may not; trust them explicitly if you know where they come from"
                )
        return self._converter.structure(settings, member)

    def structure(self, tree: Any, kind: Any, where: str = "") -> Any:
        """Returns an instance of `kind`; raises ConfigError naming every key that is wrong, and where."""
        try:
            return self._converter.structure(tree, kind)
        except LpoTtsError as error:
            raise ConfigError(f"{where}: {error}" if where else str(error)) from error
        except RecursionError:
            raise ConfigError(f"{where or 'settings'}: nested too deep, or within itself") from None
        except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
            raise ConfigError("\n".join(_explain(error, where))) from error

    def unstructure(self, value: Any, kind: Any = None) -> Any:
        """The inverse of `structure`: plain JSON-able values, members as {name, settings}.

        Args:
            value: settings, or containers of settings.
            kind: as what the value was declared. A member of a family gets its name by that: registered or `module:Class`.
        """
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            kinds = annotations(type(value))
            tree = {
                field.name: self.unstructure(getattr(value, field.name), kinds.get(field.name))
                for field in dataclasses.fields(value)
                if field.init
            }
            registry = self._registry(value, kind)
            return tree if registry is None else {"name": registry.name_of(type(value)), **tree}
        arguments = [one for one in typing.get_args(kind) if one is not Ellipsis]
        if isinstance(value, Mapping):
            inner = arguments[1] if len(arguments) == 2 else None
            return {str(key): self.unstructure(item, inner) for key, item in value.items()}
        if isinstance(value, list | tuple):
            inner = arguments[0] if arguments else None
            return [self.unstructure(item, inner) for item in value]
        return str(value) if isinstance(value, Path) else value

    def _registry(self, value: Any, kind: Any) -> Registry | None:
        """The family of a member; None for other settings."""
        declared = next((one for one in (kind, *typing.get_args(kind)) if _hashable(one) and one in self.families), None)
        if declared is not None:
            return self.families[declared]
        return next((one for one in self.families.values() if one.name_of(type(value)) in one.members), None)


def _hashable(kind: Any) -> bool:
    return getattr(kind, "__hash__", None) is not None


def _explain(error: Any, where: str) -> list[str]:
    """Flattens cattrs' tree of exceptions to one line per fault: `section.key: what is wrong`."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in dataclasses.fields(error.cl)] if dataclasses.is_dataclass(error.cl) else []
        lines = []
        for key in sorted(error.extra_fields):
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f" (known: {', '.join(known)})"
            lines.append(f"{_join(where, key)}: unknown key{hint}")
        return lines
    if isinstance(error, cattrs.BaseValidationError):
        if isinstance(error, IterableValidationError):
            grouped, rest = error.group_exceptions()
            located = [(inner, _index(where, note.index)) for inner, note in grouped]
        else:
            grouped, rest = error.group_exceptions()  # type: ignore[attr-defined]
            located = [(inner, _join(where, note.name)) for inner, note in grouped]
        located += [(inner, where) for inner in rest]
        return [line for inner, place in located for line in _explain(inner, place)]
    if isinstance(error, KeyError):
        return [f"{where}: missing"]
    return [f"{where}: {error}" if where else str(error)]


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _index(where: str, key: object) -> str:
    return f"{where}[{key}]" if isinstance(key, int) else _join(where, key)


def check_name(name: str, value: str) -> None:
    """Raises ConfigError for what cannot name a table or folder of its own: letters, digits, - and _ alone are allowed."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", value):
        raise ConfigError(f"{name}: expected a name of letters, digits, - and _ (at most 100), found {value!r}")


def check_folder(name: str, value: str) -> None:
    """Raises ConfigError for what is no folder below the run folder."""
    parts = Path(value).parts
    if not parts or Path(value).is_absolute() or ".." in parts:
        raise ConfigError(f"{name}: expected a folder below the run folder, found {value!r}")


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Where two trees of plain values differ, as `key: old -> new` lines."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines: list[str] = []
        for key in [*old, *(key for key in new if key not in old)]:
            lines += differences(old.get(key), new.get(key), _join(where, key))
        return lines
    if isinstance(old, Sequence) and isinstance(new, Sequence) and not isinstance(old, str) and not isinstance(new, str):
        return [] if list(old) == list(new) else [f"{where}: {_short(old)} -> {_short(new)}"]
    return [] if old == new else [f"{where}: {_short(old)} -> {_short(new)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
