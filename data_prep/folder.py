"""A folder of recordings of your own, transcripts beside them or in one table, to manifest.jsonl."""

import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.folder", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file, walk
from lpo_tts import audio
from lpo_tts.artefacts import loads, read_lines
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.places import ABSENT

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
COLUMNS = ("audio", "text")
OPTIONAL_COLUMNS = ("id", "speaker", "language", "split")
SPLITS = ("train", "dev", "test")
TRANSCRIPT_SUFFIX, LANGUAGE = ".txt", "en"


def find(
    raw: Path,
    *,
    table: Path | None = None,
    transcript_suffix: str = TRANSCRIPT_SUFFIX,
    speaker: str | None = None,
    language: str = LANGUAGE,
) -> Iterator[Recording | Dropped]:
    """Rows of `table`, or every audio file with the text file beside it.

    Args:
        raw: the folder; paths of the table are below it.
        table: a .csv, .tsv or .jsonl with audio and text, and optionally id, speaker, language, split.
        transcript_suffix: without a table, the transcript of a.wav is `a` with this suffix.
        speaker: of everything; else the speaker column, else the first folder below `raw`.
        language: of what no column says else of.

    Raises:
        ArtefactError: the table cannot be read, or lacks the columns audio and text.
    """
    if table is not None:
        yield from _from_table(raw, table, speaker, language)
        return
    for one in walk(raw):
        if isinstance(one, Dropped):
            yield one
        elif _is_audio(one):
            yield _beside(one, raw, transcript_suffix, speaker, language)


def tables(raw: Path, *, table: Path | None = None, transcript_suffix: str = TRANSCRIPT_SUFFIX) -> Mapping[str, Iterable[Path]]:
    """The table, or the transcripts that can be read."""
    if table is not None:
        return {table.name: [table_file(table, "a table", "check --table")]}
    beside = (_transcript(one, transcript_suffix) for one in walk(raw) if isinstance(one, Path) and _is_audio(one))
    return {f"*{transcript_suffix}": (path for path in beside if _is_readable(path))}


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def _transcript(path: Path, suffix: str) -> Path:
    return path.with_name(path.stem + suffix)


def _is_readable(path: Path) -> bool:
    try:
        return audio.path_fault(path) is None and os.access(path, os.R_OK)
    except ArtefactError:
        return False


def _beside(path: Path, raw: Path, suffix: str, speaker: str | None, language: str) -> Recording | Dropped:
    name = path.relative_to(raw)
    transcript = _transcript(path, suffix)
    try:
        found = audio.path_fault(path)
        if found is not None:
            return Dropped(id=_id(name), reason=f"{path}: expected an audio file, found {found}")
        found = audio.path_fault(transcript)
        if found is not None:
            return Dropped(id=_id(name), reason=f"no transcript {transcript}" + f" (found {found})" * (found != ABSENT))
        with os_errors("read", transcript):
            text = transcript.read_text(encoding="utf-8-sig")
    except ArtefactError as error:
        return Dropped(id=_id(name), reason=str(error))
    except UnicodeDecodeError as error:
        return Dropped(id=_id(name), reason=f"{transcript} is not UTF-8 text: {error}")
    return Recording(id=_id(name), audio=path, text=text, speaker=_speaker(name, speaker), language=language)


def _from_table(raw: Path, table: Path, speaker: str | None, language: str) -> Iterator[Recording | Dropped]:
    for number, row in _rows(table):
        where = f"{table.name}:{number}"
        if isinstance(row, Dropped):
            yield row
            continue
        wrong = [name for name in (*COLUMNS, *OPTIONAL_COLUMNS) if not isinstance(row.get(name, ""), str)]
        if wrong or not row.get("audio"):
            yield Dropped(id=str(row.get("id") or where), reason=f"{where}: expected text in {', '.join(wrong or ['audio'])}")
            continue
        split = row.get("split") or None
        name = Path(row["audio"])
        row_id = row.get("id") or _id(name)
        if split is not None and split not in SPLITS:
            yield Dropped(id=row_id, reason=f"{where}: split must be train, dev or test, found {split!r}")
            continue
        yield Recording(
            id=row_id,
            audio=raw / name,  # an absolute path stays itself
            text=row.get("text", ""),
            speaker=row.get("speaker") or _speaker(name, speaker),
            language=row.get("language") or language,
            split=split,
        )


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Dropped]]:
    """Numbered rows of a .csv (comma, quoted), .tsv (tab, not quoted) or .jsonl table."""
    if path.suffix == ".jsonl":
        for number, line in enumerate(read_lines(path), 1):
            if line.strip():
                yield number, _object(line, f"{path}:{number}")
    elif path.suffix in (".csv", ".tsv"):
        try:
            with os_errors("read", path), path.open(encoding="utf-8-sig", newline="") as file:
                yield from _cells(path, file)
        except UnicodeDecodeError as error:
            raise ArtefactError(f"{path} is not a table of UTF-8 text: {error}; convert it") from error
    else:
        raise ArtefactError(f"{path}: expected a .csv, .tsv or .jsonl table, found {path.suffix or 'no suffix'}")


