"""LibriSpeech (CC BY 4.0; 2,484 speakers, 960 hours, 16 kHz) to manifest.jsonl."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data_prep.manifest import Dropped, Recording, parser, run, table_file, walk
from lpo_tts.artefacts import read_lines
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Split


def transcript_paths(arguments: argparse.Namespace) -> list[Path]:
    """Every `<subset>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt`, RAW_DIR being any folder above the chapters.

    Raises:
        ArtefactError: there is none, or none of a subset that was asked for, or a folder cannot be read.
    """
    paths = []
    for one in walk(arguments.raw.resolve()):
        if isinstance(one, Dropped) and one.fault:
            raise ArtefactError(one.reason)
        if isinstance(one, Path) and one.name.endswith(".trans.txt") and not one.name.startswith("._"):
            paths.append(one)
    if not paths:
        raise ArtefactError(
            f"{arguments.raw}: expected *.trans.txt files below it, found none; give the folder LibriSpeech as RAW_DIR"
        )
    found = {_subset(path) for path in paths}
    absent = sorted(set(arguments.subset or ()) - found)
    if absent:
        raise ArtefactError(f"{arguments.raw}: no subset {', '.join(absent)}; there are: {', '.join(sorted(found))}")
    return [path for path in paths if not arguments.subset or _subset(path) in arguments.subset]


def tables(arguments: argparse.Namespace) -> Mapping[str, Sequence[Path]]:
    """The transcripts of each subset: one hash each in the side-car, not one for each of 5,831 chapters."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in transcript_paths(arguments):
        groups[f"{_subset(path)}/*.trans.txt"].append(table_file(path, "the transcript of a chapter"))
    return groups


def _subset(path: Path) -> str:
    return path.parents[2].name if len(path.parents) > 2 else ""  # test-clean/1089/134686/1089-134686.trans.txt


def find(arguments: argparse.Namespace) -> Iterator[Recording | Dropped]:
    """Lines `id TEXT` of every chapter, the audio beside them as `id.flac`."""
    for path in transcript_paths(arguments):
        subset = _subset(path)
        own: Split | None = next((split for split in ("train", "dev", "test") if subset.startswith(split)), None)
        for line in read_lines(table_file(path, "the transcript of a chapter")):
            name, _, text = line.strip().partition(" ")
            if not name:
                continue
            if Path(name).name != name:
                yield Dropped(id=name, reason=f"{path.name}: expected the name of a file beside it, found {name!r}")
                continue
            yield Recording(
                id=name,
                audio=path.parent / f"{name}.flac",
                text=text if arguments.keep_case else text.lower(),
                speaker=path.parents[1].name,
                split=own if arguments.splits == "corpus" else None,
                tags={"subset": subset},
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument(
        "--subset", action="append", help="e.g. train-clean-100; may be given several times (default: all there are)"
    )
    command.add_argument(
        "--splits",
        choices=("corpus", "hash"),
        default="corpus",
        help="corpus: train-*, dev-* and test-* as they are, speakers disjoint; hash: by sentence, as --dev and --test say",
    )
    # Tokenizers of language models spell upper-case words letter by letter, and the voice follows them.
    command.add_argument("--keep-case", action="store_true", help="keep the upper case of the transcripts (default: lower-cased)")
    return run("librispeech", command.parse_args(arguments), find, tables)


if __name__ == "__main__":
    sys.exit(main())
