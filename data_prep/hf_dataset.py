"""A data set of the Hugging Face hub as local Parquet files (`hf download`) to manifest.jsonl, recordings beside it."""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.hf_dataset", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run
from data_prep.named_splits import split_in
from data_prep.parquet_rows import USUAL, columns, parquet_files, rows
from data_prep.tables import add_splits
from lpo_tts.artefacts import write_atomic
from lpo_tts.errors import os_errors
from lpo_tts.records import Split, file_name

SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff": ".mp3"}


def find(
    raw: Path,
    out: Path,
    names: Sequence[str] = (),
    *,
    chosen: Mapping[str, str | None] | None = None,
    language: str = "en",
    speaker: str | None = None,
    splits: Literal["corpus", "hash"] = "corpus",
) -> Iterator[Recording | Dropped]:
    """Rows of every file. Recordings that lie in a row are written, unchanged, to `audio/` beside the manifest.

    A file that is there with the same bytes is not written again, and none is replaced.

    Args:
        raw: the folder of the data set; paths in rows start from it and lie below it.
        out: the manifest that will be written.
        names: of files in the folder; none: every .parquet below it.
        chosen: what for (a key of USUAL) -> name of the column; what is not named is looked for under its usual names.
        language: where no column says else.
        speaker: of everything; None = the column, else each row is a speaker of its own.
        splits: "corpus" takes the split that a file name or folder tells (`train-00000-of-00012.parquet`); "hash" leaves it
            open.

    Raises:
        ArtefactError: a file is torn, or its columns are others; this comes before the first row.
    """
    files = [(path, columns(path, chosen or {})) for path in parquet_files(raw, names)]
    for path, held in files:
        split = _split(path, raw) if splits == "corpus" else None
        stem = "-".join(path.relative_to(raw).with_suffix("").parts)
        for one in rows(path, held):
            if isinstance(one, Dropped):
                yield one
                continue
            number, row = one
            row_id = _text(row.get("id")) or f"{stem}-{number}"
            audio = _audio(row["audio"], row_id, raw, out.parent / "audio")
            if not isinstance(row["text"], str) or isinstance(audio, str):
                what = audio if isinstance(audio, str) else f"text {row['text']!r}"
                yield Dropped(id=row_id, reason=f"{path}: row {number}: expected a recording and its text, found {what}")
                continue
            yield Recording(
                id=row_id,
                audio=audio,
                text=row["text"],
                speaker=speaker or _text(row.get("speaker")) or row_id,
                language=_text(row.get("language")) or language,
                split=split,
            )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _split(path: Path, raw: Path) -> Split | None:
    """The split that the file's name tells, else the nearest folder's below `raw`."""
    names = [path.stem, *reversed(path.relative_to(raw).parts[:-1])]
    return next((split for split in map(split_in, names) if split is not None), None)


def _audio(value: Any, row_id: str, raw: Path, folder: Path) -> Path | str:
    """The file of a recording, which is written where the row holds its bytes; or what was found instead."""
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(data, str):
        data, path = None, data
    if data:
        try:
            return _written(data, folder, file_name(row_id), _suffix(data, path))
        except ValueError as error:
            return f"an id that names no file ({error})"
    if not isinstance(path, str) or not path:
        return "no recording" if data is None else "a recording of 0 bytes"
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:  # a data set may come from anybody
        return f"the path {path!r}, which leads out of {raw}"
    return raw / path


def _suffix(data: bytes, path: str | None) -> str:
    own = PurePosixPath(path or "").suffix.lower()
    return own if SUFFIX.fullmatch(own) else next((end for start, end in MAGIC.items() if data.startswith(start)), "")


def _written(data: bytes, folder: Path, name: str, suffix: str) -> Path:
    """The file with these bytes: there already, or written whole. Another recording of the same id keeps its file."""
    path = folder / f"{name}{suffix}"
    if path.exists() and not _holds(path, data):
        path = folder / f"{name}.{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
    if not (path.exists() and _holds(path, data)):
        write_atomic(path, data)
    return path


def _holds(path: Path, data: bytes) -> bool:
    with os_errors("read", path):
        return path.stat().st_size == len(data) and path.read_bytes() == data


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument("--files", nargs="+", default=(), metavar="FILE", help="in RAW_DIR (default: every .parquet below it)")
    for use, usual in USUAL.items():
        command.add_argument(f"--{use}-column", metavar="NAME", help=f"default: the first there is of {', '.join(usual)}")
    command.add_argument("--language", default="en", help="where no column says else (default: %(default)s)")
    command.add_argument("--speaker", help="one speaker for all (default: the column, else each row is a speaker of its own)")
    add_splits(command, "corpus", "train, validation or test in the name of a file or folder")
    given = command.parse_args(arguments)
    chosen = {use: getattr(given, f"{use}_column") for use in USUAL}
    options = {"chosen": chosen, "language": given.language, "speaker": given.speaker, "splits": given.splits}

    return run(
        "hf_dataset",
        given,
        lambda: find(given.raw, given.out, given.files, **options),
        lambda: {"*.parquet": parquet_files(given.raw, given.files)},
    )


if __name__ == "__main__":
    sys.exit(main())
