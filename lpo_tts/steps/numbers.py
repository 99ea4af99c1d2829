"""What judges said of systems, as the numbers of a report."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

from lpo_tts import audio, places
from lpo_tts.comparison.candidates import NOT_ASKED, JudgedCandidate, MetricRole
from lpo_tts.comparison.ground_truth import ground_truth
from lpo_tts.comparison.results import GroundTruth, NotJudged, Report
from lpo_tts.comparison.summary import summarise
from lpo_tts.comparison.verdict import with_verdict
from lpo_tts.errors import ArtefactError
from lpo_tts.judging import expanded, roles_of
from lpo_tts.records import Judgement, Prompt
from lpo_tts.steps.judged import Heard, Scores
from lpo_tts.steps.judges import EvaluateSettings
from lpo_tts.steps.real_time import real_time_factor
from lpo_tts.steps.run import Run
from lpo_tts.steps.sources import Piece, Spoken
from lpo_tts.steps.trained_judges import judges_of_training

NOBODY = Judgement(value=None, detail={"reason": NOT_ASKED})


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
        num_permutations=settings.num_permutations,
        num_examples=settings.num_examples,
    )
    timed = {name: real_time_factor(run, name) for name in report.systems}
    report = replace(
        report,
        real_time_factors={name: found for name, found in timed.items() if found is not None},
        floors=tuple(_floors(settings, spoken, scores)),
        not_judged=tuple(faults),
        trained_judges=judges_of_training(run.recipe),
    )
    return with_verdict(report)


def roles(settings: EvaluateSettings) -> list[MetricRole]:
    """The judges as a report knows them, each followed by the figures derived from its judgements."""
    return [
        role
        for name, one in settings.judges.items()
        for role in roles_of(one.metric, name, one.role, one.label, margin=one.margin, tested=one.is_tested)
    ]


def _floors(settings: EvaluateSettings, spoken: Spoken, scores: Scores) -> Iterator[GroundTruth]:
    """What the judges say of real recordings: their own errors, and where no value is faultless, what a good recording has."""
    for name, one in settings.judges.items():
        for condition, pieces in spoken.floors.items():
            found = scores.get((name, condition))
            if found is None:
                continue
            said = [expanded(one.metric, name, found[piece.id].judgement, piece.prompt) for piece in pieces if piece.id in found]
            for role in roles_of(one.metric, name, one.role, one.label):
                row = ground_truth(role, condition, [judgements[role.name] for judgements in said])
                if row is not None:
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
    if row is None and places.exists(piece.path):  # nobody was asked about it
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
