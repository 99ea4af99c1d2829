"""A score from behind a URL, from a real server with every fault: what is tried again, what is no number, and no secret."""

import dataclasses
import json
import logging
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import torch

from lpo_tts import recipe
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.fingerprints import fingerprint
from lpo_tts.metrics.base import Metric, Speech, scale_of
from lpo_tts.metrics.http import HttpMetric
from lpo_tts.posting import exchange, service
from lpo_tts.testing import check_metric
from tests.judge_server import Reply, after, in_turn, serving, sound

TONE = 0.1 * torch.sin(torch.arange(8000) / 5)
GOOD = Reply({"value": 3.5})


def speech(name="a", audio=TONE, **more):
    return Speech(id=name, audio=audio, sample_rate=16000, text=f"say {name}", **more)


def metric(url, **settings):
    return HttpMetric(**{"url": url, "higher_is_better": True, "timeout": 5.0, "retry_wait": 0.01, "retries": 2, **settings})


def judge(answer, items=None, **settings):
    """Judgements, and the server that gave them."""
    with serving(answer) as server:
        return metric(server.url, **settings).load().judge([speech()] if items is None else items), server


def test_what_is_sent_and_what_comes_back():
    voice = 0.2 * torch.sin(torch.arange(4000) / 9)
    loud = torch.cat([TONE, torch.tensor([2.0])])
    item = speech("p#1", loud, language="de", voice=voice, voice_sample_rate=8000)
    (found,), server = judge(in_turn(Reply({"value": 3, "detail": {"heard": "ü"}})), [item], send_voice=True)
    assert (found.value, found.detail) == (3.0, {"heard": "ü"})
    assert isinstance(found.value, float)
    (asked,) = server.asked
    assert {key: asked[key] for key in ("id", "text", "language")} == {"id": "p#1", "text": "say p#1", "language": "de"}
    samples, rate = sound(asked["audio"])
    assert rate == 16000
    torch.testing.assert_close(torch.from_numpy(samples), loud.clamp(-1, 1), rtol=0, atol=1 / 2**15)
    samples, rate = sound(asked["voice"])
    assert (len(samples), rate) == (4000, 8000)
    assert server.headers[0]["Content-Type"] == "application/json"
    assert "Authorization" not in server.headers[0]


def test_audio_is_resampled_and_the_voice_stays_here_unless_asked_for():
    _, server = judge(in_turn(GOOD), [speech(voice=TONE, voice_sample_rate=16000)], sample_rate=24000)
    samples, rate = sound(server.asked[0]["audio"])
    assert (len(samples), rate) == (12000, 24000)
    assert "voice" not in server.asked[0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"3.5 points", "the answer: not valid JSON"),
        (b"", "the answer: not valid JSON"),
        (b"\xff\xfe", "expected JSON in UTF-8, found other bytes"),
        (b'{"value": NaN}', "expected finite numbers, found NaN"),
        (b'{"value": 1e999}', "expected finite numbers, found 1e999"),
        (b'{"value": 1, "value": 2}', "the key 'value' stands twice"),
        (b"[" * 5000, "brackets are nested too deep"),
        ([3.5], "expected a JSON object, found [3.5]"),
        ({"score": 3.5}, "expected a number as 'value', found {'score': 3.5}"),
        ({"value": True}, "expected a number as 'value', found True"),
        ({"value": "3.5"}, "expected a number as 'value', found 3.5"),
        ({"value": [3.5]}, "expected a number as 'value', found [3.5]"),
        ({"value": 5.5}, "expected a number from 1 to 5, found 5.5"),
        ({"value": 0.9}, "expected a number from 1 to 5, found 0.9"),
        ({"value": 10**400}, "expected a number from 1 to 5, found 1000"),
        ({"value": None, "reason": "two\nspeakers"}, "two speakers"),
        ({"value": None}, "the server gives no value"),
        (b'{"value": 2, "x": "' + b"x" * (exchange.LARGEST_ANSWER + 1) + b'"}', "the answer is longer than 1048576 bytes"),
    ],
)
def test_what_is_no_number_within_the_range_is_unscorable_with_its_reason_and_not_asked_again(body, reason):
    (found,), server = judge(in_turn(Reply(body)), low=1.0, high=5.0)
    assert found.value is None
    assert reason in found.detail["reason"]
    assert len(found.detail["reason"]) < 600
    assert len(server.asked) == 1


def test_without_a_range_any_finite_number_will_do():
    assert judge(in_turn(Reply({"value": -1e30})))[0][0].value == -1e30
    found = judge(in_turn(Reply({"value": 10**400})))[0][0]
    assert "expected a number of usual size" in found.detail["reason"]


