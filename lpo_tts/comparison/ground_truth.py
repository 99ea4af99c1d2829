"""What a judge says of real recordings: its own error, which is part of every value it gives a system."""

from collections.abc import Iterable

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import GroundTruth
from lpo_tts.comparison.tally import whole
from lpo_tts.records import Judgement


def ground_truth(role: MetricRole, condition: str, judgements: Iterable[Judgement]) -> GroundTruth | None:
    """The average over what could be judged, the corpus value of a ratio; None where nothing could be.

    Args:
        role: the judge.
        condition: which recordings ("recording", "codec-copy").
        judgements: one per recording.
    """
    found = [(one.value, one.weight or 0) for one in judgements if one.value is not None]
    if not found:
        return None
    if role.is_ratio:
        value = sum(whole(one * weight) for one, weight in found) / max(sum(weight for _, weight in found), 1)
    else:
        value = sum(one for one, _ in found) / len(found)
    return GroundTruth(judge=role.label, metric=role.name, condition=condition, count=len(found), value=value)
