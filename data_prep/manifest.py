"""From what a corpus program finds to manifest.jsonl: checks, durations, splits disjoint by sentence, failed rows."""

import argparse
import hashlib
import math
import os
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lpo_tts import audio
from lpo_tts.artefacts import Artefact, Provenance, file_hash, write_rows
from lpo_tts.config import check_range
from lpo_tts.errors import ArtefactError, ConfigError, LpoTtsError
from lpo_tts.records import Split, Utterance


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording as a corpus names it, not yet checked; `split` None = assigned by the sentence's hash."""

    id: str
    audio: Path
    text: str
    speaker: str
    language: str = "en"
    split: Split | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A row that does not reach the manifest: `fault` tells a broken row from one that was asked to be left out."""

    id: str
    reason: str
    fault: bool = True


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every corpus program lets its user choose.

    Attributes:
        out: the manifest to write.
        min_duration: seconds; shorter recordings are left out.
        max_duration: seconds; longer recordings are left out.
        dev: share of the sentences that become split dev, in [0, 1).
        test: share of the sentences that become split test, in [0, 1).
        seed: another seed draws other sentences into dev and test.
        absolute: write absolute audio paths; else relative to the manifest's folder.
        allow_missing: a row without its audio file is left out instead of failing.
        max_failed: share of rows that may be broken.
    """

    out: Path
    min_duration: float = 0.5
    max_duration: float = 30.0
    dev: float = 0.02
    test: float = 0.02
    seed: int = 0
    absolute: bool = False
    allow_missing: bool = False
    max_failed: float = 0.01

    def __post_init__(self) -> None:
        check_range("min_duration", self.min_duration, 0)
        check_range("max_duration", self.max_duration, self.min_duration)
        for name in ("dev", "test", "max_failed"):
            check_range(name, getattr(self, name), 0, 1)
        if self.dev + self.test > 1:
            raise ConfigError(f"dev + test must be at most 1, found {self.dev} + {self.test}")
        if self.out.suffix != ".jsonl":
            raise ConfigError(f"out must be the path of a .jsonl file (DIR/manifest.jsonl), found {self.out}")


