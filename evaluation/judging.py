"""One folder of audio against a test list: every item judged, or counted with the reason why it could not be."""

import functools
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from folders import SUFFIXES, AudioFolder
from judges import Judge
from lists import ListItem
from rows import Row, judgement_fault, read_rows, row_line
from torch import Tensor
from tqdm import tqdm

from lpo_tts import audio
from lpo_tts.artefacts import file_hash, read_json, write_atomic, write_json
from lpo_tts.config import Structurer, differences
from lpo_tts.errors import ArtefactError, ContractError, os_errors
from lpo_tts.metrics.base import Judgement, LoadedMetric, Speech

log = logging.getLogger("evaluate")
CHUNK = 32  # items judged before their rows are on the disk; what a kill can cost


class Panel:
    """All judges; `load` them before the first audio is judged."""

    def __init__(self, judges: Sequence[Judge], device: str = "cpu") -> None:
        self.judges = list(judges)
        self.device = device
        self._loaded: list[LoadedMetric] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Resolved settings of every judge, plain values."""
        plain = Structurer()
        return {judge.role.name: {"spec": judge.spec, "settings": plain.unstructure(judge.metric)} for judge in self.judges}

    def load(self) -> list[LoadedMetric]:
        """The judges in memory; raises ComponentError for one that cannot be loaded."""
        if self._loaded is None:
            self._loaded = [judge.metric.load(self.device) for judge in self.judges]
        return self._loaded

    def judge(self, speech: Sequence[Speech]) -> list[dict[str, dict[str, Any]]]:
        """Judgements by metric name, one dict per piece of speech; raises ContractError for a value that is no number."""
        found: list[dict[str, dict[str, Any]]] = [{} for _ in speech]
        for judge, metric in zip(self.judges, self.load(), strict=True):
            judged = metric.judge(speech)
            if len(judged) != len(speech):
                raise ContractError(
                    f"metric {judge.role.name!r}: expected one judgement per utterance, {len(speech)}, found {len(judged)}"
                )
            for judgements, one, item in zip(found, judged, speech, strict=True):
                judgements[judge.role.name] = self._plain(judge, one, item)
        return found

    @staticmethod
    def _plain(judge: Judge, judgement: Judgement, item: Speech) -> dict[str, Any]:
        value = judgement.value
        if isinstance(value, np.generic | Tensor) and value.ndim == 0:
            value = value.item()
        plain = {"value": value, "detail": judgement.detail}
        fault = judgement_fault(plain, judge)
        if fault:
            raise ContractError(f"metric {judge.role.name!r} of {item.id!r}: {fault}")
        return plain


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done for one folder.

    Attributes:
        folder: The audio.
        rows_path: Where its rows stand.
        order: Ids in the order of the list.
        kept: Rows of an earlier run whose audio has not changed.
        failed: Rows of what is missing or cannot be read.
        todo: What is to be judged: the item, its file and that file's sha-256.
    """

    folder: Path
    rows_path: Path
    order: list[str]
    kept: dict[str, Row]
    failed: dict[str, Row]
    todo: list[tuple[ListItem, Path, str]]

    @property
    def needs_judges(self) -> bool:
        """Whether judges are to be loaded: not when all there is has been judged before."""
        return bool(self.todo) or not any(row["status"] == "ok" for row in self.kept.values())


def plan_folder(folder: Path, items: Sequence[ListItem], panel: Panel, rows_path: Path, *, force: bool = False) -> Plan:
    """Looks for the audio of every item and for rows of an earlier run; judges nothing yet.

    Raises:
        ArtefactError: The folder does not exist, the rows were made by other judges or from another list, or are damaged.
    """
    found = AudioFolder(folder)
    _check_settings(folder, items, panel, rows_path, force)
    known = read_rows(rows_path, panel.judges)
    plan = Plan(folder=folder, rows_path=rows_path, order=[item.id for item in items], kept={}, failed={}, todo=[])
    for item in items:
        path = found.find(item.id)
        if path is None:
            plan.failed[item.id] = _failure(item, "missing", f"no {item.id}{SUFFIXES[0]} in {folder}")
            continue
        try:
            digest = file_hash(path)
        except ArtefactError as error:
            plan.failed[item.id] = _failure(item, "unreadable", str(error))
            continue
        row = known.get(item.id)
        if row is not None and row.get("sha256") == digest:
            if row["status"] == "ok":
                plan.kept[item.id] = row | {"audio": str(path)}
            else:
                plan.kept[item.id] = _failure(item, row["status"], row["reason"]) | {"sha256": digest}
        else:
            plan.todo.append((item, path, digest))
    return plan


def check_audio(plan: Plan) -> None:
    """Raises ArtefactError when not one item of the list has audio: then there is nothing to judge."""
    if not plan.todo and not any(row["status"] == "ok" for row in plan.kept.values()):
        raise ArtefactError(_nothing(plan, [*plan.failed.values(), *plan.kept.values()]))


def judge_plan(plan: Plan, panel: Panel) -> list[Row]:
    """Judges what a plan has left to do and returns one row per item, in the order of the list.

    Raises:
        ArtefactError: Nothing could be judged, or the rows cannot be written.
    """
    if plan.needs_judges:
        panel.load()
    check_audio(plan)
    rows = dict(plan.kept)
    write_atomic(plan.rows_path, "".join(row_line(row) for row in rows.values()).encode())
    with os_errors("write", plan.rows_path):
        file = plan.rows_path.open("a", encoding="utf-8")
    with file:
        for row in [*plan.failed.values(), *_judged(plan.todo, panel)]:
            with os_errors("write", plan.rows_path):
                file.write(row_line(row))
                file.flush()
            rows[row["id"]] = row
    for row in rows.values():
        if row["status"] != "ok":
            log.warning("%s: %s: %s", plan.folder, row["status"], row["reason"])
    found = [rows[name] for name in plan.order]
    _check_judged(plan, found)
    return found


