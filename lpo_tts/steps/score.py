"""score: judges every candidate, one table per metric; pairwise judges compare them, one table per comparison."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import Codec
from lpo_tts.config import check_name
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.judging import NO_AUDIO, Clip, Panel, Tables
from lpo_tts.metrics.base import Metric, needs_voice_copy
from lpo_tts.records import Candidate, Judgement, Prompt, Score
from lpo_tts.steps import comparisons
from lpo_tts.steps.candidates import decode, iterate_candidates, part_paths, prompts_of, read_part
from lpo_tts.steps.comparisons import ComparisonSettings
from lpo_tts.steps.progress import log, progress
from lpo_tts.steps.run import Plan, Run, read_prompts


@dataclass(frozen=True)
class ScoreSettings:
    """What judges the candidates.

    Attributes:
        metrics: what is measured; each name becomes a table (`scores-<name>.jsonl`).
        comparisons: who compares candidates, two at a time; each name becomes a table (`comparisons-<name>.jsonl`), which the
            pair rule `preferred` reads.
        max_unscorable: share of candidates with audio that a metric may fail to judge before the step stops; of the pairs,
            for comparisons.
    """

    metrics: dict[str, Metric] = field(default_factory=dict)
    comparisons: dict[str, ComparisonSettings] = field(default_factory=dict)
    max_unscorable: float = 0.05

    bounds = {"max_unscorable": at_least(0).at_most(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        for name, metric in self.metrics.items():
            check_name("metrics", name)
            _check_voice(f"metrics.{name}", metric)
        for name, one in self.comparisons.items():
            check_name("comparisons", name)
            _check_voice(f"comparisons.{name}.comparer.metric", getattr(one.comparer, "metric", None))
            if one.metric is not None and one.metric not in self.metrics:
                raise ConfigError(
                    f"comparisons.{name}.metric: {one.metric!r} is not scored by this recipe; `score.metrics` has: "
                    f"{', '.join(self.metrics)}"
                )


def _check_voice(where: str, metric: Metric | None) -> None:
    """Raises ConfigError for a metric that compares with what only an evaluation has."""
    if metric is not None and needs_voice_copy(metric):
        raise ConfigError(
            f"{where}: it compares with the voice's copy through the codec, which only an evaluation makes; compare with the "
            "original (`to: original`), or use it as a judge"
        )


@dataclass(frozen=True)
class Part:
    """One part of candidates to judge."""

    path: Path
    prompts: dict[str, Prompt]


@dataclass(frozen=True)
class ScoreWorker:
    """Makes the function one worker process applies to parts."""

    metrics: dict[str, Metric]
    codec: Codec
    device: str
    root: Path

    def __call__(self) -> Callable[[Part], tuple[list[str], dict[str, list[Judgement]]]]:
        """Loads codec and metrics once; the function gives the ids of a part and their judgements by metric."""
        codec, panel = self.codec.load(self.device), Panel(self.metrics, self.root, self.device)
        panel.load()

        def judge(part: Part) -> tuple[list[str], dict[str, list[Judgement]]]:
            sampled = read_part(part.path)
            clips = [
                Clip(id=one.row.id, prompt=part.prompts[one.row.prompt_id], audio=wave, sample_rate=codec.sample_rate)
                for one, wave in zip(sampled, decode(sampled, codec), strict=True)
            ]
            return [clip.id for clip in clips], panel.judge(clips)

        return judge


def _tables(run: Run) -> dict[str, Plan]:
    """The table of every metric before anything is judged."""
    codec = run.parts_identity()["codec"]
    return {
        name: Plan(run.scores_path(name), "score", {"metric": run.identity(metric, Metric), "codec": codec})
        for name, metric in run.recipe.score.metrics.items()
    }


def plans(run: Run) -> list[Plan]:
    """The tables of all metrics and comparisons before anything is judged."""
    return [*_tables(run).values(), *comparisons.plans(run).values()]


def execute(run: Run) -> None:
    """Writes the table of every metric and comparison that is not up to date; resumes part by part."""
    _score(run)
    comparisons.execute(run)


def _score(run: Run) -> None:
    """Writes scores-<metric>.jsonl for every metric whose table is not up to date."""
    settings = run.recipe.score
    inputs = {"prompts": artefacts.digest_of(run.prompts_path), "candidates": artefacts.digest_of(run.candidates_path)}
    tables: Tables[str] = Tables()
    for name, plan in _tables(run).items():
        artefact, done = run.prepare(plan, inputs)
        if not done:
            tables.open(name, artefact, run.shard)
    if not tables:
        return
    prompts = {prompt.id: prompt for prompt in read_prompts(run, ("train", "dev", "test"))}
    parts = [Part(path, own) for path, own in _unjudged(run, prompts, tables)]
    worker = ScoreWorker({name: settings.metrics[name] for name in tables}, run.codec, run.worker_device, run.out)
    for ids, judged in progress(run.map(worker, parts), "score", len(parts), "part"):
        for name, judgements in judged.items():
            tables.add(name, name, ids, judgements)
    if run.shard is not None:
        log.info("score: shard %s is done; once all are, `lpo-tts score` completes the tables", run.shard)
        return
    for name, artefact, writer in tables.close():
        if writer.resumed:
            writer.sort(row.id for row in iterate_candidates(run.candidates_path))
        _close(name, artefact, writer, settings.max_unscorable)


def _unjudged(run: Run, prompts: Mapping[str, Prompt], tables: Tables[str]) -> Iterator[tuple[Path, dict[str, Prompt]]]:
    """Parts of this process of which a table lacks a candidate, each with the prompts it answers."""
    for number, path in enumerate(part_paths(run.candidates_path)):
        if not run.takes(number):
            continue
        rows = artefacts.read_rows(path, Candidate)
        own = prompts_of(rows, prompts, path, run.prompts_path)
        if any(tables.lacks(name, [row.id for row in rows]) for name in tables):
            yield path, own


def _close(name: str, artefact: Artefact, writer: artefacts.RowWriter[Score], limit: float) -> None:
    """Marks one table complete; raises ArtefactError when too much could not be judged, which is then tried again next time."""
    total, silent, reasons, mean = 0, 0, Counter(), 0.0
    for row in artefacts.iterate_rows(writer.partial, Score):
        total += 1
        if row.value is not None:
            mean += row.value
        elif row.detail.get("reason") == NO_AUDIO:
            silent += 1
        else:
            reasons[str(row.detail.get("reason"))] += 1
    unscorable = sum(reasons.values())
    scored = total - silent - unscorable
    if not scored or unscorable > limit * (total - silent):
        writer.keep(lambda row: row.value is not None or row.detail.get("reason") == NO_AUDIO)
        reason = next(iter(reasons), NO_AUDIO)
        raise ArtefactError(
            f"score: {name} could not judge {unscorable + silent} of {total} candidates (limit max_unscorable), first: {reason}; "
            "they are tried again when the step runs again"
        )
    counts = {"unscorable": unscorable + silent, "without_audio": silent, "mean": mean / scored}
    artefact.finish(**writer.finish(), **counts)
    log.info("score: %s of %d candidates, mean %.4f, %d unscorable", name, total, mean / scored, unscorable + silent)
