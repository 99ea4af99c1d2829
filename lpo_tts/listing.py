"""What `lpo-tts list` prints: the members of every family and the recipes, read from their files without importing torch."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from lpo_tts import (
    asr,
    backbones,
    codecs,
    comparers,
    engines,
    frontends,
    losses,
    metrics,
    rules,
    sampling,
    speaker,
    starters,
    trackers,
)
from lpo_tts.errors import ConfigError
from lpo_tts.members import Member, describe
from lpo_tts.registry import Registry
from lpo_tts.starters import Starter

FAMILIES = tuple(
    one.REGISTRY
    for one in (backbones, frontends, codecs, asr, speaker, metrics, comparers, rules, sampling, engines, losses, trackers)
)
RECIPES = "recipes"
WIDEST = 120  # columns; longer lines are hard to read even where the terminal has room
WHOLE = 32  # characters of a fact that is not divided
NAMES = 18  # columns that names may take before their caption stands closer


def listing(family: str | None = None, width: int | None = None) -> list[str]:
    """Lines for a terminal: of each family's members, and of the recipes, the caption and what there is to know before use.

    Args:
        family: only this one; `recipes` are listed as one too.
        width: columns; None: those of the terminal, at most 120.

    Raises:
        ConfigError: no family has this name.
    """
    width = min(width or shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    lines = [line for registry in _chosen(family) for line in _family(registry, width)]
    if family in (None, RECIPES):
        lines += _recipes(width)
    return lines


def as_json(family: str | None = None) -> str:
    """The same for machines: a list of objects with `family`, `name`, `caption`, and what is known beside.

    Raises:
        ConfigError: no family has this name.
    """
    rows: list[dict[str, Any]] = []
    for registry in _chosen(family):
        for member in (describe(registry, name) for name in sorted(registry)):
            facts = {key: member.about.get(key) for key in ("licence", "sample_rate", "tokens_per_second")}
            own = {"family": member.family, "name": member.name, "caption": member.caption}
            rows.append({**own, "extras": list(member.extras), "missing": list(member.missing), **facts})
    if family in (None, RECIPES):
        for one in map(starters.read, starters.names()):
            rows.append({"family": RECIPES, "name": one.name, "model": one.model, "codec": one.codec, **one.about})
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _chosen(family: str | None) -> list[Registry]:
    chosen = [one for one in FAMILIES if family in (None, one.family)]
    if not chosen and family != RECIPES:
        there = [*(one.family for one in FAMILIES), RECIPES]
        raise ConfigError(f"no family named {family!r} (there are: {', '.join(there)})")
    return chosen


def _family(registry: Registry, width: int) -> Iterator[str]:
    names = sorted(registry)
    yield from _wrapped(f"{registry.family}: {', '.join(names)}", "", "  ", width)
    column = min(NAMES, max(len(name) for name in names))
    for name in names:
        member = describe(registry, name)
        yield from _entry(name, member.caption, [_facts(member)], column, width)


def _facts(member: Member) -> list[str]:
    """What a member needs and is allowed for, in pieces."""
    extras = [f"extra: {', '.join(member.extras)}"] if member.extras else []
    lacking = [f"[needs {', '.join(member.missing)}]"] if member.missing else []
    return [*extras, *lacking, *_rates(member.about)]


def _rates(about: Mapping[str, Any]) -> list[str]:
    pieces = [
        f"licence: {about['licence']}" if about.get("licence") else "",
        starters.number(about.get("sample_rate"), " Hz"),
        starters.number(about.get("tokens_per_second"), " tokens/s"),
    ]
    return [piece for piece in pieces if piece]


def _recipes(width: int) -> Iterator[str]:
    there = [starters.read(name) for name in starters.names()]
    yield from _wrapped(f"{RECIPES}: {', '.join(one.name for one in there)}", "", "  ", width)
    column = min(NAMES, max(len(one.name) for one in there))
    for one in there:
        yield from _entry(one.name, str(one.about.get("caption", "")), _of_model(one), column, width)
    yield from _wrapped("`lpo-tts init NAME FOLDER` writes one of these recipes to start from.", "  ", "  ", width)


def _of_model(one: Starter) -> list[list[str]]:
    memory = {"GPU to sample": one.about.get("gpu_sampling"), "GPU to train": one.about.get("gpu_training")}
    return [[one.model, *_rates(one.about)], *([f"{what}: {text}"] for what, text in memory.items() if text)]


def _entry(name: str, caption: str, facts: list[list[str]], column: int, width: int) -> Iterator[str]:
    """Name and caption in two columns, and below the caption the facts; a long name has a line of its own.

    Each group of facts begins on a new line.
    """
    indent = " " * (column + 4)
    first = f"  {name:<{column}}  "
    if len(name) > column:
        yield first.rstrip()
        first = indent
    yield from _wrapped(caption, first, indent, width) if caption else [first.rstrip()]
    for group in filter(None, facts):
        # A short fact stays on one line: no line ends between a number and its unit.
        whole = [fact.replace(" ", "\N{NO-BREAK SPACE}") if len(fact) <= WHOLE else fact for fact in group]
        lines = _wrapped(" · ".join(whole), indent, indent, width)
        yield from (line.replace("\N{NO-BREAK SPACE}", " ") for line in lines)


def _wrapped(text: str, first: str, rest: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
