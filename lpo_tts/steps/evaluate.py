"""evaluate: judges that took no part in the training listen to every system;
numbers with intervals, and a page to read and hear.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpo_tts import artefacts, audio
from lpo_tts.config import check_folder, check_name, check_range
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Judgement, Metric
from lpo_tts.records import Candidate, PreferencePair, Prompt, Score
from lpo_tts.report.answers import NOT_ASKED, JudgedAnswer, Kind, MetricRole, Role
from lpo_tts.report.html import render
from lpo_tts.report.summary import summarise
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.score import Listener
from lpo_tts.steps.synthesize import CODEC_COPY, RECORDING, wave_path
from lpo_tts.steps.world import Plan, World, blocks, progress, read_prompts

AVERAGES = ("corpus", "utterance")


@dataclass(frozen=True)
class JudgeSettings:
    """One judge of the result.

    Attributes:
        metric: what it measures with.
        kind: what it measures.
        role: "judge" took no part in the training, "training judge" ranked the pairs, "outside" is of another make, "advisory".
        label: its name in the report.
        max_answers: it hears at most so many answers of each system (the first ones); None = all. Not for kind wer.
    """

    metric: Metric
    kind: Kind
    role: Role
    label: str
    max_answers: int | None = None

    def __post_init__(self) -> None:
        check_range("max_answers", self.max_answers, 1)
        if self.kind == "wer" and self.max_answers is not None:
            raise ConfigError("max_answers: a WER judge hears every answer, or missing ones could not be counted")


@dataclass(frozen=True)
class EvaluateSettings:
    """Who judges, and how it is reported.

    Attributes:
        judges: name to judge; the first one of kind wer and role judge gives the headline.
        folder: name of the report's folder within the run folder.
        average: "corpus" (errors / words) or "utterance" (mean of rates, as seed-tts-eval).
        num_examples: prompts to listen to in each group of the report (better, worse, unchanged).
        num_resamples: of every bootstrap.
    """

    judges: dict[str, JudgeSettings] = field(default_factory=dict)
    folder: str = "report"
    average: str = "corpus"
    num_examples: int = 4
    num_resamples: int = 10_000

    def __post_init__(self) -> None:
        if self.average not in AVERAGES:
            raise ConfigError(f"average: expected one of {', '.join(AVERAGES)}, found {self.average!r}")
        check_folder("folder", self.folder)
        check_range("num_examples", self.num_examples, 0)
        check_range("num_resamples", self.num_resamples, 1)
        for name in self.judges:
            check_name("judges", name)


@dataclass(frozen=True)
class JudgeBlock:
    """A judge, and the wavs it shall hear now."""

    judge: str
    system: str
    items: tuple[tuple[str, Prompt, Path], ...]


@dataclass(frozen=True)
class JudgeWorker:
    """Makes the function one worker process applies to blocks; a judge is loaded when its first block comes."""

    metrics: dict[str, Metric]
    device: str
    root: Path

    def __call__(self) -> Callable[[JudgeBlock], tuple[JudgeBlock, list[Judgement]]]:
        """Nothing is loaded yet."""
        listeners: dict[str, Listener] = {}

        def judge(block: JudgeBlock) -> tuple[JudgeBlock, list[Judgement]]:
            if block.judge not in listeners:
                listeners[block.judge] = Listener({block.judge: self.metrics[block.judge]}, self.root, self.device)
            items = []
            for item_id, prompt, path in block.items:
                wave, sample_rate = audio.read(path) if path.exists() else (None, 0)
                items.append((item_id, prompt, wave, sample_rate))
            return block, listeners[block.judge].judge(items)[block.judge]

        return judge


def plan(settings: EvaluateSettings, world: World, systems: Sequence[str], split: str) -> Plan:
    """The report before anything is judged."""
    named = {**world.identity(settings), "systems": list(systems), "split": split, "seed": world.seed}
    return Plan(world.out / settings.folder / "report.json", "evaluate", named)


def plan_judgements(world: World, name: str, metric: Metric, system: str, max_answers: int | None) -> Plan:
    """One judge's table for one system before anything is judged."""
    named = {"metric": world.identity(metric, Metric), "max_answers": max_answers}
    return Plan(world.out / "judgements" / name / f"{system}.jsonl", "evaluate", named)


def plans(settings: EvaluateSettings, world: World, systems: Sequence[str], split: str) -> list[Plan]:
    """Everything this step makes."""
    return [
        plan(settings, world, systems, split),
        *(
            plan_judgements(world, name, judge.metric, system, judge.max_answers)
            for name, judge in settings.judges.items()
            for system in (*systems, RECORDING, CODEC_COPY)
        ),
    ]


