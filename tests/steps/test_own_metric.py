"""A metric is one file and one line in the name table: this one is scored, evaluated, tabulated and printed by itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from lpo_tts import artefacts, cli, metrics
from lpo_tts.asr.base import LoadedRecogniser, Recogniser
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.records import Score
from lpo_tts.steps.judged import Heard
from lpo_tts.testing import check_metric


@dataclass(frozen=True)
class CharacterErrorRate:
    """Characters that are missing, added or wrong, over characters; compared place by place, which will do here."""

    recogniser: Recogniser

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "%"
    aggregate: ClassVar[str] = "ratio"
    missing: ClassVar[float] = 1.0
    perfect: ClassVar[float] = 0.0
    title: ClassVar[str] = "character error rate"
    short: ClassVar[str] = "CER"
    counts: ClassVar[str] = "character"

    def weight(self, text: str, language: str = "en") -> int:
        """Characters of a text."""
        return len(text.replace(" ", ""))

    def load(self, device: str = "cpu") -> "LoadedCharacterErrorRate":
        """Loads the recogniser."""
        return LoadedCharacterErrorRate(self.recogniser.load(device))


@dataclass(frozen=True)
class LoadedCharacterErrorRate:
    """A recogniser in memory."""

    recogniser: LoadedRecogniser

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Errors over characters."""
        return [self._judge(item) for item in speech]

    def _judge(self, item: Speech) -> Judgement:
        if not item.audio.isfinite().all():
            return Judgement(value=None, detail={"reason": "NaN"})
        wanted = item.text.replace(" ", "")
        heard = self.recogniser.transcribe([item.audio])[0].replace(" ", "")
        errors = sum(a != b for a, b in zip(wanted, heard, strict=False)) + abs(len(wanted) - len(heard))
        return Judgement(value=errors / len(wanted), detail={"heard": heard})


@pytest.fixture
def _named(monkeypatch):
    """The one line in the name table."""
    monkeypatch.setitem(metrics.REGISTRY.members, "cer", "test_own_metric:CharacterErrorRate")


@pytest.mark.usefixtures("_named")
@pytest.mark.slow
def test_a_metric_of_ones_own_goes_all_the_way(tiny, tmp_path, capsys):
    out, cer = tmp_path / "out", "{name: cer, recogniser: {name: 'ears:HashRecogniser', salt: %s}}"
    arguments = [
        str(tiny / "recipe.yaml"),
        f"out={out}",
        f"score.metrics.cer={cer % 'a'}",
        "pair.rules=[{rule: {name: best_worst, metric: cer}, min_gap: 0.05, pairs_per_prompt: 2}]",
        f"evaluate.judges.own={{label: another speller, role: judge, metric: {cer % 'b'}}}",
        f"evaluate.judges.trained={{label: the ranking speller, role: training judge, metric: {cer % 'a'}}}",
        "evaluate.judges.judge.role=outside",
    ]
    assert cli.main(["run", *arguments]) == 0
    shown = capsys.readouterr().out

    scores = artefacts.read_rows(out / "scores-cer.jsonl", Score)
    assert len(scores) == 48
    assert all(row.weight for row in scores), "also of candidates without audio"
    errors = [row.value * row.weight for row in scores if row.value is not None]
    assert errors == pytest.approx([round(one) for one in errors])

    report = json.loads((out / "report" / "report.json").read_text())
    row = report["results"]["base"]["metrics"]["own"]
    judged = artefacts.read_rows(out / "judgements" / "own" / "base.jsonl", Heard)
    values = [1.0 if one.value is None else one.value for one in judged]  # what is missing counts as `missing` says
    characters = sum(one.weight for one in judged)
    errors = sum(value * one.weight for value, one in zip(values, judged, strict=True))
    assert row["wer"]["estimate"] == pytest.approx(errors / characters)
    assert row["mean_utterance_wer"]["estimate"] == pytest.approx(sum(values) / len(values))
    assert (row["words"], row["substitutions"]) == (characters, None)
    assert {(one["judge"], one["condition"]) for one in report["floors"]} >= {
        ("another speller", "recording"),
        ("another speller", "codec-copy"),
    }
    compared = {("trained", "own"), ("trained", "judge.cer")}
    assert {(gap["training_judge"], gap["judge"]) for gap in report["gaps"]} == compared, "no words by letters"

    percent = f"{100 * row['wer']['estimate']:.2f} %"
    assert percent in report["headline"][0]
    assert report["headline"][0] in shown
    page = (out / "report" / "report.html").read_text()
    assert f"<td>{percent}<small>[" in page
    for words in ("another speller", "CER, corpus", "character error rate"):
        assert words in page
    assert "Fewer character errors than before" in page or "As many character errors as before" in page


def test_it_keeps_the_contract_of_metrics():
    from ears import HashRecogniser

    check_metric(CharacterErrorRate(HashRecogniser()))


def test_a_ratio_that_does_not_say_what_a_text_weighs_is_refused():
    from lpo_tts.errors import ConfigError
    from lpo_tts.metrics.base import scale_of

    class Silent:
        higher_is_better, aggregate, missing = False, "ratio", 1.0

    with pytest.raises(ConfigError, match=r"Silent: a ratio says what a text weighs: expected a method `weight"):
        scale_of(Silent)
    with pytest.raises(AssertionError, match="expected an instance of a class under @dataclass"):
        check_metric(Silent())
