"""What the tables of speech corpora have in common: columns under a head, facts about speakers, own splits."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.recordings import Dropped
from lpo_tts.manifests.tables import lines
from lpo_tts.places import ABSENT
from lpo_tts.records import Split

Splits = Literal["corpus", "hash"]


def columns(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str] | Dropped]:
    """Rows of a tab-separated table under the names of its first line; a quote is a part of the text.

    Cells that are missing at the end of a row are empty, unless one of them is needed.

    Args:
        path: the table.
        needed: columns that must be there, and hold something in each row.

    Raises:
        ArtefactError: a column is absent, or the file cannot be read.
    """
    names: list[str] | None = None
    for number, line in lines(path):
        cells = line.split("\t")
        if names is None:
            names = [cell.strip() for cell in cells]
            absent = [name for name in needed if name not in names]
            if absent:
                raise ArtefactError(f"{path}: expected the column {absent[0]} in the first line, found {', '.join(names)[:200]}")
            continue
        where = f"{path.name}:{number}"
        row = dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))
        empty = [name for name in needed if not row[name].strip()]
        if len(cells) > len(names):
            yield Dropped(id=where, reason=f"{where}: expected {len(names)} cells, found {len(cells)}: a tab within a text")
        elif empty:
            yield Dropped(id=where, reason=f"{where}: expected something in the column {empty[0]}, found nothing")
        else:
            yield row
    if names is None:
        raise ArtefactError(f"{path}: expected a first line with the names of columns, found an empty file")


def cells(path: Path, expected: str, separator: str = "\t") -> Iterator[tuple[str, ...] | Dropped]:
    """Rows of a table without a head.

    Args:
        path: the table.
        expected: what a row holds, such as `id<TAB>text`; it is told where one has more or fewer cells.
        separator: between the cells.

    Raises:
        ArtefactError: the file cannot be read.
    """
    width = expected.count("<TAB>" if separator == "\t" else separator) + 1
    for number, line in lines(path):
        row = tuple(line.split(separator))
        if len(row) == width:
            yield row
        else:
            reason = f"{path.name}:{number}: expected {expected}, found {len(row)} cells"
            yield Dropped(id=row[0].strip() or f"{path.name}:{number}", reason=reason)


_GENDERS = {
    "f": "female",
    "female": "female",
    "female_feminine": "female",
    "m": "male",
    "male": "male",
    "male_masculine": "male",
}


def facts(values: Mapping[str, str]) -> dict[str, str]:
    """What is known of a speaker, as tags: empty and unknown values are left out, genders have one spelling.

    The report has one group for each value of a tag. So a tag holds one of few values, never a number or a text.
    """
    known = {name: value.strip() for name, value in values.items() if value.strip().lower() not in ("", "unknown")}
    if "gender" in known:
        known["gender"] = _GENDERS.get(known["gender"].lower(), known["gender"])
    return known


def speakers(path: Path, names: Sequence[str], separator: str | None = None) -> dict[str, dict[str, str]]:
    """Tags of each speaker, by the id in the first column; empty where the corpus was copied without this table.

    Args:
        path: the table; lines that begin with `#` or `;` are comments.
        names: of the columns behind the id; later columns are not read.
        separator: between the columns; None = white space.

    Raises:
        ArtefactError: the table is there and cannot be read.
    """
    if audio.path_fault(path) == ABSENT:
        return {}
    found: dict[str, dict[str, str]] = {}
    for _, line in lines(path):
        if not line.startswith(("#", ";")):
            name, *values = (cell.strip() for cell in line.split(separator))
            found.setdefault(name, facts(dict(zip(names, values, strict=False))))
    return found


def file_text(path: Path, row: str) -> str | Dropped:
    """The text of a file that holds one sentence, or why row `row` has none: a broken file costs no more than its row."""
    try:
        found = audio.path_fault(path)
        if found is not None:
            return Dropped(id=row, reason=f"{path}: expected a text, found {found}")
        return " ".join(line for _, line in lines(path))
    except ArtefactError as error:
        return Dropped(id=row, reason=str(error))


def own_split(name: str) -> Split | None:
    """The split that the name of a part begins with, such as `train-clean-100`; None = it names none."""
    return next((split for split in ("train", "dev", "test") if name.startswith(split)), None)


def add_splits(command: argparse.ArgumentParser, default: Splits, corpus: str) -> None:
    """The option `--splits`, of a corpus that brings its own; `corpus` says what those are."""
    command.add_argument(
        "--splits",
        choices=("corpus", "hash"),
        default=default,
        help=f"corpus: {corpus}; hash: by sentence, as --dev and --test say (default: %(default)s)",
    )


def parts(found: Sequence[str], wanted: Sequence[str], raw: Path) -> list[str]:
    """Which parts of a corpus to read: all there are, or those that were asked for.

    Raises:
        ArtefactError: one that was asked for is not there.
    """
    absent = sorted(set(wanted) - set(found))
    if absent:
        raise ArtefactError(f"{raw}: no part {', '.join(absent)}; there are: {', '.join(sorted(found))}")
    return [name for name in found if not wanted or name in wanted]