def run(
    settings: EvaluateSettings,
    world: World,
    systems: Sequence[str],
    *,
    split: str,
    floor_prompts: int,
    run_folders: Mapping[str, Path],
    steps: Callable[[], Sequence[Mapping[str, Any]]],
    recipe: Any = None,
) -> dict[str, Any]:
    """Judges, writes <folder>/report.json and report.html, and returns the report.

    Args:
        settings: judges and report.
        world: the run folder.
        systems: base first, then the aligned ones.
        split: whose prompts were spoken.
        floor_prompts: recordings that were put through the codec for the judges' floor.
        run_folders: system -> folder with its pairs.jsonl and run/.
        steps: gives rows {step, seconds, rows, pass} of what was done, judging included; asked after the judging.
        recipe: the whole recipe as plain values, for the page's provenance.
    """
    prompts = {prompt.id: prompt for prompt in read_prompts(world, (split,))}
    for system in systems:
        artefacts.digest_of(world.synthesized_path(system))  # complete, and as it was written
    answers = {system: list(iterate_candidates(world.synthesized_path(system))) for system in systems}
    wavs = {
        system: [(row.id, prompts[row.prompt_id], wave_path(world.synthesized_path(system), row.id)) for row in rows]
        for system, rows in answers.items()
    }
    floor = [prompt for prompt in prompts.values() if prompt.target is not None][:floor_prompts]
    if floor:
        wavs[RECORDING] = [(one.id, one, world.out / one.target.audio) for one in floor if one.target]
        wavs[CODEC_COPY] = [(one.id, one, wave_path(world.synthesized_path(CODEC_COPY), one.id)) for one in floor]
    scores = listen(settings, world, wavs)
    report_folder = world.out / settings.folder
    inputs = {f"{name}/{system}": _scores_hash(found) for (name, system), found in scores.items()}
    artefact, done = world.prepare(plan(settings, world, systems, split), inputs)
    if done:
        return artefacts.read_object(artefact.path)
    judged = [
        _judged(
            system,
            row,
            prompts[row.prompt_id],
            wave_path(world.synthesized_path(system), row.id),
            report_folder,
            scores,
            settings,
        )
        for system in systems
        for row in answers[system]
    ]
    roles = [
        MetricRole(name=name, kind=one.kind, role=one.role, label=one.label, higher_is_better=one.metric.higher_is_better)
        for name, one in settings.judges.items()
    ]
    report = summarise(
        judged,
        roles,
        systems[0],
        average=settings.average,
        num_resamples=settings.num_resamples,
        num_examples=settings.num_examples,
    )
    report["floors"] = _floors(settings, scores) if floor else []
    report["split"] = split
    report["steps"] = list(steps())
    judges = {name: judge["metric"] for name, judge in world.identity(settings)["judges"].items()}
    report["provenance"] = {"judges": judges, "versions": artefacts.versions(), "recipe": recipe}
    report["title"] = f"lpo-tts: {' and '.join(systems[1:])} against {systems[0]}"
    trained = {system: folder for system, folder in run_folders.items() if system in systems}
    report["training"] = {system: _metrics(folder / "run" / "metrics.jsonl") for system, folder in trained.items()}
    report["pairs"] = {system: _pair_summary(folder) for system, folder in trained.items()}
    render(report, report_folder / "report.html")
    artefacts.write_json(report_folder / "report.json", report)
    artefact.add("report", len(judged), [report_folder / "report.json", report_folder / "report.html"])
    artefact.finish(answers=len(judged))
    return report


