"""LJSpeech 1.1 (public domain; one speaker, 24 hours, 22.05 kHz) to manifest.jsonl."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.ljspeech", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file
from lpo_tts.artefacts import read_lines


def metadata_path(raw: Path) -> Path:
    """Where the corpus keeps its transcripts; raises ArtefactError when RAW_DIR is not an LJSpeech folder."""
    return table_file(raw / "metadata.csv", "LJSpeech's transcripts", "give the folder LJSpeech-1.1 as RAW_DIR")


def find(raw: Path, *, text: Literal["normalised", "raw"] = "normalised") -> Iterator[Recording | Dropped]:
    """Rows of metadata.csv: `id|text|normalised text`, without any CSV quoting (quotes belong to the text).

    Args:
        raw: the folder LJSpeech-1.1.
        text: "normalised" has numbers and abbreviations written out, "raw" as printed.

    Raises:
        ArtefactError: the folder is not LJSpeech's.
    """
    path = metadata_path(raw)
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        fields = line.split("|")
        if len(fields) not in (2, 3):  # some copies leave the normalised text out where it equals the text
            yield Dropped(
                id=fields[0], reason=f"{path.name}:{number}: expected id|text|normalised text, found {len(fields)} fields"
            )
            continue
        if Path(fields[0]).name != fields[0]:
            yield Dropped(id=fields[0], reason=f"{path.name}:{number}: expected the name of a file in wavs, found {fields[0]!r}")
            continue
        yield Recording(
            id=fields[0],
            audio=raw / "wavs" / f"{fields[0]}.wav",
            text=fields[1] if text == "raw" else fields[-1],
            speaker="LJ",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument(
        "--text", choices=("normalised", "raw"), default="normalised", help="numbers and abbreviations written out, or as printed"
    )
    given = command.parse_args(arguments)
    return run(
        "ljspeech",
        given,
        lambda: find(given.raw, text=given.text),
        lambda: {"metadata.csv": [metadata_path(given.raw)]},
    )


if __name__ == "__main__":
    sys.exit(main())
