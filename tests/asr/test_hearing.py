"""Where words of a text were heard: spots worked out by hand."""

import pytest

from lpo_tts.asr.base import HeardWord, with_times
from lpo_tts.asr.hearing import spots
from lpo_tts.errors import ConfigError


def heard(*words):
    """Words of 0.4 s, each 0.5 s after the one before."""
    return [HeardWord(text, 0.5 * place + 0.1, 0.5 * place + 0.5) for place, text in enumerate(words)]


def test_every_kind_of_error_has_its_place():
    found = spots("Gate blue, seven four!", heard("GATE", "green", "four", "four"), "basic", "en", duration=3.0)
    assert [spot[:3] for spot in found] == [
        ("hit", "gate", "gate"),
        ("substitution", "blue", "green"),
        ("substitution", "seven", "four"),
        ("hit", "four", "four"),
    ]
    assert found[1][3:] == (0.6, 1.0)


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [(("seven", "four"), 0.0, 0.1), (("gate", "four"), 0.5, 0.6), (("gate", "seven"), 1.0, 3.0)],
)
def test_a_deletion_lies_between_its_neighbours(words, start, end):
    (deletion,) = [spot for spot in spots("gate seven four", heard(*words), "basic", "en", 3.0) if spot.kind == "deletion"]
    assert deletion[3:] == (start, end)


def test_silence_deletes_every_word():
    assert [spot[3:] for spot in spots("gate seven", (), "basic", "en", 2.0)] == [(0.0, 2.0), (0.0, 2.0)]


def test_a_word_that_is_several_is_divided_by_its_letters():
    # "well-known" is two words by the rule `basic`: 4 and 5 of 9 letters
    found = spots("well known", [HeardWord("well-known", 1.0, 1.9)], "basic", "en", 2.0)
    assert [(spot.kind, spot.start, spot.end) for spot in found] == [
        ("hit", 1.0, pytest.approx(1.4)),
        ("hit", pytest.approx(1.4), pytest.approx(1.9)),
    ]


def test_characters_are_words_where_there_are_no_spaces():
    found = spots("你好吗", [HeardWord("你好", 0.0, 0.6), HeardWord("。", 0.6, 0.7)], "characters", "zh", 1.0)
    assert [spot.kind for spot in found] == ["hit", "hit", "deletion"]
    assert found[1].start == pytest.approx(0.3)


def test_rules_that_join_words_give_way():
    # "whisper-en" makes 742 of it, which has no time of its own
    found = spots("seven four two", heard("seven", "nine", "two"), "whisper-en", "en", 2.0)
    assert [spot.kind for spot in found] == ["hit", "substitution", "hit"]


def test_a_recogniser_without_times_is_refused():
    class LoadedDeaf:
        sample_rate = 16000

        def transcribe(self, audio, language="en"):
            return [""] * len(audio)

    with pytest.raises(ConfigError, match=r"Deaf: expected a recogniser that says when it heard each word"):
        with_times(LoadedDeaf())
