"""Figures that judgements tell beside their value: worked-out numbers, and what has none."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from lpo_tts.comparison.candidates import JudgedCandidate
from lpo_tts.comparison.tally import Edits, outcomes_of, weights_of
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.judging import expanded, roles_of
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import Derived, Judgement, Speech, derived_of, number_in
from lpo_tts.metrics.cer import CharacterErrorRate
from lpo_tts.metrics.ending import Ending
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Prompt
from lpo_tts.scale import Scale
from tests.metrics.test_cer import Told


def wer(text, heard, normaliser="basic"):
    metric = WordErrorRate(Told(heard), normaliser)
    speech = Speech(id="a", audio=torch.ones(16000), sample_rate=16000, text=text)
    return metric, metric.load().judge([speech])[0]


def test_character_errors_come_from_the_same_hypothesis():
    metric, judgement = wer("The cat sat.", "the bat sits now")
    found = expanded(metric, "judge", judgement)["judge.cer"]
    # thecatsat -> thebatsitsnow: c for b, a for i, and s, n, o, w too many.
    assert judgement.value == pytest.approx(3 / 3)
    assert (found.value, found.weight) == (pytest.approx(6 / 9), 9)
    assert [found.detail[key] for key in ("hits", "substitutions", "deletions", "insertions")] == [7, 2, 0, 4]
    # It is what the metric cer counts of the same texts.
    speech = Speech(id="a", audio=torch.ones(16000), sample_rate=16000, text="The cat sat.")
    (other,) = CharacterErrorRate(Told("the bat sits now")).load().judge([speech])
    assert (found.value, found.weight) == (pytest.approx(other.value), other.weight)
    assert found.detail["reference"] == other.detail["reference"] == "t h e c a t s a t"


def test_nothing_heard_deletes_every_character():
    metric, judgement = wer("one two", "")
    found = expanded(metric, "judge", judgement)["judge.cer"]
    assert (found.value, found.weight, found.detail["deletions"]) == (1.0, 6, 6)


def test_both_averages_and_the_kinds_of_errors_are_told():
    metric, first = wer("one two", "one too")  # 1 of 6 characters
    _, second = wer("eleven", "seven")  # e and l lost, v heard: eleven -> seven
    role = roles_of(metric, "judge", "judge", "label")[1]
    candidates = [
        JudgedCandidate(system="base", prompt_id=str(number), seed=0, text=text, judgements=expanded(metric, "judge", judgement))
        for number, (text, judgement) in enumerate((("one two", first), ("eleven", second)))
    ]
    outcomes = outcomes_of(candidates, role, weights_of(candidates, role.name))
    assert [(one.errors, one.weight) for one in outcomes] == [(1, 6), (2, 6)]
    assert outcomes[0].edits == Edits(substitutions=1, deletions=0, insertions=0, repeated=1)  # a second o
    assert [one.value for one in outcomes] == pytest.approx([1 / 6, 2 / 6])


def test_what_has_no_value_has_no_figure_and_its_text_says_what_it_weighs():
    metric = WordErrorRate(Told(""))
    silent = Judgement(value=None, weight=2.0, detail={"reason": "no audio"})
    prompt = Prompt(id="a", text="One, two!")
    assert expanded(metric, "judge", silent, prompt)["judge.cer"] == Judgement(
        value=None, weight=6, detail={"reason": "no audio"}
    )
    assert expanded(metric, "judge", silent)["judge.cer"].weight is None  # weights_of finds it among the others
    missing = JudgedCandidate(
        system="base", prompt_id="a", seed=0, text="One, two!", missing=True, judgements=expanded(metric, "judge", silent, prompt)
    )
    role = roles_of(metric, "judge", "judge", "label")[1]
    (outcome,) = outcomes_of([missing], role, weights_of([missing], role.name))
    assert (outcome.state, outcome.errors, outcome.weight) == ("missing", 6, 6)


def test_an_ending_tells_its_kind_and_the_silence_behind_it():
    metric = Ending(Told(""))
    late = Judgement(value=0.0, detail={"kind": "trailing_silence", "trailing_silence": 2.25})
    found = expanded(metric, "end", late)
    assert {key: one.value for key, one in found.items()} == {
        "end": 0.0,
        "end.cut_off": 0.0,
        "end.trailing_sound": 0.0,
        "end.trailing_silence": 2.25,
    }
    cut = expanded(metric, "end", Judgement(value=0.0, detail={"kind": "cut_off", "trailing_silence": 0.0}))
    assert (cut["end.cut_off"].value, cut["end.trailing_silence"].value) == (1.0, 0.0)
    silent = expanded(metric, "end", Judgement(value=0.0, detail={"kind": "silent", "missing": 3}))
    assert silent["end.cut_off"].value == 0.0
    assert silent["end.trailing_silence"].value is None
    assert silent["end.trailing_silence"].detail == {"reason": "this judgement tells no trailing silence"}


def test_a_judgement_of_another_version_is_named():
    metric = WordErrorRate(Told(""))
    with pytest.raises(
        ContractError, match=r"judge\.cer: expected a judgement whose detail holds 'reference', found one with hits"
    ):
        expanded(metric, "judge", Judgement(value=0.5, weight=2, detail={"hits": 1}))


def test_roles_of_figures_follow_that_of_the_judge():
    metric = WordErrorRate(Told(""))
    main, cer = roles_of(metric, "judge", "judge", "whisper", margin=0.005, tested=True)
    assert (main.name, main.margin, main.tested, main.of) == ("judge", 0.005, True, None)
    assert (cer.name, cer.short, cer.role, cer.of, cer.label) == ("judge.cer", "CER", "judge", "judge", "whisper")
    assert (cer.margin, cer.tested, cer.is_ratio, cer.missing, cer.counts) == (None, False, True, 1.0, "character")
    assert roles_of(metric, "other", "outside", "x")[1].role == "outside"
    assert roles_of(metric, "other", "training judge", "x")[1].role == "advisory"


@pytest.mark.parametrize("name", REGISTRY)
def test_figures_of_every_metric_can_be_read(name):
    derived = derived_of(REGISTRY.get(name))
    shorts = [one.scale.short for one in derived.values()]
    assert len(set(shorts)) == len(shorts)
    assert all(one.weight is not None for one in derived.values() if one.scale.is_ratio)


@dataclass(frozen=True)
class Mine:
    """A metric whose figures a test chooses."""

    higher_is_better: ClassVar[bool] = True

    def load(self, device="cpu"):
        return self

    def judge(self, speech):
        return [Judgement(value=1.0, detail={"b": 2.0})] * len(speech)


@pytest.mark.parametrize(
    ("suffix", "scale", "message"),
    [
        ("a.b", Scale(higher_is_better=True, title="t", short="t"), "expected a name of small letters"),
        ("b", Scale(higher_is_better=True), "a scale with title and short"),
        (
            "b",
            Scale(higher_is_better=False, aggregate="ratio", missing=1.0, title="t", short="t"),
            "the ratio 'b' says what a text weighs",
        ),
    ],
)
def test_a_figure_that_cannot_be_read_is_refused(suffix, scale, message):
    own = type("Own", (Mine,), {"derived": {suffix: Derived(scale=scale, tell=number_in("b"))}})
    with pytest.raises(ConfigError, match=message):
        derived_of(own)


def test_a_figure_that_is_no_number_is_refused():
    scale = Scale(higher_is_better=True, title="t", short="t")
    own = type("Own", (Mine,), {"derived": {"b": Derived(scale=scale, tell=number_in("b"))}})
    with pytest.raises(ContractError, match=r"m\.b: expected a finite number or None, found inf"):
        expanded(own(), "m", Judgement(value=1.0, detail={"b": float("inf")}))
