"""The templates and style sheets of this room; nothing here imports what reads audio."""

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment(**names: Any) -> Environment:
    """Where the templates of this room are found; `names` is what they may call."""
    made = Environment(
        loader=PackageLoader("lpo_tts.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(names)
    return made


def style(*names: str) -> Markup:
    """The style sheet of all pages, or those that are named, one after the other."""
    return Markup("\n").join(package_text(name) for name in names or ("style.css",))


def package_text(name: str) -> Markup:
    """A file of this room that goes into pages as it is."""
    return Markup(resources.files("lpo_tts.report").joinpath(name).read_text(encoding="utf-8"))