def test_the_key_leads_into_objects():
    body = {"scores": {"mos": 4.25, "wer": 0.1}}
    assert judge(in_turn(Reply(body)), value_key="scores.mos")[0][0].value == 4.25
    found = judge(in_turn(Reply(body)), value_key="scores.mos.mean")[0][0]
    assert "expected a number as 'scores.mos.mean'" in found.detail["reason"]


@pytest.mark.parametrize(
    "fault",
    [
        *(Reply({}, status) for status in (408, 429, 500, 502, 503, 504)),
        Reply(how="lost"),
        Reply({"value": 1.0, "padding": "x" * 100}, how="half"),
        Reply(how="silent"),
        Reply({"value": 1.0}, how="drips"),
    ],
    ids=lambda fault: fault.how if fault.status == 200 else str(fault.status),
)
def test_a_fault_that_passes_is_tried_again(fault):
    (found,), server = judge(in_turn(fault, GOOD), timeout=0.4)
    assert found.value == 3.5
    assert len(server.asked) == 2
    (found,), server = judge(in_turn(fault), timeout=0.2)
    assert found.value is None
    assert found.detail["reason"].endswith("(3 tries)")
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        *((Reply({"error": "so not"}, status), f"status {status}: ") for status in (400, 401, 404, 413, 422, 501)),
        (
            Reply({}, 302, {"Location": "http://elsewhere/"}),
            "{}; it points to http://elsewhere/, and redirects are not followed",
        ),
        (Reply(how="noise"), "expected an answer in HTTP"),
    ],
    ids=lambda one: one.how + str(one.status) if isinstance(one, Reply) else "",
)
def test_other_faults_are_not_tried_again(fault, reason):
    (found,), server = judge(in_turn(fault, GOOD))
    assert found.value is None
    assert reason in found.detail["reason"]
    assert len(server.asked) == 1


def test_the_wait_doubles_and_a_server_may_say_how_long(monkeypatch):
    waits = []
    monkeypatch.setattr(service._Tries, "pause", lambda self, seconds: bool(waits.append(seconds)))
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    replies = [Reply({}, 503), Reply({}, 503), *(Reply({}, 429, {"Retry-After": value}) for value in ("7", "9999", date, "soon"))]
    (found,), _ = judge(in_turn(*replies, GOOD), retries=6, retry_wait=1.0)
    assert found.value == 3.5
    assert waits[:4] == [1.0, 2.0, 7.0, 9999.0]
    assert 20 < waits[4] <= 30
    assert waits[5] == 32.0, "doubled each time"


def test_no_wait_is_longer_than_two_minutes():
    tries, waits = service._Tries(), []
    tries.stop.wait = waits.append
    tries.pause(9999.0)
    assert waits == [120.0]


def test_order_is_kept_and_only_so_many_requests_are_under_way():
    def answer(question):
        number = int(question["id"])
        time.sleep(0.02 * (number % 3))
        return Reply({"value": number}) if number % 5 else Reply({}, 404)

    found, server = judge(answer, [speech(str(number)) for number in range(20)], parallel_requests=3)
    assert [one.value for one in found] == [number if number % 5 else None for number in range(20)]
    assert server.most == 3


def test_nobody_there_gives_no_value_and_costs_no_hours():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but nobody listens
        loaded = metric(f"http://127.0.0.1:{held.getsockname()[1]}/", retry_wait=0.05).load()
        found = loaded.judge([speech(str(number)) for number in range(40)])
        assert all(one.value is None for one in found)
        assert "Connection refused (3 tries)" in found[0].detail["reason"]
        assert found[-1].detail["reason"] == "not asked: the server gave no answer to 8 questions in a row"
        assert "(1 try)" in loaded.judge([speech()])[0].detail["reason"], "the next call tries once"
    assert judge(in_turn(GOOD))[0][0].value == 3.5


def test_a_server_that_comes_back_is_tried_patiently_again():
    replies = in_turn(*[Reply({}, 503)] * 4, GOOD, Reply({}, 503), GOOD)
    with serving(replies) as server:
        loaded = metric(server.url, parallel_requests=1).load()
        assert [one.value for one in loaded.judge([speech()])] == [None]
        assert [one.value for one in loaded.judge([speech("b"), speech("c")])] == [None, 3.5]
        assert [one.value for one in loaded.judge([speech("d")])] == [3.5], "after an answer faults are tried again"


def test_an_address_that_is_none_is_named():
    found = metric("http://nowhere.invalid/").load().judge([speech()])[0]
    assert found.value is None
    assert "no address of 'nowhere.invalid'" in found.detail["reason"]


