"""LibriSpeech (CC BY 4.0; 2,484 speakers, 960 hours, 16 kHz) to manifest.jsonl."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.librispeech", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file, walk
from lpo_tts.artefacts import read_lines
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Split


def transcript_paths(raw: Path, subsets: Sequence[str] = ()) -> list[Path]:
    """Every `<subset>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt` of some subsets (none named: all there are).

    `raw` may be any folder above the chapters.

    Raises:
        ArtefactError: there is none, or none of a subset that was asked for, or a folder cannot be read.
    """
    paths = []
    for one in walk(raw.resolve()):
        if isinstance(one, Dropped) and one.fault:
            raise ArtefactError(one.reason)
        if isinstance(one, Path) and one.name.endswith(".trans.txt") and not one.name.startswith("._"):
            paths.append(one)
    if not paths:
        raise ArtefactError(f"{raw}: expected *.trans.txt files below it, found none; give the folder LibriSpeech as RAW_DIR")
    found = {_subset(path) for path in paths}
    absent = sorted(set(subsets) - found)
    if absent:
        raise ArtefactError(f"{raw}: no subset {', '.join(absent)}; there are: {', '.join(sorted(found))}")
    return [path for path in paths if not subsets or _subset(path) in subsets]


def tables(raw: Path, subsets: Sequence[str] = ()) -> Mapping[str, Sequence[Path]]:
    """The transcripts of each subset: one hash each in the side-car, not one for each of 5,831 chapters."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in transcript_paths(raw, subsets):
        groups[f"{_subset(path)}/*.trans.txt"].append(table_file(path, "the transcript of a chapter"))
    return groups


def _subset(path: Path) -> str:
    return path.parents[2].name if len(path.parents) > 2 else ""  # test-clean/1089/134686/1089-134686.trans.txt


def find(
    raw: Path, subsets: Sequence[str] = (), *, splits: Literal["corpus", "hash"] = "corpus", keep_case: bool = False
) -> Iterator[Recording | Dropped]:
    """Lines `id TEXT` of every chapter, the audio beside them as `id.flac`.

    Args:
        raw: any folder above the chapters.
        subsets: such as `train-clean-100`; none named: all there are.
        splits: "corpus" keeps train-*, dev-* and test-* as they are; "hash" leaves the split open.
        keep_case: keep the upper case of the transcripts; else lower-cased.

    Raises:
        ArtefactError: as `transcript_paths`.
    """
    for path in transcript_paths(raw, subsets):
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
                text=text if keep_case else text.lower(),
                speaker=path.parents[1].name,
                split=own if splits == "corpus" else None,
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
    given = command.parse_args(arguments)
    subsets = given.subset or ()
    return run(
        "librispeech",
        given,
        lambda: find(given.raw, subsets, splits=given.splits, keep_case=given.keep_case),
        lambda: tables(given.raw, subsets),
    )


if __name__ == "__main__":
    sys.exit(main())
