"""Expresso (CC BY-NC 4.0; 4 speakers, 11 hours read in 7 styles and 34 hours of dialogues, 48 kHz, English) to manifest.jsonl.

Download: https://github.com/facebookresearch/textlesslib/tree/main/examples/expresso/dataset (expresso.tar). The tree and the
splits were read there, the form of read_transcriptions.txt (`id<TAB>text`, `*word*` for emphasis) in its history. Two kinds are
left out and counted: dialogues, which have two speakers and no transcript, and long forms, whose transcript is that of the
whole recording while the corpus' splits cut it by time.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.expresso", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file, walk
from data_prep.tables import add_splits
from lpo_tts.artefacts import read_lines
from lpo_tts.records import Split

AUDIO = Path("audio_48khz")
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def transcripts_path(raw: Path) -> Path:
    """Where the texts of the read speech are; raises ArtefactError when RAW_DIR is no Expresso folder."""
    return table_file(raw / "read_transcriptions.txt", "Expresso's transcripts", "give the folder expresso as RAW_DIR")


def split_paths(raw: Path) -> dict[Split, Path]:
    """The corpus' own lists; raises ArtefactError where one is missing."""
    what, advice = "a list of Expresso's own splits", "take it from the archive, or divide by sentence: --splits hash"
    return {split: table_file(raw / "splits" / f"{split}.txt", what, advice) for split in SPLITS}


def tables(raw: Path, splits: Literal["corpus", "hash"] = "corpus") -> Mapping[str, Sequence[Path]]:
    """The transcripts, and the corpus' lists where they decide."""
    groups = {"read_transcriptions.txt": [transcripts_path(raw)]}
    if splits == "corpus":
        groups |= {f"splits/{name}.txt": [path] for name, path in split_paths(raw).items()}
    return groups


def _own_splits(raw: Path) -> dict[str, Split]:
    """Id -> split. Lines are `id`, or `id<TAB>(start,end)` of what is cut, which is left out here."""
    found: dict[str, Split] = {}
    for split, path in split_paths(raw).items():
        for line in read_lines(path):
            name, tab, _ = line.partition("\t")
            if name.strip() and not name.startswith("#") and not tab:
                found[name.strip()] = split
    return found


def find(
    raw: Path, *, splits: Literal["corpus", "hash"] = "corpus", keep_emphasis: bool = False
) -> Iterator[Recording | Dropped]:
    """Read speech `read/{speaker}/{style}/base/{id}.wav`, with the style as a tag; then transcripts without a recording.

    Args:
        raw: the folder expresso.
        splits: "corpus" keeps the lists of the folder splits, "hash" leaves the split open.
        keep_emphasis: keep the asterisks around emphasised words.

    Raises:
        ArtefactError: the folder is not Expresso's.
    """
    path = transcripts_path(raw)
    texts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        name, tab, text = line.partition("\t")
        if tab and Path(name).name == name:
            texts[name] = text
        elif line.strip():
            yield Dropped(id=f"{path.name}:{number}", reason=f"{path.name}:{number}: expected id<TAB>text, found {line[:80]!r}")
    own = _own_splits(raw) if splits == "corpus" else None
    seen: set[str] = set()
    for one in walk(raw / AUDIO):
        if isinstance(one, Dropped):
            yield one
        elif one.suffix.lower() == ".wav" and not one.name.startswith("."):
            seen.add(one.stem)
            yield _recording(one, "conversational" in one.relative_to(raw / AUDIO).parts, texts, own, keep_emphasis)
    for name in texts:
        if name not in seen:  # lost, or in a folder that could not be read
            yield _recording(raw / _place(name), False, texts, own, keep_emphasis)


def _place(name: str) -> Path:
    """Where the recording of an id belongs: ex03_default_emphasis_00010 is read in style default."""
    speaker, style, *rest = *name.split("_"), ""
    return AUDIO / "read" / speaker / style / ("longform" if "longform" in rest else "base") / f"{name}.wav"


def _recording(
    one: Path, is_dialogue: bool, texts: Mapping[str, str], own: Mapping[str, Split] | None, keep_emphasis: bool
) -> Recording | Dropped:
    """A read sentence, or why a recording is none."""
    name, text = one.stem, texts.get(one.stem)
    reason = None
    if is_dialogue:
        reason = "a dialogue: two speakers, and no transcript"
    elif one.parent.name == "longform":
        reason = "a long form: its transcript is that of the whole recording, which the corpus' splits cut by time"
    elif text is None:
        reason = "read_transcriptions.txt has no text of it"
    elif own is not None and name not in own:
        reason = "in none of the corpus' own splits"
    if reason is not None or text is None:
        return Dropped(id=name, reason=reason or "", fault=False)
    return Recording(
        id=name,
        audio=one,
        text=text if keep_emphasis else text.replace("*", ""),
        speaker=name.partition("_")[0],
        split=None if own is None else own[name],
        tags={"style": one.parent.parent.name},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    add_splits(command, "corpus", "the lists in splits/, which share speakers and may share sentences")
    # Text front ends and tokenizers would read the asterisks as characters.
    command.add_argument("--keep-emphasis", action="store_true", help="keep *word* as it is written (default: without asterisks)")
    given = command.parse_args(arguments)
    return run(
        "expresso",
        given,
        lambda: find(given.raw, splits=given.splits, keep_emphasis=given.keep_emphasis),
        lambda: tables(given.raw, given.splits),
    )


if __name__ == "__main__":
    sys.exit(main())
