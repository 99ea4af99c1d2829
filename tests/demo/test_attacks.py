"""What somebody may try who means the demo no good: each of it on the whole application, with Gradio's own routes."""

import http.client
import json
import os
import shutil
import threading
import warnings
from pathlib import Path
from urllib.parse import quote

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

import httpx
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from demo import gate, serving
from demo.bodies import size_of
from demo.listening import server as listening_server
from demo.listening.results import results_of
from demo.listening.sittings import Sittings
from demo.listening.store import Store
from demo.login import Login, hashed
from demo.offers import offered_by_run
from demo.results_view import result_html
from demo.rules import Rules
from demo.run_folder import open_run
from lpo_tts import audio
from tests.demo import whole
from tests.demo.listening.answers import votes
from tests.demo.listening.simulated import Server, Simulated, clips, speechlike

EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A run whose texts, speakers and ids are pieces of HTML."""
    whole = tmp_path_factory.mktemp("evil") / "whole"
    shutil.copytree(tiny_run.parent, whole)  # with the recordings, which lie beside it
    folder = whole / tiny_run.name
    path = folder / "prompts.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["text"] = f"{EVIL} {row['text']}"
        if row.get("voice"):
            row["voice"]["speaker"] = f"{EVIL}{row['voice']['speaker']}"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "secret.txt").write_text("the secret")
    return folder


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    """The application and its sittings, without a login."""
    session = open_run(run)
    with Store(tmp_path_factory.mktemp("answers") / "answers.sqlite") as store:
        sittings = Sittings(offered_by_run(session), store)
        yield serving.application(sittings, session), sittings


@pytest.fixture(scope="module")
def client(made):
    with TestClient(made[0], base_url="http://localhost:7860", follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(run, tmp_path_factory):
    """The same with a login."""
    session = open_run(run)
    with Store(tmp_path_factory.mktemp("answers") / "answers.sqlite") as store:
        yield serving.application(Sittings(offered_by_run(session), store), session, Login({"ann": hashed(PASSWORD)}))


@pytest.fixture
def stranger(guarded):
    with TestClient(guarded, base_url="http://localhost:7860", follow_redirects=False) as client:
        yield client


def upload(client, data=b"RIFF", name="voice.wav", **options):
    return client.post("/gradio_api/upload", files={"files": (name, data, "audio/wav")}, **options)


def joined(client, data, number=0):
    return client.post("/gradio_api/queue/join", json={"data": data, "fn_index": number, "session_hash": "abc"})


# Other sites


def test_a_server_of_this_machine_goes_by_its_own_names_alone(made):
    """A page whose name was turned to 127.0.0.1 reads nothing: its requests name its own host."""
    app, _ = made
    rules = app.state.rules
    rules.goes_by("127.0.0.1", 7860)
    try:
        with TestClient(app, base_url="http://localhost:7860") as client:
            for host, status in (
                ("localhost:7860", 200), ("127.0.0.1:7860", 200), ("[::1]:7860", 200), ("LOCALHOST:7860", 200),
                ("evil.example:7860", 421), ("localhost:7861", 421), ("localhost", 421), ("127.0.0.1.evil.example:7860", 421),
                ("", 421),
            ):  # fmt: skip
                for path in ("/", "/config", "/listen/", "/listen/api/tests", "/gradio_api/info"):
                    assert client.get(path, headers={"host": host}).status_code == status, (host, path)
            rules.also("https://abc.gradio.live/")
            assert client.get("/listen/", headers={"host": "abc.gradio.live"}).status_code == 200
    finally:
        rules.hosts = None


def test_a_server_that_others_reach_goes_by_numbers_and_by_names_that_were_given(made, monkeypatch):
    """A page that has turned its own name to the server's address is no page of the server, whatever its origin says."""
    monkeypatch.setattr("socket.gethostname", lambda: "Lab.Example.org")
    app, _ = made
    rules = app.state.rules
    rules.goes_by("0.0.0.0", 7860)
    rules.also("https://listen.example.org/")
    try:
        with TestClient(app, base_url="http://localhost") as client:
            for host, status in (
                ("192.168.1.5:7860", 200), ("203.0.113.9", 200), ("[2001:db8::1]:80", 200), ("[::1]", 200), ("127.0.0.1:1", 200),
                ("localhost:8080", 200), ("lab:7860", 200), ("lab.local:7860", 200), ("lab.example.org", 200),
                ("listen.example.org", 200), ("LISTEN.example.org:443", 200),
                ("evil.example:7860", 421), ("127.0.0.1.evil.example:7860", 421), ("lab.evil.example", 421), ("example.org", 421),
                ("evil.example@127.0.0.1", 421), ("[evil.example]", 421), ("1.2.3:7860", 421), ("", 421), (":7860", 421),
            ):  # fmt: skip
                for origin in ({}, {"origin": f"http://{host}"}):
                    answer = client.post("/listen/api/enter", json={}, headers={"host": host, **origin})
                    assert answer.status_code == status, (host, origin)
            assert "start it with --address http://NAME" in answer.json()["error"]
    finally:
        rules.hosts, rules.numbers = None, False


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://localhost:7860.evil.example"])
def test_pages_of_other_sites_may_not_ask(client, origin):
    headers = {"origin": origin}
    asked = {**headers, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    for response in (
        client.post("/listen/api/enter", json={"name": "mallory"}, headers=headers),
        client.post("/gradio_api/queue/join", json={"data": [], "fn_index": 0, "session_hash": "a"}, headers=headers),
        client.options("/gradio_api/queue/join", headers=asked),
        client.options("/listen/api/enter", headers=asked),
        client.get("/config", headers=headers),
        upload(client, headers=headers),
    ):
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers


def test_the_own_page_may_ask_also_behind_a_proxy(client):
    for headers in (
        {"origin": "http://localhost:7860"},
        {"origin": "https://listen.example", "x-forwarded-host": "listen.example"},
    ):
        assert client.post("/listen/api/enter", json={}, headers=headers).status_code == 200


def test_a_form_of_another_site_cannot_send_an_answer(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = client.post("/listen/api/enter", content=b'{"name": "mallory"}', headers={"content-type": kind})
        assert response.status_code == 400


@pytest.mark.parametrize(
    "path", ["/", "/listen/", "/listen/main.js", "/listen/api/tests", "/config", "/gradio_api/info", "/nothing"]
)
def test_every_answer_says_how_it_may_be_used(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


def test_the_listening_page_runs_no_script_of_anybody_else(client):
    policy = client.get("/listen/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_no_socket_is_opened(client):
    for path in ("/", "/gradio_api/queue/join", "/listen/"):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
            pass


# Files


def test_what_gradio_has_and_the_demo_does_not_need_is_not_there(client):
    for path in (
        "proxy=https://example.org/", "dev/reload", "run-history/buckets", "runs", "openapi.json", "user", "token", "deep_link",
        "custom_component/1/client/a/b.js", "vibe-code", "profiling/summary", "file/etc/passwd", "login_check",
    ):  # fmt: skip
        assert client.get(f"/gradio_api/{path}").status_code == 404, path
    for path in ("vibe-edit", "process_recording", "component_server", "stream/abc", "run/speak", "api/speak", "call/speak"):
        assert client.post(f"/gradio_api/{path}", json={}).status_code == 404, path
    for path in (
        "/docs",
        "/redoc",
        "/openapi.json",
        "/monitoring",
        "/monitoring/summary",
        "/mcp",
        "/login",
        "/.env",
        "/demo/app.py",
    ):
        assert client.get(path).status_code == 404, path


def test_no_path_leads_to_a_file_that_was_not_uploaded(client, made, run):
    folder = made[0].state.rules.folder
    secret, answers = run / "secret.txt", made[1].store.path
    (folder / "link.txt").symlink_to(secret)
    (folder / "door").symlink_to(run)
    up = "/".join([".."] * 30)
    wanted = [
        secret, run / "prompts.jsonl", answers, "/etc/passwd", "/proc/self/environ", "/proc/self/cwd/pyproject.toml",
        folder / "link.txt", folder / "door" / "secret.txt", f"{folder}/../../etc/passwd", f"{folder}/{up}/etc/passwd",
        f"{folder}/..", folder, "pyproject.toml", "demo/app.py", "~/.ssh/id_rsa", "", ".", "//etc/passwd", f"/{secret}",
        "file:///etc/passwd", "http://127.0.0.1:22/", "https://example.org/", "ftp://example.org/", "\\etc\\passwd",
        f"{folder}/link.txt\0.wav", "a" * 5000,
    ]  # fmt: skip
    try:
        for path in map(str, wanted):
            for written in (quote(path), quote(path, safe=""), quote(quote(path, safe=""))):
                response = client.get(f"/gradio_api/file={written}")
                assert response.status_code in (403, 404), path
                assert b"the secret" not in response.content
                assert b"root:" not in response.content
    finally:
        (folder / "link.txt").unlink()
        (folder / "door").unlink()


@pytest.mark.parametrize("start", ["/static/", "/assets/", "/svelte/", "/pwa_icon/", "/listen/", "/listen/audio/"])
def test_no_folder_of_pages_can_be_left(client, run, start):
    for path in (f"{run}/secret.txt", "/etc/passwd", "etc/passwd"):
        for up in ("", "../" * 20, "..%2f" * 20, "%2e%2e/" * 20, "..%5c" * 20, "....//" * 20, "%252e%252e%252f" * 20):
            response = client.get(f"{start}{up}{path.lstrip('/') if up else path}")
            assert response.status_code in (400, 403, 404, 405), (start, up)
            assert b"the secret" not in response.content
            assert b"root:" not in response.content


def test_a_voice_can_be_no_file_but_an_upload(client, made, run):
    """Gradio itself would fetch an address that stands where a file is expected."""
    for path in (
        str(run / "secret.txt"), "/etc/passwd", "https://example.org/voice.wav", "http://169.254.169.254/latest/meta-data",
        "voice.wav", f"{made[0].state.rules.folder}/../x.wav",
    ):  # fmt: skip
        for found in ({"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}}, {"a": [{"b": {"path": path}}]}):
            response = joined(client, ["a text", None, found])
            assert response.status_code == 400, path
            assert "no other files" in response.json()["error"]


@pytest.mark.parametrize(
    "name",
    ["../../../etc/cron.d/x.wav", "..\\..\\x.wav", "/etc/x.wav", ".hidden", "a" * 4000 + ".wav", f"{EVIL}.wav", "con.wav", " "],
)
def test_no_name_of_an_upload_leaves_its_folder(client, made, name):
    folder = made[0].state.rules.folder
    response = upload(client, b"RIFF data", name)
    assert response.status_code in (200, 400)
    for path in response.json() if response.status_code == 200 else []:
        assert Path(path).resolve().is_relative_to(folder)


def test_an_upload_is_given_back_as_data_and_never_as_a_page(client):
    (path,) = upload(client, f"<html>{EVIL}</html>".encode(), "page.html").json()
    response = client.get(f"/gradio_api/file={path}")
    assert response.status_code == 200
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in response.headers["content-security-policy"]


def test_uploads_of_others_cannot_be_read_on_this_machine(made):
    assert made[0].state.rules.folder.stat().st_mode & 0o077 == 0


# Size and number


def chunks(size):
    for _ in range(size // 65536):
        yield b"x" * 65536


def test_large_bodies_are_refused_whether_or_not_they_tell_their_length(client, made):
    folder = made[0].state.rules.folder
    before = size_of(folder)
    assert upload(client, bytes(gate.MAX_UPLOAD + (1 << 20))).status_code == 413
    form = {"content-type": 'multipart/form-data; boundary="x"'}
    assert client.post("/gradio_api/upload", content=chunks(1 << 20), headers=form).status_code == 411
    assert size_of(folder) == before
    for path in (
        "/gradio_api/queue/join",
        "/listen/api/enter",
        "/listen/api/answer",
        "/gradio_api/cancel",
    ):
        kind = {"content-type": "application/json"}
        assert client.post(path, content=b'"' + b"x" * (3 << 20) + b'"', headers=kind).status_code in (400, 413), path
        assert client.post(path, content=chunks(3 << 20), headers=kind).status_code in (400, 413), path
        assert client.post(path, content=b"[" * 60_000, headers=kind).status_code in (400, 413), path
        assert client.post(path, content=b"{}", headers={**kind, "content-length": "9" * 30}).status_code in (400, 413), path


def test_uploads_are_counted(made, client):
    rules = made[0].state.rules
    before = rules.uploads
    rules.uploads = type(before)(2, 0.0)
    try:
        assert [upload(client).status_code for _ in range(3)] == [200, 200, 429]
    finally:
        rules.uploads = before


def test_uploads_take_no_more_than_their_share_of_the_disk(client, monkeypatch):
    monkeypatch.setattr(gate, "MAX_KEPT", 0)
    upload(client)
    response = upload(client)
    assert response.status_code == 507
    assert "no room" in response.json()["error"]


def test_listeners_cannot_be_made_without_end(monkeypatch, run, tmp_path):
    monkeypatch.setattr(listening_server, "NEW_LISTENERS", (3, 0.0))
    monkeypatch.setattr(listening_server, "REQUESTS", (4, 0.0))
    session = open_run(run)
    with Store(tmp_path / "answers.sqlite") as store:
        app = serving.application(Sittings(offered_by_run(session), store))
        with TestClient(app, base_url="http://localhost/listen/") as client:
            entered = [client.post("api/enter", json={}) for _ in range(5)]
            assert [one.status_code for one in entered] == [200, 200, 200, 429, 429]
            assert entered[-1].json()["reason"] == "busy"
            token = entered[0].json()["token"]
            asked = [client.get("api/trial", params={"token": token}).status_code for _ in range(6)]
            assert asked == [200, 200, 200, 200, 429, 429]
            other = entered[1].json()["token"]
            assert client.get("api/trial", params={"token": other}).status_code == 200, "another listener goes on"


# Listeners


def test_names_with_sql_are_names(client, made):
    store = made[1].store
    for name in ("'; DROP TABLE listeners; --", '" OR 1=1 --', "x', 'y', 0); DELETE FROM answers; --", "%", "_", "NULL"):
        entered = client.post("/listen/api/enter", json={"name": name})
        assert entered.status_code == 200
        assert entered.json()["listener"] == name
    for token in ("' OR '1'='1", "x' UNION SELECT token FROM listeners --"):
        assert client.get("/listen/api/trial", params={"token": token}).status_code == 401
        assert client.post("/listen/api/enter", json={"token": token}).status_code == 401
    token = client.post("/listen/api/enter", json={"name": "careful"}).json()["token"]
    for trial in ("' OR 1=1 --", "%", "*"):
        sent = {"token": token, "trial": trial, "answer": "A", "played": {}, "whole": []}
        assert client.post("/listen/api/answer", json=sent).status_code == 404
    assert client.get("/listen/api/trial", params={"token": token, "test": "words' OR '1'='1"}).status_code == 404
    assert len(store._rows("SELECT id FROM listeners")) > 6
    assert store.answers() == []


def test_nobody_answers_for_another_listener(client):
    ann, bob = (client.post("/listen/api/enter", json={"name": name}).json()["token"] for name in ("ann", "bob"))
    shown = client.get("/listen/api/trial", params={"token": ann}).json()
    heard = {clip["label"]: clip["seconds"] for clip in shown["clips"]}
    sent = {"trial": shown["trial"], "answer": "A", "played": heard, "whole": list(heard)}
    assert client.post("/listen/api/answer", json={**sent, "token": bob}).json()["reason"] == "trial"
    assert client.post("/listen/api/answer", json={**sent, "token": ann[:-1]}).json()["reason"] == "token"
    assert client.post("/listen/api/enter", json={"name": "ann"}).json()["reason"] == "name-taken"


def test_nothing_that_a_listener_is_sent_tells_which_clip_is_whose(client):
    token = client.post("/listen/api/enter", json={}).json()["token"]
    response = client.get("/listen/api/trial", params={"token": token})
    assert "base" not in response.text
    assert "aligned" not in response.text
    clip = client.get(f"/listen/{response.json()['clips'][0]['url']}")
    assert not {"etag", "last-modified", "content-disposition"} & set(clip.headers)


@pytest.mark.parametrize("name", [EVIL, "=HYPERLINK(1)", "\u202egnp.exe", "a\nb", "a\0b", "x" * 81, "\ud800"])
def test_hostile_names_are_escaped_or_refused(client, name):
    response = client.post("/listen/api/enter", content=json.dumps({"name": name}), headers={"content-type": "application/json"})
    assert response.status_code in (200, 400, 409)
    assert response.headers["content-type"] == "application/json"
    if response.status_code == 200:
        assert name in (EVIL, "=HYPERLINK(1)")


def test_names_do_not_become_html_in_the_results():
    answers = votes(3, 8, 0.6, systems=("base", EVIL))
    for one in answers:
        object.__setattr__(one, "listener", f"{EVIL}{one.listener}")
    for result in results_of(answers):
        text = result_html(result, everybody=True)
        assert "<script" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text


# Login


def test_behind_a_login_nothing_but_the_invited_test_is_open(stranger):
    home = stranger.get("/")
    assert (home.status_code, home.headers["location"]) == (303, "/login")
    for path in ("/config", "/theme.css", "/gradio_api/info", "/gradio_api/queue/data?session_hash=a",
                 "/gradio_api/file=/etc/passwd", "/static/img/logo.svg", "/assets/x.js", "/listen/api/tests", "/listen/main.js",
                 "/listen/audio/x.wav"):  # fmt: skip
        assert stranger.get(path).status_code in (401, 404), path
    assert stranger.get("/config").status_code == 401
    assert stranger.get("/listen/").status_code == 401
    assert upload(stranger).status_code == 401
    assert joined(stranger, []).status_code == 401
    assert stranger.post("/listen/api/enter", json={}).status_code == 401
    assert stranger.get("/listen/?invitation=").status_code == 401
    assert stranger.get("/listen/?invitation=wrong&invitation=").status_code == 401


def test_an_invitation_opens_the_test_and_no_more(guarded, stranger):
    invitation = guarded.state.rules.invitation
    assert len(invitation) == 32
    entered = stranger.get(f"/listen/?test=words,voice&invitation={invitation}")
    assert entered.status_code == 200
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert "SameSite=Lax" in entered.headers["set-cookie"]
    assert stranger.get("/listen/").status_code == 200
    assert stranger.post("/listen/api/enter", json={}).status_code == 200
    assert stranger.get("/config").status_code == 401
    assert stranger.get("/").status_code == 303
    assert upload(stranger).status_code == 401


def test_the_invitation_stays_the_same_for_the_same_answers(tmp_path):
    with Store(tmp_path / "a.sqlite") as one:
        first = one.key("invitation")
    with Store(tmp_path / "a.sqlite") as again, Store(tmp_path / "b.sqlite") as other:
        assert again.key("invitation") == first
        assert other.key("invitation") != first
        assert again.key("another purpose") != first


def test_a_login_opens_everything_until_one_leaves(stranger):
    page = stranger.get("/login")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert stranger.post("/login", data={"user": "ann", "password": "wrong"}).status_code == 401
    entered = stranger.post("/login", data={"user": "ann", "password": PASSWORD})
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert stranger.get("/").status_code == 200
    assert stranger.get("/config").status_code == 200
    assert stranger.get("/listen/").status_code == 200
    assert upload(stranger).status_code == 200
    kept = stranger.cookies["lpo-tts-session"]
    assert stranger.get("/logout").status_code == 303
    assert stranger.get("/config").status_code == 401
    assert stranger.get("/config", headers={"cookie": f"lpo-tts-session={kept}"}).status_code == 401, "the session itself ends"


def test_wrong_logins_are_told_alike_and_cost_the_attacker_time(guarded):
    with TestClient(guarded, base_url="http://localhost:7860", follow_redirects=False, client=("203.0.113.9", 1)) as client:
        said = [client.post("/login", data={"user": user, "password": EVIL}) for user in ("ann", "nobody-here", EVIL)]
        assert [one.status_code for one in said] == [401] * 3
        assert len({one.text for one in said}) == 1
        assert EVIL not in said[0].text
        codes = [client.post("/login", data={"user": "ann", "password": str(k)}).status_code for k in range(10)]
        assert codes[-1] == 429
        assert client.post("/login", data={"user": "ann", "password": PASSWORD}).status_code == 429
        assert client.post("/login", content=b"x" * 10_000_000).status_code in (401, 413, 429)
        assert client.post("/login", content=b"a=1&" * 500).status_code in (401, 429)


def test_cookies_are_for_https_and_frames_where_these_are_asked_for(run, tmp_path):
    session = open_run(run)
    with Store(tmp_path / "answers.sqlite") as store:
        sittings = Sittings(offered_by_run(session), store)
        app = serving.application(sittings, None, Login({"ann": hashed(PASSWORD)}), ["https://huggingface.co"])
        with TestClient(app, base_url="https://space.example", follow_redirects=False) as client:
            cookie = client.post("/login", data={"user": "ann", "password": PASSWORD}).headers["set-cookie"]
            assert "Secure" in cookie
            assert "SameSite=None; Partitioned" in cookie
            headers = client.get("/listen/").headers
            assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]
            assert "x-frame-options" not in headers


@pytest.mark.parametrize(
    "frame", ["huggingface.co", "javascript:alert(1)", "https://a.example; script-src *", "https://a.example/x", "*"]
)
def test_a_frame_is_an_origin(run, frame):
    from lpo_tts.errors import ConfigError

    with pytest.raises(ConfigError, match="--frame: expected an origin"):
        Rules(run, frames=[frame])


def test_what_becomes_public_is_told(made, guarded):
    assert "all answers with listeners' names" in serving.open_to_others(made[0].state.rules)
    assert "all else asks for a login" in serving.open_to_others(guarded.state.rules)


# A real server


HOSTILE = {
    "text.wav": b"<script>alert(1)</script>",
    "../../up.wav": b"",
    '"><img src=x onerror=alert(1)>.flac': b"fLaC" + bytes(100),
    "long.wav": b"RIFF" + bytes(10_000),
    "program.wav": b"\x7fELF" + bytes(1000),
}


@pytest.mark.slow
def test_what_is_sent_to_the_models_is_refused_in_one_line_and_they_go_on(tiny_run, tmp_path):
    """The page's own call, by a client that sends what no page would."""
    gradio_client = pytest.importorskip("gradio_client")
    sound = tmp_path / "voice.wav"
    audio.write(sound, speechlike(1.5, 0), 16000)
    with whole.served(tiny_run, tmp_path / "answers.sqlite") as (address, _):
        client = gradio_client.Client(address, verbose=False)
        usual = {"text": "gate one", "said": "", "upload": None, "api_name": "/speak"}

        def said(**changes):
            return str(client.predict(**usual | changes))

        def sent(name, data):
            response = httpx.post(f"{address}gradio_api/upload", files={"files": (name, data, "audio/wav")})
            return {"path": response.json()[0], "meta": {"_type": "gradio.FileData"}}

        assert "2 candidates: spoken" in said(upload=gradio_client.handle_file(str(sound)))
        for name, data in HOSTILE.items():
            answer = said(upload=sent(name, data))
            assert 'role="alert"' in answer, name
            assert "the recording cannot be read" in answer or "expected" in answer, name
            assert "<script" not in answer
            assert "<img" not in answer
            assert "/tmp/" not in answer
        for changes in (
            {"text": "gate " * 1000}, {"text": EVIL}, {"text": ""}, {"temperature": 1e9}, {"temperature": -1}, {"seed": 1e30},
            {"count": 10_000}, {"system": "../../x"}, {"voice_id": "../../x"},
            {"said": "x" * 100_000, "upload": sent("a.wav", b"")},
        ):  # fmt: skip
            try:
                answer = said(**changes)
            except (gradio_client.exceptions.AppError, ValueError) as error:
                answer = str(error)
            assert "Traceback" not in answer
            assert "<script" not in answer
            assert str(tiny_run) not in answer
        assert "2 candidates: spoken" in said()


def test_no_page_tells_where_the_run_lies(client, run, made):
    for path in ("/", "/config", "/gradio_api/info", "/listen/api/tests"):
        text = client.get(path).text
        assert str(run) not in text, path
        assert str(made[1].store.path) not in text, path


@pytest.fixture
def served(tmp_path):
    clips(tmp_path, 5, 0.2)
    started = Server(tmp_path, tmp_path / "answers.sqlite")
    yield started
    if started.process.poll() is None:
        started.kill()


@pytest.mark.slow
def test_a_server_that_is_hammered_loses_no_vote_and_tells_no_secret(tmp_path, served):
    host = served.address.split("/")[2]
    stop, secrets = threading.Event(), []

    def hammer(seed):
        requests = [
            ("GET", "/listen/api/trial?token=" + "x" * 6000, b""),
            ("POST", "/listen/api/answer", b"[" * 60_000),
            ("POST", "/listen/api/enter", json.dumps({"name": EVIL, "token": "secret-token"}).encode()),
            ("GET", "/listen/audio/" + "0" * 32 + "-A.wav", b""),
            ("GET", "/listen/..%2f..%2fetc/passwd", b""),
            ("BREW", "/listen/", b""),
            ("POST", "/listen/api/answer", os.urandom(1000)),
        ]
        while not stop.is_set():
            for method, path, body in requests[seed % 3 :] + requests[: seed % 3]:
                connection = http.client.HTTPConnection(host, timeout=30)
                try:
                    connection.request(method, path, body, {"Content-Type": "application/json"})
                    if seed % 2:  # every other one does not wait for the answer
                        status = connection.getresponse().status
                        if status >= 500:
                            secrets.append(f"{method} {path[:60]}: {status}")
                except (http.client.HTTPException, OSError):
                    pass
                finally:
                    connection.close()
                    stop.wait(0.02)

    slow = [http.client.HTTPConnection(host, timeout=60) for _ in range(40)]
    for one in slow:  # bodies that never come
        one.putrequest("POST", "/listen/api/enter")
        one.putheader("Content-Type", "application/json")
        one.putheader("Content-Length", "100")
        one.endheaders(b"{")
    attackers = [threading.Thread(target=hammer, args=(seed,)) for seed in range(3)]
    listeners = [Simulated(f"listener {number}", [served.address]) for number in range(2)]
    for one in attackers + listeners:
        one.start()
    for one in listeners:
        one.join(120)
    stop.set()
    for one in attackers:
        one.join(60)
    for one in slow:
        one.close()
    assert [one.wrong for one in listeners] == [[], []]
    assert all(one.code is not None for one in listeners)
    assert secrets == []
    assert httpx.get(served.address, headers={"host": "evil.example"}).status_code == 421
    assert served.process.poll() is None
    told = {trial: answer for one in listeners for trial, answer in one.told.items()}
    with Store(tmp_path / "answers.sqlite") as store:
        assert {one.trial: one.answer for one in store.answers()} == told
    served.process.terminate()
    log = served.process.stderr.read()
    assert "Traceback" not in log
    for one in listeners:
        assert one.token not in log
    assert "secret-token" not in log
