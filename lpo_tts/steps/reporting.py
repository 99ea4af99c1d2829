"""What judges said of systems, put together: the numbers, the page, and how they came about."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lpo_tts import artefacts, audio
from lpo_tts.comparison.candidates import NOT_ASKED, JudgedCandidate, MetricRole
from lpo_tts.comparison.ground_truth import ground_truth
from lpo_tts.comparison.results import Example, GroundTruth, NotJudged, Report, Side, plain
from lpo_tts.comparison.summary import summarise
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.judging import expanded, roles_of
from lpo_tts.metrics.base import scale_of
from lpo_tts.records import Judgement, Prompt, file_name
from lpo_tts.report.page import render
from lpo_tts.steps import judged
from lpo_tts.steps.judged import Heard, Item, Scores
from lpo_tts.steps.judges import EvaluateSettings
from lpo_tts.steps.progress import Meter
from lpo_tts.steps.run import CODEC_COPY, RECORDING, Plan, Run
from lpo_tts.steps.sources import Piece, Spoken

REAL = (RECORDING, CODEC_COPY)
NOBODY = Judgement(value=None, detail={"reason": NOT_ASKED})


@dataclass(frozen=True)
class Frame:
    """What a report says beside its numbers.

    Attributes:
        title: of the page.
        note: shown below the headline.
        provenance: settings and inputs, beside those of the judges.
        more: other fields of `Report`: how the systems came about.
    """

    title: str
    note: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def plan_report(run: Run, systems: Sequence[str]) -> Plan:
    """The report before it is made."""
    settings, split = run.recipe.evaluate, run.recipe.synthesize.split
    named = {**run.identity(settings), "systems": list(systems), "split": split, "seed": run.seed}
    return Plan(run.out / settings.folder / "report.json", "evaluate", named)


def asks(settings: EvaluateSettings, name: str, system: str) -> bool:
    """Whether a judge hears a system: real recordings are heard by judges that know what a perfect value is."""
    return system not in REAL or scale_of(settings.judges[name].metric).perfect is not None


def plan_judgements(run: Run, systems: Sequence[str]) -> list[Plan]:
    """Every judge's table for every system, and for real recordings, before anything is judged."""
    judges = run.recipe.evaluate.judges
    return [judged.plan(run, name, one, system) for name, one in judges.items() for system in (*systems, *REAL)]


def judge(run: Run, spoken: Spoken, before: judged.Watch = lambda done, total: None) -> Scores:
    """Every judge's scores of every system, kept under judgements/ and reused.

    Args:
        run: the run folder, and the recipe with the judges.
        spoken: what is judged.
        before: called before anything is judged, unless nothing is left to be.
    """
    settings = run.recipe.evaluate
    wavs = {name: [Item(one.id, one.prompt, one.path) for one in own] for name, own in spoken.all.items()}
    with Meter("evaluate") as meter:

        def watch(done: float, total: float) -> None:
            if not meter.started:
                before(done, total)
            meter(done, total)

        return judged.judge_all(run, settings.judges, wavs, asks=lambda name, system: asks(settings, name, system), watch=watch)


def write(run: Run, spoken: Spoken, scores: Scores, frame: Frame) -> None:
    """Writes <folder>/report.json and the page beside it, unless they are up to date.

    Args:
        run: the run folder, and the recipe with judges and report.
        spoken: what was judged; the first system is the one that others are compared with.
        scores: what was said of it.
        frame: title and provenance.
    """
    artefact, done = run.prepare(plan_report(run, list(spoken.systems)), _inputs(scores))
    if not done:
        _make(run, spoken, scores, frame, artefact)


def rewrite(run: Run, spoken: Spoken, scores: Scores, frame: Frame) -> Report:
    """As `write`, but a report that is there is made again, whatever its settings; returns the new one."""
    plan = plan_report(run, list(spoken.systems))
    artefacts.remove(plan.path)
    artefact, _ = run.prepare(plan, _inputs(scores))
    return _make(run, spoken, scores, frame, artefact)


def _inputs(scores: Scores) -> dict[str, str]:
    return {f"{name}/{system}": _scores_hash(found) for (name, system), found in scores.items()}


def _make(run: Run, spoken: Spoken, scores: Scores, frame: Frame, artefact: artefacts.Artefact) -> Report:
    report = numbers(run, spoken, scores)
    settings = run.recipe.evaluate
    judges = {name: one["metric"] for name, one in run.identity(settings)["judges"].items()}
    report = replace(
        _with_audio_beside(report, run, spoken),
        provenance={"judges": judges, "versions": artefacts.versions(), **frame.provenance},
        title=frame.title,
        note=frame.note,
        **frame.more,
    )
    artefact.add("report", spoken.num_pieces, write_files(report, artefact.path))
    artefact.finish(candidates=spoken.num_pieces)
    return report


def write_files(report: Report, path: Path) -> list[Path]:
    """Writes report.json to `path` and the page beside it; returns the paths of all files."""
    artefacts.write_json(path, plain(report))
    return [path, render(report, path.with_name("report.html"))]


