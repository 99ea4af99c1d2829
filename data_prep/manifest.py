"""From what a corpus program finds to manifest.jsonl: checks, durations, splits disjoint by sentence, failed rows."""

import argparse
import hashlib
import math
import os
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lpo_tts import audio
from lpo_tts.artefacts import Artefact, Provenance, file_hash, write_rows
from lpo_tts.bounds import at_least, check_value
from lpo_tts.errors import ArtefactError, ConfigError, exit_code, os_error_text, os_errors, unusable
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
        check_value("min_duration", self.min_duration, at_least(0))
        check_value("max_duration", self.max_duration, at_least(self.min_duration))
        for name in ("dev", "test", "max_failed"):
            check_value(name, getattr(self, name), at_least(0).at_most(1))
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
    """The manifest row of one recording, or why there is none; reads the audio to its end.

    Samples are decoded because a header knows neither NaN nor silence, and may be wrong about the length.
    """
    if not recording.id.strip():
        return Dropped(id=recording.id, reason=f"empty id, for {recording.audio}")
    for name, value in _texts(recording):
        if unusable(value):
            return Dropped(id=recording.id, reason=f"{name} is no text: {ascii(value)[:120]} (a NUL byte or a lone surrogate)")
    if not sentence_key(recording.text):
        return Dropped(id=recording.id, reason=f"empty text {recording.text!r}" if recording.text else "empty text")
    if not os.path.lexists(recording.audio):
        return Dropped(id=recording.id, reason=f"no audio file {recording.audio}", fault=not options.allow_missing)
    try:
        seconds, fault = audio.measure(recording.audio)
    except ArtefactError as error:
        return Dropped(id=recording.id, reason=f"unreadable audio: {error}")
    if seconds and not options.min_duration <= seconds <= options.max_duration:
        reason = f"duration {seconds:.2f} s lies outside {options.min_duration:g} to {options.max_duration:g} s"
        return Dropped(id=recording.id, reason=reason, fault=False)
    if fault is not None:
        return Dropped(id=recording.id, reason=f"unusable audio: {recording.audio}: expected speech, found {fault}")
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
        split=recording.split or split_of(recording.text, options.dev, options.test, options.seed),
        tags=recording.tags,
    )


def _texts(recording: Recording) -> list[tuple[str, str]]:
    """Everything of a recording that goes into the table as text, by name."""
    named = [(name, str(getattr(recording, name))) for name in ("id", "audio", "text", "speaker", "language")]
    return named + [("tags", text) for pair in recording.tags.items() for text in pair]


def examine(found: Iterable[Recording | Dropped], options: Options) -> tuple[list[Utterance], list[Dropped]]:
    """Checks every recording; an id that comes twice is a fault of its second row."""
    every = list(found)
    rows: list[Utterance] = []
    dropped: list[Dropped] = []
    seen: set[str] = set()
    pool = ThreadPoolExecutor()  # decoding lets other threads run
    try:
        results = pool.map(partial(_checked, options=options), every)
        progress = tqdm(results, "manifest", len(every), unit=" files", disable=not sys.stderr.isatty(), leave=False)
        for one, result in zip(every, progress, strict=True):
            if isinstance(one, Recording):
                if one.id in seen:
                    result = Dropped(id=one.id, reason=f"the id comes twice, the second time for {one.audio}")
                seen.add(one.id)
            if isinstance(result, Dropped):
                dropped.append(replace(result, id=_writable(result.id), reason=_writable(result.reason)))
            else:
                rows.append(result)
    finally:
        pool.shutdown(cancel_futures=True)
    return rows, dropped


def _checked(one: Recording | Dropped, options: Options) -> Utterance | Dropped:
    return one if isinstance(one, Dropped) else check(one, options)


def _writable(text: str) -> str:
    """What is no text (bytes of a file name, a NUL) as escapes, so that it can stand in the list of failed rows."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


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
        with os_errors("remove", failed_path):
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
    find: Callable[[], Iterable[Recording | Dropped]],
    tables: Callable[[], Mapping[str, Sequence[Path]]],
) -> int:
    """Finds, checks, writes; returns the exit code: 0, or 2 for what the user can mend.

    Args:
        corpus: name noted in the side-car.
        arguments: the parsed command line of `parser`, and what the corpus added to it; noted in the side-car.
        find: yields what the corpus holds. It is called when RAW_DIR is known to be a folder.
        tables: the files the texts come from, in groups by name; the hash of each group goes into the side-car.
    """

    def work() -> None:
        options = Options(**{name: getattr(arguments, name) for name in Options.__dataclass_fields__})
        with os_errors("read", arguments.raw):
            is_folder = arguments.raw.is_dir()
        if not is_folder:
            raise ArtefactError(f"{arguments.raw}: expected the folder of the corpus, found none; check the path")
        groups = tables()
        if os.path.realpath(options.out) in {os.path.realpath(path) for paths in groups.values() for path in paths}:
            raise ArtefactError(f"{options.out}: expected a table to write, found one the texts come from; choose another --out")
        inputs = {name: _hash(paths) for name, paths in groups.items()}
        print(write(find(), options, Provenance(f"data_prep/{corpus}", _settings(arguments), inputs)), file=sys.stderr)

    return exit_code(corpus, work)


def table_file(path: Path, what: str, advice: str = "check the path") -> Path:
    """The path of a table; raises ArtefactError when it is no plain file (a pipe would wait for ever)."""
    found = audio.path_fault(path)
    if found is not None:
        raise ArtefactError(f"{path}: expected {what}, found {found}; {advice}")
    return path


def walk(root: Path) -> Iterator[Path | Dropped]:
    """Everything below a folder, in the order of the paths; folders that were not entered come as `Dropped`.

    Links to folders are not followed: they may lead in a circle.
    """
    unread: list[OSError] = []
    found: list[tuple[Path, Path | Dropped]] = []
    for folder, folders, files in os.walk(root, onerror=unread.append):
        found += [(path, path) for path in (Path(folder, name) for name in files)]
        for path in (Path(folder, name) for name in folders):
            reason = f"{path} is a link to a folder and was not followed; give that folder as RAW_DIR"
            link = Dropped(id=str(path.relative_to(root)), reason=reason, fault=False) if path.is_symlink() else path
            found.append((path, link))
    for error in unread:
        path = Path(error.filename)
        found.append((path, Dropped(id=str(path.relative_to(root)), reason=os_error_text("read the folder", path, error))))
    yield from (one for _, one in sorted(found, key=lambda pair: pair[0]))


def _hash(paths: Sequence[Path]) -> str:
    """sha-256 of a file, or over the contents of several and their names below the folder they share."""
    if len(paths) == 1:
        return file_hash(paths[0])
    digest = hashlib.sha256()
    root = os.path.commonpath([path.parent for path in paths]) if paths else ""
    for path in paths:
        digest.update(f"{os.path.relpath(path, root)}:{file_hash(path)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options as plain values; where folders lie is no part of what the manifest says."""
    return {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)}