def listen(
    settings: EvaluateSettings, world: World, wavs: Mapping[str, list[tuple[str, Prompt, Path]]]
) -> dict[tuple[str, str], dict[str, Score]]:
    """Every judge's scores of every system, (judge, system) -> answer id -> Score; kept under judgements/ and reused."""
    work: list[JudgeBlock] = []
    writers, todo = {}, {}
    for name, judge in settings.judges.items():
        for system, items in wavs.items():
            if system in (RECORDING, CODEC_COPY) and judge.kind not in ("wer", "similarity"):
                continue
            planned = plan_judgements(world, name, judge.metric, system, judge.max_answers)
            artefact, done = world.prepare(planned, {"wavs": _wavs_hash(items)}, tell=False)
            if done:
                continue
            todo[name, system] = artefact
            writers[name, system] = writer = artefacts.RowWriter(planned.path, Score, max_failed=1.0)
            # Blocks do not depend on what is done already: the last bits of a judgement hang on who shares its batch.
            for part in blocks(items[: judge.max_answers], 64):
                if any(item[0] not in writer.done for item in part):
                    work.append(JudgeBlock(name, system, tuple(part)))
    # Slow judges first, so that no worker waits long for the last block.
    work.sort(key=lambda block: settings.judges[block.judge].role != "outside")
    worker = JudgeWorker({name: judge.metric for name, judge in settings.judges.items()}, world.device, world.out)
    for block, judged in progress(world.engine.map(worker, work), "evaluate", len(work), "block"):
        writer = writers[block.judge, block.system]
        writer.append(
            Score(candidate_id=item[0], metric=block.judge, value=one.value, detail=one.detail)
            for item, one in zip(block.items, judged, strict=True)
            if item[0] not in writer.done
        )
    one_pass = uuid.uuid4().hex
    for key, artefact in todo.items():
        artefact.one_pass = one_pass
        artefact.finish(**writers[key].finish())
    result = {}
    for name in settings.judges:
        for system in wavs:
            path = world.out / "judgements" / name / f"{system}.jsonl"
            if path.exists():
                result[name, system] = {row.candidate_id: row for row in artefacts.read_rows(path, Score)}
    return result


def _scores_hash(scores: Mapping[str, Score]) -> str:
    return hashlib.sha256("".join(artefacts.row_line(scores[key]) for key in sorted(scores)).encode()).hexdigest()


def _wavs_hash(items: Sequence[tuple[str, Prompt, Path]]) -> str:
    digest = hashlib.sha256()
    for item_id, prompt, path in items:
        digest.update(f"{item_id}\0{prompt.text}\0{artefacts.file_hash(path) if path.exists() else 'missing'}\n".encode())
    return digest.hexdigest()


def _judged(
    system: str,
    row: Candidate,
    prompt: Prompt,
    path: Path,
    report_folder: Path,
    scores: Mapping[tuple[str, str], Mapping[str, Score]],
    settings: EvaluateSettings,
) -> JudgedAnswer:
    found = {}
    for name in settings.judges:
        score = scores[name, system].get(row.id)
        found[name] = (
            {"value": score.value, "detail": score.detail}
            if score is not None
            else {"value": None, "detail": {"reason": NOT_ASKED}}
        )
    exists = path.exists()
    return JudgedAnswer(
        system=system,
        prompt_id=row.prompt_id,
        seed=row.index,
        text=prompt.text,
        tags=prompt.tags,
        finished=row.finished,
        missing=not exists,
        audio=f"{'../' * len(Path(settings.folder).parts)}"
        f"{path.relative_to(report_folder.parents[len(Path(settings.folder).parts) - 1])}"
        if exists
        else None,
        duration=audio.duration(path) if exists else None,
        judgements=found,
    )


def _floors(settings: EvaluateSettings, scores: Mapping[tuple[str, str], Mapping[str, Score]]) -> list[dict[str, Any]]:
    """Every judge's own error on recordings and on their codec copies: what no system can beat."""
    rows = []
    for name, judge in settings.judges.items():
        for system in (RECORDING, CODEC_COPY):
            found = [score for score in scores.get((name, system), {}).values() if score.value is not None]
            if not found:
                continue
            row: dict[str, Any] = {"judge": judge.label, "condition": system, "count": len(found), "kind": judge.kind}
            if judge.kind == "wer":
                errors = sum(sum(one.detail[key] for key in ("substitutions", "deletions", "insertions")) for one in found)
                row["wer"] = errors / max(sum(one.detail["num_words"] for one in found), 1)
            else:
                row["similarity"] = sum(one.value for one in found if one.value is not None) / len(found)
            rows.append(row)
    return rows


def _metrics(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [
        artefacts.loads(line, f"{path}:{number}") for number, line in enumerate(artefacts.read_lines(path), 1) if line.strip()
    ]


def _pair_summary(folder: Path) -> dict[str, Any]:
    """Counts, drop reasons and margins of a system's pairs."""
    path = folder / "pairs.jsonl"
    if not path.exists():
        return {}
    pairs = artefacts.read_rows(path, PreferencePair)
    margins: dict[str, list[float]] = {}
    for pair in pairs:
        for name, value in pair.margins.items():
            margins.setdefault(name, []).append(round(value, 4))
    counts = artefacts.read_json(path.with_name("pairs.jsonl.meta.json")).get("counts", {})
    dropped = counts.pop("dropped", {})
    return {"counts": counts, "dropped": dropped, "margins": margins}
