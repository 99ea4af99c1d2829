"""Score tables read beside the candidates they are of, row by row."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate, Score


class ScoreReader:
    """Values of one metric, asked for in the order of its table.

    Rows are read as far as they are asked for. Where a table has another order than the questions, the values between are
    kept as plain numbers until somebody asks; with `details`, what they rest on is kept beside them.

    Args:
        path: table of scores.
        details: whether `read` is to tell details too.
    """

    def __init__(self, path: Path, *, details: bool = False) -> None:
        self.path, self.details = path, details
        self._rows = artefacts.iterate_rows(path, Score, unique=False)
        self._ahead: dict[str, tuple[float | None, Mapping[str, Any]]] = {}

    def get(self, candidate_id: str) -> float | None:
        """Value of a candidate, each to be asked for once; None = could not be scored, or has no row.

        Raises ArtefactError for a torn or edited row.
        """
        return self.read(candidate_id)[0]

    def read(self, candidate_id: str) -> tuple[float | None, Mapping[str, Any]]:
        """As `get`, and what the value rests on: {} where there is no row, or details were not asked for."""
        if candidate_id in self._ahead:
            return self._ahead.pop(candidate_id)
        for row in self._rows:
            found = row.value, row.detail if self.details else {}
            if row.candidate_id == candidate_id:
                return found
            if row.candidate_id in self._ahead:
                self._refuse_twice()
            self._ahead[row.candidate_id] = found
        return None, {}

    def close(self) -> None:
        """Reads to the end; raises ArtefactError for a torn row, or a candidate that stands twice."""
        if self._ahead or next(self._rows, None) is not None:
            self._refuse_twice()

    def _refuse_twice(self) -> None:
        for _ in artefacts.iterate_rows(self.path, Score):
            pass


def groups(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Candidates of one prompt after the other, which stand together in tables of candidates.

    Raises:
        ArtefactError: candidates of one prompt stand apart.
    """
    group: list[Candidate] = []
    seen: set[str] = set()
    for candidate in candidates:
        if group and candidate.prompt_id != group[0].prompt_id:
            yield group
            group = []
        if not group:
            if candidate.prompt_id in seen:
                raise ArtefactError(
                    f"candidate {candidate.id!r}: the candidates of prompt {candidate.prompt_id!r} do not stand together; "
                    "sort the rows by prompt"
                )
            seen.add(candidate.prompt_id)
        group.append(candidate)
    if group:
        yield group