def judge_folder(folder: Path, items: Sequence[ListItem], panel: Panel, rows_path: Path, *, force: bool = False) -> list[Row]:
    """Judges what has not been judged yet and returns one row per item, in the order of the list.

    Args:
        folder: Holds `<id>.wav` (or .flac, .ogg, .mp3).
        items: The test list.
        panel: The judges.
        rows_path: JSONL of rows {id, status, reason, audio, sha256, duration, judgements}; status is "ok", "missing" or
            "unreadable". Rows of audio that has not changed are kept; missing files are looked for again.
        force: Judge everything anew, and accept rows of other settings by throwing them away.

    Raises:
        ArtefactError: The folder does not exist or holds nothing of the list, nothing could be judged, or the rows were
            made by other judges or from another list.
        ComponentError: A judge cannot be loaded.
    """
    return judge_plan(plan_folder(folder, items, panel, rows_path, force=force), panel)


def _check_judged(plan: Plan, rows: Sequence[Row]) -> None:
    heard = [row for row in rows if row["status"] == "ok"]
    if not heard:
        raise ArtefactError(_nothing(plan, rows))
    judgements = [one for row in heard for one in row["judgements"].values()]
    if all(one["value"] is None for one in judgements):
        reason = next((one["detail"].get("reason") for one in judgements), None) or "no reason given"
        raise ArtefactError(f"{plan.folder}: no judge could say anything of {len(heard)} files, so there is no result; {reason}")


def _nothing(plan: Plan, rows: Sequence[Row]) -> str:
    counts = {status: sum(row["status"] == status for row in rows) for status in ("missing", "unreadable")}
    shown = " and ".join(f"{count} {status}" for status, count in counts.items() if count)
    first = rows[0]["reason"]
    return f"{plan.folder}: no utterance of the list can be judged: {shown}, first: {first}; check the folder and the list's ids"


def _judged(todo: Sequence[tuple[ListItem, Path, str]], panel: Panel) -> Iterator[Row]:
    for start in tqdm(range(0, len(todo), CHUNK), desc="judging", unit="chunk", disable=None):
        ready: list[tuple[Row, Speech, str | None]] = []
        for item, path, digest in todo[start : start + CHUNK]:
            try:
                waveform, rate = _read(path)
            except ArtefactError as error:
                yield _failure(item, "unreadable", str(error)) | {"sha256": digest}
                continue
            voice, voice_rate, fault = _voice(item)
            row = {"id": item.id, "status": "ok", "reason": None, "audio": str(path), "sha256": digest}
            row["duration"] = waveform.numel() / rate
            speech = Speech(
                id=item.id,
                audio=waveform,
                sample_rate=rate,
                text=item.text,
                language=item.language,
                voice=voice,
                voice_sample_rate=voice_rate,
                voice_id=None if item.voice is None else str(item.voice),
            )
            ready.append((row, speech, fault))
        for (row, _, fault), judgements in zip(ready, panel.judge([one[1] for one in ready]) if ready else [], strict=True):
            if fault is not None:  # the list's fault, and not the model's: say which file
                judgements = {name: _blamed(one, fault) for name, one in judgements.items()}
            yield row | {"judgements": judgements}


def _blamed(judgement: dict[str, Any], fault: str) -> dict[str, Any]:
    return judgement if judgement["value"] is not None else {"value": None, "detail": {**judgement["detail"], "reason": fault}}


def _voice(item: ListItem) -> tuple[Tensor | None, int | None, str | None]:
    if item.voice is None:
        return None, None, None
    try:
        return *_read_voice(item.voice), None
    except ArtefactError as error:
        return None, None, f"the voice cannot be read: {error}"


def _read(path: Path) -> tuple[Tensor, int]:
    with os_errors("read", path):
        return audio.read(path)


@functools.lru_cache(maxsize=64)
def _read_voice(path: Path) -> tuple[Tensor, int]:
    return _read(path)


def _failure(item: ListItem, status: str, reason: str) -> Row:
    row = {"id": item.id, "status": status, "reason": reason, "audio": None, "sha256": None, "duration": None, "judgements": {}}
    return row


def _check_settings(folder: Path, items: Sequence[ListItem], panel: Panel, rows_path: Path, force: bool) -> None:
    meta_path = rows_path.with_suffix(".meta.json")
    asked = {item.id: [item.text, item.language, None if item.voice is None else str(item.voice)] for item in items}
    new = {"folder": str(folder.resolve()), "judges": panel.settings, "asked": asked}
    if rows_path.exists() and not force:
        old = read_json(meta_path) if meta_path.exists() else {}
        changed = differences(old if isinstance(old, dict) else {}, json.loads(json.dumps(new)))
        if changed:
            shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise ArtefactError(
                f"{rows_path} was made with other settings: {shown}; choose another --out, or judge anew with --force"
            )
    if force:
        with os_errors("delete", rows_path):
            rows_path.unlink(missing_ok=True)
    write_json(meta_path, new)
