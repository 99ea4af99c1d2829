"""pair: scores to preference pairs, every drop counted with its reason, and what the tokens of their answers weigh."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.comparison.pairing import Pairing
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.metrics.base import scale_of
from lpo_tts.records import Candidate, Comparison, LabelledCandidate, Preference, PreferencePair, Prompt, RankedList, Split
from lpo_tts.rules import REGISTRY
from lpo_tts.rules.base import Rule, detail_metrics_of
from lpo_tts.rules.compared import Source, informed, sources_of
from lpo_tts.rules.selection import Details, Limits, Values, select
from lpo_tts.steps import weighing
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.compared import check_sources, digests, readers_of
from lpo_tts.steps.pair_page import write_page
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.scores import ScoreReader, groups
from lpo_tts.steps.weighing import WeightSettings

if TYPE_CHECKING:
    from lpo_tts.recipe import System


def _default_rule() -> Rule:
    return REGISTRY.get("best_worst")()


# What a rule may find, and its table beside pairs.jsonl; only this one is there when it is empty.
TABLES: dict[type, str] = {PreferencePair: "pairs.jsonl", LabelledCandidate: "labels.jsonl", RankedList: "lists.jsonl"}


@dataclass(frozen=True)
class LimitedRule(Limits):
    """A rule, and which of the pairs it finds are kept.

    Attributes:
        rule: what finds the pairs.
    """

    rule: Rule = field(default_factory=_default_rule, kw_only=True)


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are built, and which of them are held out to watch the training.

    Attributes:
        rules: one or several rules; their pairs are pooled, a pair that two rules find counts once.
        dev_share: share of the prompts whose pairs are held out; by prompt, so that no prompt is on both sides, and no text
            either: prompts of one text, in whatever voice, go together.
        weights: makes weights.jsonl beside the pairs, from wrongly heard words: what the tokens of their answers weigh in the
            training; null: all alike.
        listen: pairs to listen to on the page `pairs.html`, which is written beside the pairs; 0 = a page without audio.
    """

    rules: tuple[LimitedRule, ...] = field(default_factory=lambda: (LimitedRule(),))
    dev_share: float = 0.05
    weights: WeightSettings | None = None
    listen: int = 10

    bounds = {"dev_share": at_least(0).at_most(0.5), "listen": at_least(0)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.rules:
            raise ConfigError("rules: expected at least one pair rule")

    @property
    def metrics(self) -> set[str]:
        """Names of the scores the rules and their floors read."""
        return {name for one in self.rules for name in (*one.rule.metrics, *one.floors)} | self.detail_metrics

    @property
    def detail_metrics(self) -> set[str]:
        """Names of the scores of which the rules read more than the value."""
        return {name for limited in self.rules for name in detail_metrics_of(limited.rule)}

    @property
    def needs_durations(self) -> bool:
        """Whether a limit speaks of seconds, so that the codec's frame rate must be known."""
        return any(limited.needs_durations for limited in self.rules)

    @property
    def needs_targets(self) -> bool:
        """Whether recordings of the texts are needed as candidates."""
        return any(limited.rule.needs_targets for limited in self.rules)

    def check(self, directions: Mapping[str, bool]) -> None:
        """Raises ConfigError when a rule reads a metric that is not scored, or its settings do not fit the metrics.

        `directions` has every scored metric.
        """
        missing = self.metrics - set(directions)
        if missing:
            raise ConfigError(
                f"pair: metric {', '.join(sorted(missing))} is not scored by this recipe; "
                f"`score.metrics` has: {', '.join(directions)}"
            )
        for limited in self.rules:
            check = getattr(limited.rule, "check", None)
            if check is not None:
                check(directions)

    @property
    def sources(self) -> list[Source]:
        """Tables of comparisons that the rules read: names and files, each once."""
        return sorted({source for limited in self.rules for source in sources_of(limited.rule)}, key=str)

    def check_sources(self, comparisons: Collection[str]) -> None:
        """Raises ConfigError when a rule reads a comparison that the recipe does not make, or a file that is not there."""
        check_sources(self.sources, comparisons)


@dataclass
class Preferences:
    """What the rules find, prompt by prompt, and how many finds were dropped: rule -> reason -> count.

    Attributes:
        settings: rules and held-out share.
        higher_is_better: direction of each metric.
        seed: decides which prompts are held out.
        frame_rate: frames per second of the candidates, for limits on the duration.
        twins: prompt -> the first prompt with the same text, whose side it takes; prompts that are not there have their own.
    """

    settings: PairSettings
    higher_is_better: Mapping[str, bool]
    seed: int
    frame_rate: float | None = None
    twins: Mapping[str, str] = field(default_factory=dict)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)

    def of_prompt(
        self,
        candidates: Sequence[Candidate],
        scores: Values,
        target: Candidate | None = None,
        *,
        details: Details | None = None,
        comparisons: Mapping[Source, Sequence[Comparison]] | None = None,
    ) -> list[Preference]:
        """Rows of one prompt, by rule and then best first; one that two rules find counts once.

        Args:
            candidates: all of the prompt, at least one.
            scores: metric -> candidate id -> value.
            target: the recording of the text as a candidate, for rules that need it.
            details: metric -> candidate id -> what its value rests on, for rules that read it.
            comparisons: source -> the rows of this prompt, for rules that read them.
        """
        prompt = candidates[0].prompt_id
        split: Split = "dev" if _fraction(self.seed, self.twins.get(prompt, prompt)) < self.settings.dev_share else "train"
        rows: dict[str, Preference] = {}
        for limited in self.settings.rules:
            dropped = self.dropped.setdefault(REGISTRY.name_of(type(limited.rule)), Counter())
            found, reasons = select(
                informed(limited.rule, comparisons or {}),
                limited,
                candidates,
                scores,
                self.higher_is_better,
                split,
                target,
                details=details,
                frame_rate=self.frame_rate,
            )
            dropped += reasons
            if not found:
                dropped["prompt without a pair"] += 1
            for row in found:
                if row.id in rows:
                    dropped["already found by another rule"] += 1
                rows.setdefault(row.id, row)
        return list(rows.values())

    def drops(self) -> dict[str, dict[str, int]]:
        """Rule -> reason -> count, as JSON."""
        return {rule: dict(sorted(reasons.items())) for rule, reasons in self.dropped.items()}


