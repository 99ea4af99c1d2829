"""The listening test over HTTP: each mode from start to end, what is refused, and what is given away."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")
pytest.importorskip("fastapi", reason="the server needs FastAPI: pip install lpo-tts[demo]")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from demo.listening.server import MAX_BODY, router
from demo.listening.sittings import Sittings, Test
from tests.demo.listening.simulated import answer_to, heard

SECRETS = ("base", "aligned", "cut", "shift", "noise", "lowpass", "catch", "worse")


@pytest.fixture
def client(sittings):
    app = FastAPI()
    app.include_router(router(sittings))
    with TestClient(app, base_url="http://localhost/listen/", raise_server_exceptions=False) as made:
        yield made


def enter(client, **body):
    return client.post("api/enter", json=body).json()


def trial(client, token, test=None):
    return client.get("api/trial", params={"token": token} | ({"test": test} if test else {})).json()


def fetch(client, shown):
    """Every clip, as the page does."""
    for url in (*(clip["url"] for clip in shown["clips"]), *filter(None, [shown["reference"]])):
        assert client.get(url).status_code == 200


def send(client, token, shown, answer, /, **changes):
    """Fetches the clips and answers."""
    fetch(client, shown)
    body = {"token": token, "trial": shown["trial"], "answer": answer, **heard(shown)}
    return client.post("api/answer", json=body | changes)


def listen(client, clock, token, test=None, answer=answer_to):
    """Does the whole test; returns what was shown, and what is said at the end."""
    seen = []
    while not (shown := trial(client, token, test)).get("done"):
        clock.now += 10
        assert send(client, token, shown, answer(shown)).json()["stored"] is True
        seen.append(shown)
    return seen, shown


@pytest.mark.parametrize("test", ["words", "voice", "abx", "mos", "cmos", "mushra"])
def test_each_mode_goes_from_start_to_end_and_gives_a_code(client, clock, store, sittings, test):
    entered = enter(client, name="ann", test=test)
    assert (entered["listener"], entered["test"], entered["done"]) == ("ann", test, 0)
    assert "code" not in entered
    seen, end = listen(client, clock, entered["token"], test)
    assert len(seen) == entered["count"] == end["count"]
    assert [(one["number"], one["of"]) for one in seen] == [(k + 1, len(seen)) for k in range(len(seen))]
    assert end["done"] is True
    assert end["code"] == store.code(test, "ann") == store.codes()[test]["ann"]
    again = enter(client, token=entered["token"], test=test)
    assert (again["done"], again["code"]) == (len(seen), end["code"])
    found = store.answers(test)
    assert len(found) == len({one.key for one in found}) == len(seen)
    assert {one.content.mode for one in found} == {entered["mode"]}
    catches = [one for one in found if one.content.catch]
    assert len(catches) == (0 if test == "mushra" else 1)


def test_nothing_that_is_sent_before_the_answer_tells_which_clip_is_whose(client, clock):
    for test in ("words", "abx", "mos", "mushra"):
        token = enter(client, test=test)["token"]
        text = json.dumps(trial(client, token, test)).lower()
        assert not any(secret in text for secret in SECRETS), text
        shown = trial(client, token, test)
        for clip in shown["clips"]:
            response = client.get(clip["url"])
            assert response.headers["content-type"] == "audio/wav"
            assert response.headers["cache-control"] == "no-store"
            assert not any(secret.encode() in response.content for secret in SECRETS[:2])
            assert not any(secret in str(response.headers).lower() for secret in SECRETS[:2])


def test_after_the_answer_the_names_are_told(client, clock, store):
    token = enter(client, name="ann")["token"]
    shown = trial(client, token)
    clock.now += 10
    said = send(client, token, shown, "B").json()
    sides = store.answers()[0].content.sides
    assert [(one["label"], one["name"]) for one in said["reveal"]] == [(side.label, side.name) for side in sides]
    assert {one["name"] for one in said["reveal"]} == {"base", "aligned"}


def test_names_can_be_kept_to_the_end(items, store, clock):
    from demo.listening.design import Design

    app = FastAPI()
    app.include_router(router(Sittings([Test(Design("secret", reveal=False, catch_share=0), items)], store)))
    with TestClient(app, base_url="http://localhost/listen/") as client:
        token = enter(client)["token"]
        shown = trial(client, token)
        clock.now += 10
        assert send(client, token, shown, "A").json() == {"stored": True, "reveal": [], "reference": ""}


def test_a_reload_shows_the_same_trial_and_the_same_sides(client):
    token = enter(client, name="ann")["token"]
    first, again = trial(client, token), trial(client, token)
    assert first == again
    assert [client.get(clip["url"]).content for clip in first["clips"]] == [
        client.get(clip["url"]).content for clip in again["clips"]
    ]


def test_a_listener_leaves_and_comes_back_to_where_they_were(client, clock):
    token = enter(client, name="ann")["token"]
    for _ in range(2):
        shown = trial(client, token)
        clock.now += 10
        send(client, token, shown, "A")
    open_trial = trial(client, token)
    back = enter(client, name="ann", token=token)
    assert (back["done"], back["token"]) == (2, token)
    assert trial(client, token) == open_trial
    assert open_trial["number"] == 3
    assert client.post("api/enter", json={"name": "ann"}).status_code == 409
    assert client.post("api/enter", json={"name": "ann"}).json()["reason"] == "name-taken"


def test_an_answer_before_all_was_heard_is_refused(client, clock, store):
    token = enter(client)["token"]
    shown = trial(client, token)
    clock.now += 10
    for changes, said in (
        ({"whole": ["A"]}, "play B to the last word"),
        ({"whole": []}, "play A and B"),
        ({"played": {"A": 0.2, "B": 0.01}}, "play B"),
        ({"played": {}}, "play A and B"),
    ):
        refused = send(client, token, shown, "A", **changes)
        assert (refused.status_code, refused.json()["reason"]) == (409, "not-heard")
        assert said in refused.json()["error"]
    assert store.answers() == []


def test_an_answer_to_clips_that_were_never_sent_is_refused(client, clock, store):
    token = enter(client, test="abx")["token"]
    shown = trial(client, token, "abx")
    clock.now += 10
    body = {"token": token, "trial": shown["trial"], "answer": "A", **heard(shown)}
    urls = [*(clip["url"] for clip in shown["clips"]), shown["reference"]]
    for number, url in enumerate(urls):
        for half in (client.head(url), client.get(url, headers={"range": "bytes=0-9"})):  # neither is the clip
            assert half.status_code in (200, 206)
        refused = client.post("api/answer", json=body)
        assert (refused.status_code, refused.json()["reason"]) == (409, "not-heard")
        assert f"the clips {' and '.join('ABX'[number:])} were never sent" in refused.json()["error"]
        client.get(url)
    trial(client, token, "abx")  # a reload loses nothing
    assert client.post("api/answer", json=body).status_code == 200


def test_an_answer_sooner_than_the_clips_last_is_refused(client, clock, store):
    token = enter(client)["token"]
    shown = trial(client, token)
    clock.now += 0.15
    refused = send(client, token, shown, "A")
    assert (refused.status_code, refused.json()["reason"]) == (409, "too-fast")
    clock.now += 0.1
    assert send(client, token, shown, "A").status_code == 200
    assert len(store.answers()) == 1


def test_the_same_answer_again_is_stored_already_and_another_one_is_refused(client, clock, store):
    token = enter(client)["token"]
    shown = trial(client, token)
    clock.now += 10
    first, again = send(client, token, shown, "A"), send(client, token, shown, "A", whole=[], played={})
    assert first.json() == again.json()
    assert first.status_code == again.status_code == 200
    other = send(client, token, shown, "B")
    assert (other.status_code, other.json()["reason"]) == (409, "answered")
    assert [one.answer for one in store.answers()] == ["A"]


def test_a_trial_of_another_listener_cannot_be_answered(client, clock, store):
    ann, bob = enter(client, name="ann")["token"], enter(client, name="bob")["token"]
    shown = trial(client, ann)
    clock.now += 10
    for token, status in ((bob, 404), ("nonsense", 401), ("", 401), ("x" * 999, 401)):
        assert send(client, token, shown, "A").status_code == status
        assert "base" not in send(client, token, shown, "A").text
    assert client.get("api/trial", params={"token": "nonsense"}).json()["reason"] == "token"
    assert client.get("api/trial").status_code == 401
    assert store.answers() == []


@pytest.mark.parametrize(
    ("test", "answer"),
    [("words", "C"), ("words", None), ("words", ["A"]), ("abx", "tie"), ("mos", {"A": 6}), ("mos", 3), ("cmos", 4), ("cmos", "0"),
     ("mushra", {"A": 1}), ("mushra", {"A": {"A": 1}})],
)  # fmt: skip
def test_an_answer_of_another_form_is_refused(client, clock, store, test, answer):
    token = enter(client, test=test)["token"]
    shown = trial(client, token, test)
    clock.now += 10
    refused = send(client, token, shown, answer)
    assert (refused.status_code, refused.json()["reason"]) == (400, "answer")
    assert store.answers() == []


def test_two_tests_of_one_listener_stay_apart(client, clock, store):
    entered = enter(client, name="ann", test="words")
    other = enter(client, token=entered["token"], test="voice")
    assert other["listener"] == "ann"
    listen(client, clock, entered["token"], "words")
    assert enter(client, token=entered["token"], test="voice")["done"] == 0
    assert "gives you" not in trial(client, entered["token"], "voice")
    assert store.tests() == {"words": entered["count"]}


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "'; DROP TABLE answers; --", "名前 🎧", "O'Brien & Söhne"])
def test_a_name_is_text_and_nothing_else(client, store, name):
    response = client.post("api/enter", json={"name": name})
    assert response.json()["listener"] == name
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert store.by_token(response.json()["token"]).name == name
    assert store.answers() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "a\x00b"}, 400),
        ({"name": "a\nb"}, 400),
        ({"name": "a\u202eb"}, 400),
        ({"name": "x" * 81}, 400),
        ({"name": "x" * 5000}, 400),
        ({"name": 3}, 400),
        ({"name": ["ann"]}, 400),
        ({"name": {"$ne": ""}}, 400),
        ({"token": 5}, 400),
        ({"token": "../../etc/passwd"}, 401),
        ({"test": "nonsense"}, 404),
        ({"test": "../words"}, 404),
        ({"test": 0}, 400),
        ([], 400),
        ("ann", 400),
        (None, 400),
    ],
)
def test_entering_with_nonsense_is_one_line_of_json(client, body, status):
    response = client.post("api/enter", json=body)
    assert response.status_code == status
    assert set(response.json()) == {"error", "reason"}
    assert len(response.json()["error"]) < 300


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "ann", "name": "bob"}',
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b"\xff\xfe",
        b"[" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"name": "' + b"x" * MAX_BODY + b'"}',
        b'{"played": {"A": 1e999}}',
    ],
)
def test_a_body_that_is_no_object_or_too_large_is_refused(client, store, body):
    for path in ("api/enter", "api/answer"):
        response = client.post(path, content=body, headers={"content-type": "application/json"})
        assert (response.status_code, response.json()["reason"]) == (400, "request")
        assert len(response.text) < 400
    assert store._connection.execute("SELECT count(*) FROM listeners").fetchone()[0] == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_what_a_form_of_another_site_can_send_is_refused(client, store, kind):
    response = client.post("api/enter", content=b'{"name": "ann"}', headers={"content-type": kind} if kind else {})
    assert response.status_code == 400
    assert store._connection.execute("SELECT count(*) FROM listeners").fetchone()[0] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("played", []), ("played", {"A": "long"}), ("played", {"A": -1}), ("played", {"A": True}), ("played", {"A": 1e300}),
     ("whole", "AB"), ("whole", [1]), ("whole", {}), ("trial", 7), ("trial", None), ("token", None)],
)  # fmt: skip
def test_reports_of_wrong_types_are_refused(client, clock, store, field, value):
    token = enter(client)["token"]
    shown = trial(client, token)
    clock.now += 10
    response = send(client, token, shown, "A", **{field: value})
    assert (response.status_code, response.json()["reason"]) == (400, "request")
    assert store.answers() == []


def test_labels_that_nobody_asked_for_are_not_kept(client, clock, store):
    token = enter(client)["token"]
    shown = trial(client, token)
    clock.now += 10
    played = heard(shown)["played"]
    assert send(client, token, shown, "A", played=played | {f"Z{k}": 1 for k in range(500)}).status_code == 200
    assert set(store.answers()[0].played) == {"A", "B"}


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "%00.wav", "nonsense.wav", f"{'0' * 32}-A.wav", f"{'0' * 32}-Z.wav",
     "list.jsonl", "base/p0.wav", f"{'0' * 32}-A.wav/..", "A" * 4000],
)  # fmt: skip
def test_an_address_of_a_clip_leads_to_no_other_file(client, name):
    response = client.get(f"audio/{name}")
    assert response.status_code == 404
    assert b"RIFF" not in response.content
    assert b"root:" not in response.content


def test_a_clip_that_a_trial_does_not_play_is_none(client):
    shown = trial(client, enter(client)["token"])
    for label in ("C", "X", "reference"):
        assert client.get(f"audio/{shown['trial']}-{label}.wav").status_code == 404
    assert client.get(shown["voice"]).status_code == 200


def test_a_clip_is_sent_in_ranges(client):
    url = trial(client, enter(client)["token"])["clips"][0]["url"]
    whole = client.get(url)
    size = len(whole.content)
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, first, last in (
        ("0-", 0, size - 1),
        ("10-19", 10, 19),
        (f"100-{size + 50}", 100, size - 1),
        ("-7", size - 7, size - 1),
    ):
        part = client.get(url, headers={"range": f"bytes={asked}"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert part.content == whole.content[first : last + 1]
    for asked in (f"{size}-", "20-10", "-0"):
        assert client.get(url, headers={"range": f"bytes={asked}"}).status_code == 416
    for asked in ("bytes=-", "lines=1-2", "bytes=1-2,5-6", "bytes=" + "9" * 400):
        assert client.get(url, headers={"range": asked}).status_code == 200
    head = client.head(url)
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))


def test_the_page_is_at_the_address_with_and_without_a_slash(client):
    moved = client.get("http://localhost/listen?test=voice", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (307, "listen/?test=voice")
    assert client.get("../listen/nonsense.js").status_code == 404
    assert client.get("server.py").status_code == 404


def test_the_tests_that_are_offered_are_listed(client):
    listed = client.get("api/tests").json()["tests"]
    assert [one["test"] for one in listed] == ["words", "voice", "abx", "mos", "cmos", "mushra"]
    assert listed[1]["ask"] == "Which clip sounds more like the given voice?"
    assert all(set(one) == {"test", "mode", "title", "question", "ask", "source"} for one in listed)


@pytest.fixture
def own(folder, tmp_path):
    """A copy of the clips that a test may break."""
    import shutil

    return Path(shutil.copytree(folder, tmp_path / "own"))


@contextmanager
def offered(place, store, **settings):
    """A client of one test on the clips of a folder."""
    from demo.listening.design import Design
    from demo.listening.items import folder_items

    found = folder_items(place / "list.jsonl", {name: place / name for name in ("base", "aligned")})
    app = FastAPI()
    app.include_router(router(Sittings([Test(Design("words", **settings), found)], store)))
    with TestClient(app, base_url="http://localhost/listen/") as client:
        yield client


def spoil(place, *numbers):
    for k in numbers:
        (place / "aligned" / f"p{k}.wav").write_bytes(b"RIFF no")


def finished(store):
    """Listeners who finished, as the results have it."""
    from demo.listening.results import results_of

    (found,) = results_of(store.answers(), store.dues())
    return found.finished


def test_a_trial_that_cannot_be_played_gives_way_to_another_one(own, store, clock):
    spoil(own, 1, 4)
    with offered(own, store, trials_per_listener=5, catch_share=0) as client:
        for number, name in enumerate(("ann", "bob", "eve")):
            entered = enter(client, name=name)
            seen, end = listen(client, clock, entered["token"])
            assert len(seen) == entered["count"] == end["count"] == 5
            assert "code" in end
            assert finished(store) == number + 1
    assert store.dues() == {"words": {"ann": 5, "bob": 5, "eve": 5}}
    assert not {"p1", "p4"} & {one.content.item for one in store.answers()}


def test_no_catch_trial_comes_first_or_is_left_out_because_of_broken_clips(own, store, clock):
    spoil(own, 1, 4)
    with offered(own, store, catch_share=0.5) as client:
        for name in ("ann", "bob", "eve"):
            listen(client, clock, enter(client, name=name)["token"])
    by_listener = {}
    for one in store.answers():
        by_listener.setdefault(one.listener, []).append(one.content.catch)
    for kinds in by_listener.values():
        assert kinds[0] == ""
        assert kinds.count("") == 6
        assert len(kinds) > 6


def test_no_catch_trial_is_given_to_wait_with(own, store):
    with offered(own, store, catch_share=0.5) as client:
        token = enter(client)["token"]
        for clip in (own / "base").iterdir():
            clip.unlink()
        for _ in range(2):
            assert client.get("api/trial", params={"token": token}).status_code == 503


def test_where_there_is_no_other_trial_fewer_are_due_and_that_is_noted(own, store, clock):
    spoil(own, 1, 4)
    with offered(own, store, catch_share=0) as client:
        for name in ("ann", "bob"):
            entered = enter(client, name=name)
            seen, end = listen(client, clock, entered["token"])
            assert len(seen) == end["count"] == 6
            assert entered["count"] == 8  # nobody knew yet
            assert enter(client, token=entered["token"])["code"] == end["code"]
        assert store.dues() == {"words": {"ann": 6, "bob": 6}}
        assert finished(store) == 2
        for k in (1, 4):
            (own / "aligned" / f"p{k}.wav").write_bytes((own / "aligned" / "p0.wav").read_bytes())
        clock.now += 100
        assert trial(client, entered["token"])["code"] == end["code"]  # who has finished is asked nothing more
        assert enter(client, name="eve")["count"] == 8


def test_who_could_hear_less_than_half_has_not_done_the_test(own, store, clock):
    spoil(own, *range(5))
    with offered(own, store, catch_share=0) as client:
        token = enter(client)["token"]
        for _ in range(3):
            shown = trial(client, token)
            clock.now += 10
            send(client, token, shown, "A")
        end = client.get("api/trial", params={"token": token})
        assert (end.status_code, end.json()["reason"]) == (503, "server")
        assert "code" not in enter(client, token=token)
        assert finished(store) == 0


@pytest.mark.parametrize("before", [0, 6])
def test_audio_that_is_away_for_a_while_ends_no_test(own, store, clock, before):
    with offered(own, store, catch_share=0) as client:
        entered = enter(client, name="ann")
        token = entered["token"]
        for _ in range(before):
            shown = trial(client, token)
            clock.now += 10
            send(client, token, shown, "A")
        (own / "aligned").rename(own / "away")
        for _ in range(3):
            end = client.get("api/trial", params={"token": token})
            assert (end.status_code, end.json()["reason"]) == (503, "server")
            assert str(own) not in end.text
        (own / "away").rename(own / "aligned")
        clock.now += 61
        seen, end = listen(client, clock, token)
        assert len(seen) == 8 - before
        assert end["count"] == entered["count"] == enter(client, name="bob")["count"] == 8
    assert store.dues()["words"]["ann"] == 8


def test_a_store_that_cannot_be_written_is_no_fault_of_a_trial(client, clock, store):
    entered = enter(client, name="ann")
    store._connection.execute("PRAGMA query_only = ON")
    for _ in range(2):
        failed = client.get("api/trial", params={"token": entered["token"]})
        assert (failed.status_code, failed.json()["reason"]) == (503, "server")
    store._connection.execute("PRAGMA query_only = OFF")
    seen, end = listen(client, clock, entered["token"])
    assert len(seen) == end["count"] == entered["count"] == enter(client, name="bob")["count"]


def test_a_full_disk_is_told_without_a_path_and_the_answer_can_be_given_again(client, clock, store):
    token = enter(client)["token"]
    shown = trial(client, token)
    fetch(client, shown)
    clock.now += 10
    store._connection.execute("PRAGMA query_only = ON")
    failed = send(client, token, shown, "A")
    assert (failed.status_code, failed.json()["reason"]) == (503, "server")
    assert "nothing was stored; try again" in failed.json()["error"]
    assert str(store.path) not in failed.text
    store._connection.execute("PRAGMA query_only = OFF")
    assert send(client, token, shown, "A").json()["stored"] is True


def test_a_run_with_nothing_to_listen_to_says_so(store):
    app = FastAPI()
    app.include_router(router(Sittings([], store)))
    with TestClient(app, base_url="http://localhost/listen/") as client:
        response = client.post("api/enter", json={"name": "ann"})
        assert response.status_code == 404
        assert "lpo-tts run RECIPE --until synthesize" in response.json()["error"]
        assert client.get("api/tests").json() == {"tests": []}
