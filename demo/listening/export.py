"""Answers as files: CSV, JSON, and rows of preferences that the pair rule `votes` takes, so that a model learns from them."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.listening import modes
from demo.listening.asked import score_of
from demo.listening.checks import Check
from demo.listening.results import Result
from demo.listening.rows import Answered
from demo.listening.telling import headline, told
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.files import iterate_rows, write_rows
from lpo_tts.records import Comparison, Preferred

COLUMNS = (
    "test", "mode", "question", "source", "listener", "code", "flags", "trial", "item", "prompt_id", "catch", "passed", "label",
    "name", "candidate_id", "damage", "side_a", "side_b", "answer", "chosen", "shown", "answered", "seconds", "audio_seconds",
)  # fmt: skip
VOTES = "candidate-votes.jsonl"  # not votes.jsonl, by which the demo knows votes of an older one
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a table program takes a cell that begins so for something to compute


def csv_rows(
    answers: Iterable[Answered],
    checks: Mapping[str, Sequence[Check]] | None = None,
    codes: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[dict[str, Any]]:
    """A row for each choice, and in MOS and MUSHRA for each rated clip; nothing is left out.

    Args:
        answers: in any order.
        checks: test -> checks of its listeners, whose flags are put to their answers.
        codes: test -> listener -> completion code (`Store.codes`).
    """
    flags = {(test, one.listener): one.flags for test, found in (checks or {}).items() for one in found}
    for one in answers:
        content = one.content
        row = {
            "test": one.test,
            "mode": content.mode,
            "question": content.question,
            "source": content.source,
            "listener": one.listener,
            "code": (codes or {}).get(one.test, {}).get(one.listener, ""),
            "flags": "; ".join(flags.get((one.test, one.listener), ())),
            "trial": one.trial,
            "item": content.item,
            "prompt_id": content.prompt_id,
            "catch": content.catch,
            "passed": modes.passed(content.mode, content.catch, content.sides, content.reference, one.answer),
            "shown": _time(one.shown),
            "answered": _time(one.time),
            "seconds": round(one.time - one.shown, 3),
            "audio_seconds": round(sum(content.seconds.values()), 3),
        }
        if isinstance(one.answer, dict):
            for side in content.sides:
                yield {**row, **asdict(side), "answer": one.answer[side.label]}
        else:
            sides = {f"side_{side.label.lower()}": side.name for side in content.sides}
            yield {**row, **sides, "answer": one.answer, "chosen": _chosen(one)}


def csv_text(
    answers: Iterable[Answered],
    checks: Mapping[str, Sequence[Check]] | None = None,
    codes: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """The rows of `csv_rows` as CSV with a header; text that a table program would compute gets an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in csv_rows(answers, checks, codes):
        writer.writerow([_safe(row.get(name, "")) for name in COLUMNS])
    return file.getvalue()


def json_text(results: Sequence[Result]) -> str:
    """All results with their settings, as JSON."""
    found = [
        {
            "headline": headline(one),
            "told": {f"{pair.a} | {pair.b}": told(pair, one) for pair in one.main.pairs},
            "flagged": one.flagged,
            **asdict(one),
        }
        for one in results
    ]
    return json.dumps({"version": 1, "results": found}, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def comparisons(answers: Iterable[Answered], test: str, without: Collection[str] = ()) -> list[Comparison]:
    """Votes on candidates as rows for the rule `votes`, the listener as judge.

    Catch trials are left out. A score of CMOS is a preference for the side that it speaks for, and 0 is a tie.

    Args:
        answers: of any tests.
        test: whose votes. Two tests that ask different things are two tables: to the rule, one listener who votes on the same
            two candidates twice and differently is tied.
        without: listeners who are left out.

    Raises:
        ContractError: the test has no votes on candidates.
    """
    rows = []
    for one in answers:
        content = one.content
        usable = content.source == "candidates" and content.mode in ("ab", "cmos") and not content.catch
        if not usable or one.test != test or one.listener in without:
            continue
        first, second = sorted(side.candidate_id for side in content.sides)
        score = score_of(one, content.sides[1].name) * (1 if content.sides[1].candidate_id == second else -1)
        preferred: Preferred = "tie" if score == 0 else "second" if score > 0 else "first"
        detail: dict[str, Any] = {"test": one.test, "question": content.question, "mode": content.mode, "time": _time(one.time)}
        if content.mode == "cmos":
            detail["score"] = int(score)
        rows.append(
            Comparison(
                prompt_id=content.prompt_id,
                first=first,
                second=second,
                preferred=preferred,
                judge=one.listener,
                detail=detail,
            )
        )
    if not rows:
        raise ContractError(
            f"the test {test!r} has no votes on candidates, so no pairs can be made of it; "
            "listen to a test whose source is `candidates` and whose mode is ab or cmos"
        )
    return rows


def write_votes(path: Path, rows: Sequence[Comparison]) -> None:
    """Writes rows as the table that `rule: {name: votes, path: ...}` reads.

    An older table that was written so is replaced, and nothing else: an older demo has votes of another kind.

    Raises:
        ArtefactError: the file is there, and is no such table; or it cannot be written.
    """
    if path.exists() and not _is_ours(path):
        raise ArtefactError(f"{path}: expected no file, or votes on candidates to replace, found another file; give another name")
    write_rows(path, rows)


def _is_ours(path: Path) -> bool:
    """Whether a file begins with a row as `comparisons` makes it, or is empty."""
    try:
        first = next(iterate_rows(path, Comparison), None)
    except ArtefactError:
        return False
    return first is None or {"test", "question", "mode"} <= set(first.detail)


def _chosen(one: Answered) -> str:
    """The name that an answer speaks for: of the clip that is preferred, or in ABX that X is said to be; "" for a tie."""
    sides = one.content.sides
    if one.content.mode == "cmos":
        return "" if one.answer == 0 else sides[1 if one.answer > 0 else 0].name
    return next((side.name for side in sides if side.label == one.answer), "")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
