"""Judged candidates to a report: per system, judge, group and seed, with intervals and paired differences."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole, check_candidates, filled, systems_of
from lpo_tts.comparison.differences import difference_of, duration_ratio, gap_of
from lpo_tts.comparison.examples import choose_examples
from lpo_tts.comparison.results import (
    Bootstrap,
    Cell,
    Difference,
    DurationRatio,
    Gap,
    GroupRow,
    Report,
    SeedRow,
    SystemRow,
)
from lpo_tts.comparison.tally import Outcome, cell_of, outcomes_of, row_of, weights_of
from lpo_tts.comparison.wording import headline
from lpo_tts.errors import ConfigError
from lpo_tts.statistics import CONFIDENCE, NUM_RESAMPLES

_MEASURED = re.compile(r"-?\d+\.\d+")
Average: TypeAlias = Literal["corpus", "utterance"]


@dataclass(frozen=True)
class Comparison:
    """All candidates of all systems with their outcomes, and the system that the others are compared with.

    Attributes:
        candidates: by system, in the order of the report.
        outcomes: (system, metric) -> one per candidate of the system.
        roles: the metrics.
        baseline: None when nothing is compared.
        bootstrap: how intervals are made.
    """

    candidates: Mapping[str, Sequence[JudgedCandidate]]
    outcomes: Mapping[tuple[str, str], Sequence[Outcome]]
    roles: Sequence[MetricRole]
    baseline: str | None
    bootstrap: Bootstrap

    @property
    def all(self) -> list[JudgedCandidate]:
        """Candidates of all systems."""
        return [one for own in self.candidates.values() for one in own]

    @property
    def others(self) -> list[str]:
        """The systems that are compared with the baseline."""
        return [] if self.baseline is None else [name for name in self.candidates if name != self.baseline]

    def only(self, keep: Callable[[JudgedCandidate], bool]) -> "Comparison":
        """The same on the candidates that `keep` accepts."""
        kept = {name: [keep(one) for one in own] for name, own in self.candidates.items()}
        return replace(
            self,
            candidates={name: _where(kept[name], own) for name, own in self.candidates.items()},
            outcomes={key: _where(kept[key[0]], some) for key, some in self.outcomes.items()},
        )

    def cells(self, system: str) -> dict[str, Cell]:
        """A system by every metric, in short."""
        return {role.name: cell_of(self.outcomes[system, role.name], role, self.bootstrap) for role in self.roles}

    def differences(self) -> Iterator[Difference]:
        """Every system less the baseline, metric by metric."""
        for system in self.others:
            for role in self.roles:
                old, new = (self.outcomes[name, role.name] for name in (str(self.baseline), system))
                found = difference_of(system, str(self.baseline), role, old, new, self.bootstrap)
                if found is not None:
                    yield found

    def gaps(self) -> Iterator[Gap]:
        """Every judge that chose pairs against every other one of the same scale."""
        trained = [role for role in self.roles if role.is_ratio and role.role == "training judge"]
        others = [role for role in self.roles if role.is_ratio and role.role in ("judge", "outside", "unstated")]
        for system in self.others:
            for one in trained:
                for other in others:
                    if one.title == other.title:
                        pairs = [(name, role.name) for role in (one, other) for name in (str(self.baseline), system)]
                        found = gap_of(system, one, other, [self.outcomes[pair] for pair in pairs], self.bootstrap)
                        if found is not None:
                            yield found

    def durations(self) -> Iterator[DurationRatio]:
        """How much longer every system speaks than the baseline."""
        for system in self.others:
            old, new = self.candidates[str(self.baseline)], self.candidates[system]
            found = duration_ratio(system, str(self.baseline), old, new, self.bootstrap)
            if found is not None:
                yield found


def _where(kept: Sequence[bool], items: Sequence) -> list:
    return [item for item, keep in zip(items, kept, strict=True) if keep]


def summarise(
    candidates: Sequence[JudgedCandidate],
    roles: Sequence[MetricRole],
    baseline: str | None = None,
    *,
    average: Average = "corpus",
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    num_examples: int = 4,
) -> Report:
    """All numbers of a report.

    Args:
        candidates: Of all systems; one that does not exist is counted as missing, so a model that fails on hard
            prompts cannot score better for it.
        roles: The metrics to report, in order.
        baseline: System the others are compared with; None when there is only one.
        average: Which average of a ratio is the headline, "corpus" (errors / words) or "utterance" (mean of rates, as
            seed-tts-eval).
        confidence: Of all intervals.
        num_resamples: Of all bootstraps.
        seed: Of all bootstraps.
        num_examples: Prompts to listen to in each of three groups (improved, worse, unchanged).

    Raises:
        ConfigError: The baseline is not among the systems, or `average` is unknown.
        ContractError: A candidate stands twice, lacks a judgement, or systems disagree on a prompt's text.
    """
    if average not in get_args(Average):
        raise ConfigError(f"report: average = {average!r} is none of {', '.join(get_args(Average))}")
    check_candidates(candidates, roles)
    candidates = filled(candidates)
    systems = systems_of(candidates)
    if baseline is not None and baseline not in systems:
        raise ConfigError(f"report: baseline {baseline!r} has no candidates (systems: {', '.join(systems) or 'none'})")
    own = {system: [one for one in candidates if one.system == system] for system in systems}
    weights = {role.name: weights_of(candidates, role.name) for role in roles}
    outcomes = {(system, role.name): outcomes_of(own[system], role, weights[role.name]) for role in roles for system in systems}
    bootstrap = Bootstrap(confidence=confidence, num_resamples=num_resamples, seed=seed)
    compared = Comparison(own, outcomes, roles, baseline, bootstrap)
    report = Report(
        systems=tuple(systems),
        baseline=baseline,
        average=average,
        bootstrap=bootstrap,
        num_prompts=len({one.prompt_id for one in candidates}),
        seeds=tuple(sorted({one.seed for one in candidates})),
        metrics=tuple(roles),
        results={system: _system_row(compared, system) for system in systems},
        groups=tuple(_groups(compared)),
        per_seed=tuple(_per_seed(compared)),
        differences=tuple(compared.differences()),
        gaps=tuple(compared.gaps()),
        durations=tuple(compared.durations()),
        examples=choose_examples(own, roles, baseline, outcomes, num_examples),
    )
    return replace(report, headline=tuple(headline(report)))


def _system_row(compared: Comparison, system: str) -> SystemRow:
    own = compared.candidates[system]
    heard = [one for one in own if not one.missing]
    durations = [one.duration for one in heard if one.duration is not None]
    unfinished = sum(not one.finished for one in own)
    return SystemRow(
        asked=len(own),
        missing=len(own) - len(heard),
        unfinished=unfinished,
        unfinished_share=unfinished / len(own),
        mean_duration=math.fsum(durations) / len(durations) if durations else None,
        metrics={role.name: row_of(compared.outcomes[system, role.name], role, compared.bootstrap) for role in compared.roles},
    )


def _groups(compared: Comparison) -> Iterator[GroupRow]:
    """One row for every value of every tag; a tag of measured values, such as `dnsmos`, makes no groups."""
    everything = compared.all
    for tag in sorted({name for one in everything for name in one.tags}):
        values = sorted({one.tags[tag] for one in everything if tag in one.tags})
        if all(_MEASURED.fullmatch(value) for value in values):
            continue
        for value in values:
            part = compared.only(lambda one, tag=tag, value=value: one.tags.get(tag) == value)
            yield GroupRow(
                tag=tag,
                value=value,
                num_prompts=len({one.prompt_id for one in part.all}),
                systems={system: part.cells(system) for system in part.candidates},
                differences=tuple(part.differences()),
            )


def _per_seed(compared: Comparison) -> Iterator[SeedRow]:
    """One row for every seed: how much luck there is in one draw."""
    for number in sorted({one.seed for one in compared.all}):
        part = compared.only(lambda one, number=number: one.seed == number)
        yield SeedRow(seed=number, systems={system: part.cells(system) for system, own in part.candidates.items() if own})
