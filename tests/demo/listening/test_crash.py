"""The real server: under many listeners, killed, interrupted, twice on one table of answers, and under raw bytes."""

import http.client
import signal
import socket
import time
import urllib.parse
from collections import Counter

import pytest

pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

import httpx

from demo.listening.store import Store
from tests.demo.listening.simulated import Simulated, clips

pytestmark = pytest.mark.slow


def run(listeners):
    for one in listeners:
        one.start()
    for one in listeners:
        one.join()


def stored(path):
    """Trial -> answer; nothing may be there twice."""
    with Store(path) as store:
        found = store.answers()
    assert max(Counter((one.listener, one.test, one.key) for one in found).values(), default=0) <= 1
    assert len({one.trial for one in found}) == len(found)
    return {one.trial: one.answer for one in found}


def all_told(listeners):
    return {trial: answer for one in listeners for trial, answer in one.told.items()}


def test_a_server_killed_in_the_middle_has_lost_and_doubled_nothing(folder, tmp_path, serve):
    answers = tmp_path / "answers.sqlite"
    first = serve(folder, answers)
    listeners = [Simulated(f"l{k}", [first.address]) for k in range(6)]
    for one in listeners:
        one.start()
    deadline = time.monotonic() + 120
    while len(all_told(listeners)) < 15 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    for one in listeners:
        one.join()
    told, before = all_told(listeners), stored(answers)
    assert len(told) >= 15
    assert all(one.cut_off and not one.code for one in listeners)
    assert told.items() <= before.items()  # one more may be stored than could be told
    assert len(before) <= len(told) + len(listeners)

    second = serve(folder, answers)
    again = [Simulated(f"l{k}", [second.address]) for k in range(6)]
    for one, old in zip(again, listeners, strict=True):
        one.token = old.token
        for trial, answer in old.told.items():  # a page that never got the reply sends its answer once more
            body = {"token": old.token, "trial": trial, "answer": answer}
            assert httpx.post(f"{second.address}api/answer", json=body).json()["stored"] is True
    run(again)
    assert [one.wrong for one in (*listeners, *again)] == [[]] * 12
    after = stored(answers)
    assert after == before | all_told(again)
    entered = httpx.post(f"{second.address}api/enter", json={"token": again[0].token, "test": "words"}).json()
    assert len(after) == 6 * entered["count"] == 6 * entered["done"]
    assert len({one.code for one in again}) == 6


def test_two_servers_on_one_table_of_answers_are_one_test(folder, tmp_path, serve):
    answers = tmp_path / "answers.sqlite"
    servers = [serve(folder, answers), serve(folder, answers)]
    listeners = [Simulated(f"l{k}", [one.address for one in servers], test) for k, test in enumerate(["words", "mos"] * 2)]
    run(listeners)
    assert [one.wrong for one in listeners] == [[]] * 4
    assert all(one.code for one in listeners)
    assert stored(answers) == all_told(listeners)


def crowd(folder, answers, serve, seconds, *options):
    server = serve(folder, answers, *options)
    until = time.monotonic() + seconds
    listeners = [Simulated(f"l{k}", [server.address], until=until) for k in range(20)]
    run(listeners)
    assert [one.wrong for one in listeners] == [[]] * 20
    assert not any(one.cut_off for one in listeners)
    assert stored(answers) == all_told(listeners)
    return listeners


def test_twenty_listeners_at_once(folder, tmp_path, serve):
    listeners = crowd(folder, tmp_path / "answers.sqlite", serve, 5)
    assert all(one.told for one in listeners)


def test_twenty_listeners_for_a_minute(tmp_path, serve):
    clips(tmp_path / "many", 200, 0.2)
    (tmp_path / "tests.yaml").write_text("words: {mode: ab, trials_per_listener: null}\n")
    listeners = crowd(tmp_path / "many", tmp_path / "answers.sqlite", serve, 60, "--tests", str(tmp_path / "tests.yaml"))
    assert sum(len(one.told) for one in listeners) > 200
    assert not any(one.code for one in listeners)  # nobody was done before the minute was over


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_server_ends_at_once_keeps_its_answers_and_leaves_no_folder(folder, tmp_path, serve, monkeypatch, kind):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    answers = tmp_path / "answers.sqlite"
    server = serve(folder, answers)
    ann = Simulated("ann", [server.address])
    with httpx.Client() as ann.client:  # whose connection stays open
        ann.step()
        assert list((tmp_path / "tmp").glob("lpo-tts-demo-*"))
        server.process.send_signal(kind)
        assert server.process.wait(timeout=20) == 130
    assert not list((tmp_path / "tmp").glob("lpo-tts-*"))
    assert server.process.stderr.read() == "demo/app.py: interrupted; the same command goes on where it was\n"
    assert stored(answers) == ann.told
    assert len(ann.told) == 1


def test_raw_requests_reach_no_file_and_leave_the_server_standing(folder, tmp_path, serve):
    server = serve(folder, tmp_path / "answers.sqlite")
    place = urllib.parse.urlsplit(server.address)
    for path in (
        "/listen/audio/../../../../../../etc/passwd",
        "/listen/../../../../../../etc/passwd",
        "/listen/..%2f..%2f..%2fetc/passwd",
        "/listen/audio/%2e%2e/%2e%2e/list.jsonl",
        "/listen//etc/passwd",
        "/listen/%00",
        "/listen/server.py",
        "/listen/audio/" + "A" * 60_000,
    ):
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
        connection.putrequest("GET", path, skip_host=False)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        assert response.status in (400, 404, 414, 431), path
        assert b"root:" not in body
        connection.close()
    for sent in (
        b"GET /listen/ HTTP/9.9\r\n\r\n",
        b"\x00" * 1000,
        b"POST /listen/api/enter HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{",
        b'POST /listen/api/answer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"a"',
    ):
        with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
            raw.sendall(sent)  # and hangs up
    assert httpx.get(server.address + "api/tests").status_code == 200
    assert stored(tmp_path / "answers.sqlite") == {}
    server.process.send_signal(signal.SIGINT)
    server.process.wait(timeout=20)
    assert "Traceback" not in server.process.stderr.read()
