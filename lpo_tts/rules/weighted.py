"""weighted: the best candidates by a weighted sum of metrics against the worst."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lpo_tts.bounds import Range, at_least, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import NONE_GOOD, Dropped, Pair, Scored


@dataclass(frozen=True)
class Weighted:
    """Each metric becomes a number from 0 (worst) to 1 (best), and these are added by weight; the best `depth` candidates
    against the worst `depth`, widest gap first, each once.

    After CSTTS-DPO (argmax against argmin of a min-max normalised sum, ties dropped) and the second rule of RankDPO (best two
    against worst two, greedily one to one, on values as they are: `ranges` of 0 to 1). Values beyond a range are clipped.
    Without a range a metric is normalised over the candidates of the prompt; CSTTS-DPO's normalisation over the corpus is a
    range of the smallest and largest value found there. `min_gap` is compared with the difference of the two sums.

    Attributes:
        weights: metric -> its weight; 0 switches it off. The first one with a weight must have scored a candidate.
        ranges: metric -> lowest and highest value, between which it is normalised; others take those of the prompt.
        clip: metric -> the worst value it may have, worse ones count as this: at most where less is better, else at least.
            Before the range of the prompt is taken.
        depth: so many of the best candidates against so many of the worst.
        finished_only: whether candidates that did not end by themselves are left out before all else, as in CSTTS-DPO.
        max_tokens: candidates of more tokens are left out before all else (750 in CSTTS-DPO); None = any.
    """

    weights: dict[str, float] = field(default_factory=lambda: {"wer": 1.0, "similarity": 1.0})
    ranges: dict[str, tuple[float, ...]] = field(default_factory=dict)
    clip: dict[str, float] = field(default_factory=dict)
    depth: int = 1
    finished_only: bool = False
    max_tokens: int | None = None

    bounds = {
        "weights": at_least(0),
        "ranges": Range(),
        "clip": Range(),
        "depth": at_least(1),
        "max_tokens": at_least(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.metrics:
            raise ConfigError("weights: expected at least one metric with a weight above 0, found none")
        for name, limits in self.ranges.items():
            if len(limits) != 2 or not limits[0] < limits[1]:
                raise ConfigError(f"ranges.{name}: expected the lowest and the highest value, found {list(limits)}")
        for key, named in (("ranges", self.ranges), ("clip", self.clip)):
            strange = [name for name in named if name not in self.weights]
            if strange:
                raise ConfigError(f"{key}: {strange[0]!r} has no weight; `weights` has {', '.join(self.weights)}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those with a weight."""
        return tuple(name for name, weight in self.weights.items() if weight)

    @property
    def needs_targets(self) -> bool:
        """No recordings."""
        return False

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs by falling gap."""
        pool = []
        for one in candidates:
            reason = self._not_in_pool(one)
            if reason is None:
                pool.append(one)
            else:
                yield Dropped(reason)
        if not pool:
            return
        sums = self._sums(pool)
        order = sorted(pool, key=lambda one: (-sums[one.candidate.id], one.error, one.candidate.id))
        depth = min(self.depth, len(order) // 2)
        good, bad = [one for one in order if one.choosable][:depth], order[::-1][:depth]
        if len(order) > 1 and not good:
            yield NONE_GOOD
        pairs = [Pair(a, b, gap=sums[a.candidate.id] - sums[b.candidate.id]) for a in good for b in bad]
        yield from sorted(pairs, key=lambda pair: -pair.width)  # stable: equal gaps stay best first

    def _not_in_pool(self, one: Scored) -> str | None:
        if self.finished_only and not one.candidate.finished:
            return "candidate is unfinished"
        if self.max_tokens is not None and one.candidate.num_tokens > self.max_tokens:
            return "candidate longer than max_tokens"
        return None if all(map(math.isfinite, one.others)) else "candidate not scored by every metric with a weight"

    def _sums(self, pool: Sequence[Scored]) -> Mapping[str, float]:
        totals = dict.fromkeys((one.candidate.id for one in pool), 0.0)
        for name in self.metrics:
            rises = name in pool[0].rising
            values = {one.candidate.id: self._clipped(name, one.value(self.metrics, name), rises) for one in pool}
            low, high = self.ranges.get(name) or (min(values.values()), max(values.values()))
            for key, value in values.items():
                share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0
                totals[key] += self.weights[name] * (share if rises or high <= low else 1 - share)
        return totals

    def _clipped(self, name: str, value: float, rises: bool) -> float:
        if name not in self.clip:
            return value
        return max(value, self.clip[name]) if rises else min(value, self.clip[name])
