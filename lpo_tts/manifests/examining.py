"""From a recording as a corpus names it to a row of the manifest, or to the reason why there is none."""

import itertools
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lpo_tts import audio
from lpo_tts.engines.local import map_blocks
from lpo_tts.errors import ArtefactError, unusable
from lpo_tts.manifests import filters
from lpo_tts.manifests.hashes import HashTable, fingerprint
from lpo_tts.manifests.options import Options
from lpo_tts.manifests.recordings import Dropped, Recording
from lpo_tts.manifests.sentences import sentence_key
from lpo_tts.manifests.splits import split_of, split_of_speaker
from lpo_tts.metrics.base import LoadedMetric
from lpo_tts.places import ABSENT
from lpo_tts.records import Split, Utterance

BLOCK = 16  # recordings that one worker takes at a time
SLOW_BLOCK = 2  # the same where a network hears each for a second or more, so that a kill costs little


def examine(
    found: Iterable[Recording | Dropped], options: Options, seen: HashTable | None = None
) -> Generator[Utterance | Dropped, None, None]:
    """The row of each recording or why it has none, in order; what is found is taken from as rows are.

    An id that comes twice is a fault of its second row. `seen` holds the ids of an earlier part of the corpus.

    Raises:
        ComponentError: a filter needs a package that is missing, or a worker died.
    """
    seen = HashTable() if seen is None else seen
    size = BLOCK if options.min_dnsmos is None else SLOW_BLOCK
    for results in map_blocks(partial(_worker, options), _blocks(found, seen, size), options.workers):
        yield from results


def _blocks(found: Iterable[Recording | Dropped], seen: HashTable, size: int) -> Iterator[list[Recording | Dropped]]:
    source = iter(found)
    while block := list(itertools.islice(source, size)):
        yield [_first(one, seen) for one in block]


def _first(one: Recording | Dropped, seen: HashTable) -> Recording | Dropped:
    if isinstance(one, Recording) and is_known(one, seen):
        return Dropped(id=one.id, reason=f"the id comes twice, the second time for {one.audio}")
    return one


def is_known(recording: Recording, seen: HashTable) -> bool:
    """Whether the id came before; notes it. (An empty id is another fault.)"""
    if not recording.id.strip():
        return False
    key = fingerprint(recording.id)
    if key in seen:
        return True
    seen.put(key, 1)
    return False


def _worker(options: Options) -> "_Worker":
    return _Worker(options)


class _Worker:
    """What runs in each worker process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.dnsmos = filters.load_dnsmos(options)

    def __call__(self, block: Sequence[Recording | Dropped]) -> list[Utterance | Dropped]:
        results = (one if isinstance(one, Dropped) else check(one, self.options, self.dnsmos) for one in block)
        return [_listed(one) if isinstance(one, Dropped) else one for one in results]


def _listed(one: Dropped) -> Dropped:
    return replace(one, id=writable(one.id), reason=writable(one.reason))


def writable(text: str) -> str:
    """What is no text (bytes of a file name, a NUL) as escapes, so that it can stand in the list of failed rows."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def check(recording: Recording, options: Options, dnsmos: LoadedMetric | None = None) -> Utterance | Dropped:
    """The manifest row of one recording, or why there is none; reads the audio to its end, and once.

    Samples are decoded because a header knows neither NaN nor silence, and may be wrong about the length.

    Args:
        recording: of the corpus.
        options: of the user.
        dnsmos: the metric in memory, where `min_dnsmos` is given (`filters.load_dnsmos`).
    """
    fault = _text_fault(recording)
    if fault is not None:
        return Dropped(id=recording.id, reason=fault)
    found = filters.of_text(recording, options)
    if found is not None:
        return _left_out(recording, found)
    try:
        if audio.path_fault(recording.audio) == ABSENT:
            missing = f"no audio file {recording.audio}"
            return Dropped(id=recording.id, reason=missing, fault=not options.allow_missing, filter="missing")
        levels = filters.new_levels(recording, options)
        seconds, fault = audio.measure(recording.audio, None if levels is None else levels.add)
    except ArtefactError as error:
        return Dropped(id=recording.id, reason=f"unreadable audio: {error}")
    found = filters.of_duration(seconds, options) if seconds else None
    if found is not None:
        return _left_out(recording, found)
    if fault is not None:
        return Dropped(id=recording.id, reason=f"unusable audio: {recording.audio}: expected speech, found {fault}")
    try:
        found = filters.of_audio(recording, seconds, levels, options, dnsmos)
    except ArtefactError as error:
        return Dropped(id=recording.id, reason=str(error))
    return _row(recording, seconds, options) if found is None else _left_out(recording, found)


def _left_out(recording: Recording, found: filters.Found) -> Dropped:
    return Dropped(id=recording.id, reason=found[1], fault=False, filter=found[0])


def _text_fault(recording: Recording) -> str | None:
    if not recording.id.strip():
        return f"empty id, for {recording.audio}"
    for name, value in _texts(recording):
        if unusable(value):
            return f"{name} is no text: {ascii(value)[:120]} (a NUL byte or a lone surrogate)"
    if not sentence_key(recording.text):
        return f"empty text {recording.text!r}" if recording.text else "empty text"
    return None


def _texts(recording: Recording) -> list[tuple[str, str]]:
    """Everything of a recording that goes into the table as text, by name."""
    named = [(name, str(getattr(recording, name))) for name in ("id", "audio", "text", "speaker", "language")]
    return named + [("tags", text) for pair in recording.tags.items() for text in pair]


def _row(recording: Recording, seconds: float, options: Options) -> Utterance | Dropped:
    absolute = Path(os.path.realpath(recording.audio))
    place = absolute if options.absolute else Path(os.path.relpath(absolute, os.path.realpath(options.out.parent)))
    if unusable(place):  # where a link leads
        return Dropped(id=recording.id, reason=f"audio is no text: {ascii(str(place))[:120]} (a lone surrogate)")
    return Utterance(
        id=recording.id,
        audio=place.as_posix(),
        text=" ".join(recording.text.split()),
        duration=round(seconds, 4),
        speaker=recording.speaker,
        language=recording.language,
        split=recording.split or _split(recording, options),
        tags=recording.tags,
    )


def _split(recording: Recording, options: Options) -> Split:
    shares = options.dev, options.test, options.seed
    return split_of_speaker(recording.speaker, *shares) if options.by == "speaker" else split_of(recording.text, *shares)
