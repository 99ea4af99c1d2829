"""What is said of a candidate: figures, their notes, marked words, and which candidate is the best."""

import pytest
import torch

from demo import studio
from demo.studio import CandidateAudio, Figure
from lpo_tts.metrics.base import Judgement, scale_of
from lpo_tts.metrics.dnsmos import DNSMOS
from lpo_tts.metrics.ending import Ending
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.speaking_rate import SpeakingRate
from lpo_tts.metrics.wer import WordErrorRate


def wer(reference, hypothesis, errors, **more):
    counts = dict(zip(("substitutions", "deletions", "insertions"), errors, strict=True))
    words = len(reference.split())
    detail = {"reference": reference, "hypothesis": hypothesis, "num_words": words, **counts}
    judged = Judgement(value=sum(errors) / words, weight=words, detail=detail)
    return Figure(name="WER", scale=scale_of(WordErrorRate), judgement=judged, **more)


def similarity(value, **detail):
    return Figure(name="SIM-o", scale=scale_of(SpeakerSimilarity), judgement=Judgement(value=value, detail=detail))


def test_every_error_is_written_out_and_escaped():
    html = studio.heard([wer("gate blue seven four", "gate pink seven <b> nine", (1, 0, 1))])
    assert html.startswith("gate ")
    assert "<del>blue</del> pink</span> seven " in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<del>blue</del></span>" in studio.heard([wer("gate blue", "gate", (0, 1, 0))])
    assert "<ins>+blue</ins>" in studio.heard([wer("gate", "gate blue", (0, 0, 1))])
    assert studio.heard([similarity(0.8)]) == ""


def test_a_figure_is_read_with_its_unit_and_its_errors():
    one = wer("gate blue seven four two", "gate blue seven four", (0, 1, 0))
    assert (one.text, one.note) == ("20 %", "1 wrong of 5 words")
    assert (similarity(0.8124).text, similarity(0.8124).note) == ("0.812", "")
    rate = Figure(name="rate", scale=scale_of(SpeakingRate), judgement=Judgement(value=2.3821))
    assert rate.text == "2.38 words/s"
    ending = Figure(name="ending", scale=scale_of(Ending), judgement=Judgement(value=0.0, detail={"kind": "trailing_sound"}))
    assert ending.text == "trailing sound"


def test_what_could_not_be_judged_says_why():
    short = similarity(None, reason="the audio is too short: 0.10 s")
    assert (short.text, short.note) == ("–", "the audio is too short: 0.10 s")


def test_a_candidate_tells_its_faults_and_its_length():
    wave = torch.zeros(24000)
    assert CandidateAudio(audio=wave, sample_rate=16000, finished=True).faults == ()
    cut = CandidateAudio(audio=wave, sample_rate=16000, finished=False, status="partial frame")
    assert cut.faults == ("did not end by itself", "partial frame")
    assert cut.duration == 1.5
    assert CandidateAudio(audio=None, sample_rate=16000, finished=True).duration == 0.0


def test_the_best_is_the_one_with_the_fewest_errors_and_then_the_nearest_voice():
    def said(errors, sim):
        return [wer("a b c d", "x", (errors, 0, 0)), similarity(sim)]

    order = [said(1, 0.9), said(0, 0.5), said(0, 0.7), said(0, None)]
    assert sorted(order, key=studio.best_first) == [order[2], order[1], order[3], order[0]]


def test_guesses_at_quality_and_further_figures_do_not_rank():
    guess = Figure(name="DNSMOS", scale=scale_of(DNSMOS), judgement=Judgement(value=4.0), advisory=True)
    rate = Figure(name="rate", scale=scale_of(SpeakingRate), judgement=Judgement(value=2.0))
    assert studio.best_first([guess, rate, wer("a", "b", (1, 0, 0), main=False)]) == ()


@pytest.mark.parametrize(("name", "shown"), [("wer", "WER"), ("sim", "SIM-o"), ("training-wer", "training-wer")])
def test_a_metric_goes_by_its_short_name_where_the_recipe_says_the_same(name, shown):
    scale = scale_of(SpeakerSimilarity if name == "sim" else WordErrorRate)
    assert studio.shown_name(name, scale) == shown
