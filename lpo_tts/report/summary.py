"""Judged answers to numbers: per system, judge, group and seed, with intervals and paired differences."""

import math
from collections.abc import Sequence
from typing import Any

from lpo_tts.errors import ConfigError
from lpo_tts.report.answers import JudgedAnswer, MetricRole, check_answers, filled, systems_of, was_asked
from lpo_tts.report.differences import duration_ratio, judge_gap, mean_difference, wer_difference
from lpo_tts.report.examples import choose_examples
from lpo_tts.report.tally import Outcome, WordCounter, as_json, outcome, wer_row, word_counter
from lpo_tts.report.wording import headline
from lpo_tts.statistics import CONFIDENCE, NUM_RESAMPLES, bootstrap_mean
from lpo_tts.text import normalise

__all__ = ["JudgedAnswer", "MetricRole", "summarise"]

SCHEMA = 1
AVERAGES = ("corpus", "utterance")


def summarise(
    answers: Sequence[JudgedAnswer],
    roles: Sequence[MetricRole],
    baseline: str | None = None,
    *,
    average: str = "corpus",
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    count_words: WordCounter | None = None,
    num_examples: int = 4,
) -> dict[str, Any]:
    """All numbers of a report, as a dict that JSON can hold.

    Args:
        answers: Of all systems; an answer that does not exist is counted as missing, so a model that fails on hard
            prompts cannot score better for it.
        roles: The metrics to report, in order.
        baseline: System the others are compared with; None when there is only one.
        average: Which WER is the headline, "corpus" (errors / words) or "utterance" (mean of rates, as seed-tts-eval).
        confidence: Of all intervals.
        num_resamples: Of all bootstraps.
        seed: Of all bootstraps.
        count_words: Reference words of a text nobody has judged (needed for missing answers); basic normalisation if None.
        num_examples: Prompts to listen to in each of three groups (improved, worse, unchanged).

    Raises:
        ConfigError: The baseline is not among the systems, or `average` is unknown.
        ContractError: An answer stands twice, lacks a judgement, or systems disagree on a prompt's text.
    """
    if average not in AVERAGES:
        raise ConfigError(f"report: average must be one of {', '.join(AVERAGES)}, found {average!r}")
    check_answers(answers, roles)
    answers = filled(answers)
    systems = systems_of(answers)
    if baseline is not None and baseline not in systems:
        raise ConfigError(f"report: baseline {baseline!r} has no answers (systems: {', '.join(systems) or 'none'})")
    settings = {"confidence": confidence, "num_resamples": num_resamples, "seed": seed}
    per_system = {system: [answer for answer in answers if answer.system == system] for system in systems}
    outcomes = _outcomes(answers, roles, per_system, count_words or (lambda text: len(normalise(text).split())))

    report: dict[str, Any] = {
        "schema": SCHEMA,
        "systems": systems,
        "baseline": baseline,
        "average": average,
        "bootstrap": settings,
        "num_prompts": len({answer.prompt_id for answer in answers}),
        "seeds": sorted({answer.seed for answer in answers}),
        "metrics": [
            {"name": r.name, "kind": r.kind, "role": r.role, "label": r.label, "higher_is_better": r.higher_is_better}
            for r in roles
        ],
        "results": {system: _results(per_system[system], roles, outcomes, settings) for system in systems},
        "groups": _groups(answers, roles, systems, baseline, outcomes, per_system, settings),
        "per_seed": _per_seed(answers, roles, systems, outcomes, per_system, settings),
        "differences": [],
        "gaps": [],
        "durations": [],
    }
    for system in systems:
        if baseline is None or system == baseline:
            continue
        report["differences"] += _differences(system, baseline, roles, outcomes, per_system, settings)
        report["gaps"] += _gaps(system, baseline, roles, outcomes, settings)
        ratio = duration_ratio(per_system[baseline], per_system[system], settings)
        if ratio is not None:
            report["durations"].append({"system": system, "baseline": baseline, **ratio})
    report["examples"] = choose_examples(answers, roles, baseline, outcomes, per_system, num_examples)
    report["headline"] = headline(report)
    return report


def _outcomes(answers, roles, per_system, count_words: WordCounter) -> dict[tuple[str, str], list[Outcome]]:
    result = {}
    for role in roles:
        if role.kind == "wer":
            count = word_counter(answers, role.name, count_words)
            for system, own in per_system.items():
                result[system, role.name] = [outcome(answer, role.name, count) for answer in own]
    return result


