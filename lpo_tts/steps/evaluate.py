"""evaluate: judges that took no part in the training judge every system;
numbers with intervals, and a page to read and hear.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts import artefacts, audio
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.comparison.candidates import NOT_ASKED, JudgedCandidate, Role
from lpo_tts.comparison.ground_truth import ground_truth
from lpo_tts.comparison.results import Report, plain
from lpo_tts.comparison.summary import Average, summarise
from lpo_tts.config import check_folder, check_name
from lpo_tts.errors import ConfigError
from lpo_tts.judging import role_of
from lpo_tts.metrics.base import Metric, scale_of
from lpo_tts.records import Candidate, Judgement, Prompt, Score
from lpo_tts.report.page import render
from lpo_tts.steps import judged
from lpo_tts.steps.candidates import iterate_candidates, wave_path
from lpo_tts.steps.history import pair_summary, steps_done, training_rows
from lpo_tts.steps.judged import Item, Scores, Wavs, judge_all
from lpo_tts.steps.run import BASE, CODEC_COPY, RECORDING, Plan, Run, read_prompts

REAL = (RECORDING, CODEC_COPY)  # no systems: what they say is right
NOBODY = Judgement(value=None, detail={"reason": NOT_ASKED})


@dataclass(frozen=True)
class JudgeSettings:
    """One judge of the result.

    Attributes:
        metric: what it measures with.
        role: how it stands to the training: "judge" took no part in it, "training judge" ranked the pairs, "outside" is of
            another make, "advisory" is shown beside the others.
        label: the judge's name in the report.
        max_candidates: at most so many candidates of each system are judged, the first ones; None = all. Not for a ratio.
    """

    metric: Metric
    role: Role
    label: str
    max_candidates: int | None = None

    bounds = {"max_candidates": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        scale = scale_of(self.metric)
        if scale.is_ratio and self.max_candidates is not None:
            raise ConfigError(
                f"max_candidates: a {scale.short} judge hears every candidate, or missing ones could not be counted"
            )


@dataclass(frozen=True)
class EvaluateSettings:
    """Who judges, and how it is reported.

    Attributes:
        judges: who judges, by names of your choice; the first one that is a ratio and of role judge gives the headline.
        folder: name of the report's folder within the run folder.
        average: how ratios are averaged: "corpus" (errors / words) or "utterance" (mean of ratios, as seed-tts-eval).
        num_examples: number of prompts to listen to in each group of the report (better, worse, unchanged).
        num_resamples: how often a bootstrap draws the prompts anew, for every interval.
    """

    judges: dict[str, JudgeSettings] = field(default_factory=dict)
    folder: str = "report"
    average: Average = "corpus"
    num_examples: int = 4
    num_resamples: int = 10_000

    bounds = {"num_examples": at_least(0), "num_resamples": at_least(1)}

    def __post_init__(self) -> None:
        check_folder("folder", self.folder)
        check_settings(self, "")
        for name in self.judges:
            check_name("judges", name)


def _plan_report(run: Run, systems: Sequence[str]) -> Plan:
    settings, split = run.recipe.evaluate, run.recipe.synthesize.split
    named = {**run.identity(settings), "systems": list(systems), "split": split, "seed": run.seed}
    return Plan(run.out / settings.folder / "report.json", "evaluate", named)


def plans(run: Run) -> list[Plan]:
    """The report, and every judge's table for every system, before anything is judged."""
    systems = (BASE, *run.recipe.systems)
    tables = [
        judged.plan(run, name, one, system) for name, one in run.recipe.evaluate.judges.items() for system in (*systems, *REAL)
    ]
    return [_plan_report(run, systems), *tables]


def execute(run: Run) -> None:
    """Judges base and aligned systems and writes the report; tells the headline, where the report lies, how to listen."""
    systems = run.recipe.systems
    report = compare(run, [BASE, *systems], trained={name: system.folder for name, system in systems.items()})
    folder = run.out / run.recipe.evaluate.folder
    for line in report["headline"]:
        run.tell(line)
    run.tell(f"report: {folder / 'report.html'} (numbers: {folder / 'report.json'})")
    run.tell(f"listen: python demo/app.py --run {run.out}")


