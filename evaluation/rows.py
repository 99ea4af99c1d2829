"""Rows of judgements as they stand on the disk: written one line each, and read back with every field checked."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judges import Judge

from lpo_tts.artefacts import loads
from lpo_tts.errors import ArtefactError, os_errors

Row = dict[str, Any]
STATUSES = ("ok", "missing", "unreadable")
COUNTS = ("substitutions", "deletions", "insertions", "num_words")


def row_line(row: Mapping[str, Any]) -> str:
    """One line of JSONL."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def read_rows(path: Path, judges: Sequence[Judge]) -> dict[str, Row]:
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
        rows[row["id"]] = row
    return rows


def _row_fault(row: Any, judges: Sequence[Judge]) -> str | None:
    """What is wrong with a row read back; None when nothing is."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or row.get("status") not in STATUSES:
        return "none with an id and a status"
    if row["status"] != "ok":
        return None if isinstance(row.get("sha256"), str | None) and isinstance(row.get("reason"), str) else "no reason"
    duration, judgements = row.get("duration"), row.get("judgements")
    if not isinstance(row.get("sha256"), str) or not _is_number(duration) or duration < 0:
        return f"no sha256 or no duration for {row['id']!r}"
    if not isinstance(judgements, dict):
        return f"no judgements of {row['id']!r}"
    for judge in judges:
        fault = judgement_fault(judgements.get(judge.role.name), judge)
        if fault:
            return f"a judgement of {row['id']!r} by {judge.role.name!r} that cannot be: {fault}"
    return None


def judgement_fault(judgement: Any, judge: Judge) -> str | None:
    """What is wrong with {value, detail}; None when nothing is."""
    if not isinstance(judgement, dict) or not isinstance(judgement.get("detail"), dict):
        return f"expected a value and its detail, found {judgement!r}"[:200]
    value, detail = judgement.get("value"), judgement["detail"]
    if value is not None and not _is_number(value):
        return f"expected a finite number or None, found {value!r}"
    try:
        json.dumps(detail, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"expected a detail of plain finite values, found {detail!r}"[:200] + f" ({error})"
    if judge.role.kind == "wer" and value is not None:
        counts = [detail.get(name) for name in COUNTS]
        texts = [detail.get(name) for name in ("hypothesis", "reference")]
        if not all(isinstance(one, int) and one >= 0 for one in counts) or not all(isinstance(one, str) for one in texts):
            return f"expected counts of words, hypothesis and reference, found {detail!r}"[:200]
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