def _cells(path: Path, file: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any] | Dropped]]:
    """Rows under the number of their first line. A quote that is never closed would swallow rows: it is refused."""
    form: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".tsv" else {"strict": True}
    reader = csv.reader(file, **form)
    names: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise ArtefactError(
                f"{path}:{number}: not a row: {error}; close the quote, and double quotes within a text"
            ) from error
        if any(_JOINED.search(line) for cell in cells for line in cell.split("\n")[1:]):
            raise ArtefactError(f"{path}:{number}: a quote opens here and is not closed before the next row; close it")
        if not cells:
            continue
        if names is None:
            names = cells
            absent = [name for name in COLUMNS if names.count(name) != 1]
            if absent:
                found = ", ".join(names)
                raise ArtefactError(
                    f"{path}: expected columns audio and text in the first line, found {found}; each must stand there once"
                )
        elif len(cells) > len(names):
            reason = f"{path.name}:{number}: expected {len(names)} cells, found {len(cells)}; put a text with commas in quotes"
            yield number, Dropped(id=f"{path.name}:{number}", reason=reason)
        else:
            yield number, dict(zip_longest(names, cells))
    if names is None:
        raise ArtefactError(f"{path}: expected columns audio and text in the first line, found nothing")


_JOINED = re.compile(rf"\.(?:{'|'.join(suffix[1:] for suffix in AUDIO_SUFFIXES)})\"?(?:,|$)", re.IGNORECASE)


def _object(line: str, where: str) -> Mapping[str, Any]:
    row = loads(line, where)
    if not isinstance(row, dict):
        raise ArtefactError(f'{where}: expected {{"audio": ..., "text": ...}}, found {type(row).__name__}')
    return row


def _id(name: Path) -> str:
    """The path below RAW_DIR as one word without separators: ids become parts of file names."""
    whole = name if "#t=" in name.name else name.with_suffix("")  # the times of a stretch tell it from others
    return re.sub(r"[^\w.]+", "-", whole.as_posix()).strip("-")


def _speaker(name: Path, everyone: str | None) -> str:
    """The first folder below RAW_DIR, unless all is one voice."""
    if everyone is not None:
        return everyone
    return name.parts[0] if len(name.parts) > 1 and not name.is_absolute() else "speaker"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument(
        "--table",
        type=Path,
        help="a .csv, .tsv or .jsonl with audio (path below RAW_DIR) and text, and if you like id, speaker, language, split "
        "(default: the transcript of a.wav is a.txt)",
    )
    suffix = "e.g. .normalized.txt for LibriTTS (default: %(default)s)"
    command.add_argument("--transcript-suffix", default=TRANSCRIPT_SUFFIX, help=suffix)
    command.add_argument(
        "--speaker", help="one speaker for all (default: the speaker column, else the first folder below RAW_DIR)"
    )
    command.add_argument("--language", default=LANGUAGE, help="where no column says else (default: %(default)s)")
    given = command.parse_args(arguments)
    beside = {"table": given.table, "transcript_suffix": given.transcript_suffix}
    return run(
        "folder",
        given,
        lambda: find(given.raw, speaker=given.speaker, language=given.language, **beside),
        lambda: tables(given.raw, **beside),
    )


if __name__ == "__main__":
    sys.exit(main())
