"""A folder of recordings of your own, transcripts beside them or in one table, to manifest.jsonl."""

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from manifest import Dropped, Recording, parser, run

from lpo_tts.errors import ArtefactError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
COLUMNS = ("audio", "text")
OPTIONAL_COLUMNS = ("id", "speaker", "language", "split")
SPLITS = ("train", "dev", "test")


def find(arguments: argparse.Namespace) -> Iterator[Recording | Dropped]:
    """Rows of `--table`, or every audio file with the text file beside it."""
    if arguments.table is not None:
        yield from _from_table(arguments)
        return
    for path in sorted(arguments.raw.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not path.name.startswith("."):
            yield _beside(path, arguments)


def _beside(path: Path, arguments: argparse.Namespace) -> Recording | Dropped:
    name = path.relative_to(arguments.raw)
    transcript = path.with_name(path.stem + arguments.transcript_suffix)
    if not transcript.is_file():
        return Dropped(id=_id(name), reason=f"no transcript {transcript}")
    try:
        text = transcript.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return Dropped(id=_id(name), reason=f"{transcript} is not UTF-8 text: {error}")
    return Recording(id=_id(name), audio=path, text=text, speaker=_speaker(name, arguments), language=arguments.language)


def _from_table(arguments: argparse.Namespace) -> Iterator[Recording | Dropped]:
    for number, row in _rows(arguments.table):
        where = f"{arguments.table.name}:{number}"
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
            audio=arguments.raw / name,  # an absolute path stays itself
            text=row.get("text", ""),
            speaker=row.get("speaker") or _speaker(name, arguments),
            language=row.get("language") or arguments.language,
            split=split,
        )


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Numbered rows of a .csv (comma, quoted), .tsv (tab, not quoted) or .jsonl table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".jsonl":
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield number, _object(line, f"{path}:{number}")
                return
            if path.suffix not in (".csv", ".tsv"):
                raise ArtefactError(f"{path}: expected a .csv, .tsv or .jsonl table, found {path.suffix or 'no suffix'}")
            quoting = csv.QUOTE_NONE if path.suffix == ".tsv" else csv.QUOTE_MINIMAL
            reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", quoting=quoting)
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise ArtefactError(f"{path}: expected columns audio and text in the first line, found {found}")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror or error}; check --table") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtefactError(f"{path} is not a table of UTF-8 text: {error}") from error


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ArtefactError(f"{where}: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise ArtefactError(f'{where}: expected {{"audio": ..., "text": ...}}, found {type(row).__name__}')
    return row


def _id(name: Path) -> str:
    """The path below RAW_DIR as one word without separators: ids become parts of file names."""
    return re.sub(r"[^\w.]+", "-", name.with_suffix("").as_posix()).strip("-")


def _speaker(name: Path, arguments: argparse.Namespace) -> str:
    """The first folder below RAW_DIR, unless `--speaker` says that all is one voice."""
    if arguments.speaker is not None:
        return arguments.speaker
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
    command.add_argument("--transcript-suffix", default=".txt", help="e.g. .normalized.txt for LibriTTS (default: %(default)s)")
    command.add_argument(
        "--speaker", help="one speaker for all (default: the speaker column, else the first folder below RAW_DIR)"
    )
    command.add_argument("--language", default="en", help="where no column says else (default: %(default)s)")
    return run("folder", command.parse_args(arguments), find, lambda options: [options.table] if options.table else [])


if __name__ == "__main__":
    sys.exit(main())
