"""A metric as a pairwise judge."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from lpo_tts.comparers.base import Speech, both_ways
from lpo_tts.comparers.metric import MetricComparer
from lpo_tts.errors import ConfigError
from lpo_tts.records import Judgement
from lpo_tts.testing import check_comparer


@dataclass(frozen=True)
class Level:
    """The first sample, where there is one."""

    higher_is_better: ClassVar[bool] = True

    def load(self, device="cpu"):
        return self

    def judge(self, speech):
        return [self._one(item.audio) for item in speech]

    def _one(self, audio):
        if audio.numel() and bool(audio.isfinite().all()):
            return Judgement(value=float(audio.abs().max()))
        return Judgement(value=None, detail={"reason": "nothing there"})


@dataclass(frozen=True)
class Quiet(Level):
    higher_is_better: ClassVar[bool] = False


def speech(name, level):
    audio = torch.empty(0) if level is None else torch.full((4,), level)
    return Speech(id=name, audio=audio, sample_rate=16000, text="a")


LOUD, SOFT, NONE = speech("loud", 0.75), speech("soft", 0.5), speech("none", None)


@pytest.mark.parametrize(("metric", "better"), [(Level(), "first"), (Quiet(), "second")])
def test_the_better_value_is_preferred(metric, better):
    found = MetricComparer(metric=metric).load().compare([(LOUD, SOFT), (SOFT, SOFT), (SOFT, NONE)])
    assert [one.preferred for one in found] == [better, "tie", None]
    assert found[0].detail == {"values": [0.75, 0.5]}
    assert found[2].detail == {"reason": "nothing there"}


def test_values_that_are_near_are_a_tie():
    assert MetricComparer(metric=Level(), min_gap=0.25).load().compare([(LOUD, SOFT)])[0].preferred == "first"
    assert MetricComparer(metric=Level(), min_gap=0.26).load().compare([(LOUD, SOFT)])[0].preferred == "tie"
    with pytest.raises(ConfigError, match="min_gap must be at least 0"):
        MetricComparer(metric=Level(), min_gap=-0.1)


def test_each_recording_is_judged_once_and_it_never_contradicts_itself(monkeypatch):
    judged = []
    judge = Level.judge
    monkeypatch.setattr(Level, "judge", lambda self, speech: judged.extend(one.id for one in speech) or judge(self, speech))
    found = both_ways(MetricComparer(metric=Level()).load(), [(LOUD, SOFT), (SOFT, LOUD)])
    assert [(one.preferred, one.detail["contradiction"]) for one in found] == [("first", False), ("second", False)]
    assert judged == ["loud", "soft"]


def test_it_keeps_the_contract():
    check_comparer(MetricComparer(metric=Level()), [(LOUD, SOFT)])