def numbers(run: Run, spoken: Spoken, scores: Scores) -> Report:
    """The judgements as a report; what was done to get there is added by `write`."""
    settings = run.recipe.evaluate
    candidates, faults = [], []
    for one, fault in _candidates(run, spoken, scores):
        candidates.append(one)
        faults += [] if fault is None else [fault]
    baseline = next(iter(spoken.systems)) if len(spoken.systems) > 1 else None
    report = summarise(
        candidates,
        roles(settings),
        baseline,
        average=settings.average,
        confidence=settings.confidence,
        num_resamples=settings.num_resamples,
        num_examples=settings.num_examples,
    )
    return replace(report, floors=tuple(_floors(settings, spoken, scores)), not_judged=tuple(faults))


def roles(settings: EvaluateSettings) -> list[MetricRole]:
    """The judges as a report knows them, each followed by the figures derived from its judgements."""
    return [
        role
        for name, one in settings.judges.items()
        for role in roles_of(one.metric, name, one.role, one.label, margin=one.margin, tested=one.is_tested)
    ]


def _floors(settings: EvaluateSettings, spoken: Spoken, scores: Scores) -> Iterator[GroundTruth]:
    """What the judges say of real recordings: their own errors."""
    for name, one in settings.judges.items():
        for condition, pieces in spoken.floors.items():
            found = scores.get((name, condition))
            if found is None:
                continue
            said = [expanded(one.metric, name, found[piece.id].judgement, piece.prompt) for piece in pieces if piece.id in found]
            for role in roles_of(one.metric, name, one.role, one.label):
                row = ground_truth(role, condition, [judgements[role.name] for judgements in said])
                if row is not None and role.perfect is not None:
                    yield row


def _candidates(run: Run, spoken: Spoken, scores: Scores) -> Iterator[tuple[JudgedCandidate, NotJudged | None]]:
    """Every candidate of every system with what each judge said of it, and why nobody could listen to it."""
    settings = run.recipe.evaluate
    folder = run.out / settings.folder
    targets: dict[str, float | None] = {}
    for system, pieces in spoken.systems.items():
        for piece in pieces:
            rows = {name: scores[name, system].get(piece.id) for name in settings.judges}
            duration, fault = _sound(piece, rows)
            said: dict[str, Judgement] = {}
            for name, one in settings.judges.items():
                row = rows[name]
                said |= expanded(one.metric, name, NOBODY if row is None else row.judgement, piece.prompt)
            if piece.prompt.id not in targets:
                targets[piece.prompt.id] = _target_duration(run, piece.prompt)
            candidate = JudgedCandidate(
                system=system,
                prompt_id=piece.prompt.id,
                seed=piece.seed,
                text=piece.prompt.text,
                tags=piece.prompt.tags,
                finished=piece.finished,
                missing=duration is None,
                audio=None if duration is None else os.path.relpath(piece.path, folder),
                duration=duration,
                target_duration=targets[piece.prompt.id],
                judgements=said,
            )
            reason = None if fault is None else NotJudged(system=system, id=piece.id, status=fault[0], reason=fault[1])
            yield candidate, reason


def _sound(piece: Piece, rows: Mapping[str, Heard | None]) -> tuple[float | None, tuple[str, str] | None]:
    """Seconds of a piece that somebody could listen to, or why not: its status and a reason."""
    row = next((one for one in rows.values() if one is not None), None)
    if row is not None and row.duration is not None:
        return row.duration, None
    if row is not None and row.fault is not None:
        return None, ("unreadable", row.fault)
    if row is None and piece.path.exists():  # nobody was asked about it
        try:
            return audio.duration(piece.path), None
        except ArtefactError as error:
            return None, ("unreadable", str(error))
    if piece.status != "ok":
        return None, ("missing", f"nothing can be decoded: {piece.status}")
    return None, ("missing", f"no {piece.path.name} in {piece.path.parent}")


def _target_duration(run: Run, prompt: Prompt) -> float | None:
    """Seconds of the recording of a prompt's own text; None where there is none that can be read."""
    if prompt.target is None:
        return None
    if prompt.target.duration:
        return prompt.target.duration
    try:
        return audio.duration(run.out / prompt.target.audio)
    except ArtefactError:
        return None


def _with_audio_beside(report: Report, run: Run, spoken: Spoken) -> Report:
    """The report with copies of its examples' audio beside it, where that lies outside the run folder: both can be moved."""
    wanted = {(row.prompt_id, row.seed) for row in report.examples.rows}
    paths = {
        (system, one.prompt.id, one.seed): one.path
        for system, pieces in spoken.systems.items()
        for one in pieces
        if (one.prompt.id, one.seed) in wanted
    }
    rows = []
    for row in report.examples.rows:
        sides = [
            side if side.audio is None else _placed(side, paths[side.system, row.prompt_id, row.seed], row, run)
            for side in row.sides
        ]
        rows.append(replace(row, sides=tuple(sides)))
    return replace(report, examples=replace(report.examples, rows=tuple(rows)))


def _placed(side: Side, source: Path, row: Example, run: Run) -> Side:
    if source.resolve().is_relative_to(run.out.resolve()):
        return side
    folder = run.out / run.recipe.evaluate.folder
    name = file_name(f"{row.prompt_id}#{row.seed}") + source.suffix.lower()
    target = folder / "samples" / file_name(side.system) / name
    with os_errors("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return replace(side, audio=target.relative_to(folder).as_posix())


def _scores_hash(scores: Mapping[str, Heard]) -> str:
    return hashlib.sha256("".join(artefacts.row_line(scores[key]) for key in sorted(scores)).encode()).hexdigest()
