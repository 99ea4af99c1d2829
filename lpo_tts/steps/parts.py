"""The parts of a recipe before they are loaded: what each would download from a hub, and what it expects to find there.

A member of any family may have a method `expects()`, which returns lines for people without loading anything. A part
without it tells what its class says in `about`, and a backbone what its slots, ends and template say.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lpo_tts import hf
from lpo_tts.backbones.base import Backbone
from lpo_tts.backbones.expected import expected
from lpo_tts.fingerprints import SOURCES
from lpo_tts.members import Member, describe
from lpo_tts.registry import Registry


@dataclass(frozen=True)
class Part:
    """One part of a recipe.

    Attributes:
        where: what it is there, for people: `codec`, `score wer`.
        settings: the member.
    """

    where: str
    settings: Any


@dataclass(frozen=True)
class Download:
    """Something on a hub that a part is loaded from, and that is not on this machine.

    Attributes:
        part: which it belongs to.
        holder: the settings that name it; those of the part, or of a member inside (a recogniser within a metric).
        source: the hub id.
        revision: the commit, tag or branch; None: whatever the hub has that day.
    """

    part: Part
    holder: Any
    source: str
    revision: str | None

    @property
    def at(self) -> str:
        """The id with its revision."""
        return self.source if self.revision is None else f"{self.source} at revision {self.revision}"


def downloads(part: Part) -> list[Download]:
    """What a part names on a hub and this machine does not hold."""
    return list(_downloads(part, part.settings))


def _downloads(part: Part, holder: Any) -> Iterator[Download]:
    """Members that take no `revision` read folders alone, whatever the form of the name."""
    for name, value in _fields(holder):
        if dataclasses.is_dataclass(value):
            yield from _downloads(part, value)
        elif name in SOURCES and isinstance(value, str) and hasattr(holder, "revision") and _is_missing(value, holder.revision):
            yield Download(part, holder, value, holder.revision)


def _is_missing(source: str, revision: str | None) -> bool:
    """Whether a hub would be asked; of a path that is not there loading says what is wrong."""
    return hf.may_be_hub_id(source) and not hf.is_cached(source, revision)


def _fields(settings: Any) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(settings):
        yield from ((field.name, getattr(settings, field.name)) for field in dataclasses.fields(settings))


def outlook(parts: Sequence[Part], families: Mapping[type, Registry]) -> list[str]:
    """Lines for people: what would be downloaded for these parts, and what is expected of it; empty where all is here."""
    missing = [one for part in parts for one in downloads(part)]
    if not missing:
        return []
    verb = "would download" if hf.is_offline() else "downloads what the hub has of"
    lines = [f"{verb} (sizes are known to the hub alone):"]
    grouped: dict[tuple[str, type], list[Download]] = {}
    for one in missing:
        grouped.setdefault((one.at, type(one.holder)), []).append(one)
    for (at, _), same in grouped.items():
        member = member_of(same[0].holder, families)
        pinned = "" if same[0].revision else ", newest revision"
        licence = f", licence: {member.about['licence']}" if "licence" in member.about else ""
        lines.append(f"  {at}{pinned}{licence}")
        places = ", ".join(dict.fromkeys(one.part.where for one in same))
        lines.append(f"    for {places}; read by {member.family}/{member.name} ({type(same[0].holder).__name__})")
    lines.append("expects:")
    same_words: dict[tuple[str, ...], list[str]] = {}
    for one in missing:
        same_words.setdefault(_expectations(one, families), []).append(one.part.where)
    for words, places in same_words.items():
        lines.append(f"  {', '.join(dict.fromkeys(places))}:")
        lines += [f"    {line}" for line in words]
    return lines


def _expectations(one: Download, families: Mapping[type, Registry]) -> tuple[str, ...]:
    """Of a metric it is the recogniser or encoder inside that knows more."""
    found = _own(one.part.settings, families) or _own(one.holder, families)
    return tuple(found or ["nothing that its settings tell; loading it looks"])


def _own(settings: Any, families: Mapping[type, Registry]) -> list[str] | None:
    """What a part says of itself; None where it says nothing."""
    if hasattr(settings, "expects"):
        return list(settings.expects())
    member = member_of(settings, families)
    if member.family == families[Backbone].family:
        return expected(settings)
    rates = [
        f"audio at {member.about['sample_rate']:,} Hz" if "sample_rate" in member.about else "",
        f"{member.about['tokens_per_second']:g} codes a second by default" if "tokens_per_second" in member.about else "",
    ]
    return [member.caption, ", ".join(one for one in rates if one)] if any(rates) else None


def member_of(settings: Any, families: Mapping[type, Registry]) -> Member:
    """What the file of a part's class says; of a class outside all families its name alone."""
    for registry in families.values():
        name = registry.name_of(type(settings))
        if name in registry.members:
            return describe(registry, name)
    cls = type(settings)
    return Member("own", f"{cls.__module__}:{cls.__qualname__}", about=dict(getattr(cls, "about", {})))


def absent(part: Part, families: Mapping[type, Registry]) -> str | None:
    """One line for a part that cannot be loaded while no hub is asked, and what to do; None where it may be tried."""
    missing = downloads(part) if hf.is_offline() else []
    if not missing:
        return None
    commands = " and ".join(
        f"`hf download {one.source}{f' --revision {one.revision}' if one.revision else ''}`" for one in missing
    )
    lacking = dict.fromkeys(name for one in missing for name in member_of(one.holder, families).missing)
    install = f"; it also needs {', '.join(lacking)}: pip install {' '.join(repr(name) for name in lacking)}" if lacking else ""
    return (
        f"{part.where}: {' and '.join(one.at for one in missing)} is not on this machine, and no hub is asked; fetch it by "
        f"{commands}, or name a folder{install}"
    )
