"""Equal loudness, marked words, and what stands under a clip."""

import math

import pytest
import torch

from demo import studio
from demo.studio import CandidateAudio, Verdict
from lpo_tts.metrics.base import Judgement, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate

RATE = 16000


def tone(level, seconds=1.0):
    """A sine of so many dB rms."""
    wave = torch.sin(2 * math.pi * 220 * torch.arange(int(RATE * seconds)) / RATE)
    return wave * math.sqrt(2) * 10 ** (level / 20)


def spoken(wave, **changes):
    return CandidateAudio(**{"audio": wave, "sample_rate": RATE, "finished": True, **changes})


def wer(reference, hypothesis, errors):
    counts = dict(zip(("substitutions", "deletions", "insertions"), errors, strict=True))
    detail = {"reference": reference, "hypothesis": hypothesis, "num_words": len(reference.split()), **counts}
    words = len(reference.split())
    return scale_of(WordErrorRate), Judgement(value=sum(errors) / words, weight=words, detail=detail)


def similarity(value, **detail):
    return scale_of(SpeakerSimilarity), Judgement(value=value, detail=detail)


def heard(judged):
    return studio.heard(Verdict(judged={"WER": judged}))


def test_loudness_is_the_rms_of_what_is_not_pause():
    assert studio.loudness_db(tone(-20), RATE) == pytest.approx(-20, abs=0.05)
    with_pause = torch.cat([tone(-20), torch.zeros(5 * RATE)])
    assert studio.loudness_db(with_pause, RATE) == pytest.approx(-20, abs=0.05)
    assert studio.loudness_db(torch.zeros(RATE), RATE) == -math.inf
    assert studio.loudness_db(torch.zeros(0), RATE) == -math.inf


def test_two_clips_come_out_equally_loud():
    loud, quiet = studio.match_loudness([spoken(tone(-10)), spoken(tone(-40, seconds=2))])
    assert studio.loudness_db(loud, RATE) == pytest.approx(studio.TARGET_DB, abs=0.05)
    assert studio.loudness_db(quiet, RATE) == pytest.approx(studio.TARGET_DB, abs=0.05)


def test_where_a_peak_forbids_the_target_both_stay_lower_together():
    spiky = tone(-40)
    spiky[100] = 0.9
    clips = studio.match_loudness([spoken(spiky), spoken(tone(-10))])
    levels = [studio.loudness_db(clip, RATE) for clip in clips]
    assert levels[0] == pytest.approx(levels[1], abs=0.05)
    assert levels[0] < studio.TARGET_DB - 3
    assert float(clips[0].abs().max()) == pytest.approx(studio.PEAK, abs=1e-3)


def test_silence_and_nothing_stay_what_they_are():
    silent, nothing, heard = studio.match_loudness([spoken(torch.zeros(RATE)), spoken(None), spoken(tone(-30))])
    assert float(silent.abs().max()) == 0
    assert nothing is None
    assert studio.loudness_db(heard, RATE) == pytest.approx(studio.TARGET_DB, abs=0.05)


def test_wrong_words_are_marked_and_escaped():
    html = heard(wer("gate blue seven four", "gate pink seven <b> nine", (1, 0, 1)))
    assert html.startswith('gate <mark title="should be: blue">pink</mark> seven ')
    assert "<mark" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert heard(wer("gate blue", "gate", (0, 1, 0))) == "gate <del>blue</del>"
    assert studio.heard(Verdict()) == ""


def test_a_verdict_shows_words_numbers_and_what_went_wrong():
    words = wer("gate blue seven four two", "gate blue seven four", (0, 1, 0))
    judged = Verdict(judged={"WER": words, "speaker similarity": similarity(0.812)})
    html = studio.verdict_html(spoken(tone(-20, 1.5), finished=False), judged)
    assert "WER 20 % (1 wrong of 5 words) · speaker similarity 0.812 · 1.50 s" in html
    assert "did not end" in html
    assert "<del>two</del>" in html


def test_what_could_not_be_judged_is_said():
    short = similarity(None, reason="the audio is too short: 0.10 s")
    unjudged = Verdict(judged={"speaker similarity": short}, notes=("no <judge>",))
    html = studio.verdict_html(spoken(None, status="empty"), unjudged)
    assert "similarity: the audio is too short: 0.10 s" in html
    assert "no &lt;judge&gt;" in html
    assert '<span class="flag">empty</span>' in html
