"""pair: scores to preference pairs, every drop counted with its reason."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts import artefacts
from lpo_tts.config import check_range
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import Candidate, PreferencePair, Score, Split
from lpo_tts.rules import REGISTRY
from lpo_tts.rules.base import Rule
from lpo_tts.rules.selection import Limits, select
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.world import Plan, World, log


def _default_rule() -> Rule:
    return REGISTRY.get("best_worst")()


@dataclass(frozen=True)
class LimitedRule(Limits):
    """A rule, and which of the pairs it finds are kept.

    Attributes:
        rule: of `lpo_tts.rules`.
        min_gap, max_chosen, pairs_per_prompt, max_length_ratio: see `Limits`.
    """

    rule: Rule = field(default_factory=_default_rule, kw_only=True)


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are built, and which of them are held out to watch the training.

    Attributes:
        rules: one or several rules; their pairs are pooled, a pair that two rules find counts once.
        dev_share: share of the prompts whose pairs are held out; by prompt, so that no prompt is on both sides.
    """

    rules: tuple[LimitedRule, ...] = field(default_factory=lambda: (LimitedRule(),))
    dev_share: float = 0.05

    def __post_init__(self) -> None:
        check_range("dev_share", self.dev_share, 0, 0.5)
        if not self.rules:
            raise ConfigError("rules: expected at least one pair rule")

    @property
    def metrics(self) -> set[str]:
        """Names of the scores the rules read."""
        return {name for limited in self.rules for name in limited.rule.metrics}

    @property
    def needs_targets(self) -> bool:
        """Whether recordings of the texts are needed as candidates."""
        return any(limited.rule.needs_targets for limited in self.rules)


def make_pairs(
    settings: PairSettings,
    candidates: Iterable[Candidate],
    scores: Mapping[str, Mapping[str, float | None]],
    higher_is_better: Mapping[str, bool],
    targets: Mapping[str, Candidate],
    seed: int,
) -> tuple[list[PreferencePair], dict[str, dict[str, int]]]:
    """All pairs in prompt order, and drop counts per rule and reason.

    Args:
        settings: rules and held-out share.
        candidates: all candidates of all prompts.
        scores: metric -> candidate id -> value.
        higher_is_better: direction of each metric.
        targets: prompt id -> its recording as a candidate, for rules that need it.
        seed: decides which prompts are held out.
    """
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        groups[candidate.prompt_id].append(candidate)
    dropped: dict[str, Counter[str]] = defaultdict(Counter)
    pairs: dict[str, PreferencePair] = {}
    for prompt_id, group in groups.items():
        split: Split = "dev" if _fraction(seed, prompt_id) < settings.dev_share else "train"
        for limited in settings.rules:
            name = REGISTRY.name_of(type(limited.rule))
            found, reasons = select(limited.rule, limited, group, scores, higher_is_better, split, targets.get(prompt_id))
            dropped[name] += reasons
            if not found:
                dropped[name]["prompt without a pair"] += 1
            for pair in found:
                if pair.id in pairs:
                    dropped[name]["already found by another rule"] += 1
                pairs.setdefault(pair.id, pair)
    return list(pairs.values()), {rule: dict(sorted(reasons.items())) for rule, reasons in dropped.items()}


def _fraction(seed: int, text: str) -> float:
    return int.from_bytes(hashlib.sha256(f"pair:{seed}:{text}".encode()).digest()[:8], "big") / 2**64


def check(settings: PairSettings, directions: Mapping[str, bool]) -> None:
    """Raises ConfigError when a rule reads a metric that is not scored."""
    missing = settings.metrics - set(directions)
    if missing:
        raise ConfigError(
            f"pair: metric {', '.join(sorted(missing))} is not scored by this recipe; "
            f"`score.metrics` has: {', '.join(directions)}"
        )


def plan(settings: PairSettings, world: World, folder: Path) -> Plan:
    """pairs.jsonl of a system before it is made."""
    return Plan(folder / "pairs.jsonl", "pair", {**world.plain(settings), "seed": world.seed})


def run(settings: PairSettings, world: World, folder: Path, directions: Mapping[str, bool]) -> None:
    """Writes pairs.jsonl into `folder`; `directions` gives higher_is_better of every scored metric."""
    check(settings, directions)
    inputs = {"candidates": artefacts.digest_of(world.candidates_path)}
    for name in sorted(settings.metrics):
        inputs[f"scores-{name}"] = artefacts.digest_of(world.scores_path(name))
    if settings.needs_targets:
        inputs["targets"] = artefacts.digest_of(world.targets_path)
    artefact, done = world.prepare(plan(settings, world, folder), inputs)
    if done:
        return
    scores = {
        name: {row.candidate_id: row.value for row in artefacts.iterate_rows(world.scores_path(name), Score)}
        for name in settings.metrics
    }
    targets = {row.prompt_id: row for row in iterate_candidates(world.targets_path)} if settings.needs_targets else {}
    pairs, dropped = make_pairs(settings, iterate_candidates(world.candidates_path), scores, directions, targets, world.seed)
    if not pairs:
        raise ArtefactError(
            f"pair: no pair came out of {world.show(world.candidates_path)}; dropped: {dropped}; lower min_gap or sample more"
        )
    artefacts.write_rows(artefact.path, pairs)
    counts = Counter(pair.split for pair in pairs)
    artefact.finish(rows=len(pairs), train=counts["train"], dev=counts["dev"], dropped=dropped)
    log.info("pair: %d pairs for training, %d held out; dropped: %s", counts["train"], counts["dev"], dropped)
    if settings.dev_share and not counts["dev"]:
        log.warning(
            "pair: dev_share is %g, but none of the %d prompts with pairs fell into the held-out share: nothing will watch the "
            "training; sample more prompts or raise dev_share",
            settings.dev_share,
            len({pair.prompt_id for pair in pairs}),
        )
