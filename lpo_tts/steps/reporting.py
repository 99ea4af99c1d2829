"""What judges said of systems, put together: the numbers, the page, and how they came about."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lpo_tts import artefacts
from lpo_tts.comparison.results import SCHEMA, Example, Report, Side, plain
from lpo_tts.errors import os_errors
from lpo_tts.records import file_name
from lpo_tts.report.page import write_beside
from lpo_tts.steps import judged
from lpo_tts.steps.codec_copies import copy_voices, voices_wanted
from lpo_tts.steps.judged import Heard, Item, Scores
from lpo_tts.steps.numbers import numbers
from lpo_tts.steps.progress import Meter, log
from lpo_tts.steps.run import CODEC_COPY, RECORDING, Plan, Run
from lpo_tts.steps.sources import Spoken
from lpo_tts.trackers.sending import track, track_file

REAL = (RECORDING, CODEC_COPY)


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
    named = {**run.identity(settings), "systems": list(systems), "split": split, "seed": run.seed, "report_schema": SCHEMA}
    del named["trackers"]  # where it is sent does not change what it is
    return Plan(run.out / settings.folder / "report.json", "evaluate", named)


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
    if run.codec is not None and voices_wanted(one.metric for one in settings.judges.values()):
        # Those that synthesize has not made. A voice that cannot be read is no reason to stop: its prompts are unscorable.
        prompts = {one.prompt.id: one.prompt for own in spoken.all.values() for one in own}
        copy_voices(run, run.codec, prompts.values(), 1.0)
    wavs = {name: [Item(one.id, one.prompt, one.path) for one in own] for name, own in spoken.all.items()}
    with Meter("evaluate") as meter:

        def watch(done: float, total: float) -> None:
            if not meter.started:
                before(done, total)
            meter(done, total)

        return judged.judge_all(run, settings.judges, wavs, watch=watch)


def write(run: Run, spoken: Spoken, scores: Scores, frame: Frame) -> None:
    """Writes <folder>/report.json and the page beside it, unless they are up to date.

    Args:
        run: the run folder, and the recipe with judges and report.
        spoken: what was judged; the first system is the one that others are compared with.
        scores: what was said of it.
        frame: title and provenance.
    """
    plan, inputs = plan_report(run, list(spoken.systems)), _inputs(scores)
    _forget_other(run, plan, inputs)
    artefact, done = run.prepare(plan, inputs)
    if done:
        track_file(artefact.path, run.recipe.evaluate.trackers, run.recipe.name, run_folder=run.out)
    else:
        _make(run, spoken, scores, frame, artefact)


def rewrite(run: Run, spoken: Spoken, scores: Scores, frame: Frame) -> Report:
    """As `write`, but a report that is there is made again, whatever its settings; returns the new one."""
    plan = plan_report(run, list(spoken.systems))
    artefacts.remove(plan.path)
    artefact, _ = run.prepare(plan, _inputs(scores))
    return _make(run, spoken, scores, frame, artefact)


def _forget_other(run: Run, plan: Plan, inputs: dict[str, str]) -> None:
    """Removes a report that was made otherwise: another margin or title costs no judging, so nobody need ask for it."""
    artefact = artefacts.Artefact(plan.path, artefacts.Provenance(plan.verb, plan.settings, inputs))
    if artefact.meta_path.exists() and (changed := artefact.changes(artefact.meta())):
        log.info("evaluate: the report is made again (%s)", ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else ""))
        artefacts.remove(plan.path)


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
    artefact.add("report", spoken.num_pieces, write_files(report, artefact.path, embed=settings.embed))
    artefact.finish(candidates=spoken.num_pieces)
    track(report, settings.trackers, artefact.path.parent, run.recipe.name, run_folder=run.out)
    return report


def write_files(report: Report, path: Path, *, embed: bool = True) -> list[Path]:
    """Writes report.json to `path`, and the page, Markdown and LaTeX beside it; returns the paths of all files."""
    artefacts.write_json(path, plain(report))
    return [path, *write_beside(report, path.parent, embed)]


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
