"""metric: the better value of a metric is preferred; a pairwise judge where no server is at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.comparers.base import Opinion, Sides
from lpo_tts.metrics.base import Judgement, LoadedMetric, Metric, scale_of


@dataclass(frozen=True, kw_only=True)
class MetricComparer:
    """Compares the values of a metric, so it can never contradict itself.

    Attributes:
        metric: what is measured of both.
        min_gap: smallest difference between two values that counts; nearer ones are a tie.
    """

    metric: Metric
    min_gap: float = 0.0

    bounds = {"min_gap": at_least(0)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedMetricComparer":
        """Loads the metric."""
        return LoadedMetricComparer(self.metric.load(device), scale_of(self.metric).higher_is_better, self.min_gap)


class LoadedMetricComparer:
    """A metric in memory, and its direction."""

    def __init__(self, metric: LoadedMetric, higher_is_better: bool, min_gap: float) -> None:
        self._metric, self._higher_is_better, self._min_gap = metric, higher_is_better, min_gap

    def compare(self, pairs: Sequence[Sides]) -> list[Opinion]:
        """By the values, each piece of speech judged once per call; `detail` holds both values."""
        speech = {id(one): one for pair in pairs for one in pair}
        judged = dict(zip(speech, self._metric.judge(list(speech.values())) if speech else [], strict=True))
        return [self._opinion(judged, pair) for pair in pairs]

    def _opinion(self, judged: Mapping[int, Judgement], pair: Sides) -> Opinion:
        first, second = (judged[id(one)] for one in pair)
        if first.value is None or second.value is None:
            missing = first if first.value is None else second
            return Opinion(preferred=None, detail={"reason": missing.detail.get("reason", "the metric gives no value")})
        gain = (first.value - second.value) * (1 if self._higher_is_better else -1)
        detail = {"values": [float(first.value), float(second.value)]}
        if gain == 0 or abs(gain) < self._min_gap:
            return Opinion(preferred="tie", detail=detail)
        return Opinion(preferred="first" if gain > 0 else "second", detail=detail)
