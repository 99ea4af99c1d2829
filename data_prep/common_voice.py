"""Common Voice, scripted speech (CC0; some 290 languages, 32 or 48 kHz mp3) to manifest.jsonl."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.common_voice", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file
from data_prep.tables import Splits, add_splits, columns, facts, own_split, parts
from lpo_tts.errors import ArtefactError, ConfigError, os_errors
from lpo_tts.manifests.tables import is_name

OWN_SPLITS = ("train", "dev", "test")
TABLES = (*OWN_SPLITS, "validated", "other")
NEEDED = ("client_id", "path", "sentence")
TAGS = ("age", "gender", "segment", "variant")  # accents and domains are free combinations: too many groups for a report


def table_paths(raw: Path, names: Sequence[str] = OWN_SPLITS, languages: Sequence[str] = ()) -> list[Path]:
    """The tables `<language>/<name>.tsv`; `raw` is a release, the folder of one language, or the one that holds a release.

    Raises:
        ArtefactError: there is none, or a language or table that was asked for is missing, or there are two releases.
    """
    if any((raw / f"{name}.tsv").exists() for name in TABLES):
        folders = [Path(raw.resolve())]
    else:
        with os_errors("read the folder", raw):  # not both at once: clips holds millions of files
            found = sorted(raw.glob("*/clips")) or sorted(raw.glob("*/*/clips"))
            folders = [path.parent for path in found if path.is_dir()]
    if not folders:
        raise ArtefactError(
            f"{raw}: expected train.tsv, dev.tsv, test.tsv and the folder clips in it, or in a folder of each language, "
            "found none; give the folder cv-corpus-... or the one of a language as RAW_DIR"
        )
    there = [path.name for path in folders]
    twice = next((name for name in there if there.count(name) > 1), None)
    if twice is not None:
        raise ArtefactError(f"{raw}: expected one release, found {twice} in two; give one of them as RAW_DIR")
    wanted = parts(there, languages, raw)
    advice = "name others by --table (a delta release has validated and other only)"
    return [
        table_file(path / f"{name}.tsv", f"the table {name} of Common Voice", advice)
        for path in folders
        if path.name in wanted
        for name in names
    ]


def tables(raw: Path, names: Sequence[str] = OWN_SPLITS, languages: Sequence[str] = ()) -> Mapping[str, Sequence[Path]]:
    """Each table by language and name."""
    return {f"{path.parent.name}/{path.name}": [path] for path in table_paths(raw, names, languages)}


def find(
    raw: Path,
    names: Sequence[str] = OWN_SPLITS,
    languages: Sequence[str] = (),
    *,
    splits: Splits = "corpus",
    min_up_votes: int = 0,
    max_down_votes: int | None = None,
) -> Iterator[Recording | Dropped]:
    """Rows of tables such as train.tsv: `client_id path sentence up_votes down_votes age gender ...`.

    Columns are found by their names, which differ between releases. Without a column `locale`, the folder is the language.
    A speaker is named by the first 16 characters of the client_id. A clip that stands in several tables is taken from the
    first.

    Args:
        raw: a release, or the folder of one language.
        names: of the tables, of train, dev, test, validated and other.
        languages: such as `de`; none named: all there are.
        splits: "corpus" keeps train, dev and test as they are, which share no speaker and hardly a sentence; "hash" leaves the
            split open. The tables validated and other have no split of their own.
        min_up_votes: rows with fewer are left out.
        max_down_votes: rows with more are left out; None = no limit.

    Raises:
        ConfigError: splits are "corpus", and a table is asked for that is none of them.
        ArtefactError: as `table_paths`, or a table cannot be read.
    """
    without = [name for name in names if name not in OWN_SPLITS]
    if without and splits == "corpus":
        raise ConfigError(f"the table {without[0]} belongs to no split of the corpus; add --splits hash")
    seen: set[str] = set()
    for table in table_paths(raw, names, languages):
        for row in columns(table, NEEDED):
            if isinstance(row, Dropped):
                yield row
                continue
            clip = row["path"].strip()
            name = clip.removesuffix(".mp3")
            reason, fault = _reason(row, min_up_votes, max_down_votes)
            if name in seen:
                yield Dropped(id=name, reason=f"{table.name}: the clip stands in an earlier table too", fault=False)
            elif reason:
                yield Dropped(id=name, reason=f"{table.name}: {reason}", fault=fault)
            else:
                yield Recording(
                    id=name,
                    audio=table.parent / "clips" / f"{name}.mp3",  # the first releases leave .mp3 out
                    text=unquoted(row["sentence"]),
                    speaker=_speaker(row["client_id"].strip()),
                    language=row.get("locale", "").strip() or table.parent.name,
                    split=own_split(table.stem) if splits == "corpus" else None,
                    tags=facts({tag: row.get(tag, "") for tag in TAGS}),
                )
            if len(names) > 1:
                seen.add(name)


def _reason(row: Mapping[str, str], min_up_votes: int, max_down_votes: int | None) -> tuple[str, bool]:
    """Why a row is left out, and whether it is broken; "" = it is not."""
    if not is_name(row["path"].strip()):
        return f"expected the name of a file in clips, found {row['path']!r}", True
    votes = [row.get(name, "").strip() or "0" for name in ("up_votes", "down_votes")]
    if not all(re.fullmatch(r"\d+(\.0)?", vote) for vote in votes):
        return f"expected up_votes and down_votes to be numbers, found {', '.join(votes)}", True
    up, down = (int(float(vote)) for vote in votes)
    if up < min_up_votes:
        return f"{up} up_votes, fewer than {min_up_votes}", False
    if max_down_votes is not None and down > max_down_votes:
        return f"{down} down_votes, more than {max_down_votes}", False
    return "", False


def unquoted(sentence: str) -> str:
    """A sentence as it was shown to its readers: some releases quote as CSV does, most do not quote at all.

    A quote at both ends is taken for quoting when each quote between them stands twice, and there is one.
    """
    inner = sentence.strip()[1:-1]
    quoted = sentence.strip() == f'"{inner}"' and '""' in inner and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else sentence


def _speaker(client: str) -> str:
    """64 of the 512 bits of a client_id: enough to tell millions apart, and to find the speaker in the tables."""
    return client[:16] if re.fullmatch("[0-9a-f]{64,}", client) else client


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    tables_help = "may be given several times (default: train, dev and test)"
    command.add_argument("--table", action="append", choices=TABLES, help=tables_help)
    command.add_argument("--language", action="append", help="e.g. de; may be given several times (default: all there are)")
    add_splits(command, "corpus", "train, dev and test as they are, speakers disjoint")
    command.add_argument("--min-up-votes", type=int, default=0, metavar="N", help="leave out clips with fewer (default: 0)")
    command.add_argument("--max-down-votes", type=int, metavar="N", help="leave out clips with more (default: no limit)")
    given = command.parse_args(arguments)
    names = [name for name in TABLES if name in (given.table or OWN_SPLITS)]
    languages = given.language or ()
    votes = {"min_up_votes": given.min_up_votes, "max_down_votes": given.max_down_votes}
    return run(
        "common_voice",
        given,
        lambda: find(given.raw, names, languages, splits=given.splits, **votes),
        lambda: tables(given.raw, names, languages),
    )


if __name__ == "__main__":
    sys.exit(main())
