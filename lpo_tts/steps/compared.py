"""Tables of comparisons read beside the candidates they are of: those of the run, and votes that people brought."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import Comparison
from lpo_tts.rules.compared import Source
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.run import Run


class Reader(Protocol):
    """The comparisons of one prompt after the other, in the order of the candidates."""

    def get(self, prompt_id: str) -> list[Comparison]:
        """Those of a prompt, each prompt to be asked for once."""
        ...

    def close(self) -> None:
        """Raises ArtefactError where rows were not asked for."""
        ...


class ComparisonReader:
    """A table of the run, whose rows stand in the order of the candidates' prompts; one prompt at a time is in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = artefacts.iterate_rows(path, Comparison)
        self._next = next(self._rows, None)

    def get(self, prompt_id: str) -> list[Comparison]:
        """Those of a prompt; none where the next row is another prompt's."""
        found = []
        while self._next is not None and self._next.prompt_id == prompt_id:
            found.append(self._next)
            self._next = next(self._rows, None)
        return found

    def close(self) -> None:
        """Raises ArtefactError where a row is of a prompt without candidates, or stands out of order."""
        if self._next is not None:
            raise ArtefactError(
                f"{self.path}: the comparison of {self._next.first!r} and {self._next.second!r} does not stand in the order of "
                "the candidates; run score again with --redo score"
            )


class VoteReader:
    """A table that people brought, in any order; it is read whole, and every candidate in it must be one of the run's.

    Raises:
        ArtefactError: it cannot be read, or names what is no candidate of its prompt.
    """

    def __init__(self, path: Path, candidates: Path) -> None:
        rows = artefacts.read_rows(path, Comparison)
        _check_known(path, rows, candidates)
        self._rows: dict[str, list[Comparison]] = {}
        for row in rows:
            self._rows.setdefault(row.prompt_id, []).append(row)

    def get(self, prompt_id: str) -> list[Comparison]:
        """Those of a prompt, as they stand in the table."""
        return self._rows.get(prompt_id, [])

    def close(self) -> None:
        """Nothing is left: all candidates are known."""


def _check_known(path: Path, rows: Iterable[Comparison], candidates: Path) -> None:
    unknown: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows, 1):
        for one in (row.first, row.second):
            unknown.setdefault((row.prompt_id, one), number)
    for row in iterate_candidates(candidates) if unknown else ():
        unknown.pop((row.prompt_id, row.id), None)
    if unknown:
        (prompt_id, name), number = next(iter(unknown.items()))
        raise ArtefactError(
            f"{path}: row {number}: expected candidates of {candidates}, found {name!r} of the prompt {prompt_id!r}, which is "
            "none of them; take the votes of this run, or remove the row"
        )


def check_sources(sources: Iterable[Source], comparisons: Collection[str]) -> None:
    """Raises ConfigError for a name that is none of the recipe's `comparisons`, and for a file that is not there."""
    for source in sources:
        if isinstance(source, Path):
            if not source.is_file():
                raise ConfigError(f"pair: cannot read the votes {source}: no such file; export them, or check the path")
        elif source not in comparisons:
            there = ", ".join(comparisons) or "none"
            raise ConfigError(f"pair: the comparison {source} is not made by this recipe; `score.comparisons` has: {there}")


def digests(run: Run, sources: Iterable[Source]) -> dict[str, str]:
    """What a side-car remembers of these tables, by name; files are known by their contents."""
    named = {f"votes {one}" if isinstance(one, Path) else f"comparisons-{one}": path_of(run, one) for one in sources}
    return {name: artefacts.digest_of(path) for name, path in named.items()}


def readers_of(run: Run, sources: Iterable[Source]) -> Mapping[Source, Reader]:
    """A reader of each table."""
    return {
        one: VoteReader(one, run.candidates_path) if isinstance(one, Path) else ComparisonReader(path_of(run, one))
        for one in sources
    }


def path_of(run: Run, source: Source) -> Path:
    """Where a table lies."""
    return source if isinstance(source, Path) else run.comparisons_path(source)
