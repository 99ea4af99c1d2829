"""Recipes to start from: those of `recipes/` in a checkout, and their copies inside an installed package.

`python -m lpo_tts.starters docs/models.md` writes the table of models on that page anew.
"""

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpo_tts.config import read_yaml
from lpo_tts.errors import ConfigError, exit_code, os_errors

INSTALLED = Path(__file__).with_name("starter_recipes")  # setup.py copies `recipes` there when a wheel is built
CHECKOUT = Path(__file__).parents[1] / "recipes"
BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"


@dataclass(frozen=True)
class Starter:
    """What a recipe says of its model, without loading anything.

    Attributes:
        name: as `lpo-tts init` takes it.
        path: the file.
        model: hub id or folder of the model.
        codec: name of the codec, as recipes write it.
        about: the recipe's section `about`; see `lpo_tts.recipe.About`.
    """

    name: str
    path: Path
    model: str
    codec: str
    about: Mapping[str, Any] = field(default_factory=dict)


def folder() -> Path:
    """Where the recipes lie; raises ConfigError where there are none, as in a checkout without `recipes`."""
    for one in (INSTALLED, CHECKOUT):
        if any(one.glob("*.yaml")):
            return one
    raise ConfigError(f"no recipes in {INSTALLED} or {CHECKOUT}; install lpo-tts again, or work in a whole checkout")


def names() -> list[str]:
    """Of every recipe to start from, in order."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a recipe; the beginning of a name will do.

    Where several names begin so, it is the one that all of them begin with: `orpheus` is orpheus-3b beside
    orpheus-3b-pretrained.

    Raises:
        ConfigError: no recipe, or several, have this name; it lists them.
    """
    there = names()
    begun = sorted((one for one in there if one.startswith(name)), key=len)
    if name in there:
        return folder() / f"{name}.yaml"
    if name and begun and all(one.startswith(begun[0]) for one in begun):
        return folder() / f"{begun[0]}.yaml"
    if name and begun:
        raise ConfigError(f"several recipes begin with {name!r}: {', '.join(begun)}; name one of them")
    near = difflib.get_close_matches(name, there, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"no recipe named {name!r}{hint} (there are: {', '.join(there)})")


def read(name: str) -> Starter:
    """The head of one recipe, what it extends included."""
    path = find(name)
    tree = read_yaml(path)
    backbone, codec = tree.get("backbone") or {}, tree.get("codec") or {}
    return Starter(
        name=path.stem,
        path=path,
        model=str(backbone.get("model", "")),
        codec=codec if isinstance(codec, str) else str(codec.get("name", "")),
        about=tree.get("about") or {},
    )


def table() -> str:
    """The table of docs/models.md, one row for each recipe with a section `about`."""
    heads = (
        *("model", "hub id", "licence", "codec", "sample rate", "tokens/s", "recipe"),
        *("GPU memory to sample", "GPU memory to train", "verified, and not"),
    )
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for one in map(read, names()):
        if one.about:
            cells = (
                *(one.about.get("caption", ""), f"`{one.model}`", one.about.get("licence", ""), f"`{one.codec}`"),
                *(number(one.about.get("sample_rate"), " Hz"), number(one.about.get("tokens_per_second")), f"`{one.name}`"),
                *(one.about.get(key, "") for key in ("gpu_sampling", "gpu_training", "verified")),
            )
            lines.append("| " + " | ".join(" ".join(str(cell).replace("|", "\\|").split()) for cell in cells) + " |")
    return "\n".join(lines)


def number(value: Any, unit: str = "") -> str:
    """A number as people read it: `24,000 Hz`, `82.03`; empty for None."""
    return "" if value is None else f"{value:,.2f}".rstrip("0").rstrip(".") + unit


def with_table(page: str) -> str:
    """A page whose table between the two marks is replaced; raises ConfigError where a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"expected the marks {BEGIN} and {END} on the page, found no such pair")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Prints the table, or writes it into the page that is named."""
    if not arguments:
        print(table())  # noqa: T201
        return
    path = Path(arguments[0])
    with os_errors("write the table into", path):
        path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(exit_code("lpo_tts.starters", lambda: main(sys.argv[1:])))
