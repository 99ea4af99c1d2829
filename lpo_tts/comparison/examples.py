"""Which candidates to listen to: chosen by rule, so that a report cannot show only its best sides."""

import hashlib
from collections.abc import Mapping, Sequence

from lpo_tts.alignment import align
from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.results import Example, Examples, Side
from lpo_tts.comparison.tally import Outcome
from lpo_tts.comparison.wording import main_metric
from lpo_tts.records import Judgement

Key = tuple[str, int]  # prompt id, seed

RULE = (
    "Per group {count} prompts, at most one candidate each, by {judge}: the largest drop in {counts} errors, the largest rise "
    "(ties by a hash of the prompt id), and of those with equal errors the first by that hash. Candidates without "
    "audio are left out here, and their number stands above. Nobody picked by ear."
)


def choose_examples(
    candidates: Mapping[str, Sequence[JudgedCandidate]],
    roles: Sequence[MetricRole],
    baseline: str | None,
    outcomes: Mapping[tuple[str, str], Sequence[Outcome]],
    count: int,
) -> Examples:
    """The rule, and rows with the candidates of every system side by side.

    Args:
        candidates: by system.
        roles: the metrics; the one of the headline chooses.
        baseline: system that the change is counted from; None: most errors are shown.
        outcomes: (system, metric) -> one per candidate of the system.
        count: prompts in each group.
    """
    metric = main_metric(roles)
    if metric is None or count < 1:
        return Examples()
    errors: dict[str, dict[Key, float]] = {
        system: {
            (one.prompt_id, one.seed): found.errors
            for one, found in zip(own, outcomes[system, metric.name], strict=True)
            if found.state == "evaluated"
        }
        for system, own in candidates.items()
    }
    others = [system for system in candidates if system != baseline]
    if baseline is None or not others:
        counts = errors[next(iter(candidates))]
        ranked = sorted(counts, key=lambda key: (-counts[key], _hash(key)))
        chosen = [("most errors", key) for key in _one_per_prompt(ranked, count)]
        rule = f"The {count} prompts with most {metric.counts} errors by {metric.label}, at most one candidate each."
    else:
        chosen = _compared(errors[baseline], errors[others[0]], count, -1 if metric.higher_is_better else 1)
        rule = RULE.format(count=count, judge=metric.label, counts=metric.counts)
        if len(others) > 1:
            rule += f" The change is that of {others[0]}."
    index = {(system, one.prompt_id, one.seed): one for system, own in candidates.items() for one in own}
    rows = []
    for group, key in chosen:
        sides = [index[system, *key] for system in candidates if (system, *key) in index]
        rows.append(
            Example(
                group=group,
                prompt_id=key[0],
                seed=key[1],
                text=sides[0].text,
                tags=sides[0].tags,
                sides=tuple(_side(side, metric.name, roles) for side in sides),
            )
        )
    return Examples(rule=rule, metric=metric.name, rows=tuple(rows))


def _compared(old: Mapping[Key, float], new: Mapping[Key, float], count: int, sign: int) -> list[tuple[str, Key]]:
    change = {key: sign * (new[key] - old[key]) for key in old if key in new}
    better = sorted((key for key in change if change[key] < 0), key=lambda key: (change[key], _hash(key)))
    worse = sorted((key for key in change if change[key] > 0), key=lambda key: (-change[key], _hash(key)))
    equal = sorted((key for key in change if change[key] == 0), key=_hash)
    groups = [("improved", better), ("worse", worse), ("unchanged", equal)]
    return [(group, key) for group, keys in groups for key in _one_per_prompt(keys, count)]


def _one_per_prompt(keys: Sequence[Key], count: int) -> list[Key]:
    first: dict[str, Key] = {}
    for key in keys:
        first.setdefault(key[0], key)
    return list(first.values())[:count]


def _hash(key: Key) -> str:
    return hashlib.sha256(f"{key[0]}\t{key[1]}".encode()).hexdigest()


def _side(candidate: JudgedCandidate, metric: str, roles: Sequence[MetricRole]) -> Side:
    nothing = Judgement(value=None)
    detail = candidate.judgements.get(metric, nothing).detail
    heard = not candidate.missing and "hypothesis" in detail
    words = [str(detail.get(name) or "").split() for name in ("reference", "hypothesis")]
    return Side(
        system=candidate.system,
        audio=candidate.audio,
        missing=candidate.missing,
        finished=candidate.finished,
        duration=candidate.duration,
        hypothesis=detail.get("hypothesis"),
        alignment=tuple(align(*words)) if heard else None,
        values={role.name: candidate.judgements.get(role.name, nothing).value for role in roles},
    )
