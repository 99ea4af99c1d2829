"""What a report is made from: answers with the judgements on them, and which judge plays which role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from lpo_tts.errors import ConfigError, ContractError

Kind = Literal["wer", "similarity", "quality", "duration"]
Role = Literal["judge", "training judge", "outside", "advisory", "unstated"]
NOT_ASKED = "not asked"  # the reason in a judgement that nobody was asked for, as beyond `max_answers`


@dataclass(frozen=True, kw_only=True)
class JudgedAnswer:
    """One answer of one system to one prompt, and what every metric said of it.

    `judgements[metric]` is `{"value": float | None, "detail": {...}}`; a WER's detail has hypothesis, reference, hits,
    substitutions, deletions, insertions, num_words. A missing answer (no decodable audio) needs no judgement.
    """

    system: str
    prompt_id: str
    seed: int
    text: str
    tags: dict[str, str] = field(default_factory=dict)
    finished: bool = True  # ended by itself
    missing: bool = False  # no decodable audio
    audio: str | None = None  # path relative to the report
    duration: float | None = None  # seconds
    judgements: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MetricRole:
    """One metric, what it measures, and whether the training saw it.

    "judge": held out, no part in choosing pairs. "training judge": chose the pairs. "outside": of another make
    altogether. "advisory": shown, but not to be relied on. "unstated": nobody has said which of these it is.
    """

    name: str
    kind: Kind
    role: Role
    label: str
    higher_is_better: bool

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"metric {self.name!r}: kind must be one of {', '.join(get_args(Kind))}, found {self.kind!r}")
        if self.role not in get_args(Role):
            raise ConfigError(f"metric {self.name!r}: role must be one of {', '.join(get_args(Role))}, found {self.role!r}")


def check_answers(answers: Iterable[JudgedAnswer], roles: Iterable[MetricRole]) -> None:
    """Raises ContractError when an answer stands twice or lacks a judgement without being missing.

    A word error rate is counted over all answers, so its judge must have been asked about each.
    """
    seen: set[tuple[str, str, int]] = set()
    roles = list(roles)
    for answer in answers:
        key = (answer.system, answer.prompt_id, answer.seed)
        if key in seen:
            raise ContractError(
                f"report: system {key[0]!r} has two answers to prompt {key[1]!r} with seed {key[2]}; give one each"
            )
        seen.add(key)
        for role in roles:
            if answer.missing:
                continue
            if role.name not in answer.judgements or (role.kind == "wer" and not was_asked(answer, role.name)):
                raise ContractError(
                    f"report: the answer of {answer.system!r} to prompt {answer.prompt_id!r} (seed {answer.seed}) has no "
                    f"judgement by {role.name!r}; judge it, or leave this metric out"
                )


def was_asked(answer: JudgedAnswer, metric: str) -> bool:
    """Whether a metric was asked about this answer at all."""
    judgement = answer.judgements[metric]
    return judgement["value"] is not None or (judgement.get("detail") or {}).get("reason") != NOT_ASKED


def filled(answers: Iterable[JudgedAnswer]) -> list[JudgedAnswer]:
    """Adds a missing answer wherever a system lacks a prompt that another system was asked.

    Seeds are the system's own: a system sampled once per prompt is not blamed for having no second seed.
    """
    answers = list(answers)
    prompts: dict[str, JudgedAnswer] = {}
    for answer in answers:
        first = prompts.setdefault(answer.prompt_id, answer)
        if first.text != answer.text:
            raise ContractError(
                f"report: prompt {answer.prompt_id!r} has text {first.text!r} in {first.system!r} but {answer.text!r} in "
                f"{answer.system!r}; systems can only be compared on the same prompts"
            )
    result = list(answers)
    for system in systems_of(answers):
        own = {(answer.prompt_id, answer.seed) for answer in answers if answer.system == system}
        for prompt_id, first in prompts.items():
            for seed in sorted({seed for _, seed in own}):
                if (prompt_id, seed) not in own:
                    blank = {"audio": None, "duration": None, "judgements": {}, "finished": False, "missing": True}
                    result.append(replace(first, system=system, seed=seed, **blank))
    return result


def systems_of(answers: Iterable[JudgedAnswer]) -> list[str]:
    """Systems in order of first appearance."""
    return list(dict.fromkeys(answer.system for answer in answers))


def group_by_prompt(answers: Iterable[JudgedAnswer]) -> Mapping[str, list[JudgedAnswer]]:
    """Answers of each prompt, in order."""
    groups: dict[str, list[JudgedAnswer]] = {}
    for answer in answers:
        groups.setdefault(answer.prompt_id, []).append(answer)
    return groups
