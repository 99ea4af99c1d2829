"""The contract of pair rules: `check_rule`."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lpo_tts.records import Candidate, Comparison, Preferred
from lpo_tts.rules.base import Dropped, Label, Pair, Ranking, Rule, Scored, detail_metrics_of, members
from lpo_tts.rules.compared import ComparisonRule
from lpo_tts.testing.base import check_settings, expect


def check_rule(rule: Rule, num_tables: int = 200, seed: int = 0) -> None:
    """Checks a pair rule on random candidates: ties, unfinished and undecodable ones, prompts with none.

    Args:
        rule: to be checked.
        num_tables: how many prompts are tried.
        seed: of the candidates.

    Raises:
        AssertionError: it is no frozen dataclass, its declarations have a wrong type, or what it finds is not made of
            candidates it was given, or depends on their order.
    """
    name = type(rule).__name__
    check_settings(rule, loads=False)
    if isinstance(rule, ComparisonRule):
        check_comparison_rule(rule, num_tables, seed)
        return
    named = isinstance(rule.metrics, tuple) and all(isinstance(one, str) and one for one in rule.metrics)
    if not named or len(set(rule.metrics)) < len(rule.metrics):
        raise AssertionError(f"{name}.metrics: expected a tuple of names, each once, found {rule.metrics!r}")
    told = detail_metrics_of(rule)
    if not set(told) <= set(rule.metrics):
        raise AssertionError(f"{name}.detail_metrics: expected some of its metrics {rule.metrics}, found {told!r}")
    if not isinstance(rule.needs_targets, bool):
        raise AssertionError(f"{name}.needs_targets: expected true or false, found {rule.needs_targets!r}")
    draw = random.Random(seed)
    for number in range(num_tables):
        table = _candidates(draw, number % 9, rule, recorded=rule.needs_targets and number % 2 == 0)
        found = list(rule.match(tuple(table)))
        _check_found(name, found, table)
        again = list(rule.match(tuple(draw.sample(table, len(table)))))
        if again != found:
            raise AssertionError(
                f"{name}.match: the same {len(table)} candidates in another order give {again}, before {found}; "
                "sort them first (`rules.base.best_first` does, with the id as the last key)"
            )


def check_comparison_rule(rule: ComparisonRule, num_tables: int = 200, seed: int = 0) -> None:
    """As `check_rule`, for a rule that reads comparisons: on random ones, with ties, contradictions and missing opinions.

    Raises:
        AssertionError: it names no table, reads scores too, finds what is not made of candidates it was given or is
            preferred by nobody, or depends on the order of candidates or comparisons.
    """
    name = type(rule).__name__
    expect(rule.metrics == (), f"{name}.metrics: expected () of a rule that reads comparisons, found {rule.metrics!r}")
    named = rule.sources and all(isinstance(one, str | Path) and str(one) for one in rule.sources)
    expect(named, f"{name}.sources: expected at least one name or path of a table, found {rule.sources!r}")
    draw = random.Random(seed)
    expect(not [one for one in rule.match(()) if not isinstance(one, Dropped)], f"{name}.match: found something in nothing")
    for number in range(num_tables):
        table = [Scored(_candidate(index, 10, finished=draw.random() < 0.8), 0.0) for index in range(number % 6)]
        rows = _comparisons(draw, [one.candidate.id for one in table])
        found = list(rule.match_compared(tuple(table), tuple(rows)))
        _check_found(name, found, table)
        outcomes = {row.outcome for row in rows}
        for one in (one for one in found if isinstance(one, Pair)):
            sides = (one.chosen.candidate.id, one.rejected.candidate.id)
            expect(sides in outcomes, f"{name}.match_compared: nobody prefers {sides[0]!r} to {sides[1]!r}")
        turned = [draw.choice((row, _turned(row))) for row in draw.sample(rows, len(rows))]
        again = list(rule.match_compared(tuple(draw.sample(table, len(table))), tuple(turned)))
        pairs = [[one for one in each if not isinstance(one, Dropped)] for each in (found, again)]
        drops = [Counter(one.reason for one in each if isinstance(one, Dropped)) for each in (found, again)]
        expect(
            pairs[0] == pairs[1] and drops[0] == drops[1],
            f"{name}.match_compared: the same comparisons in another order give {again}, before {found}",
        )


def _comparisons(draw: random.Random, ids: Sequence[str]) -> list[Comparison]:
    """Comparisons of every two candidates by up to three judges."""
    choices: tuple[Preferred | None, ...] = ("first", "second", "tie", None)
    rows = []
    for first, second in itertools.combinations(ids, 2):
        for judge in draw.sample(["ann", "bob", "cy"], draw.randrange(4)):
            preferred = draw.choice(choices)
            detail = {"contradiction": preferred == "tie" and draw.random() < 0.5}
            rows.append(Comparison(prompt_id="p", first=first, second=second, preferred=preferred, judge=judge, detail=detail))
    return rows


def _turned(row: Comparison) -> Comparison:
    """The same the other way round."""
    preferred = {"first": "second", "second": "first"}.get(row.preferred or "", row.preferred)
    return replace(row, first=row.second, second=row.first, preferred=preferred)


def _candidates(draw: random.Random, count: int, rule: Rule, *, recorded: bool) -> list[Scored]:
    """Candidates of one prompt, with few different scores so that there are ties; details are empty."""
    table, num_others = [], max(0, len(rule.metrics) - 1)
    rising = frozenset(name for name in rule.metrics[1:] if draw.random() < 0.5)
    details = {name: {} for name in detail_metrics_of(rule)}
    for index in range(count):
        row = _candidate(index, draw.choice([0, 5, 50]), finished=draw.random() < 0.8, model=draw.choice(["", "other"]))
        others = tuple(draw.choice([-math.inf, 0.2, 0.5, 0.9]) for _ in range(num_others))
        error = draw.choice([0.0, 0.1, 0.5, 1.0]) if rule.metrics else 0.0
        table.append(Scored(row, error, others, label=1 - error, details=details, rising=rising))
    if recorded:
        table.append(Scored(_candidate(-1, 40), 0.0, (math.inf,) * num_others, label=1.0, recorded=True))
    return table


def _candidate(index: int, num_frames: int, *, finished: bool = True, model: str = "") -> Candidate:
    return Candidate(
        id=f"p#{index}",
        prompt_id="p",
        index=index,
        seed=max(index, 0),
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_tokens=num_frames,
        num_frames=num_frames,
        finished=finished,
        status="ok" if num_frames else "empty",
        model=model,
    )


def _check_found(name: str, found: Sequence[object], table: Sequence[Scored]) -> None:
    for one in found:
        if isinstance(one, Dropped):
            if not isinstance(one.reason, str) or not one.reason.strip():
                raise AssertionError(f"{name}.match: expected a reason in words, found {one.reason!r}")
            continue
        if not isinstance(one, Pair | Label | Ranking):
            raise AssertionError(f"{name}.match: expected Pair, Label, Ranking or Dropped of `rules.base`, found {one!r}")
        for side in members(one):
            if side not in table:
                raise AssertionError(f"{name}.match: {side!r} is none of the candidates it was given")
