"""Hi-Fi TTS (CC BY 4.0; 10 readers of English, 292 hours, 44.1 kHz) to manifest.jsonl."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.hifi_tts", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file
from data_prep.tables import Splits, add_splits, facts, own_split
from lpo_tts.artefacts import loads
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.manifests.tables import lines

Text = Literal["normalized", "original", "processed"]
FIELDS = {"normalized": "text_normalized", "original": "text_no_preprocessing", "processed": "text"}
QUALITIES = ("clean", "other")
GENDERS = {  # from the README of the corpus
    **dict.fromkeys(("92", "8051", "9136", "11614", "11697", "12787"), "female"),
    **dict.fromkeys(("6097", "6670", "6671", "9017"), "male"),
}
_NAME = re.compile(r"(\d+)_manifest_(clean|other)_(train|dev|test)\.json")


def manifests(raw: Path, qualities: Sequence[str] = QUALITIES) -> dict[Path, tuple[str, str, str]]:
    """The tables `<reader>_manifest_<quality>_<split>.json` of RAW_DIR, with reader, quality and split.

    Raises:
        ArtefactError: there is none of these qualities, or one is no plain file.
    """
    with os_errors("read the folder", raw):
        matches = {path: _NAME.fullmatch(path.name) for path in sorted(raw.iterdir())}
    found = {path: (match[1], match[2], match[3]) for path, match in matches.items() if match and match[2] in qualities}
    if not found:
        raise ArtefactError(
            f"{raw}: expected 92_manifest_clean_train.json and its like in it ({' or '.join(qualities)}), found none; "
            "give the folder hi_fi_tts_v0 as RAW_DIR"
        )
    return {table_file(path, "a manifest of Hi-Fi TTS"): named for path, named in found.items()}


def tables(raw: Path, qualities: Sequence[str] = QUALITIES) -> Mapping[str, Sequence[Path]]:
    """Each manifest by its name."""
    return {path.name: [path] for path in manifests(raw, qualities)}


def find(
    raw: Path, qualities: Sequence[str] = QUALITIES, *, splits: Splits = "corpus", text: Text = "normalized"
) -> Iterator[Recording | Dropped]:
    """Lines `{"audio_filepath": ..., "text": ..., "text_normalized": ...}` of every manifest.

    Args:
        raw: the folder hi_fi_tts_v0.
        qualities: "clean" and "other" (noise, or a narrow band).
        splits: "corpus" keeps train, dev and test as they are, each with all readers; "hash" leaves the split open.
        text: "normalized" has abbreviations and numbers written out, "original" is as printed, "processed" in lower case
            and without punctuation.

    Raises:
        ArtefactError: as `manifests`.
    """
    for path, (reader, quality, split) in manifests(raw, qualities).items():
        for number, line in lines(path):
            where = f"{path.name}:{number}"
            try:
                row = loads(line, where)
                place, said = _text(row, "audio_filepath", where), _text(row, FIELDS[text], where)
            except ArtefactError as error:
                yield Dropped(id=where, reason=str(error))
                continue
            audio = Path(place)
            if audio.is_absolute() or ".." in audio.parts or not audio.name:
                yield Dropped(id=where, reason=f"{where}: expected a path below the corpus, found {place!r}")
                continue
            yield Recording(
                id="-".join(audio.with_suffix("").parts).removeprefix("audio-"),  # a file name alone may come in two books
                audio=raw / audio,
                text=said,
                speaker=reader,
                split=own_split(split) if splits == "corpus" else None,
                tags=facts({"quality": quality, "gender": GENDERS.get(reader, "")}),
            )


def _text(row: Any, name: str, where: str) -> str:
    value = row.get(name) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value:
        raise ArtefactError(f"{where}: expected an object with text in {name}, found {str(row)[:80]}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument("--quality", choices=QUALITIES, help="other: noise, or a narrow band (default: both)")
    add_splits(command, "corpus", "train, dev and test as they are, all readers in each")
    texts = "abbreviations written out, as printed, or in lower case without punctuation (default: %(default)s)"
    command.add_argument("--text", choices=tuple(FIELDS), default="normalized", help=texts)
    given = command.parse_args(arguments)
    qualities = (given.quality,) if given.quality else QUALITIES
    return run(
        "hifi_tts",
        given,
        lambda: find(given.raw, qualities, splits=given.splits, text=given.text),
        lambda: tables(given.raw, qualities),
    )


if __name__ == "__main__":
    sys.exit(main())
