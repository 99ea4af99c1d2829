"""One folder of audio against a test list: every item judged, or counted with the reason why it could not be."""

import functools
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from judges import Judge
from lists import ListItem
from torch import Tensor
from tqdm import tqdm

from lpo_tts import audio
from lpo_tts.artefacts import file_hash, read_json, write_atomic, write_json
from lpo_tts.config import Structurer, differences
from lpo_tts.errors import ArtefactError
from lpo_tts.metrics.base import LoadedMetric, Speech

log = logging.getLogger("evaluate")
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
CHUNK = 32  # items judged before their rows are on the disk; what a kill can cost

Row = dict[str, Any]


class Panel:
    """All judges, loaded when the first audio is there to be judged."""

    def __init__(self, judges: Sequence[Judge], device: str = "cpu") -> None:
        self.judges = list(judges)
        self.device = device
        self._loaded: list[LoadedMetric] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Resolved settings of every judge, plain values."""
        plain = Structurer()
        return {judge.role.name: {"spec": judge.spec, "settings": plain.unstructure(judge.metric)} for judge in self.judges}

    def judge(self, speech: Sequence[Speech]) -> list[dict[str, dict[str, Any]]]:
        """Judgements by metric name, one dict per piece of speech."""
        if self._loaded is None:
            self._loaded = [judge.metric.load(self.device) for judge in self.judges]
        found: list[dict[str, dict[str, Any]]] = [{} for _ in speech]
        for judge, metric in zip(self.judges, self._loaded, strict=True):
            for judgements, one in zip(found, metric.judge(speech), strict=True):
                judgements[judge.role.name] = {"value": one.value, "detail": one.detail}
        return found


def find_audio(folder: Path, name: str) -> Path | None:
    """The file of an id, by the first suffix that exists."""
    return next((folder / (name + suffix) for suffix in SUFFIXES if (folder / (name + suffix)).is_file()), None)


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
        ArtefactError: The folder does not exist, or the rows were made by other judges or from another list.
    """
    if not folder.is_dir():
        raise ArtefactError(f"{folder}: expected a folder of audio, found none; check --wavs and --baseline")
    _check_settings(folder, items, panel, rows_path, force)
    known = {row["id"]: row for row in _read_rows(rows_path)}
    kept: dict[str, Row] = {}
    todo: list[tuple[ListItem, Path]] = []
    failed: dict[str, Row] = {}
    for item in items:
        path = find_audio(folder, item.id)
        if path is None:
            failed[item.id] = _failure(item, "missing", f"no {item.id}{SUFFIXES[0]} in {folder}")
        elif item.id in known and known[item.id].get("sha256") == file_hash(path):
            kept[item.id] = known[item.id]
        else:
            todo.append((item, path))
    write_atomic(rows_path, "".join(_line(row) for row in kept.values()).encode())
    with rows_path.open("a", encoding="utf-8") as file:
        for row in [*failed.values(), *_judged(todo, panel)]:
            file.write(_line(row))
            file.flush()
            kept[row["id"]] = row
    for row in kept.values():
        if row["status"] != "ok":
            log.warning("%s: %s: %s", folder, row["status"], row["reason"])
    return [kept[item.id] for item in items]


def _judged(todo: Sequence[tuple[ListItem, Path]], panel: Panel) -> Iterator[Row]:
    for start in tqdm(range(0, len(todo), CHUNK), desc="judging", unit="chunk", disable=None):
        ready: list[tuple[ListItem, Row, Speech, str | None]] = []
        for item, path in todo[start : start + CHUNK]:
            digest = file_hash(path)
            try:
                waveform, rate = audio.read(path)
            except ArtefactError as error:
                yield _failure(item, "unreadable", str(error)) | {"sha256": digest}
                continue
            voice, voice_rate, fault = _voice(item)
            row = {"id": item.id, "status": "ok", "reason": None, "audio": str(path.resolve()), "sha256": digest}
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
            ready.append((item, row, speech, fault))
        for (_, row, _, fault), judgements in zip(ready, panel.judge([one[2] for one in ready]) if ready else [], strict=True):
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


@functools.lru_cache(maxsize=64)
def _read_voice(path: Path) -> tuple[Tensor, int]:
    return audio.read(path)


def _failure(item: ListItem, status: str, reason: str) -> Row:
    row = {"id": item.id, "status": status, "reason": reason, "audio": None, "sha256": None, "duration": None, "judgements": {}}
    return row


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def _read_rows(path: Path) -> list[Row]:
    """Rows of an earlier run; a torn last line is dropped and its item judged again."""
    if not path.exists():
        return []
    rows = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            rows += [json.loads(line)] if line else []
        except ValueError as error:
            if number < len(lines):
                raise ArtefactError(
                    f"{path}:{number}: expected a JSON row, found {line[:60]!r}; use --force to judge anew"
                ) from error
    return rows


def _check_settings(folder: Path, items: Sequence[ListItem], panel: Panel, rows_path: Path, force: bool) -> None:
    meta_path = rows_path.with_suffix(".meta.json")
    asked = {item.id: [item.text, item.language, None if item.voice is None else str(item.voice)] for item in items}
    new = {"folder": str(folder.resolve()), "judges": panel.settings, "asked": asked}
    if rows_path.exists() and not force:
        old = read_json(meta_path) if meta_path.exists() else {}
        changed = differences(old, json.loads(json.dumps(new)))
        if changed:
            shown = "\n  ".join(changed[:5])
            raise ArtefactError(
                f"{rows_path} was made with other settings:\n  {shown}\nChoose another --out, or judge anew with --force."
            )
    if force:
        rows_path.unlink(missing_ok=True)
    write_json(meta_path, new)


def place_audio(rows: Sequence[Row], ids: Sequence[str], folder: Path, name: str) -> dict[str, str]:
    """Copies the audio of a few ids beside the report, so that the page and its players can be moved together.

    Returns:
        id to path relative to the report.
    """
    placed = {}
    for row in rows:
        if row["id"] in ids and row["audio"] is not None:
            source = Path(row["audio"])
            target = folder / "samples" / name / (row["id"].replace(os.sep, "_") + source.suffix)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            placed[row["id"]] = target.relative_to(folder).as_posix()
    return placed
