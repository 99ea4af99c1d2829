"""What `lpo-tts list` prints: the members of every family, read from their files without importing them, and so torch."""

import ast
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lpo_tts import asr, backbones, codecs, engines, frontends, losses, metrics, rules, sampling, speaker
from lpo_tts.errors import ConfigError
from lpo_tts.registry import Registry

FAMILIES = tuple(one.REGISTRY for one in (backbones, frontends, codecs, asr, speaker, metrics, rules, sampling, engines, losses))


def listing(family: str | None = None) -> list[str]:
    """Lines for a terminal: the names of each family's members, and for every one its caption and what it lacks here.

    Raises:
        ConfigError: no family has this name.
    """
    chosen = [one for one in FAMILIES if family in (None, one.family)]
    if not chosen:
        raise ConfigError(f"no family named {family!r} (there are: {', '.join(one.family for one in FAMILIES)})")
    return [line for registry in chosen for line in _lines(registry)]


def _lines(registry: Registry) -> Iterator[str]:
    names = sorted(registry)
    width = max(len(name) for name in names)
    yield f"{registry.family}: {', '.join(names)}"
    for name in names:
        caption, lacking = describe(registry, name)
        yield f"  {name:<{width}}  {caption}" + (f" [{', '.join(lacking)}]" if lacking else "")


def describe(registry: Registry, name: str) -> tuple[str, list[str]]:
    """The first paragraph of a member's docstring, and in words the packages its file imports and this machine lacks."""
    module, _, attribute = registry.members[name].partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return "", [f"no module {module}"]
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == attribute)
    caption = " ".join((ast.get_docstring(next(found)) or "").partition("\n\n")[0].split())
    packages = sorted(_packages(tree) - set(sys.stdlib_module_names))
    return caption, [_how_to_get(package) for package in packages if importlib.util.find_spec(package) is None]


def _packages(tree: ast.Module) -> set[str]:
    """Top-level packages that a file imports anywhere, within functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _how_to_get(package: str) -> str:
    extra = _extras().get(package)
    return f"needs lpo-tts[{extra}]" if extra else f"needs {package}"


@cache
def _extras() -> dict[str, str]:
    """Package -> the extra that installs it, from the metadata of the installed lpo-tts; the first one that names it."""
    try:
        requirements = importlib.metadata.requires("lpo-tts") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return {}
    found: dict[str, str] = {}
    for requirement in requirements:
        match = re.match(r"([\w-]+).*extra == ['\"](\w+)['\"]", requirement)
        if match:
            found.setdefault(match[1].replace("-", "_"), match[2])
    return found
