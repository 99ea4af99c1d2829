"""LibriSpeech (CC BY 4.0; 2,484 speakers, 960 hours, 16 kHz) to manifest.jsonl, on demand with LibriSpeech-PC's texts.

Download: https://www.openslr.org/12. LibriSpeech-PC (CC BY 4.0, https://www.openslr.org/145, manifests.tar.gz) is text alone: one
`<subset>.json` a subset, JSON lines of audio_filepath, duration, text (restored case and punctuation, normalised for speech
recognition) and text_raw (as printed). Its form was read in two programs that use it; it covers 266,655 of 292,367 rows.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.librispeech", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file, walk
from data_prep.tables import add_splits, own_split
from lpo_tts.artefacts import loads, read_lines
from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.tables import is_name


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


def tables(raw: Path, subsets: Sequence[str] = (), pc: Path | None = None) -> Mapping[str, Sequence[Path]]:
    """The transcripts of each subset: one hash each in the side-car, not one for each of 5,831 chapters."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in transcript_paths(raw, subsets):
        groups[f"{_subset(path)}/*.trans.txt"].append(table_file(path, "the transcript of a chapter"))
    if pc is not None:
        found = {pc_path(pc, name.partition("/")[0]) for name in groups}
        groups |= {f"pc/{path.name}": [path] for path in sorted(found)}
    return groups


def pc_path(pc: Path, subset: str) -> Path:
    """LibriSpeech-PC's table of a subset: in a folder `<subset>.json`, or the file itself; raises ArtefactError without one."""
    path = pc / f"{subset}.json" if os.path.isdir(pc) else pc
    return table_file(path, f"LibriSpeech-PC's texts of {subset}", "give the folder of manifests.tar.gz as --pc")


def pc_texts(path: Path) -> Iterator[tuple[str, str] | Dropped]:
    """(id, text) of every line that holds both."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            row = loads(line, where)
        except ArtefactError as error:
            yield Dropped(id=where, reason=str(error))
            continue
        audio, text = (row.get("audio_filepath"), row.get("text")) if isinstance(row, dict) else (None, None)
        if isinstance(audio, str) and isinstance(text, str):
            yield Path(audio).stem, text
        else:
            yield Dropped(id=where, reason=f"{where}: expected audio_filepath and text, both text, found {line[:80]!r}")


def _subset(path: Path) -> str:
    return path.parents[2].name if len(path.parents) > 2 else ""  # test-clean/1089/134686/1089-134686.trans.txt


def find(
    raw: Path,
    subsets: Sequence[str] = (),
    *,
    splits: Literal["corpus", "hash"] = "corpus",
    keep_case: bool = False,
    pc: Path | None = None,
) -> Iterator[Recording | Dropped]:
    """Lines `id TEXT` of every chapter, the audio beside them as `id.flac`.

    Args:
        raw: any folder above the chapters.
        subsets: such as `train-clean-100`; none named: all there are.
        splits: "corpus" keeps train-*, dev-* and test-* as they are; "hash" leaves the split open.
        keep_case: keep the upper case of the transcripts; else lower-cased.
        pc: folder of LibriSpeech-PC's tables, or one of them: texts come from there, and rows that it lacks are left out.

    Raises:
        ArtefactError: as `transcript_paths`, or LibriSpeech-PC has no table of a subset.
    """
    restored: dict[str, str] = {}
    read: set[Path] = set()
    for path in transcript_paths(raw, subsets):
        subset = _subset(path)
        if pc is not None and (table := pc_path(pc, subset)) not in read:
            read.add(table)
            for one in pc_texts(table):
                if isinstance(one, Dropped):
                    yield one
                else:
                    restored[one[0]] = one[1]
        own = own_split(subset)
        for line in read_lines(table_file(path, "the transcript of a chapter")):
            name, _, text = line.strip().partition(" ")
            if not name:
                continue
            if not is_name(name):
                yield Dropped(id=name, reason=f"{path.name}: expected the name of a file beside it, found {name!r}")
                continue
            if pc is not None and name not in restored:
                yield Dropped(id=name, reason=f"LibriSpeech-PC has no text of it in {pc_path(pc, subset).name}", fault=False)
                continue
            yield Recording(
                id=name,
                audio=path.parent / f"{name}.flac",
                text=restored[name] if pc is not None else text if keep_case else text.lower(),
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
    add_splits(command, "corpus", "train-*, dev-* and test-* as they are, speakers disjoint")
    # Tokenizers of language models spell upper-case words letter by letter, and the voice follows them.
    command.add_argument("--keep-case", action="store_true", help="keep the upper case of the transcripts (default: lower-cased)")
    command.add_argument(
        "--pc", type=Path, metavar="FOLDER", help="LibriSpeech-PC's tables (<subset>.json): texts with case and punctuation"
    )
    given = command.parse_args(arguments)
    subsets = given.subset or ()
    return run(
        "librispeech",
        given,
        lambda: find(given.raw, subsets, splits=given.splits, keep_case=given.keep_case, pc=given.pc),
        lambda: tables(given.raw, subsets, given.pc),
    )


if __name__ == "__main__":
    sys.exit(main())
