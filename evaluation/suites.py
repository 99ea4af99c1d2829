"""Test suites: published lists of texts and voices, who judges them by which protocol, and how a local copy becomes prompts.

python -m evaluation.suites                                    what there is
python -m evaluation.suites NAME                               where its data come from, and which commands come next
python -m evaluation.suites NAME --from LOCAL_COPY --out DIR   writes DIR/prompts.jsonl
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m evaluation.suites", file=sys.stderr)
    sys.exit(2)

from evaluation.suite_files import FOLDER, About, Suite, SuiteFile, data_of, find, load, names, read
from lpo_tts.errors import ArtefactError, ConfigError, exit_code, os_errors

__all__ = ["FOLDER", "About", "Suite", "SuiteFile", "data_of", "find", "load", "main", "names", "read"]

ROOT = Path(__file__).parents[1]
WIDTH = 100  # columns of what is printed


def table() -> Iterator[str]:
    """Every suite in a line: name, prompts, languages, modes, what it measures."""
    rows = [("suite", "prompts", "languages", "modes", "what it measures")]
    for name in names():
        found = read(name)
        spoken = ", ".join(found.languages) if len(found.languages) < 4 else f"{len(found.languages)} languages"
        count = f"{found.num_prompts:,}" if found.num_prompts else "any"
        rows.append((name, count, spoken, ", ".join(found.modes), " ".join(found.about.measures.split())))
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    for row in rows:
        start = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + "  "
        yield from textwrap.wrap(row[4], WIDTH + 30, initial_indent=start, subsequent_indent=" " * len(start))


def describe(name: str) -> Iterator[str]:
    """What a suite is, where its data come from, and which commands come next."""
    found, path = read(name), find(name)
    count = f"{found.num_prompts:,} prompts" if found.num_prompts else "as many prompts as the data have"
    yield f"{path.stem}: {count}; languages: {', '.join(found.languages)}"
    for title in About.__dataclass_fields__:
        text = " ".join(getattr(found.about, title).split())
        yield from textwrap.wrap(text, WIDTH, initial_indent=f"{title}: ", subsequent_indent="  ", break_on_hyphens=False)
    for mode, one in found.modes.items():
        judges = ", ".join(name for name, judge in (one.evaluate.get("judges") or {}).items() if judge is not None)
        average = one.evaluate.get("average", "corpus")
        yield from textwrap.wrap(f"mode {mode}: headline {average}; judges: {judges}", WIDTH, subsequent_indent="  ")
        yield from textwrap.wrap(" ".join(one.note.split()), WIDTH, initial_indent="  ", subsequent_indent="  ")
    there = "is there" if (ROOT / found.prompts).is_file() or found.prompts.is_file() else "is not there yet"
    yield f"its table: {found.prompts} ({there})"
    yield "next:"
    yield f"  python -m evaluation.suites {name} --from LOCAL_COPY --out {found.prompts.parent}"
    for mode in found.modes:
        yield f"  python -m evaluation.evaluate --suite {name}/{mode} --system base=FOLDER_OF_WAVS --out build/{path.stem}-{mode}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "suite", nargs="?", metavar="NAME", help="of a suite, or path of its .yaml file; without it all are listed"
    )
    parser.add_argument("--from", dest="local", type=Path, metavar="LOCAL_COPY", help="folder of the data as it was unpacked")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where prompts.jsonl and manifest.jsonl are written")
    parser.add_argument(
        "--language",
        action="append",
        default=[],
        metavar="NAME",
        help="of a set of many languages: these alone, as it spells them",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that decode (default: in this one)")
    parser.add_argument("--strict", action="store_true", help="end with code 2 where the prompts are not as many as published")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; exit code 2 for what a user can mend."""
    given = parser().parse_args(arguments)

    def work() -> None:
        if given.suite is None:
            if given.local or given.out or given.language:
                raise ConfigError("expected the NAME of a suite, found none; `python -m evaluation.suites` lists them")
            print("\n".join(table()))
        elif given.local is None and given.out is None:
            print("\n".join(describe(given.suite)))
        else:
            convert(given)

    return exit_code("suites", work)


def convert(given: argparse.Namespace) -> None:
    """Converts a local copy as the command line says; tells what became of it."""
    from evaluation.test_sets import converting

    if given.local is None or given.out is None:
        raise ConfigError("expected --from LOCAL_COPY and --out DIR together, found one of them alone")
    with os_errors("read", given.local):
        there = given.local.exists()
    if not there:
        raise ArtefactError(f"{given.local}: expected the local copy of {given.suite}, found nothing; check --from")
    changes = {"languages": given.language} if given.language else {}
    found = read(given.suite)
    data = data_of(given.suite, changes)
    done = converting.convert(find(given.suite).stem, data, given.local, given.out, workers=given.workers)
    expected = None if given.language else found.num_prompts
    print("\n".join(done.lines(expected)))
    if given.strict and expected is not None and done.num_prompts != expected:
        raise ArtefactError(f"{done.path}: expected {expected} prompts, found {done.num_prompts} (--strict)")


if __name__ == "__main__":
    sys.exit(main())