def compare(run: Run, systems: Sequence[str], *, trained: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """Judges, writes <folder>/report.json and report.html, and returns the report.

    Args:
        run: the run folder, and the recipe with judges and report.
        systems: base first, then the aligned ones.
        trained: system -> folder with its pairs.jsonl and run/, where the run folder was made by all steps of the recipe;
            the report then shows pairs, training and what the steps took.
    """
    settings = run.recipe.evaluate
    spoken = Spoken.read(run, systems)
    scores = judge(run, spoken.wavs)
    inputs = {f"{name}/{system}": _scores_hash(found) for (name, system), found in scores.items()}
    artefact, done = run.prepare(_plan_report(run, systems), inputs)
    if done:
        return artefacts.read_object(artefact.path)
    report = numbers(run, spoken, scores)
    judges = {name: one["metric"] for name, one in run.identity(settings)["judges"].items()}
    folders = trained or {}
    report = replace(
        report,
        split=run.recipe.synthesize.split,
        steps=tuple(steps_done(run.out)) if trained else (),
        provenance={"judges": judges, "versions": artefacts.versions(), "recipe": run.plain(run.recipe)},
        title=f"lpo-tts: {' and '.join(systems[1:])} against {systems[0]}",
        training={system: tuple(training_rows(folder / "run" / "metrics.jsonl")) for system, folder in folders.items()},
        pairs={system: pair_summary(folder) for system, folder in folders.items()},
    )
    files = write_page(report, artefact.path)
    count = sum(len(rows) for rows in spoken.candidates.values())
    artefact.add("report", count, files)
    artefact.finish(candidates=count)
    return artefacts.read_object(artefact.path)


def write_page(report: Report, path: Path) -> list[Path]:
    """Writes report.json to `path` and report.html beside it; returns both paths."""
    artefacts.write_json(path, plain(report))
    return [path, render(report, path.with_name("report.html"))]


@dataclass(frozen=True)
class Spoken:
    """What there is to be judged.

    Attributes:
        prompts: by id.
        candidates: of every system, in order.
        folders: of every system's candidates.
        wavs: audio of all of it, and of real recordings of some texts, clean and through the codec.
    """

    prompts: dict[str, Prompt]
    candidates: dict[str, list[Candidate]]
    folders: dict[str, Path]
    wavs: dict[str, list[Item]]

    @classmethod
    def read(cls, run: Run, systems: Sequence[str]) -> "Spoken":
        """Looks for it in the run folder; raises ArtefactError where something is not complete."""
        settings = run.recipe.synthesize
        prompts = {prompt.id: prompt for prompt in read_prompts(run, (settings.split,))}
        folders = {system: run.synthesized_path(system) for system in systems}
        for folder in folders.values():
            artefacts.digest_of(folder)  # complete, and as it was written
        candidates = {system: list(iterate_candidates(folder)) for system, folder in folders.items()}
        wavs = {
            system: [Item(row.id, prompts[row.prompt_id], wave_path(folders[system], row.id)) for row in rows]
            for system, rows in candidates.items()
        }
        floor = [prompt for prompt in prompts.values() if prompt.target is not None][: settings.floor_prompts]
        if floor:
            copies = run.synthesized_path(CODEC_COPY)
            wavs[RECORDING] = [Item(one.id, one, run.out / one.target.audio) for one in floor if one.target]
            wavs[CODEC_COPY] = [Item(one.id, one, wave_path(copies, one.id)) for one in floor]
        return cls(prompts, candidates, folders, wavs)


def judge(run: Run, wavs: Wavs) -> Scores:
    """Every judge's scores of every system, kept under judgements/ and reused; real recordings by those they can try."""
    judges = run.recipe.evaluate.judges

    def asks(name: str, system: str) -> bool:
        return system not in REAL or scale_of(judges[name].metric).perfect is not None

    with tqdm(desc="evaluate", unit="s", disable=not sys.stderr.isatty(), leave=False) as bar:

        def watch(done: float, total: float) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return judge_all(run, judges, wavs, asks=asks, watch=watch)


def numbers(run: Run, spoken: Spoken, scores: Scores) -> Report:
    """The judgements as a report; what was done to get there is added by `compare`."""
    settings = run.recipe.evaluate
    roles = [role_of(one.metric, name, one.role, one.label) for name, one in settings.judges.items()]
    report = summarise(
        list(_candidates(run, spoken, scores)),
        roles,
        next(iter(spoken.candidates)),
        average=settings.average,
        num_resamples=settings.num_resamples,
        num_examples=settings.num_examples,
    )
    tried = [
        ground_truth(role, condition, [one.judgement for one in scores.get((role.name, condition), {}).values()])
        for role in roles
        for condition in REAL
        if condition in spoken.wavs
    ]
    return replace(report, floors=tuple(row for row in tried if row is not None))


def _candidates(run: Run, spoken: Spoken, scores: Scores) -> Iterator[JudgedCandidate]:
    """Every candidate of every system with what each judge said of it."""
    settings = run.recipe.evaluate
    folder = run.out / settings.folder
    for system, rows in spoken.candidates.items():
        for row in rows:
            prompt, path = spoken.prompts[row.prompt_id], wave_path(spoken.folders[system], row.id)
            found = {}
            for name in settings.judges:
                score = scores[name, system].get(row.id)
                found[name] = score.judgement if score is not None else NOBODY
            exists = path.exists()
            yield JudgedCandidate(
                system=system,
                prompt_id=row.prompt_id,
                seed=row.index,
                text=prompt.text,
                tags=prompt.tags,
                finished=row.finished,
                missing=not exists,
                audio=os.path.relpath(path, folder) if exists else None,
                duration=audio.duration(path) if exists else None,
                judgements=found,
            )


def _scores_hash(scores: Mapping[str, Score]) -> str:
    return hashlib.sha256("".join(artefacts.row_line(scores[key]) for key in sorted(scores)).encode()).hexdigest()
