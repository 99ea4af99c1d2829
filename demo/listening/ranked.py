"""A ranking of three or more systems by Bradley-Terry, and what votes on candidates are worth."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demo.listening.asked import Asked, ordered, value_of
from demo.listening.rows import Answered
from lpo_tts.statistics import Interval, log_strengths, percentile_interval
from lpo_tts.statistics.bradley_terry import connected


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A system's place by Bradley-Terry.

    Attributes:
        strength: log odds against the average system.
        preferred: chance to be preferred to the average system; both with intervals of the two-way bootstrap as it is drawn,
            which errs on the wide side.
        best: share of resamples in which it is the strongest.
    """

    system: str
    strength: Interval
    preferred: Interval
    best: float


@dataclass(frozen=True, kw_only=True)
class CandidateFinding:
    """Votes on candidates of training prompts.

    Attributes:
        votes, ties: on two candidates each.
        compared: how many two candidates have votes.
        repeated: how many have votes of two listeners or more.
        agreement: of two listeners' votes on the same candidates, the share that are alike; None without any.
    """

    votes: int
    ties: int
    compared: int
    repeated: int
    agreement: float | None


def ranking(answers: Sequence[Answered], asked: Asked, order: Sequence[str] = ()) -> list[Rank]:
    """Bradley-Terry strengths, the strongest first; [] for fewer than three systems, or groups never compared."""
    systems = ordered([side.name for one in answers for side in one.content.sides], order)
    if len(systems) < 3:
        return []
    size, place = len(systems), {name: k for k, name in enumerate(systems)}
    columns = np.zeros((len(answers), size, size))
    for row, one in enumerate(answers):
        a, b = (place[side.name] for side in one.content.sides)
        share = value_of(one, systems[b])
        columns[row, b, a], columns[row, a, b] = share, 1 - share
    wins = columns.sum(axis=0)
    if not connected((wins + wins.T) > 0):
        return []
    crossed = asked.crossed(answers)
    drawn = log_strengths(crossed.sums(columns.reshape(len(answers), -1)).reshape(-1, size, size))
    strengths, best = log_strengths(wins), drawn.argmax(axis=1)
    clusters = min(crossed.num_listeners, crossed.num_items)

    found = [
        Rank(
            system=name,
            strength=percentile_interval(strengths[k], drawn[:, k], asked.confidence, num_clusters=clusters),
            preferred=percentile_interval(_odds(strengths[k]), _odds(drawn[:, k]), asked.confidence, num_clusters=clusters),
            best=float((best == k).mean()),
        )
        for k, name in enumerate(systems)
    ]
    return sorted(found, key=lambda one: -one.strength.estimate)


def _odds(strength: Any) -> Any:
    """Log odds as a chance."""
    return 1 / (1 + np.exp(-strength))


def candidates(answers: Sequence[Answered]) -> CandidateFinding:
    """What votes on candidates (A/B, CMOS) are worth; `answers` without catch trials."""
    own: dict[tuple[str, str], dict[str, float]] = {}
    for one in answers:
        first, second = sorted(side.candidate_id for side in one.content.sides)
        own.setdefault((first, second), {})[one.listener] = value_of(one, max(side.name for side in one.content.sides))
    votes = [list(found.values()) for found in own.values()]
    both = [one == other for found in votes for one, other in itertools.combinations(found, 2)]
    return CandidateFinding(
        votes=sum(map(len, votes)),
        ties=sum(found.count(0.5) for found in votes),
        compared=len(votes),
        repeated=sum(len(found) > 1 for found in votes),
        agreement=sum(both) / len(both) if both else None,
    )
