"""How far an evaluation keeps to the protocol of its suite, and how its report says where it does not."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evaluation.suite_files import Suite
from lpo_tts.steps.judges import EvaluateSettings
from lpo_tts.steps.reporting import Frame
from lpo_tts.steps.sources import Piece


@dataclass(frozen=True, kw_only=True)
class Extent:
    """What the protocol of a suite asks for, and what was asked for otherwise.

    Attributes:
        name: of the suite and its mode.
        num_prompts: of the suite.
        num_seeds: candidates per prompt.
        changes: settings that are others than the suite's, in words.
    """

    name: str
    num_prompts: int
    num_seeds: int
    changes: tuple[str, ...] = ()


def extent_of(suite: Suite, num_prompts: int, settings: EvaluateSettings, protocol: str | None) -> Extent:
    """What a suite asks for.

    Args:
        suite: with its own judges.
        num_prompts: of its table; what counts where nothing else fixes how many there should be.
        settings: the judges of this evaluation; some more than the suite's are no change.
        protocol: other rules for the figures than the suite's, by name; None: its own.
    """
    other = [name for name, judge in suite.evaluate.judges.items() if settings.judges.get(name) != judge]
    changes = [
        *([] if protocol is None else [f"protocol {protocol}"]),
        *([f"other settings of {', '.join(other)}"] if other else []),
        *([f"average {settings.average}"] if protocol is None and settings.average != suite.evaluate.average else []),
    ]
    return Extent(
        name=f"{suite.name}/{suite.mode}",
        num_prompts=suite.num_prompts or num_prompts,
        num_seeds=suite.num_seeds,
        changes=tuple(changes),
    )


def departures(extent: Extent, systems: Mapping[str, Sequence[Piece]]) -> Iterator[str]:
    """Where an evaluation leaves its protocol: "8 of 40 prompts", "1 of 3 seeds"; nothing where it keeps to all of it."""
    prompts = {piece.prompt.id for pieces in systems.values() for piece in pieces}
    if len(prompts) != extent.num_prompts:
        yield _share(len(prompts), extent.num_prompts, "prompts")
    seeds = {name: len({piece.seed for piece in pieces}) for name, pieces in systems.items()}
    others = {name: count for name, count in seeds.items() if count != extent.num_seeds}
    same = len(others) == len(seeds) and len(set(others.values())) == 1
    for name, count in list(others.items())[: 1 if same else None]:
        yield _share(count, extent.num_seeds, "seeds") + ("" if same else f" of {name}")
    yield from extent.changes


def _share(found: int, asked: int, noun: str) -> str:
    return f"{found:,} of {asked:,} {noun}" if found < asked else f"{found:,} {noun} in place of {asked:,}"


def marked(frame: Frame, extent: Extent, systems: Mapping[str, Sequence[Piece]], *, titled: bool) -> Frame:
    """The frame of a report, with title, note and provenance that say where the protocol was left.

    Args:
        frame: as it is for the whole protocol.
        extent: of the suite.
        systems: what was judged.
        titled: whether the title is the user's own, which stays as it is.
    """
    found = list(departures(extent, systems))
    if not found:
        return frame
    told = ", ".join(found)
    note = f"Not the whole protocol of {extent.name}: {told}. So these are no figures of that suite. {frame.note}"
    protocol = {**frame.provenance["protocol"], "departures": found}
    return dataclasses.replace(
        frame,
        title=frame.title if titled else f"{frame.title} ({told})",
        note=note.strip(),
        provenance={**frame.provenance, "protocol": protocol},
    )