def test_a_server_without_tls_is_named():
    (found,), _ = judge(in_turn(GOOD))
    with serving(in_turn(GOOD)) as server:
        found = metric(server.url.replace("http:", "https:")).load().judge([speech()])[0]
    assert "no secure connection" in found.detail["reason"]
    assert server.asked == []


SECRET = "sk-very-secret"


def test_the_token_comes_from_the_environment_and_stands_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("JUDGE_TOKEN", SECRET + "\n")
    caplog.set_level(logging.DEBUG)

    def answer(question):
        echo = {"value": 1.0, "detail": {"you": SECRET}} if question["id"] == "a" else {"value": SECRET}
        return Reply(echo, 401 if question["id"] == "c" else 200)

    found, server = judge(answer, [speech("a"), speech("b"), speech("c")], token_env="JUDGE_TOKEN")
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}
    one = metric(server.url, token_env="JUDGE_TOKEN")
    plain = json.dumps([recipe.STRUCTURER.unstructure(one, Metric), *(dataclasses.asdict(each) for each in found)])
    assert SECRET not in plain + caplog.text + repr(one)
    assert [each.value for each in found] == [1.0, None, None]
    assert "***" in found[1].detail["reason"]
    assert "***" in found[2].detail["reason"]


def test_a_token_that_is_missing_or_no_header_is_refused_without_being_shown(monkeypatch):
    monkeypatch.delenv("JUDGE_TOKEN", raising=False)
    one = metric("http://localhost/", token_env="JUDGE_TOKEN")
    with pytest.raises(ComponentError, match="the environment variable JUDGE_TOKEN is not set"):
        one.load()
    monkeypatch.setenv("JUDGE_TOKEN", f"{SECRET}\r\nHost: elsewhere")
    with pytest.raises(ComponentError, match="no plain line of text") as caught:
        one.load()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "judge.example/score"}, "url: expected http://HOST"),
        ({"url": "ftp://judge.example/"}, "url: expected http://HOST"),
        ({"url": "http://judge.example:99999/"}, "url: expected http://HOST"),
        ({"url": "http://judge.example/a b"}, "url: expected http://HOST"),
        ({"url": "http://me:secret@judge.example/"}, "found a user or password in it; leave it out"),
        ({"token_env": "sk-very-secret"}, "token_env: expected the name of an environment variable, found 14 characters"),
        ({"timeout": 0.0}, "timeout must be above 0"),
        ({"retries": -1}, "retries must be at least 0"),
        ({"parallel_requests": 0}, "parallel_requests must be at least 1"),
        ({"sample_rate": 100}, "sample_rate must be at least 4000"),
        ({"value_key": "scores..mos"}, "value_key: expected keys with dots"),
        ({"low": 5.0, "high": 1.0}, "low must be below high, found 5.0 and 1.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        metric(settings.pop("url", "http://localhost/"), **settings)
    assert not any(secret in str(caught.value) for secret in (SECRET, "me:", "secret@"))


def test_its_settings_say_what_its_values_mean():
    one = metric("http://localhost/", higher_is_better=False, unit="%", title="share of listeners", short="SL")
    scale = scale_of(one)
    assert (scale.higher_is_better, scale.unit, scale.title, scale.short) == (False, "%", "share of listeners", "SL")
    assert scale_of(metric("http://localhost/")).short == "score of a server"


def test_how_patiently_a_server_is_asked_changes_no_table():
    one, other = (
        recipe.STRUCTURER.unstructure(metric("http://localhost/", **more), Metric)
        for more in ({}, {"timeout": 9.0, "retries": 9, "retry_wait": 9.0, "parallel_requests": 9, "token_env": "T"})
    )
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint({**one, "url": "http://localhost:9/"})


def test_it_keeps_the_contract_of_metrics():
    with serving(lambda question: Reply({"value": float(len(sound(question["audio"])[0]))})) as server:
        check_metric(metric(server.url))
        check_metric(metric(server.url, send_voice=True))
    assert all(question["id"] == "good" for question in server.asked), "audio that cannot be measured is not sent"


def test_a_voice_that_cannot_be_sent_is_the_reason():
    found, server = judge(in_turn(GOOD), [speech(), speech(voice=TONE * 0, voice_sample_rate=16000)], send_voice=True)
    assert [one.detail["reason"] for one in found] == ["there is no recording of the voice", "the voice is silent"]
    assert server.asked == []


def test_an_interrupt_does_not_wait_for_the_server(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with serving(after(0.0, Reply({}, 503))) as server:
        loaded = metric(server.url, retry_wait=60.0, parallel_requests=2).load()
        monkeypatch.setattr(exchange.Address, "post", interrupted)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            loaded.judge([speech("a"), speech("b")])
        assert time.monotonic() - started < 5
