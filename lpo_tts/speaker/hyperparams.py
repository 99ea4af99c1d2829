"""SpeechBrain's hyperparams.yaml, read as data: its tags (`!new:`, `!ref`, `!name:`) are kept as text and run nothing."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lpo_tts.errors import ComponentError

_REFERENCE = re.compile(r"<([A-Za-z_]\w*)>")
_MAX_STEPS = 16  # of references that lead to references
Plain = None | bool | int | float | str


@dataclass(frozen=True)
class Tagged:
    """A value with a tag of its own: `!new:module.Class {...}` is tag `!new:module.Class` and a mapping."""

    tag: str
    value: Any


class _Reader(yaml.SafeLoader):
    """PyYAML's safe loader, which keeps unknown tags as `Tagged` and refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_tagged(self, _: str, node: yaml.Node) -> Tagged:
        """The same for every tag; a tag without a value has None."""
        if isinstance(node, yaml.MappingNode):
            return Tagged(node.tag, self.construct_mapping(node, deep=True))
        if isinstance(node, yaml.SequenceNode):
            return Tagged(node.tag, self.construct_sequence(node, deep=True))
        return Tagged(node.tag, self.construct_scalar(node) or None)  # type: ignore[arg-type]


_Reader.add_multi_constructor("", _Reader.construct_tagged)
# 1e-10 is a number to SpeechBrain, which reads YAML 1.2.
_Reader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789"))


def read(path: Path) -> dict[str, Any]:
    """The top-level keys of the file; nothing is built, imported or included.

    Raises:
        ComponentError: the file is missing, not UTF-8, not YAML, or no mapping.
    """
    if not path.is_file():
        raise ComponentError(f"{path}: expected SpeechBrain's settings of a speaker encoder, found no such file")
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Reader)  # a subclass of SafeLoader
    except OSError as error:
        raise ComponentError(f"{path}: cannot read it: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        shown = " ".join(str(error).split())
        raise ComponentError(f"{path}: expected SpeechBrain's settings of a speaker encoder, not YAML: {shown}") from error
    if not isinstance(tree, dict):
        raise ComponentError(f"{path}: expected SpeechBrain's settings of a speaker encoder, found no mapping")
    return tree


def value(tree: Mapping[str, Any], item: Any, where: str) -> Plain:
    """A plain value, `!ref <key>` followed; raises ComponentError for anything else."""
    for _ in range(_MAX_STEPS):
        if not isinstance(item, Tagged):
            break
        match = _REFERENCE.fullmatch(str(item.value)) if item.tag == "!ref" else None
        if match is None or match[1] not in tree:
            raise ComponentError(f"{where}: expected a plain value or `!ref <key of this file>`, found {_shown(item)}")
        item = tree[match[1]]
    if not isinstance(item, Plain):
        raise ComponentError(f"{where}: expected a plain value, found {_shown(item)}")
    return item


def arguments(
    tree: Mapping[str, Any], key: str, class_name: str, where: str, names: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The arguments of `key: !new:<class_name> {...}`: plain values, lists of them, and `!name:` of known classes.

    Args:
        tree: of `read`.
        key: of a part.
        class_name: the only one that is allowed, in full.
        where: for messages: the path of the file.
        names: what `!name:` may stand for, by full name.

    Raises:
        ComponentError: another class or tag, positional arguments, or a value that is none of these.
    """
    part = tree[key]
    if not isinstance(part, Tagged) or part.tag != f"!new:{class_name}":
        raise ComponentError(f"{where}: {key}: expected !new:{class_name}, found {_shown(part)}; no other class is built")
    if not isinstance(part.value, dict | None):
        raise ComponentError(f"{where}: {key}: expected arguments by name, found {_shown(part.value)}")
    found = {}
    for name, item in (part.value or {}).items():
        place = f"{where}: {key}.{name}"
        if isinstance(item, list):
            found[str(name)] = [value(tree, one, place) for one in item]
        elif isinstance(item, Tagged) and item.tag.startswith("!name:"):
            found[str(name)] = _named(item, names or {}, place)
        else:
            found[str(name)] = value(tree, item, place)
    return found


def _named(item: Tagged, names: Mapping[str, Any], where: str) -> Any:
    target = item.tag.removeprefix("!name:")
    if target not in names or item.value is not None:
        raise ComponentError(f"{where}: expected !name: of {_listed(names)} without arguments, found {_shown(item)}")
    return names[target]


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _shown(item: Any) -> str:
    text = f"{item.tag} {'' if item.value is None else item.value}".strip() if isinstance(item, Tagged) else repr(item)
    return text if len(text) <= 120 else text[:117] + "..."
