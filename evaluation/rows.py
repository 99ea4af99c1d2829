"""Rows of judgements as they stand on the disk: written one line each, and read back with every field checked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.judges import Judge
from lpo_tts.artefacts import loads
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError, ConfigError, os_errors
from lpo_tts.judging import judgement_fault
from lpo_tts.records import Judgement

STATUSES = ("ok", "missing", "unreadable")
_structurer = Structurer()


@dataclass(frozen=True, kw_only=True)
class JudgedFile:
    """One row: the file of one id of a list, and what every judge said of it.

    Attributes:
        status: "ok", "missing" or "unreadable"; `reason` says why.
        sha256: of the file that was judged: another file under the same name is judged again.
        duration: seconds.
        judgements: by name of the judge.
    """

    id: str
    status: str
    reason: str | None = None
    audio: str | None = None
    sha256: str | None = None
    duration: float | None = None
    judgements: dict[str, Judgement] = field(default_factory=dict)


def read_rows(path: Path, judges: Sequence[Judge]) -> dict[str, JudgedFile]:
    """Rows of an earlier run by id; a torn last line is dropped and its item judged again."""
    if not path.exists():
        return {}
    with os_errors("read", path):
        data = path.read_bytes()
    rows = {}
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].split(b"\n")[:-1], start=1):
        where = f"{path}:{number}"
        try:
            row = loads(line.decode(), where)
        except UnicodeDecodeError:
            row = None
        except ArtefactError as error:
            raise ArtefactError(f"{error}; use --force to judge anew") from error
        fault = _row_fault(row, judges)
        if fault:
            raise ArtefactError(f"{where}: expected a row of judgements, found {fault}; use --force to judge anew")
        found = _structurer.structure(row, JudgedFile, where)
        rows[found.id] = found
    return rows


def _row_fault(row: Any, judges: Sequence[Judge]) -> str | None:
    """What is wrong with a row read back; None when nothing is."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or row.get("status") not in STATUSES:
        return "none with an id and a status"
    if row["status"] != "ok":
        return None if isinstance(row.get("sha256"), str | None) and isinstance(row.get("reason"), str) else "no reason"
    duration, judgements = row.get("duration"), row.get("judgements")
    if not isinstance(row.get("sha256"), str) or not _is_duration(duration):
        return f"no sha256 or no duration for {row['id']!r}"
    if not isinstance(judgements, dict):
        return f"no judgements of {row['id']!r}"
    for judge in judges:
        fault = _judgement_fault(judgements.get(judge.role.name), judge)
        if fault:
            return f"a judgement of {row['id']!r} by {judge.role.name!r} that cannot be: {fault}"
    return None


def _judgement_fault(tree: Any, judge: Judge) -> str | None:
    """What is wrong with a judgement read back; None when nothing is."""
    try:
        judgement = _structurer.structure(tree, Judgement)
    except ConfigError as error:
        return f"expected a value, its weight and its detail, found {tree!r}"[:200] + f" ({error})"
    if judge.role.is_ratio and judgement.value is not None and judgement.weight is None:
        return f"expected counts of {judge.role.counts}s, found none"
    return judgement_fault(judgement)


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
