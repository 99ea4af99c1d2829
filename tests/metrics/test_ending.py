"""How an utterance ends: tones whose words are told, with seconds worked out by hand, and speech of the mini world."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.ending import Ending
from lpo_tts.testing import BAD

sys.path.insert(0, str(Path(__file__).parent))

from timed import RATE, Told, fade, noise, silence, speech, tone

WORDS = (("gate", 0.0, 0.3), ("blue", 0.4, 0.7), ("four", 0.8, 1.1))
SPOKEN = (tone(0.3), silence(0.1), tone(0.3), silence(0.1), tone(0.3))  # 1.1 s
END = fade(0.1)  # falls under the threshold, 35 dB below, after 58 ms


def judge(item, words=WORDS, **settings):
    return Ending(Told(words), **settings).load().judge([item])[0]


def kind(*parts, words=WORDS, **settings):
    return judge(speech(*SPOKEN, *parts), words, **settings).detail["kind"]


def test_a_good_end_with_or_without_silence():
    judgement = judge(speech(*SPOKEN, END))
    assert judgement.value == 1.0
    detail = judgement.detail
    assert (detail["kind"], detail["missing"], detail["extra"], detail["repeated"]) == ("good", 0, 0, 0)
    assert detail["last_word_end"] == pytest.approx(1.16, abs=0.011)
    assert kind(END, silence(0.9)) == "good"


def test_silence_and_steady_background_beyond_the_limit():
    judgement = judge(speech(*SPOKEN, END, silence(1.4)))
    assert judgement.value == 0.0
    assert judgement.detail["kind"] == "trailing_silence"
    assert judgement.detail["trailing_silence"] == pytest.approx(1.2 + 1.4 - 1.16, abs=0.02)
    assert judgement.detail["trailing_sound"] == 0.0
    assert kind(END, noise(1.4, -70)) == "trailing_silence"
    assert kind(END, silence(1.4), max_silence=1.6) == "good"


@pytest.mark.parametrize("decibels", [-25, -40, -52])
def test_noise_and_hum_after_the_last_word(decibels):
    assert kind(END, noise(1.5, decibels)) == "trailing_sound"
    judgement = judge(speech(*SPOKEN, END, silence(0.1), tone(1.0, decibels, 120)))
    assert judgement.detail["kind"] == "trailing_sound"


def test_a_short_breath_is_allowed():
    assert kind(END, silence(0.2), noise(0.25, -45), silence(0.1)) == "good"
    assert kind(END, silence(0.2), noise(0.25, -45), silence(0.1), max_sound=0.1, max_tail=0.0) == "trailing_sound"


def test_sound_and_silence_add_up_to_what_follows_the_last_word():
    detail = judge(speech(*SPOKEN, END, silence(0.3), noise(0.5, -40), silence(0.4))).detail
    assert detail["trailing_sound"] == pytest.approx(0.5, abs=0.03)
    assert detail["trailing_sound"] + detail["trailing_silence"] == pytest.approx(2.4 - detail["last_word_end"], abs=0.002)


def test_words_after_the_text():
    words = (*WORDS, ("blue", 1.2, 1.5), ("four", 1.6, 1.9))
    detail = judge(speech(*SPOKEN, silence(0.1), *SPOKEN[2:], END), words).detail
    assert (detail["kind"], detail["extra"], detail["repeated"]) == ("trailing_sound", 2, 1)
    assert detail["trailing_sound"] == pytest.approx(0.66, abs=0.04)
    assert detail["last_word_end"] <= 1.2


def test_one_short_word_more_is_enough_where_it_is_heard_as_one():
    words = (*WORDS, ("four", 1.2, 1.4))
    assert kind(silence(0.1), tone(0.2), END, words=words) == "trailing_sound"


@pytest.mark.parametrize("heard", ["fort", "nine", "for a"])
def test_a_misheard_last_word_is_no_end(heard):
    spelled = heard.split()
    last = [(word, 0.8 + 0.15 * index, 0.95 + 0.15 * index) for index, word in enumerate(spelled)]
    assert kind(END, words=(*WORDS[:2], *last)) == "good"


def test_words_missing_at_the_end():
    for rest in ((), (silence(2.0),)):
        detail = judge(speech(*SPOKEN[:3], END, *rest), WORDS[:2]).detail
        assert (detail["kind"], detail["missing"]) == ("cut_off", 1)


def test_a_last_word_that_sounds_and_is_not_heard_is_there():
    detail = judge(speech(*SPOKEN, END), WORDS[:2]).detail
    assert (detail["kind"], detail["missing"]) == ("good", 0)
    assert detail["last_word_end"] == pytest.approx(1.16, abs=0.011)


def test_audio_that_stops_in_the_middle_of_a_sound():
    detail = judge(speech(*SPOKEN)).detail
    assert detail["kind"] == "cut_off"
    assert detail["final_level"] == pytest.approx(0.0, abs=0.5)
    assert kind(abrupt=0.5, words=WORDS) == "cut_off"


def test_the_last_word_ends_where_its_sound_ends():
    early = (*WORDS[:2], ("four", 0.8, 1.0))
    assert judge(speech(*SPOKEN, END), early).detail["last_word_end"] == pytest.approx(1.16, abs=0.011)


def test_a_word_that_the_recogniser_stretches_over_the_noise():
    stretched = (*WORDS[:2], ("four", 0.8, 3.1))
    assert kind(END, noise(1.9, -30), words=stretched) == "trailing_sound"


def test_loudness_and_a_constant_offset_change_nothing():
    for change in (lambda wave: wave * 0.1, lambda wave: wave + 0.05):
        item = speech(*SPOKEN, END, silence(1.4))
        changed = Speech(id="x", audio=change(item.audio), sample_rate=RATE, text=item.text)
        assert judge(changed).detail["kind"] == "trailing_silence"


def test_a_noisy_recording_ends_in_its_own_noise():
    wave = torch.cat([silence(0.3), *SPOKEN, END, silence(0.5)])
    late = tuple((word, start + 0.3, end + 0.3) for word, start, end in WORDS)
    noisy = Speech(id="x", audio=wave + noise(2.0, -45), sample_rate=RATE, text="gate blue four")
    # The recogniser is given all of it: told times count from its first sample.
    detail = judge(noisy, late).detail
    assert detail["kind"] == "good"
    assert detail["trailing_silence"] == pytest.approx(0.55, abs=0.06)


def test_no_word_is_silent_and_what_cannot_be_judged_has_a_reason():
    assert judge(speech(silence(1.0)), ()).detail["kind"] == "silent"
    assert judge(speech(silence(1.0)), ()).value == 0.0
    broken = Speech(id="n", audio=BAD["one nan"], sample_rate=RATE, text="a")
    empty = Speech(id="e", audio=BAD["empty"], sample_rate=RATE, text="a")
    assert judge(broken).detail == {"reason": "the audio holds NaN or infinity"}
    assert judge(empty).detail == {"reason": "the audio has no samples"}
    assert judge(speech(*SPOKEN, text="?!")).detail["reason"].startswith("the text '?!' has no words")
    assert judge(speech(*SPOKEN, language="xx")).detail == {"reason": "told: expected language 'en', found 'xx'"}


def test_settings_are_checked():
    for name, value in {"max_silence": 0, "max_sound": -1, "max_tail": 3, "depth": 0, "margin": 50, "abrupt": 0}.items():
        with pytest.raises(ConfigError, match=f"{name} must be"):
            Ending(Told(()), **{name: value})
    with pytest.raises(ConfigError, match="normaliser: expected one of"):
        Ending(Told(()), normaliser="none")

    class Untimed(Told):
        transcribe_timed = None

    with pytest.raises(ConfigError, match="says when it heard each word"):
        Ending(Untimed(())).load()
    assert REGISTRY.get("ending") is Ending
    assert Ending.higher_is_better is True


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the package espeakng-loader is not installed")
def test_endings_of_the_mini_world_are_told_apart():
    from benchmarks.judging.clips import spoken
    from benchmarks.judging.endings import judge as study
    from lpo_tts.asr.mini import MiniRecogniser

    metric = Ending(MiniRecogniser("recipes/mini/checkpoints/asr-train"))
    rows = [row for more in study(metric, spoken(10, seed=7), ("tuned", "counted")) for row in more]
    right = sum(row["kind"] == row["found"]["kind"] for row in rows)
    assert len(rows) >= 150
    assert right / len(rows) >= 0.95
