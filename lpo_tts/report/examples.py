"""Which answers to listen to: chosen by rule, so that a report cannot show only its best sides."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from lpo_tts.report.alignment import align
from lpo_tts.report.answers import JudgedAnswer, MetricRole
from lpo_tts.report.tally import Outcome
from lpo_tts.report.wording import main_wer

RULE = (
    "Per group {count} prompts, at most one answer each, by {judge}: the largest drop in word errors, the largest rise "
    "(ties by a hash of the prompt id), and of those with equal errors the first by that hash. Answers without "
    "audio are counted above and left out here. Nobody picked by ear."
)


def choose_examples(
    answers: Sequence[JudgedAnswer],
    roles: Sequence[MetricRole],
    baseline: str | None,
    outcomes: Mapping[tuple[str, str], Sequence[Outcome]],
    per_system: Mapping[str, Sequence[JudgedAnswer]],
    count: int,
) -> dict[str, Any]:
    """Examples as JSON: the rule, and rows with the answers of every system side by side."""
    metric = main_wer([{"name": r.name, "kind": r.kind, "role": r.role, "label": r.label} for r in roles])
    if metric is None or count < 1:
        return {"rule": "", "rows": []}
    name = metric["name"]
    errors = {
        system: {
            (a.prompt_id, a.seed): one.errors
            for a, one in zip(own, outcomes[system, name], strict=True)
            if one.state == "evaluated"
        }
        for system, own in per_system.items()
    }
    systems = list(per_system)
    others = [system for system in systems if system != baseline]
    if baseline is None or not others:
        counts = errors[systems[0]]
        ranked = sorted(counts, key=lambda key: (-counts[key], _hash(key)))
        chosen = [("most errors", key) for key in _one_per_prompt(ranked, count)]
        rule = f"The {count} prompts with most word errors by {metric['label']}, at most one answer each."
    else:
        chosen = _compared(errors[baseline], errors[others[0]], count)
        rule = RULE.format(count=count, judge=metric["label"])
        if len(others) > 1:
            rule += f" The change is that of {others[0]}."
    index = {(answer.system, answer.prompt_id, answer.seed): answer for answer in answers}
    rows = []
    for group, (prompt_id, seed) in chosen:
        sides = [index[system, prompt_id, seed] for system in systems if (system, prompt_id, seed) in index]
        first = sides[0]
        rows.append(
            {
                "group": group,
                "prompt_id": prompt_id,
                "seed": seed,
                "text": first.text,
                "tags": first.tags,
                "sides": [_side(side, name, roles) for side in sides],
            }
        )
    return {"rule": rule, "metric": name, "rows": rows}


def _compared(old: Mapping, new: Mapping, count: int) -> list[tuple[str, tuple[str, int]]]:
    change = {key: new[key] - old[key] for key in old if key in new}
    better = sorted((key for key in change if change[key] < 0), key=lambda key: (change[key], _hash(key)))
    worse = sorted((key for key in change if change[key] > 0), key=lambda key: (-change[key], _hash(key)))
    equal = sorted((key for key in change if change[key] == 0), key=_hash)
    groups = [("improved", better), ("worse", worse), ("unchanged", equal)]
    return [(group, key) for group, keys in groups for key in _one_per_prompt(keys, count)]


def _one_per_prompt(keys: Sequence[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    first: dict[str, tuple[str, int]] = {}
    for key in keys:
        first.setdefault(key[0], key)
    return list(first.values())[:count]


def _hash(key: tuple[str, int]) -> str:
    return hashlib.sha256(f"{key[0]}\t{key[1]}".encode()).hexdigest()


def _side(answer: JudgedAnswer, metric: str, roles: Sequence[MetricRole]) -> dict[str, Any]:
    detail = answer.judgements.get(metric, {}).get("detail") or {}
    heard = not answer.missing and "hypothesis" in detail
    return {
        "system": answer.system,
        "audio": answer.audio,
        "missing": answer.missing,
        "finished": answer.finished,
        "duration": answer.duration,
        "hypothesis": detail.get("hypothesis"),
        "alignment": align(str(detail["reference"]).split(), str(detail["hypothesis"]).split()) if heard else None,
        "values": {r.name: answer.judgements.get(r.name, {}).get("value") for r in roles},
    }
