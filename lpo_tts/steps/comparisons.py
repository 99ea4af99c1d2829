"""Comparisons of candidates by pairwise judges, as a part of the step score: which pairs are asked, and their tables."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, RowWriter
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import Codec
from lpo_tts.comparers.base import Comparer, Opinion, both_ways
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.judging import Clip, Panel
from lpo_tts.records import Candidate, Comparison, Prompt, comparison_id
from lpo_tts.rows import ids_of
from lpo_tts.shards import ROWS, files
from lpo_tts.steps.candidates import decode, part_paths, prompts_of, read_part
from lpo_tts.steps.progress import log, progress
from lpo_tts.steps.run import Plan, Run, read_prompts
from lpo_tts.steps.scores import ScoreReader, groups


class Asked(NamedTuple):
    """Two candidates of one prompt, by their ids."""

    prompt_id: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """Who compares candidates, and which of them. Each pair is asked both ways round.

    Attributes:
        comparer: who says which of two is better.
        pairs: "all": every two finished candidates of a prompt, neighbours in the table first, so that few pairs reach all
            candidates; "best_worst": the best by `metric` with the worst, the second best with the second worst, and so on.
        metric: one of `score.metrics`, for "best_worst".
        min_gap: smallest difference in `metric` of a pair, for "best_worst".
        max_pairs: at most so many pairs of one prompt.
    """

    comparer: Comparer
    pairs: Literal["all", "best_worst"] = "all"
    metric: str | None = None
    min_gap: float = 0.0
    max_pairs: int = 6

    bounds = {"min_gap": at_least(0), "max_pairs": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if (self.pairs == "best_worst") != (self.metric is not None):
            raise ConfigError(
                f"metric: expected one with pairs: best_worst, and none with pairs: all; found {self.metric} with {self.pairs}"
            )
        if self.min_gap and self.metric is None:
            raise ConfigError(f"min_gap: expected 0 where pairs is all, which looks at no metric; found {self.min_gap:g}")

    def chosen(self, group: Sequence[Candidate], values: Mapping[str, float | None]) -> list[Asked]:
        """Which candidates of one prompt are compared: finished ones that can be decoded, each two at most once.

        Args:
            group: all candidates of the prompt.
            values: candidate id -> value of `metric`; those without one are left out where it is needed.
        """
        usable = [one.id for one in group if one.finished and one.status == "ok" and one.num_frames]
        found = self._near(usable) if self.metric is None else self._far(usable, values)
        return [Asked(group[0].prompt_id, *pair) for pair in itertools.islice(found, self.max_pairs)]

    def _near(self, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        for distance in range(1, len(ids)):
            yield from zip(ids, ids[distance:], strict=False)

    def _far(self, ids: Sequence[str], values: Mapping[str, float | None]) -> Iterator[tuple[str, str]]:
        scored = [(value, place) for place, one in enumerate(ids) if (value := values.get(one)) is not None]
        order = sorted(scored)
        for (low, one), (high, other) in list(zip(order, reversed(order), strict=True))[: len(order) // 2]:
            if high - low >= self.min_gap:
                first, second = sorted((one, other))  # as they stand in the table, which tells the judge nothing
                yield ids[first], ids[second]


@dataclass(frozen=True)
class Block:
    """The pairs of one part of candidates."""

    path: Path
    prompts: dict[str, Prompt]
    pairs: tuple[Asked, ...]

    @property
    def ids(self) -> list[str]:
        """Ids of their rows, as `Comparison.id` has them."""
        return [comparison_id(pair.first, pair.second) for pair in self.pairs]


@dataclass(frozen=True)
class CompareWorker:
    """Makes the function one worker process applies to blocks; `judge` is the name that the rows bear."""

    judge: str
    comparer: Comparer
    codec: Codec
    device: str
    root: Path

    def __call__(self) -> Callable[[Block], list[Comparison]]:
        """Loads codec and comparer once; the function gives a row for each pair of a block."""
        codec, comparer, panel = self.codec.load(self.device), self.comparer.load(self.device), Panel({}, self.root)

        def compare(block: Block) -> list[Comparison]:
            wanted = {one for pair in block.pairs for one in (pair.first, pair.second)}
            sampled = [one for one in read_part(block.path) if one.row.id in wanted]
            speech, faults = {}, {}
            for one, wave in zip(sampled, decode(sampled, codec), strict=True):
                prompt = block.prompts[one.row.prompt_id]
                clip = Clip(id=one.row.id, prompt=prompt, audio=wave, sample_rate=codec.sample_rate)
                speech[one.row.id], faults[one.row.id] = panel.speech(clip)
            opinions = both_ways(comparer, [(speech[pair.first], speech[pair.second]) for pair in block.pairs])
            return [self._row(*one, faults[one[0].first]) for one in zip(block.pairs, opinions, strict=True)]

        return compare

    def _row(self, pair: Asked, opinion: Opinion, fault: str | None) -> Comparison:
        """A missing opinion has what is wrong with the voice as its reason, if something is."""
        blamed = {"reason": fault} if fault is not None and opinion.preferred is None else {}
        detail = {**opinion.detail, **blamed}
        return Comparison(**pair._asdict(), preferred=opinion.preferred, judge=self.judge, detail=detail)


def plans(run: Run) -> dict[str, Plan]:
    """The table of every comparison before anything is asked."""
    codec = run.parts_identity()["codec"]
    return {
        name: Plan(run.comparisons_path(name), "score", {"comparison": run.identity(one), "codec": codec})
        for name, one in run.recipe.score.comparisons.items()
    }


def execute(run: Run) -> None:
    """Writes comparisons-<name>.jsonl for every comparison whose table is not up to date; resumes part by part."""
    inputs = {"prompts": artefacts.digest_of(run.prompts_path), "candidates": artefacts.digest_of(run.candidates_path)}
    for name, plan in plans(run).items():
        settings, own = run.recipe.score.comparisons[name], dict(inputs)
        if run.shard is not None and settings.metric is not None and not run.scores_path(settings.metric).exists():
            log.info("score: comparisons %s wait for all of %s; `lpo-tts score` makes both whole", name, settings.metric)
            continue
        if settings.metric is not None:
            own[f"scores-{settings.metric}"] = artefacts.digest_of(run.scores_path(settings.metric))
        artefact, done = run.prepare(plan, own)
        if not done:
            _compare(run, name, settings, artefact)


def _compare(run: Run, name: str, settings: ComparisonSettings, artefact: Artefact) -> None:
    prompts = {prompt.id: prompt for prompt in read_prompts(run, ("train", "dev", "test"))}
    writer = _writer(run, artefact)
    asked = (one for one in _blocks(run, settings, prompts) if not writer.done.issuperset(one.ids))
    worker = CompareWorker(name, settings.comparer, run.codec, run.worker_device, run.out)
    for rows in progress(run.map(worker, asked), f"compare {name}", len(part_paths(run.candidates_path)), "part"):
        writer.append(row for row in rows if row.id not in writer.done)
    if run.shard is not None:
        return
    if writer.resumed:
        writer.sort(row_id for block in _blocks(run, settings, prompts) for row_id in block.ids)
    _close(name, artefact, writer, run.recipe.score.max_unscorable)


def _writer(run: Run, artefact: Artefact) -> RowWriter[Comparison]:
    """The shard's own rows, or the whole table with the rows of all shards."""
    if run.shard is None:
        writer = RowWriter(artefact.path, Comparison)
        writer.absorb(file for _, file in files(artefact.path, ROWS))
        return writer
    writer = RowWriter(run.shard.beside(artefact.path), Comparison)
    writer.done |= ids_of(artefact.path.with_name(artefact.path.name + ROWS), Comparison)
    return writer


