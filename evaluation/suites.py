"""Test suites: published lists of texts and voices, who judges them by which protocol, and how a local copy becomes prompts.

python -m evaluation.suites                                    what there is
python -m evaluation.suites NAME                               where its data come from, and which commands come next
python -m evaluation.suites NAME --from LOCAL_COPY --out DIR   writes DIR/prompts.jsonl
"""

import argparse
import difflib
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m evaluation.suites", file=sys.stderr)
    sys.exit(2)

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.config import Structurer, check_name, merge, read_yaml
from lpo_tts.errors import ArtefactError, ConfigError, exit_code, os_errors

if TYPE_CHECKING:
    from evaluation.test_sets.base import TestSet
    from lpo_tts.records import Prompt
    from lpo_tts.steps.evaluate import EvaluateSettings

FOLDER = Path(__file__).with_name("suites")
ROOT = Path(__file__).parents[1]
YAML = (".yaml", ".yml")
WIDTH = 100  # columns of what is printed
Headline: TypeAlias = Literal["corpus", "corpus_evaluated", "utterance", "utterance_evaluated"]


@dataclass(frozen=True, kw_only=True)
class About:
    """What people want to know of a suite before they use it; nothing is computed from it.

    Attributes:
        measures: what its figures tell.
        source: address of the data.
        fetch: how a local copy is made, and what --from names.
        licence: of texts and recordings.
        published: who publishes numbers with it.
        verified: what of this file was verified, how, and what was not.
    """

    measures: str
    source: str
    fetch: str
    licence: str
    published: str
    verified: str


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One protocol of a suite, as its file has it.

    Attributes:
        headline: the figure to quote: its average, and whether missing candidates are left out (`..._evaluated`).
        note: what stands on the page of a report.
        num_seeds: candidates per prompt that the protocol asks for.
        evaluate: the section of a recipe; relative paths are relative to the working folder.
    """

    headline: Headline
    note: str
    num_seeds: int = 1
    evaluate: Mapping[str, Any] = field(default_factory=dict)

    bounds = {"num_seeds": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        average = self.evaluate.get("average", "corpus")
        if self.headline.removesuffix("_evaluated") != average:
            raise ConfigError(f"headline: expected the average of `evaluate` ({average}), found {self.headline}")


@dataclass(frozen=True, kw_only=True)
class SuiteFile:
    """A file of `evaluation/suites`, or one of your own, before its judges are looked up.

    Attributes:
        about: what people want to know.
        data: the test set, `{name: ..., settings}`.
        prompts: where its prompts are expected.
        languages: ISO 639-1 codes of its texts.
        num_prompts: how many there should be; None: nothing fixes it.
        modes: name -> protocol; the first one is what `load` takes where none is named.
    """

    about: About
    data: Mapping[str, Any]
    prompts: Path
    languages: tuple[str, ...]
    num_prompts: int | None = None
    modes: dict[str, Mode]

    bounds = {"num_prompts": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.modes:
            raise ConfigError("modes: expected at least one, found none")
        for name in self.modes:
            check_name("modes", name)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A test suite in one of its modes, ready to be judged by.

    Attributes:
        name: of the suite.
        mode: of the protocol.
        about: what people want to know of it.
        prompts: the table of its prompts, whose recordings are relative to its folder.
        languages: of its texts.
        num_prompts: how many there should be; None: nothing fixes it.
        headline: the figure to quote.
        note: for the page of a report.
        num_seeds: candidates per prompt that the protocol asks for.
        evaluate: judges and settings of the report.
    """

    name: str
    mode: str
    about: About
    prompts: Path
    languages: tuple[str, ...]
    num_prompts: int | None
    headline: Headline
    note: str
    num_seeds: int
    evaluate: "EvaluateSettings"

    def read(self) -> "list[Prompt]":
        """Its prompts, with recordings relative to the working folder.

        Raises:
            ArtefactError: the local copy was not converted, or the table is damaged.
        """
        from lpo_tts.artefacts import read_rows
        from lpo_tts.records import Prompt

        if not self.prompts.is_file():
            raise ArtefactError(
                f"{self.prompts}: expected the prompts of the suite {self.name}, found none; make them: "
                f"python -m evaluation.suites {self.name} --from LOCAL_COPY --out {self.prompts.parent}"
            )
        folder = self.prompts.parent
        return [
            replace(
                one,
                voice=replace(one.voice, audio=str(folder / one.voice.audio)) if one.voice is not None else None,
                target=replace(one.target, audio=str(folder / one.target.audio)) if one.target is not None else None,
            )
            for one in read_rows(self.prompts, Prompt)
        ]


def names() -> list[str]:
    """Of every suite that comes with the project, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a suite: a name, or the path of a .yaml file; raises ConfigError where there is none."""
    if name.endswith(YAML):
        return Path(name)
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ConfigError(f"suite: expected one of {', '.join(known)}, or the path of a .yaml file, found {name!r}{hint}")
    return FOLDER / f"{name}.yaml"


def read(name: str) -> SuiteFile:
    """A suite without its judges, so that nothing heavy is imported; raises ConfigError naming file and key."""
    path = find(name)
    return _structure(Structurer({}), read_yaml(path), SuiteFile, str(path))


def _structure(structurer: Structurer, tree: Any, kind: Any, where: str) -> Any:
    """Settings from their tree; raises ConfigError that begins with the place and a colon."""
    try:
        return structurer.structure(tree, kind)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def load(name: str, mode: str | None = None) -> Suite:
    """A suite in one of its modes; no judge is loaded.

    Args:
        name: of a suite, or path of its file; `NAME/MODE` and `FILE/MODE` will do too.
        mode: of its protocols; None: the first in the file.

    Raises:
        ConfigError: there is no such suite or mode, or a key is wrong; the message names file and key.
    """
    from lpo_tts import recipe

    if mode is None and "/" in name and not name.endswith(YAML):
        name, _, mode = name.rpartition("/")  # of a file too: FOLDER/mine.yaml/strict
    found = read(name)
    chosen = mode if mode is not None else next(iter(found.modes))
    if chosen not in found.modes:
        raise ConfigError(f"{find(name)}: expected a mode of {', '.join(found.modes)}, found {chosen!r}")
    own = found.modes[chosen]
    where = f"{find(name)}: modes.{chosen}.evaluate"
    evaluate = _structure(recipe.STRUCTURER, dict(own.evaluate), recipe.EvaluateSettings, where)
    if not evaluate.judges:
        raise ConfigError(f"{where}: expected judges, found none")
    return Suite(
        name=find(name).stem,
        mode=chosen,
        about=found.about,
        prompts=found.prompts,
        languages=found.languages,
        num_prompts=found.num_prompts,
        headline=own.headline,
        note=" ".join(own.note.split()),
        num_seeds=own.num_seeds,
        evaluate=evaluate,
    )


def data_of(name: str, changes: Mapping[str, Any] | None = None) -> "TestSet":
    """The test set of a suite, with changes to its settings; raises ConfigError naming file and key."""
    from evaluation import test_sets
    from evaluation.test_sets.base import TestSet

    tree = merge(read(name).data, changes or {})
    return _structure(Structurer({TestSet: test_sets.REGISTRY}), tree, TestSet, f"{find(name)}: data")


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
        judges = ", ".join(one.evaluate.get("judges") or ())
        yield from textwrap.wrap(f"mode {mode}: headline {one.headline}; judges: {judges}", WIDTH, subsequent_indent="  ")
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