def sentence_key(text: str) -> str:
    """What makes two sentences the same: letters and digits without case, punctuation, or width.

    Not the WER normaliser on purpose: a change there must never move a sentence from test to train.
    """
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def split_of(text: str, dev: float, test: float, seed: int = 0) -> Split:
    """The split of a sentence by a stable hash: equal sentences share a split, in every corpus and order of rows."""
    digest = hashlib.sha256(f"{seed}:{sentence_key(text)}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return "test" if place < test else "dev" if place < test + dev else "train"


def check(recording: Recording, options: Options) -> Utterance | Dropped:
    """The manifest row of one recording, or why there is none; reads the audio file's header alone."""
    if not sentence_key(recording.text):
        return Dropped(id=recording.id, reason=f"empty text {recording.text!r}" if recording.text else "empty text")
    if not recording.audio.is_file():
        return Dropped(id=recording.id, reason=f"no audio file {recording.audio}", fault=not options.allow_missing)
    try:
        seconds = audio.duration(recording.audio)
    except ArtefactError as error:
        return Dropped(id=recording.id, reason=f"unreadable audio: {error}")
    if not options.min_duration <= seconds <= options.max_duration:
        reason = f"duration {seconds:.2f} s lies outside {options.min_duration:g} to {options.max_duration:g} s"
        return Dropped(id=recording.id, reason=reason, fault=False)
    absolute = recording.audio.resolve()
    return Utterance(
        id=recording.id,
        audio=str(absolute) if options.absolute else Path(os.path.relpath(absolute, options.out.parent.resolve())).as_posix(),
        text=" ".join(recording.text.split()),
        duration=round(seconds, 4),
        speaker=recording.speaker,
        language=recording.language,
        split=recording.split or split_of(recording.text, options.dev, options.test, options.seed),
        tags=recording.tags,
    )


def examine(found: Iterable[Recording | Dropped], options: Options) -> tuple[list[Utterance], list[Dropped]]:
    """Checks every recording; an id that comes twice is a fault of its second row."""
    rows: list[Utterance] = []
    dropped: list[Dropped] = []
    seen: set[str] = set()
    for one in tqdm(found, desc="manifest", unit=" files", disable=not sys.stderr.isatty(), leave=False):
        result: Utterance | Dropped = one if isinstance(one, Dropped) else check(one, options)
        if isinstance(one, Recording):
            if one.id in seen:
                result = Dropped(id=one.id, reason=f"the id comes twice, the second time for {one.audio}")
            seen.add(one.id)
        if isinstance(result, Dropped):
            dropped.append(result)
        else:
            rows.append(result)
    return rows, dropped


def write(found: Iterable[Recording | Dropped], options: Options, provenance: Provenance) -> str:
    """Writes the manifest, its failed rows and its side-car; returns one line that says what was done.

    Raises:
        ArtefactError: more than `max_failed` of the rows are broken, or none is left. The list of failed rows is then
            written; a manifest of an earlier run is left as it was.
    """
    rows, dropped = examine(found, options)
    faults = [one for one in dropped if one.fault]
    failed_path = options.out.with_name(f"{options.out.stem}.failed.jsonl")
    if dropped:
        write_rows(failed_path, [{"id": one.id, "reason": one.reason} for one in dropped])
    else:
        failed_path.unlink(missing_ok=True)
    total = len(rows) + len(faults)
    if total and len(faults) / total > options.max_failed:
        raise ArtefactError(
            f"{len(faults)} of {total} rows failed, more than --max-failed {options.max_failed:g}; see {failed_path}, "
            f"first: {faults[0].id}: {faults[0].reason}"
        )
    if not rows:
        reason = f" ({len(dropped)} left out, first: {dropped[0].id}: {dropped[0].reason})" if dropped else ""
        raise ArtefactError(f"{options.out}: no utterance to write{reason}; check the folder of the corpus and the options")
    artefact = Artefact(options.out, provenance)
    artefact.begin()
    write_rows(options.out, rows)
    splits = Counter(row.split for row in rows)
    counts = {"rows": len(rows), "failed": len(faults), "left_out": len(dropped) - len(faults)}
    artefact.finish(**counts, **{str(name): splits[name] for name in ("train", "dev", "test")})
    return _summary(options, rows, counts)


def _summary(options: Options, rows: Sequence[Utterance], counts: dict[str, int]) -> str:
    splits = Counter(row.split for row in rows)
    speakers = len({row.speaker for row in rows})
    line = (
        f"{options.out}: {counts['rows']} utterances, {_length(math.fsum(row.duration for row in rows))}, "
        f"{speakers} speaker{'s' * (speakers != 1)}; {splits['train']} train, {splits['dev']} dev, {splits['test']} test; "
        f"{counts['failed']} failed, {counts['left_out']} left out"
    )
    shared = shared_sentences(rows)
    if shared:
        line += f"\nwarning: {shared} sentences stand in more than one of the corpus' own splits"
    return line


def shared_sentences(rows: Iterable[Utterance]) -> int:
    """Sentences in more than one split: possible only where the corpus brings its own splits."""
    places: dict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        places[sentence_key(row.text)].add(row.split)
    return sum(len(splits) > 1 for splits in places.values())


def _length(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line all corpus programs share."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("raw", type=Path, metavar="RAW_DIR", help="folder of the corpus as it was downloaded")
    result.add_argument("--out", type=Path, required=True, metavar="DIR/manifest.jsonl", help="table to write")
    result.add_argument("--min-duration", type=float, default=Options.min_duration, help="seconds (default: %(default)s)")
    result.add_argument("--max-duration", type=float, default=Options.max_duration, help="seconds (default: %(default)s)")
    result.add_argument("--dev", type=float, default=Options.dev, help="share of sentences for dev (default: %(default)s)")
    result.add_argument("--test", type=float, default=Options.test, help="share of sentences for test (default: %(default)s)")
    result.add_argument("--seed", type=int, default=Options.seed, help="draws other dev and test sentences")
    result.add_argument("--absolute", action="store_true", help="absolute audio paths (default: relative to the manifest)")
    result.add_argument("--allow-missing", action="store_true", help="leave out rows whose audio is missing (default: they fail)")
    result.add_argument(
        "--max-failed", type=float, default=Options.max_failed, help="share of rows that may fail (default: %(default)s)"
    )
    return result


def run(
    corpus: str,
    arguments: argparse.Namespace,
    find: Callable[[argparse.Namespace], Iterable[Recording | Dropped]],
    tables: Callable[[argparse.Namespace], Sequence[Path]] = lambda _: (),
) -> int:
    """Finds, checks, writes; returns the exit code: 0, or 2 for what the user can mend.

    Args:
        corpus: name noted in the side-car.
        arguments: the parsed command line.
        find: yields what the corpus holds.
        tables: the transcript tables the rows come from; their hashes go into the side-car.
    """
    try:
        options = Options(**{name: getattr(arguments, name) for name in Options.__dataclass_fields__})
        if not arguments.raw.is_dir():
            raise ArtefactError(f"{arguments.raw}: expected the folder of the corpus, found none; check the path")
        inputs = {path.name: file_hash(path) for path in tables(arguments)}
        print(write(find(arguments), options, Provenance(f"data_prep/{corpus}", _settings(arguments), inputs)), file=sys.stderr)
    except LpoTtsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options as plain values; where folders lie is no part of what the manifest says."""
    return {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)}
