"""AISHELL-3 (Apache 2.0; 218 speakers of Mandarin, 85 hours, 44.1 kHz) to manifest.jsonl."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.aishell3", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file
from data_prep.tables import Splits, add_splits, cells, own_split, speakers

PARTS = ("train", "test")
AGES = {"A": "under 14", "B": "14 to 25", "C": "26 to 40", "D": "over 40"}  # the head of spk-info.txt
_NAME = re.compile(r"(SSB\d{4})\d{4}\.wav")
_HAN = re.compile("[\u4e00-\u9fff]")


def tables(raw: Path) -> Mapping[str, Sequence[Path]]:
    """The transcripts of both parts; raises ArtefactError when RAW_DIR is not an AISHELL-3 folder."""
    advice = "give the folder of AISHELL-3 that holds train and test as RAW_DIR"
    return {f"{part}/content.txt": [table_file(raw / part / "content.txt", "AISHELL-3's transcripts", advice)] for part in PARTS}


def find(raw: Path, *, splits: Splits = "hash") -> Iterator[Recording | Dropped]:
    """Lines `SSB00050001.wav<TAB>character pinyin character pinyin ...` of both parts.

    The text is the characters: every second item, without punctuation, as the corpus has none. The pinyin is not kept:
    models read characters, and `train/label_train-set.txt` holds it with the prosody for whoever needs it.

    Args:
        raw: the folder that holds `train`, `test` and `spk-info.txt`.
        splits: "hash" puts all readings of a sentence into one split. "corpus" keeps train and test as they are: there is
            no dev then, and most speakers are in both (170 of 218).

    Raises:
        ArtefactError: the folder is not AISHELL-3's.
    """
    known = speakers(raw / "spk-info.txt", ("age", "gender", "accent"))
    for part, (path,) in zip(PARTS, tables(raw).values(), strict=True):
        for row in cells(path, "name.wav<TAB>characters and pinyin in turn"):
            if isinstance(row, Dropped):
                yield row
                continue
            found = _NAME.fullmatch(row[0].strip())
            items = row[1].split()
            if found is None:
                yield Dropped(id=row[0], reason=f"{part}/{path.name}: expected a name such as SSB00050001.wav, found {row[0]!r}")
            elif len(items) % 2 or any(map(_HAN.search, items[1::2])):
                reason = f"{part}/{path.name}: expected characters and pinyin in turn, found {row[1][:60]!r}"
                yield Dropped(id=found[0].removesuffix(".wav"), reason=reason)
            else:
                tags = known.get(found[1], {})
                yield Recording(
                    id=found[0].removesuffix(".wav"),
                    audio=raw / part / "wav" / found[1] / found[0],
                    text="".join(items[::2]),
                    speaker=found[1],
                    language="zh",
                    split=own_split(part) if splits == "corpus" else None,
                    tags=tags | ({"age": AGES.get(tags["age"], tags["age"])} if "age" in tags else {}),
                )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    add_splits(command, "hash", "train and test as they are, without dev, and with most speakers in both")
    given = command.parse_args(arguments)
    return run("aishell3", given, lambda: find(given.raw, splits=given.splits), lambda: tables(given.raw))


if __name__ == "__main__":
    sys.exit(main())
