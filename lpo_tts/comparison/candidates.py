"""What is compared: candidates with the judgements on them, and which judge plays which role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.records import Judgement
from lpo_tts.scale import Scale

Role = Literal["judge", "training judge", "outside", "advisory", "unstated"]
NOT_ASKED = "not asked"  # the reason in a judgement that nobody was asked for, as beyond `max_candidates`


@dataclass(frozen=True, kw_only=True)
class JudgedCandidate:
    """One candidate of one system for one prompt, and what every metric said of it; one without audio needs no judgement.

    Attributes:
        seed: which of the system's candidates for this prompt it is.
        finished: the model ended it.
        missing: nobody made any audio.
        unreadable: audio lies there and cannot be decoded; it counts as a missing one does, and is told apart.
        audio: path relative to the report.
        duration: seconds.
        target_duration: seconds of a real recording of the text, where there is one.
        judgements: by metric. The detail of a recogniser's may hold `hypothesis`, `reference`, `substitutions`,
            `deletions` and `insertions`, which the report shows.
    """

    system: str
    prompt_id: str
    seed: int
    text: str
    tags: dict[str, str] = field(default_factory=dict)
    finished: bool = True
    missing: bool = False
    unreadable: bool = False
    audio: str | None = None
    duration: float | None = None
    target_duration: float | None = None
    judgements: dict[str, Judgement] = field(default_factory=dict)

    @property
    def has_audio(self) -> bool:
        """Whether somebody could listen to it."""
        return not (self.missing or self.unreadable)


@dataclass(frozen=True, kw_only=True)
class MetricRole(Scale):
    """One metric under its name in the report, what its values mean, and whether the training saw it.

    `margin` is the difference that is too small to matter, for the equivalence test, in the unit of the values; `tested` says
    whether the metric belongs to the family of Holm's correction; `of` names the metric whose judgements it is derived from.

    "judge": held out, no part in choosing pairs. "training judge": chose the pairs. "outside": of another make
    altogether. "advisory": shown, but not to be relied on. "unstated": nobody has said which of these it is.
    """

    name: str
    role: Role
    label: str
    margin: float | None = None
    tested: bool = False
    of: str | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for an unknown role, and what a scale refuses."""
        super().__post_init__()
        if self.role not in get_args(Role):
            raise ConfigError(f"metric {self.name!r}: role must be one of {', '.join(get_args(Role))}, found {self.role!r}")


def check_candidates(candidates: Iterable[JudgedCandidate], roles: Iterable[MetricRole]) -> None:
    """Raises ContractError when a candidate stands twice or lacks a judgement though it has audio.

    A ratio is counted over all candidates, so its judge must have been asked about each.
    """
    seen: set[tuple[str, str, int]] = set()
    roles = list(roles)
    for one in candidates:
        key = (one.system, one.prompt_id, one.seed)
        if key in seen:
            raise ContractError(
                f"report: system {key[0]!r} has two candidates for prompt {key[1]!r} with seed {key[2]}; give one each"
            )
        seen.add(key)
        for role in roles:
            if not one.has_audio:
                continue
            if role.name not in one.judgements or (role.is_ratio and not was_asked(one, role.name)):
                raise ContractError(
                    f"report: the candidate of {one.system!r} for prompt {one.prompt_id!r} (seed {one.seed}) has no "
                    f"judgement by {role.name!r}; judge it, or leave this metric out"
                )


def was_asked(candidate: JudgedCandidate, metric: str) -> bool:
    """Whether a metric was asked about this candidate at all."""
    judgement = candidate.judgements[metric]
    return judgement.value is not None or judgement.detail.get("reason") != NOT_ASKED


def filled(candidates: Iterable[JudgedCandidate]) -> list[JudgedCandidate]:
    """Adds a missing candidate wherever a system lacks a prompt that another system was asked.

    Seeds are the system's own: a system sampled once per prompt is not blamed for having no second seed.
    """
    candidates = list(candidates)
    prompts: dict[str, JudgedCandidate] = {}
    for one in candidates:
        first = prompts.setdefault(one.prompt_id, one)
        if first.text != one.text:
            raise ContractError(
                f"report: prompt {one.prompt_id!r} has text {first.text!r} in {first.system!r} but {one.text!r} in "
                f"{one.system!r}; systems can only be compared on the same prompts"
            )
    result = list(candidates)
    for system in systems_of(candidates):
        own = {(one.prompt_id, one.seed) for one in candidates if one.system == system}
        seeds = sorted({seed for _, seed in own})
        for prompt_id, first in prompts.items():
            for seed in seeds:
                if (prompt_id, seed) not in own:
                    result.append(_blank(first, system, seed))
    return result


def _blank(like: JudgedCandidate, system: str, seed: int) -> JudgedCandidate:
    absent = replace(like, system=system, seed=seed, missing=True, unreadable=False)
    return replace(absent, audio=None, duration=None, judgements={}, finished=False)


def systems_of(candidates: Iterable[JudgedCandidate]) -> list[str]:
    """Systems in order of first appearance."""
    return list(dict.fromkeys(one.system for one in candidates))


def group_by_prompt(candidates: Iterable[JudgedCandidate]) -> Mapping[str, list[JudgedCandidate]]:
    """Candidates of each prompt, in order."""
    groups: dict[str, list[JudgedCandidate]] = {}
    for one in candidates:
        groups.setdefault(one.prompt_id, []).append(one)
    return groups