def _results(own: Sequence[JudgedAnswer], roles, outcomes, settings) -> dict[str, Any]:
    heard = [answer for answer in own if not answer.missing]
    durations = [answer.duration for answer in heard if answer.duration is not None]
    unfinished = sum(not answer.finished for answer in own)
    row: dict[str, Any] = {
        "asked": len(own),
        "missing": len(own) - len(heard),
        "unfinished": unfinished,
        "unfinished_share": unfinished / len(own),
        "mean_duration": math.fsum(durations) / len(durations) if durations else None,
        "metrics": {},
    }
    for role in roles:
        if role.kind == "wer":
            row["metrics"][role.name] = wer_row(outcomes[own[0].system, role.name], **settings)
        else:
            row["metrics"][role.name] = _mean_row(own, role.name, settings)
    return row


def _mean_row(own: Sequence[JudgedAnswer], metric: str, settings) -> dict[str, Any]:
    heard = [answer for answer in own if not answer.missing]
    scored = [answer for answer in heard if answer.judgements[metric]["value"] is not None]
    not_asked = sum(not was_asked(answer, metric) for answer in heard)
    mean = None
    if scored:
        values = [answer.judgements[metric]["value"] for answer in scored]
        mean = as_json(bootstrap_mean(values, [answer.prompt_id for answer in scored], **settings))
    return {
        "mean": mean,
        "asked": len(own),
        "evaluated": len(scored),
        "missing": len(own) - len(heard),
        "unscorable": len(heard) - len(scored) - not_asked,
        "not_asked": not_asked,
    }


def _subset(own: Sequence[JudgedAnswer], role: MetricRole, outcomes, settings, keep) -> dict[str, Any]:
    """One system and metric on the answers that `keep` accepts, short form."""
    if role.kind == "wer":
        row = wer_row(
            [one for one, answer in zip(outcomes[own[0].system, role.name], own, strict=True) if keep(answer)], **settings
        )
        return {"value": row["wer"], "utterance": row["mean_utterance_wer"], "asked": row["asked"], "evaluated": row["evaluated"]}
    row = _mean_row([answer for answer in own if keep(answer)], role.name, settings)
    return {"value": row["mean"], "asked": row["asked"], "evaluated": row["evaluated"]}


def _groups(answers, roles, systems, baseline, outcomes, per_system, settings) -> list[dict[str, Any]]:
    tags = {
        name: sorted({a.tags[name] for a in answers if name in a.tags}) for name in sorted({n for a in answers for n in a.tags})
    }
    rows = []
    for tag, values in tags.items():
        for value in values:

            def keep(answer: JudgedAnswer, tag: str = tag, value: str = value) -> bool:
                return answer.tags.get(tag) == value

            group = {"tag": tag, "value": value, "num_prompts": len({a.prompt_id for a in answers if keep(a)}), "systems": {}}
            for system in systems:
                cells = {role.name: _subset(per_system[system], role, outcomes, settings, keep) for role in roles}
                group["systems"][system] = cells
            group["differences"] = (
                [] if baseline is None else _group_differences(roles, systems, baseline, outcomes, per_system, settings, keep)
            )
            rows.append(group)
    return rows


def _group_differences(roles, systems, baseline, outcomes, per_system, settings, keep) -> list[dict[str, Any]]:
    kept = {system: [answer for answer in own if keep(answer)] for system, own in per_system.items()}
    kept_outcomes = {
        (system, name): [one for one, answer in zip(values, per_system[system], strict=True) if keep(answer)]
        for (system, name), values in outcomes.items()
    }
    return [
        row
        for system in systems
        if system != baseline
        for row in _differences(system, baseline, roles, kept_outcomes, kept, settings)
    ]


def _per_seed(answers, roles, systems, outcomes, per_system, settings) -> list[dict[str, Any]]:
    rows = []
    for number in sorted({answer.seed for answer in answers}):
        row: dict[str, Any] = {"seed": number, "systems": {}}
        for system in systems:
            own = per_system[system]
            if any(answer.seed == number for answer in own):
                cells = {r.name: _subset(own, r, outcomes, settings, lambda a, number=number: a.seed == number) for r in roles}
                row["systems"][system] = cells
        rows.append(row)
    return rows


def _differences(system, baseline, roles, outcomes, per_system, settings) -> list[dict[str, Any]]:
    rows = []
    for role in roles:
        if role.kind == "wer":
            row = wer_difference(outcomes[baseline, role.name], outcomes[system, role.name], settings)
        else:
            row = mean_difference(per_system[baseline], per_system[system], role.name, settings)
        if row is not None:
            rows.append({"system": system, "baseline": baseline, "metric": role.name, **row})
    return rows


def _gaps(system, baseline, roles, outcomes, settings) -> list[dict[str, Any]]:
    trained = [role for role in roles if role.kind == "wer" and role.role == "training judge"]
    others = [role for role in roles if role.kind == "wer" and role.role in ("judge", "outside", "unstated")]
    rows = [judge_gap(one, other, outcomes, baseline, system, settings) for one in trained for other in others]
    return [row for row in rows if row is not None]