def _fraction(seed: int, text: str) -> float:
    return int.from_bytes(hashlib.sha256(f"pair:{seed}:{text}".encode()).digest()[:8], "big") / 2**64


def twins_of(prompts: Iterable[Prompt]) -> dict[str, str]:
    """Prompt -> the first one before it with the same text, whatever its case and spaces; those without are left out."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for prompt in prompts:
        earlier = first.setdefault(" ".join(prompt.text.casefold().split()), prompt.id)
        if earlier != prompt.id:
            found[prompt.id] = earlier
    return found


def _plan(run: Run, system: "System") -> Plan:
    named = {**run.plain(system.pair), "seed": run.seed}
    for other in ("weights", "listen"):  # a table and a page of their own: with others the pairs stay
        named.pop(other)
    if system.pair.needs_durations:
        named["codec"] = run.parts_identity()["codec"]
    return Plan(system.folder / "pairs.jsonl", "pair", named)


def plans(run: Run) -> list[Plan]:
    """pairs.jsonl of every system, and weights.jsonl where its recipe asks for it, before they are made."""
    systems = run.recipe.systems.values()
    return [plan for system in systems for plan in (_plan(run, system), weighing.plan(run, system)) if plan is not None]


def execute(run: Run) -> None:
    """Writes pairs.jsonl of every system, and weights.jsonl where its recipe asks for it."""
    for system in run.recipe.systems.values():
        _pair(run, system)
        weighing.make(run, system)


def _pair(run: Run, system: "System") -> None:
    settings, directions = system.pair, run.recipe.directions
    settings.check(directions)
    settings.check_sources(run.recipe.score.comparisons)
    read = {"candidates": run.candidates_path, "prompts": run.prompts_path, "targets": run.targets_path}
    if run.keeps(_plan(run, system), read | {f"scores-{name}": run.scores_path(name) for name in settings.metrics}):
        return
    inputs = {"candidates": artefacts.digest_of(run.candidates_path), "prompts": artefacts.digest_of(run.prompts_path)}
    for name in sorted(settings.metrics):
        inputs[f"scores-{name}"] = artefacts.digest_of(run.scores_path(name))
    if settings.needs_targets:
        inputs["targets"] = artefacts.digest_of(run.targets_path)
    inputs |= digests(run, settings.sources)
    artefact, done = run.prepare(_plan(run, system), inputs)
    if done:
        return
    frame_rate = run.frame_rate if settings.needs_durations else None
    twins = twins_of(artefacts.iterate_rows(run.prompts_path, Prompt)) if settings.dev_share else {}
    found = Preferences(settings, directions, run.seed, frame_rate, twins)
    scales = {name: scale_of(run.recipe.score.metrics[name]) for name in sorted(settings.metrics)}
    pairing = Pairing(scales, settings.listen)
    counts, prompts = _write(settings, run, found, artefact, pairing)
    write_page(run, system, pairing, found.drops())
    artefact.finish(**counts, dropped=found.drops())
    log.info("pair: %d pairs for training, %d held out; dropped: %s", counts["train"], counts["dev"], found.drops())
    if settings.dev_share and not counts["dev"]:
        log.warning(
            "pair: dev_share is %g, but none of the %d prompts with pairs fell into the held-out share: nothing will watch the "
            "training; sample more prompts or raise dev_share",
            settings.dev_share,
            prompts,
        )


def _write(
    settings: PairSettings, run: Run, found: Preferences, artefact: Artefact, pairing: Pairing
) -> tuple[dict[str, int], int]:
    """Writes the tables of pairs, labelled candidates and lists; returns row counts, and of how many prompts they are.

    What goes by is counted in `pairing`.
    """
    told = settings.detail_metrics
    readers = {name: ScoreReader(run.scores_path(name), details=name in told) for name in sorted(settings.metrics)}
    compared = readers_of(run, settings.sources)
    targets = {row.prompt_id: row for row in iterate_candidates(run.targets_path)} if settings.needs_targets else {}
    paths = {kind: artefact.path.with_name(name) for kind, name in TABLES.items()}
    counts, sizes, prompts = Counter(rows=0, train=0, dev=0), Counter(), 0
    with ExitStack() as stack:
        write = {kind: stack.enter_context(artefacts.table_writer(path)) for kind, path in paths.items()}
        for group in groups(iterate_candidates(run.candidates_path)):
            read = {name: {one.id: reader.read(one.id) for one in group} for name, reader in readers.items()}
            scores = {name: {key: value for key, (value, _) in table.items()} for name, table in read.items()}
            details = {name: {key: detail for key, (_, detail) in read[name].items()} for name in told}
            comparisons = {source: reader.get(group[0].prompt_id) for source, reader in compared.items()}
            target = targets.get(group[0].prompt_id)
            rows = found.of_prompt(group, scores, target, details=details, comparisons=comparisons)
            pairing.add(group, scores, rows, target)
            prompts += bool(rows)
            for row in rows:
                write[type(row)](row)
                sizes[type(row)] += 1
                counts.update(("rows", row.split))
        for reader in (*readers.values(), *compared.values()):
            reader.close()
        if not prompts:
            raise ArtefactError(
                f"pair: no pair came out of {run.show(run.candidates_path)}; dropped: {found.drops()}; "
                "lower min_gap or sample more"
            )
        if not counts["train"]:
            raise ArtefactError(
                f"pair: none of the {counts['rows']} pairs is left for training, all fell into the held-out share "
                f"(dev_share {settings.dev_share:g}); dropped: {found.drops()}; sample more prompts, lower min_gap or dev_share"
            )
    for kind, path in paths.items():
        if kind is PreferencePair or sizes[kind]:
            artefact.add(path.name, sizes[kind], [path])
        else:
            path.unlink()
    return dict(counts), prompts
