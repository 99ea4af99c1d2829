"""LibriTTS and LibriTTS-R (CC BY 4.0; 2,456 speakers, 585 hours, 24 kHz) to manifest.jsonl."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.libritts", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file
from data_prep.tables import Splits, add_splits, cells, file_text, own_split, parts, speakers
from lpo_tts import audio
from lpo_tts.errors import ArtefactError, os_error_text, os_errors
from lpo_tts.manifests.tables import is_name, lines
from lpo_tts.places import ABSENT

Text = Literal["normalized", "original"]
BROKEN = "1092_134562_000013_000004"  # of LibriTTS-R: its wav was published torn


def chapters(raw: Path, subsets: Sequence[str] = ()) -> list[Path]:
    """Every folder `<subset>/<speaker>/<chapter>` of some subsets (none named: all there are), in the order of paths.

    `raw` may be any folder above the chapters, or one chapter. Links to folders are followed.

    Raises:
        ArtefactError: there is none, or none of a subset that was asked for, or a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise ArtefactError(os_error_text("read the folder", error.filename, error)) from error

    found, seen = [], set()
    for folder, folders, files in os.walk(Path(os.path.abspath(raw)), onerror=refuse, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:  # links may lead in a circle
            folders.clear()
            continue
        seen.add(place)
        folders.sort()
        if any(name.endswith((".trans.tsv", ".wav")) and not name.startswith("._") for name in files):
            found.append(Path(folder))
    if not found:
        raise ArtefactError(
            f"{raw}: expected *.trans.tsv and *.wav below it, found none; give the folder LibriTTS or LibriTTS_R as RAW_DIR"
        )
    wanted = parts(list(dict.fromkeys(map(subset_of, found))), subsets, raw)
    return [chapter for chapter in found if subset_of(chapter) in wanted]


def subset_of(chapter: Path) -> str:
    """`train-clean-100` of LibriTTS/train-clean-100/19/198."""
    return _above(chapter, 2).name


def _above(chapter: Path, levels: int) -> Path:
    return [chapter, *chapter.parents][: levels + 1][-1]


def tables(raw: Path, subsets: Sequence[str] = (), *, text: Text = "normalized") -> Mapping[str, Sequence[Path]]:
    """The transcripts of each subset: one hash each in the side-car."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for chapter in chapters(raw, subsets):
        path = _table(chapter, "trans")
        if audio.path_fault(path) != ABSENT:
            groups[f"{subset_of(chapter)}/*.trans.tsv"].append(table_file(path, "the transcript of a chapter"))
        else:
            groups[f"{subset_of(chapter)}/*.{text}.txt"] += sorted(chapter.glob(f"[!.]*.{text}.txt"))
    return groups


def left_out(lists: Sequence[Path]) -> set[str]:
    """The ids in lists of paths, such as LibriTTS-R's *_bad_sample_list.txt (`./dev-clean/84/121123/84_..._000001.wav`)."""
    return {Path(line.strip()).stem for path in lists for _, line in lines(table_file(path, "a list", "check --leave-out"))}


def find(
    raw: Path, subsets: Sequence[str] = (), *, splits: Splits = "corpus", text: Text = "normalized", without: Sequence[Path] = ()
) -> Iterator[Recording | Dropped]:
    """Every wav, and every line of the transcripts `id<TAB>original<TAB>normalised`.

    The transcript of a chapter serves all its wavs: one file to open, and not one for each. Only what it does not name
    is looked up in the file `<id>.normalized.txt` beside the wav.

    Args:
        raw: any folder above the chapters.
        subsets: such as `train-clean-100`; none named: all there are.
        splits: "corpus" keeps train-*, dev-* and test-* as they are; "hash" leaves the split open.
        text: "normalized" has numbers and abbreviations written out, "original" as printed.
        without: lists of paths to leave out, as `left_out` reads them.

    Raises:
        ArtefactError: as `chapters`, or a table cannot be read.
    """
    listed = left_out(without)
    known = cache(lambda root: speakers(root / "SPEAKERS.txt", ("gender",), "|"))
    restored = cache(lambda root: root.name.startswith("LibriTTS_R") or (root / "README_libritts_r.txt").exists())
    for chapter in chapters(raw, subsets):
        speaker, root = chapter.parent.name, _above(chapter, 3)
        texts, ratios = _transcripts(chapter, text), _signal_to_noise(chapter)
        with os_errors("read the folder", chapter):
            files = {name for name in os.listdir(chapter) if not name.startswith("._")}
        wavs = {name[:-4] for name in files if name.endswith(".wav")}
        for name in sorted(wavs | texts.keys()):
            said, beside = texts.get(name), chapter / f"{name}.{text}.txt"
            if not isinstance(said, str) and beside.name in files:
                said = file_text(beside, name)
            if name in listed or (name == BROKEN and restored(root)):
                reason = "in a list of --leave-out" if name in listed else "known to be torn in LibriTTS-R"
                yield Dropped(id=name, reason=reason, fault=False)
            elif isinstance(said, Dropped):
                yield said
            elif not (is_name(name) and name.startswith(f"{speaker}_{chapter.name}_")):
                yield Dropped(id=name, reason=f"{chapter}: expected an id that begins with {speaker}_{chapter.name}_")
            elif said is None:
                yield Dropped(id=name, reason=f"no line in {_table(chapter, 'trans')}, and no {beside.name} beside it")
            else:
                yield Recording(
                    id=name,
                    audio=chapter / f"{name}.wav",
                    text=said,
                    speaker=speaker,
                    split=own_split(subset_of(chapter)) if splits == "corpus" else None,
                    tags={"subset": subset_of(chapter)} | known(root).get(speaker, {}) | ratios.get(name, {}),
                )


def _table(chapter: Path, kind: str) -> Path:
    return chapter / f"{chapter.parent.name}_{chapter.name}.{kind}.tsv"


def _transcripts(chapter: Path, text: Text) -> dict[str, str | Dropped]:
    """The texts of a chapter by id; a line that is none stands as `Dropped`."""
    path = _table(chapter, "trans")
    found: dict[str, str | Dropped] = {}
    if audio.path_fault(path) == ABSENT:
        return found
    for row in cells(table_file(path, "the transcript of a chapter"), "id<TAB>original<TAB>normalised text"):
        if isinstance(row, Dropped):
            found[row.id] = row
        elif not row[0].startswith("#"):  # a head that only the description of the corpus has
            found[row[0].strip()] = row[1 if text == "original" else 2]
    return found


def _signal_to_noise(chapter: Path) -> dict[str, dict[str, str]]:
    """The signal-to-noise ratio of each utterance (before restoration) in steps of 10 dB, from the last column."""
    path = _table(chapter, "book")
    found = {}
    for _, line in lines(path) if audio.path_fault(path) is None else ():
        name, *_, ratio = line.split("\t")
        try:
            low = int(float(ratio) // 10) * 10
        except (ValueError, OverflowError):  # excluded lines have none
            continue
        found[name] = {"snr": f"{low} to {low + 10} dB"}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument(
        "--subset", action="append", help="e.g. train-clean-100; may be given several times (default: all there are)"
    )
    add_splits(command, "corpus", "train-*, dev-* and test-* as they are, speakers disjoint")
    texts = "numbers and abbreviations written out, or as printed (default: %(default)s)"
    command.add_argument("--text", choices=("normalized", "original"), default="normalized", help=texts)
    bad = "a list of paths to leave out, such as LibriTTS-R's *_bad_sample_list.txt; may be given several times"
    command.add_argument("--leave-out", action="append", type=Path, metavar="LIST", help=bad)
    given = command.parse_args(arguments)
    subsets, without = given.subset or (), given.leave_out or ()
    given.leave_out = None  # in the side-car its contents count, not its path
    return run(
        "libritts",
        given,
        lambda: find(given.raw, subsets, splits=given.splits, text=given.text, without=without),
        lambda: {**tables(given.raw, subsets, text=given.text), **{path.name: [table_file(path, "a list")] for path in without}},
    )


if __name__ == "__main__":
    sys.exit(main())