def _blocks(run: Run, settings: ComparisonSettings, prompts: Mapping[str, Prompt]) -> Iterator[Block]:
    """The pairs of every part that has some."""
    reader = None if settings.metric is None else ScoreReader(run.scores_path(settings.metric))
    for number, path in enumerate(part_paths(run.candidates_path)):
        if reader is None and not run.takes(number):
            continue  # with a reader every row is asked for, in the order of its table
        rows = artefacts.read_rows(path, Candidate)
        own = prompts_of(rows, prompts, path, run.prompts_path)
        values = {} if reader is None else {row.id: reader.get(row.id) for row in rows}
        pairs = tuple(pair for group in groups(rows) for pair in settings.chosen(group, values))
        if pairs and run.takes(number):
            yield Block(path, own, pairs)


def _close(name: str, artefact: Artefact, writer: RowWriter[Comparison], limit: float) -> None:
    """Marks a table complete; raises ArtefactError when too much could not be compared, which is then tried again next time."""
    counts, first = Counter(unscorable=0, ties=0, contradictions=0), ""
    total = 0
    for row in artefacts.iterate_rows(writer.partial, Comparison):
        total += 1
        if row.preferred is None:
            first = first or str(row.detail.get("reason"))
            counts["unscorable"] += 1
        elif row.detail.get("contradiction"):
            counts["contradictions"] += 1
        elif row.preferred == "tie":
            counts["ties"] += 1
    if not total:
        writer.keep(lambda row: True)
        raise ArtefactError(
            f"score: comparisons {name}: no prompt has two finished candidates to compare (or its min_gap leaves none); "
            "sample more candidates, or lower min_gap"
        )
    if counts["unscorable"] == total or counts["unscorable"] > limit * total:
        writer.keep(lambda row: row.preferred is not None)
        raise ArtefactError(
            f"score: comparisons {name}: {counts['unscorable']} of {total} pairs could not be compared (limit max_unscorable), "
            f"first: {first}; they are tried again when the step runs again"
        )
    artefact.finish(**writer.finish(), **counts)
    log.info(
        "score: comparisons %s of %d pairs, %d contradictions, %d ties, %d unscorable",
        name,
        total,
        counts["contradictions"],
        counts["ties"],
        counts["unscorable"],
    )
