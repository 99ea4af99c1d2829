"""Folders of audio against a test list: every item judged, or counted with the reason why it could not be."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from evaluation.judges import Judge, panel_of, settings_of
from evaluation.rows import JudgedFile, read_rows
from lpo_tts import audio
from lpo_tts.artefacts import RowWriter, file_hash, read_json, write_json, write_rows
from lpo_tts.config import differences
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.fingerprints import fingerprint
from lpo_tts.judging import Clip, Panel
from lpo_tts.prompting.lists import inside
from lpo_tts.records import Prompt, file_name

log = logging.getLogger("evaluation")
CHUNK = 32  # items judged before their rows are on the disk; what a kill can cost
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


class AudioFolder:
    """Finds the audio of ids below a folder, whatever the case of the suffix.

    An id never leads out of the folder. A link within it is followed: whoever made the folder put it there, and the
    downloads of the Hugging Face hub consist of links.
    """

    def __init__(self, root: Path) -> None:
        if not os.path.isdir(root):
            raise ArtefactError(f"{root}: expected a folder of audio, found none; check --wavs and --baseline")
        with os_errors("read", root):
            self.root = root.resolve()
        self._names: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """The file of an id, by the first suffix that exists."""
        if not inside(name):
            return None
        stem = self.root / name
        names = self._listing(stem.parent)
        for suffix in SUFFIXES:
            for key in (stem.name + suffix, f"{stem.name}\0{suffix}"):
                if key in names and os.path.isfile(stem.parent / names[key]):
                    return stem.parent / names[key]
        return None

    def _listing(self, folder: Path) -> dict[str, str]:
        """Names in a folder, each under itself and under stem and lower-case suffix."""
        if folder not in self._names:
            names: dict[str, str] = {}
            if os.path.isdir(folder):
                with os_errors("read", folder):
                    listed = sorted(os.listdir(folder))
                for name in listed:
                    stem, suffix = os.path.splitext(name)
                    names[name] = name
                    names.setdefault(f"{stem}\0{suffix.lower()}", name)
            self._names[folder] = names
        return self._names[folder]


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
    kept: dict[str, JudgedFile]
    failed: dict[str, JudgedFile]
    todo: list[tuple[Prompt, Path, str]]

    @property
    def needs_judges(self) -> bool:
        """Whether judges are to be loaded: not when all there is has been judged before."""
        return bool(self.todo) or not any(row.status == "ok" for row in self.kept.values())


def plan_folder(folder: Path, items: Sequence[Prompt], judges: Sequence[Judge], rows_path: Path, *, force: bool = False) -> Plan:
    """Looks for the audio of every item and for rows of an earlier run; judges nothing yet.

    Raises:
        ArtefactError: The folder does not exist, the rows were made by other judges or from another list, or are damaged.
    """
    found = AudioFolder(folder)
    _check_settings(folder, items, judges, rows_path, force)
    known = {**read_rows(rows_path, judges), **read_rows(_partial(rows_path), judges)}
    plan = Plan(folder=folder, rows_path=rows_path, order=[item.id for item in items], kept={}, failed={}, todo=[])
    for item in items:
        path = found.find(item.id)
        if path is None:
            plan.failed[item.id] = JudgedFile(id=item.id, status="missing", reason=f"no {item.id}{SUFFIXES[0]} in {folder}")
            continue
        try:
            digest = file_hash(path)
        except ArtefactError as error:
            plan.failed[item.id] = JudgedFile(id=item.id, status="unreadable", reason=str(error))
            continue
        row = known.get(item.id)
        if row is not None and row.sha256 == digest:
            plan.kept[item.id] = replace(row, audio=str(path) if row.status == "ok" else None)
        else:
            plan.todo.append((item, path, digest))
    return plan


def check_audio(plan: Plan) -> None:
    """Raises ArtefactError when not one item of the list has audio: then there is nothing to judge."""
    if not plan.todo and not any(row.status == "ok" for row in plan.kept.values()):
        raise ArtefactError(_nothing(plan, [*plan.failed.values(), *plan.kept.values()]))


def judge_plan(plan: Plan, panel: Panel) -> list[JudgedFile]:
    """Judges what a plan has left to do and returns one row per item, in the order of the list.

    Raises:
        ArtefactError: Nothing could be judged, or the rows cannot be written.
    """
    if plan.needs_judges:
        panel.load()
    check_audio(plan)
    rows = dict(plan.kept)
    write_rows(_partial(plan.rows_path), rows.values())
    writer = RowWriter(plan.rows_path, JudgedFile)
    for row in [*plan.failed.values(), *_judged(plan.todo, panel)]:
        writer.append([row])
        rows[row.id] = row
    writer.finish()
    for row in rows.values():
        if row.status != "ok":
            log.warning("%s: %s: %s", plan.folder, row.status, row.reason)
    found = [rows[name] for name in plan.order]
    _check_judged(plan, found)
    return found


def judge_folder(
    folder: Path,
    items: Sequence[Prompt],
    judges: Sequence[Judge],
    rows_path: Path,
    *,
    device: str = "cpu",
    force: bool = False,
) -> list[JudgedFile]:
    """Judges what has not been judged yet and returns one row per item, in the order of the list.

    Args:
        folder: Holds `<id>.wav` (or .flac, .ogg, .mp3).
        items: The test list.
        judges: Who judges.
        rows_path: JSONL of JudgedFile. Rows of audio that has not changed are kept; missing files are looked for again.
        device: "cpu", "cuda", ...
        force: Judge everything anew, and accept rows of other settings by throwing them away.

    Raises:
        ArtefactError: The folder does not exist or holds nothing of the list, nothing could be judged, or the rows were
            made by other judges or from another list.
        ComponentError: A judge cannot be loaded.
    """
    return judge_plan(plan_folder(folder, items, judges, rows_path, force=force), panel_of(judges, device))


def _partial(rows_path: Path) -> Path:
    """Where rows stand while the folder is being judged."""
    return rows_path.with_name(rows_path.name + ".partial")


def _check_judged(plan: Plan, rows: Sequence[JudgedFile]) -> None:
    heard = [row for row in rows if row.status == "ok"]
    if not heard:
        raise ArtefactError(_nothing(plan, rows))
    judgements = [one for row in heard for one in row.judgements.values()]
    if all(one.value is None for one in judgements):
        reason = next((one.detail.get("reason") for one in judgements), None) or "no reason given"
        raise ArtefactError(f"{plan.folder}: no judge could say anything of {len(heard)} files, so there is no result; {reason}")


def _nothing(plan: Plan, rows: Sequence[JudgedFile]) -> str:
    counts = {status: sum(row.status == status for row in rows) for status in ("missing", "unreadable")}
    shown = " and ".join(f"{count} {status}" for status, count in counts.items() if count)
    first = rows[0].reason
    return f"{plan.folder}: no utterance of the list can be judged: {shown}, first: {first}; check the folder and the list's ids"


def _judged(todo: Sequence[tuple[Prompt, Path, str]], panel: Panel) -> Iterator[JudgedFile]:
    for start in tqdm(range(0, len(todo), CHUNK), desc="judging", unit="chunk", disable=None):
        clips: list[Clip] = []
        rows: list[JudgedFile] = []
        for item, path, digest in todo[start : start + CHUNK]:
            try:
                with os_errors("read", path):
                    waveform, rate = audio.read(path)
            except ArtefactError as error:
                yield JudgedFile(id=item.id, status="unreadable", reason=str(error), sha256=digest)
                continue
            clips.append(Clip(id=item.id, prompt=item, audio=waveform, sample_rate=rate))
            duration = waveform.numel() / rate
            rows.append(JudgedFile(id=item.id, status="ok", audio=str(path), sha256=digest, duration=duration))
        found = panel.judge(clips)
        for place, row in enumerate(rows):
            yield replace(row, judgements={name: judged[place] for name, judged in found.items()})


def _check_settings(folder: Path, items: Sequence[Prompt], judges: Sequence[Judge], rows_path: Path, force: bool) -> None:
    meta_path = rows_path.with_suffix(".meta.json")
    asked = {item.id: [item.text, item.language, item.voice.audio if item.voice is not None else None] for item in items}
    new = {"folder": str(folder.resolve()), "judges": fingerprint(settings_of(judges)), "asked": asked}
    if rows_path.exists() and not force:
        old = read_json(meta_path) if meta_path.exists() else {}
        changed = differences(old if isinstance(old, dict) else {}, json.loads(json.dumps(new)))
        if changed:
            shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise ArtefactError(
                f"{rows_path} was made with other settings: {shown}; choose another --out, or judge anew with --force"
            )
    if force:
        for path in (rows_path, _partial(rows_path)):
            with os_errors("delete", path):
                path.unlink(missing_ok=True)
    write_json(meta_path, new)


def place_audio(rows: Sequence[JudgedFile], ids: Sequence[str], folder: Path, name: str) -> dict[str, str]:
    """Copies the audio of a few ids beside the report, so that the page and its players can be moved together.

    Returns:
        id to path relative to the report.
    """
    placed = {}
    wanted = set(ids)
    for row in rows:
        if row.id in wanted and row.audio is not None:
            source = Path(row.audio)
            target = folder / "samples" / name / (file_name(row.id) + source.suffix.lower())
            with os_errors("write", target):
                target.parent.mkdir(parents=True, exist_ok=True)
                if not (target.exists() and target.samefile(source)):
                    shutil.copyfile(source, target)
            placed[row.id] = target.relative_to(folder).as_posix()
    return placed
