"""A pairwise judge behind a URL, from a real server: what is sent, what counts as an answer, and what is tried again."""

import pytest
import torch

from lpo_tts.comparers.base import Speech, both_ways
from lpo_tts.comparers.http import HttpComparer
from lpo_tts.errors import ConfigError
from tests.judge_server import Reply, in_turn, serving, sound

TONE = 0.1 * torch.sin(torch.arange(8000) / 5)


def speech(name, audio=TONE, **more):
    return Speech(id=name, audio=audio, sample_rate=16000, text="one two", **more)


def compare(answer, pairs, **settings):
    with serving(answer) as server:
        loaded = HttpComparer(**{"url": server.url, "timeout": 5.0, "retry_wait": 0.01, "retries": 1, **settings}).load()
        return loaded.compare(pairs), server


def test_both_recordings_and_the_text_are_sent():
    voice = {"voice": TONE[:4000], "voice_sample_rate": 8000}
    pair = (speech("p#0", **voice), speech("p#3", TONE[:6000], **voice))
    (found,), server = compare(in_turn(Reply({"preferred": "second", "detail": {"why": "clearer"}})), [pair], send_voice=True)
    assert (found.preferred, found.detail) == ("second", {"why": "clearer"})
    (asked,) = server.asked
    assert {key: asked[key] for key in ("id", "text", "language")} == {"id": "p#0|p#3", "text": "one two", "language": "en"}
    assert [len(sound(asked[key])[0]) for key in ("first", "second", "voice")] == [8000, 6000, 4000]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"preferred": "A"}, "expected first, second, tie or null as 'preferred', found A"),
        ({"preferred": 1}, "expected first, second, tie or null as 'preferred', found 1"),
        ({"preferred": ["first"]}, "found ['first']"),
        ({"better": "first"}, "found {'better': 'first'}"),
        ({"preferred": None, "reason": "both are silent"}, "both are silent"),
        ({"preferred": None}, "the server has no opinion"),
        (b"first", "the answer: not valid JSON"),
    ],
)
def test_another_answer_is_no_opinion_with_its_reason(body, reason):
    (found,), server = compare(in_turn(Reply(body)), [(speech("a"), speech("b"))])
    assert found.preferred is None
    assert reason in found.detail["reason"]
    assert len(server.asked) == 1


def test_passing_faults_are_tried_again_and_others_not():
    (found,), server = compare(in_turn(Reply({}, 503), Reply({"choice": {"winner": "tie"}})), [(speech("a"), speech("b"))],
                               preferred_key="choice.winner")  # fmt: skip
    assert found.preferred == "tie"
    assert len(server.asked) == 2
    (found,), server = compare(in_turn(Reply({}, 403), Reply({"preferred": "tie"})), [(speech("a"), speech("b"))])
    assert "status 403" in found.detail["reason"]
    assert len(server.asked) == 1


def test_audio_that_cannot_be_measured_is_not_sent_and_stops_nothing():
    pairs = [(speech("a"), speech("b", TONE * 0)), (speech("a", TONE[:10]), speech("b")), (speech("a"), speech("b"))]
    found, server = compare(in_turn(Reply({"preferred": "first"})), pairs)
    assert [one.preferred for one in found] == [None, None, "first"]
    assert found[0].detail["reason"] == "the second recording is silent"
    assert found[1].detail["reason"].startswith("the first recording is too short")
    assert len(server.asked) == 1


def test_a_server_that_prefers_what_comes_first_contradicts_itself():
    with serving(in_turn(Reply({"preferred": "first"}))) as server:
        found = both_ways(HttpComparer(url=server.url).load(), [(speech("a"), speech("b")), (speech("c"), speech("d"))])
    assert [(one.preferred, one.detail["contradiction"]) for one in found] == [("tie", True)] * 2
    assert sorted(question["id"] for question in server.asked) == ["a|b", "b|a", "c|d", "d|c"]


def test_a_key_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="preferred_key: expected keys with dots"):
        HttpComparer(url="http://localhost/", preferred_key=".a")
