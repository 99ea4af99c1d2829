"""GigaSpeech (10,000 hours of audiobooks, podcasts and videos, 16 kHz opus; terms of its own) to manifest.jsonl."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.gigaspeech", file=sys.stderr)
    sys.exit(2)

from data_prep.json_streams import elements
from data_prep.manifest import Dropped, Recording, parser, run, table_file
from data_prep.tables import add_splits
from lpo_tts import places
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Split

SUBSETS = ("XS", "S", "M", "L", "XL", "DEV", "TEST")  # each of the first five holds those before it
MARKS = {"<COMMA>": ",", "<PERIOD>": ".", "<QUESTIONMARK>": "?", "<EXCLAMATIONPOINT>": "!"}
NO_SPEECH = ("<SIL>", "<MUSIC>", "<NOISE>", "<OTHER>")
UNKNOWN = ("", "N/A")  # the corpus' words for a speaker that nobody has named


def metadata_path(raw: Path) -> Path:
    """The file with everything but the sound; raises ArtefactError when RAW_DIR is not GigaSpeech's folder."""
    return table_file(raw / "GigaSpeech.json", "GigaSpeech's metadata", "give the folder with GigaSpeech.json as RAW_DIR")


def find(
    raw: Path,
    subsets: Sequence[str] = (),
    *,
    splits: Literal["corpus", "hash"] = "corpus",
    keep_case: bool = False,
    one_speaker: bool = False,
) -> Iterator[Recording | Dropped]:
    """Segments of `audio/<source>/<group>/<aid>.opus` as stretches of these files, which are not cut.

    GigaSpeech.json has several gigabytes and is read recording by recording.

    Args:
        raw: the folder with GigaSpeech.json and audio/.
        subsets: of SUBSETS; none named: all.
        splits: "corpus" makes DEV dev, TEST test and everything else train; "hash" leaves the split open.
        keep_case: keep the upper case of the transcripts; else lower-cased.
        one_speaker: take every recording for one speaker. The corpus names none, so else only an audiobook is, and a
            segment of a podcast or a video has a speaker of its own.

    Raises:
        ArtefactError: the folder is not GigaSpeech's.
    """
    path = metadata_path(raw)
    number = 0
    try:
        for number, recording in enumerate(elements(path, "audios"), 1):
            yield from _recording(recording, f"{path.name}: recording {number}", raw, subsets, splits, keep_case, one_speaker)
    except ArtefactError as error:
        if not number:
            raise
        yield Dropped(id=path.name, reason=f"{error}; the {number} recordings before were read")


def _recording(
    fields: Any, where: str, raw: Path, subsets: Sequence[str], splits: str, keep_case: bool, one_speaker: bool
) -> Iterator[Recording | Dropped]:
    """The segments of one recording that belong to the subsets."""
    texts = isinstance(fields, dict) and all(isinstance(fields.get(name), str) for name in ("aid", "path"))
    if not texts or not isinstance(fields.get("segments"), list):
        yield Dropped(id=where, reason=f"{where}: expected aid, path and segments, found {fields!r}"[:300])
        return
    aid, name = fields["aid"], PurePosixPath(fields["path"])
    if name.is_absolute() or ".." in name.parts:
        yield Dropped(id=aid, reason=f"{where}: expected a path below {raw}, found {fields['path']!r}")
        return
    is_book = fields.get("source", "audiobook" if "audiobook" in name.parts else None) == "audiobook"
    for segment in fields["segments"]:
        fault = _fault(segment)
        if fault is not None:
            own = segment.get("sid") if isinstance(segment, dict) else None
            yield Dropped(id=own if isinstance(own, str) else aid, reason=f"{where}: expected a segment, found {fault}"[:300])
            continue
        own_subsets = [one.strip("{}") for one in segment["subsets"]]
        if subsets and not set(subsets) & set(own_subsets):
            continue
        sid, said = segment["sid"], segment["text_tn"]
        if set(said.split()) & set(NO_SPEECH):
            yield Dropped(id=sid, reason=f"no speech: {said[:100]}", fault=False, filter="no speech")
            continue
        text = spoken(said, keep_case)
        if "<" in text:
            yield Dropped(id=sid, reason=f"{where}: expected the tags {', '.join(MARKS)}, found {said[:100]!r}")
            continue
        speaker = segment.get("speaker")
        unnamed = not isinstance(speaker, str) or speaker in UNKNOWN
        yield Recording(
            id=sid,
            audio=Path(places.stretch(raw / name, segment["begin_time"], segment["end_time"])),
            text=text,
            speaker=(aid if is_book or one_speaker else sid) if unnamed else speaker,
            split=_split(own_subsets) if splits == "corpus" else None,
            tags={"subset": min(own_subsets, key=_order), **({"source": fields["source"]} if _is_text(fields, "source") else {})},
        )


def _is_text(fields: Mapping[str, Any], name: str) -> bool:
    return isinstance(fields.get(name), str)


def _fault(segment: Any) -> str | None:
    """What is wrong with a segment's fields; None = nothing."""
    if not isinstance(segment, dict) or not all(_is_text(segment, name) for name in ("sid", "text_tn")):
        return f"no sid or no text_tn: {segment!r}"
    start, stop = segment.get("begin_time"), segment.get("end_time")
    if not (places.is_seconds(start) and places.is_seconds(stop) and start < stop):
        return f"begin_time {start!r} and end_time {stop!r}"
    subsets = segment.get("subsets")
    if not isinstance(subsets, list) or not subsets or not all(isinstance(one, str) for one in subsets):
        return f"subsets {subsets!r}"
    return None


def _order(subset: str) -> int:
    return SUBSETS.index(subset) if subset in SUBSETS else len(SUBSETS)


def _split(subsets: Sequence[str]) -> Split:
    return "dev" if "DEV" in subsets else "test" if "TEST" in subsets else "train"


def spoken(text: str, keep_case: bool = False) -> str:
    """`WHAT <COMMA> NOW <QUESTIONMARK>` as `what, now?`."""
    words = re.sub(r"\s*(<[A-Z]+>)", lambda tag: MARKS.get(tag[1], f" {tag[1]}"), " ".join(text.split()))
    return (words if keep_case else words.lower()).strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument(
        "--subset", action="append", choices=SUBSETS, help="may be given several times; L holds M, S and XS too (default: all)"
    )
    add_splits(command, "corpus", "DEV and TEST as they are, the rest is train")
    # Tokenizers of language models spell upper-case words letter by letter, and the voice follows them.
    command.add_argument("--keep-case", action="store_true", help="keep the upper case of the transcripts (default: lower-cased)")
    command.add_argument(
        "--one-speaker",
        action="store_true",
        help="take every recording for one speaker (default: audiobooks only; the corpus does not name who speaks)",
    )
    given = command.parse_args(arguments)
    options = {"splits": given.splits, "keep_case": given.keep_case, "one_speaker": given.one_speaker}
    return run(
        "gigaspeech",
        given,
        lambda: find(given.raw, given.subset or (), **options),
        lambda: {"GigaSpeech.json": [metadata_path(given.raw)]},
    )


if __name__ == "__main__":
    sys.exit(main())
