"""Multilingual LibriSpeech (CC BY 4.0; eight languages, 50,000 hours, 16 kHz, flac or opus) to manifest.jsonl."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.mls", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file
from data_prep.tables import Splits, add_splits, cells, own_split, parts, speakers
from lpo_tts import audio
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.places import ABSENT

LANGUAGES = {
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "polish": "pl",
    "portuguese": "pt",
    "spanish": "es",
}
PARTS = ("train", "dev", "test")
_FOLDER = re.compile(rf"mls_({'|'.join(LANGUAGES)})(?:_opus)?")
_NAME = re.compile(r"(\d+)_(\d+)_\d+")


def transcripts(raw: Path, wanted: Sequence[str] = ()) -> dict[Path, str]:
    """Every `mls_<language>[_opus]/<part>/transcripts.txt`, with the name of the language.

    Args:
        raw: the folder of one language, or one that holds several.
        wanted: parts, of train, dev and test; none named: all there are.

    Raises:
        ArtefactError: there is none, a part that was asked for is missing, or a language is there twice, as flac and as opus.
    """
    whole = Path(raw.resolve())  # RAW_DIR may be `.`
    with os_errors("read the folder", raw):
        folders = [whole, *sorted(path for path in whole.iterdir() if path.is_dir())]
    found: dict[Path, str] = {}
    for folder in folders:
        match = _FOLDER.fullmatch(folder.name)
        there = [part for part in PARTS if audio.path_fault(folder / part / "transcripts.txt") != ABSENT]
        if match is None or not there:
            continue  # mls_lm_german holds language models
        if match[1] in found.values():
            raise ArtefactError(
                f"{raw}: expected {match[1]} once, found it twice (as flac and as opus?); give one of them as RAW_DIR"
            )
        for part in parts(there, wanted, folder):
            found[table_file(folder / part / "transcripts.txt", "the transcripts of MLS")] = match[1]
    if not found:
        raise ArtefactError(
            f"{raw}: expected mls_<language>/<part>/transcripts.txt in it, found none; give a folder such as mls_german, "
            "or the one that holds it, as RAW_DIR"
        )
    return found


def tables(raw: Path, wanted: Sequence[str] = ()) -> Mapping[str, Sequence[Path]]:
    """The transcripts by language and part."""
    return {"/".join(path.parts[-3:]): [path] for path in transcripts(raw, wanted)}


def find(raw: Path, wanted: Sequence[str] = (), *, splits: Splits = "corpus") -> Iterator[Recording | Dropped]:
    """Lines `4800_10003_000000<TAB>text` (speaker, book, number): lower case and without punctuation, as the corpus has it.

    The recordings are cut already, so `segments.txt` (where they lie in the audio book) is not read.

    Args:
        raw: the folder of one language, or one that holds several.
        wanted: parts, of train, dev and test; none named: all there are.
        splits: "corpus" keeps train, dev and test as they are, speakers disjoint; "hash" leaves the split open.

    Raises:
        ArtefactError: as `transcripts`, or a table cannot be read.
    """
    for path, language in transcripts(raw, wanted).items():
        part = path.parent
        suffix = _suffix(part / "audio")
        genders = speakers(part.parent / "metainfo.txt", ("gender",), "|")
        for row in cells(path, "id<TAB>text"):
            if isinstance(row, Dropped):
                yield row
                continue
            name = _NAME.fullmatch(row[0].strip())
            if name is None:
                reason = f"{part.name}/{path.name}: expected an id such as 4800_10003_000000, found {row[0]!r}"
                yield Dropped(id=row[0].strip(), reason=reason)
                continue
            yield Recording(
                id=name[0],
                audio=part / "audio" / name[1] / name[2] / (name[0] + suffix),
                text=row[1],
                speaker=name[1],
                language=LANGUAGES[language],
                split=own_split(part.name) if splits == "corpus" else None,
                tags=genders.get(name[1], {}),
            )


def _suffix(folder: Path) -> str:
    """Of the recordings: those of a part are all flac or all opus, whatever its folder is called."""
    names = (path.suffix for path in folder.glob("*/*/*") if not path.name.startswith("."))
    return next((suffix for suffix in names if suffix in (".flac", ".opus")), ".flac")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument("--part", action="append", choices=PARTS, help="may be given several times (default: all there are)")
    add_splits(command, "corpus", "train, dev and test as they are, speakers disjoint")
    given = command.parse_args(arguments)
    wanted = given.part or ()
    return run("mls", given, lambda: find(given.raw, wanted, splits=given.splits), lambda: tables(given.raw, wanted))


if __name__ == "__main__":
    sys.exit(main())
