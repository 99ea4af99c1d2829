"""What a member's file says of it: caption, licence, rates, packages; read as text, so nothing heavy is imported."""

import ast
import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lpo_tts.registry import Registry

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"  # of a checkout
_BY_NAME = ("importlib.import_module", "importlib.util.find_spec")  # a member may use files of a package it does not run


@dataclass(frozen=True)
class Member:
    """One member of a family.

    Attributes:
        family: name of its family.
        name: as recipes write it.
        caption: first paragraph of its docstring.
        extras: extras of lpo-tts that install what its file imports; core dependencies need none.
        missing: in words, what this machine lacks of it: `lpo-tts[snac]`, or a package that no extra has.
        about: its class attribute `about`: `licence` of the published weights, `sample_rate` in Hz, `tokens_per_second`,
            and `extra` where the file's imports do not tell it. Empty where there is none.
    """

    family: str
    name: str
    caption: str = ""
    extras: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def describe(registry: Registry, name: str) -> Member:
    """Reads the file of a member; `name` may be `module:Class`, as in recipes."""
    module, _, attribute = registry.members.get(name, name).partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return Member(registry.family, name, missing=(f"module {module}",))
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = next((one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == attribute), None)
    if found is None:
        return Member(registry.family, name, missing=(f"class {attribute} in {module}",))
    about = _about(found)
    packages = sorted(_packages(tree) - set(sys.stdlib_module_names) - {module.partition(".")[0]})
    extras = {_extras()[one] for one in packages if one in _extras()}
    if "extra" in about:
        extras.add(about["extra"])
    missing = [_how_to_get(package) for package in packages if importlib.util.find_spec(package) is None]
    caption = " ".join((ast.get_docstring(found) or "").partition("\n\n")[0].split())
    return Member(registry.family, name, caption, tuple(sorted(extras)), tuple(dict.fromkeys(missing)), about)


def _about(found: ast.ClassDef) -> dict[str, Any]:
    """The literal dict that is assigned to `about` in the body of a class."""
    for node in found.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["about"]:
            return ast.literal_eval(node.value)
    return {}


def _packages(tree: ast.Module) -> set[str]:
    """Top-level packages that a file needs: imported anywhere, within functions too, or asked for by their name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in _BY_NAME:
            found |= {one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return {name.partition(".")[0] for name in found}


def _how_to_get(package: str) -> str:
    extra = _extras().get(package)
    return f"lpo-tts[{extra}]" if extra else package


@cache
def _extras() -> dict[str, str]:
    """Package -> the extra that installs it; the first one that names it.

    What is installed with lpo-tts itself needs no extra, whichever names it too.
    """
    found: dict[str, str] = {}
    core: set[str] = set()
    for requirement, extra in _requirements():
        package = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].replace("-", "_")
        if extra is None:
            core.add(package)
        elif extra != "dev":
            found.setdefault(package, extra)
    return {package: extra for package, extra in found.items() if package not in core}


def _requirements() -> list[tuple[str, str | None]]:
    """Each requirement with its extra: of the checkout, whose installation may be older, or of what is installed."""
    if PYPROJECT.is_file():
        project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
        optional = [(one, extra) for extra, listed in project["optional-dependencies"].items() for one in listed]
        return [*((one, None) for one in project["dependencies"]), *optional]
    try:
        requirements = importlib.metadata.requires("lpo-tts") or []
    except importlib.metadata.PackageNotFoundError:  # copied somewhere, and not installed
        return []
    extras = (re.search(r"extra == ['\"]([\w-]+)['\"]", one) for one in requirements)
    return [(one, extra and extra[1]) for one, extra in zip(requirements, extras, strict=True)]
