"""Passwords, sessions, and the lines of a login file."""

import io
import sys
import threading

import pytest

from demo import login
from demo.login import NOBODY, PASSWORD, Login, hashed, login_of
from lpo_tts.errors import ArtefactError, ConfigError


class Clock:
    now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def line():
    return hashed("correct horse")


def test_a_hash_tells_no_password_and_is_another_each_time(line):
    assert "horse" not in line
    assert line.startswith("scrypt$16384$8$1$")
    assert hashed("correct horse") != line


def test_only_the_right_name_and_password_enter(line):
    users = Login({"ann": line}, Clock())
    token = users.enter("ann", "correct horse", "here")
    assert token is not None
    assert users.knows(token)
    for name, password in (("ann", "correct horse "), ("bob", "correct horse"), ("", ""), ("ann", ""), ("ann", "\ud800")):
        assert users.enter(name, password, "here") is None
    for wrong in ("", token[:-1], "x" * 43, "\ud800"):
        assert not users.knows(wrong)


def test_a_session_ends_by_time_and_by_leaving(line):
    clock = Clock()
    users = Login({"ann": line}, clock)
    one, other = users.enter("ann", "correct horse", "a"), users.enter("ann", "correct horse", "a")
    users.leave(one)
    assert not users.knows(one)
    assert users.knows(other)
    clock.now += login.LASTS + 1
    assert not users.knows(other)


def test_attempts_are_counted_by_address(line):
    users = Login({"ann": line}, Clock())
    for _ in range(10):
        assert users.enter("ann", "wrong", "one") is None
    with pytest.raises(ConfigError, match="too many attempts"):
        users.enter("ann", "correct horse", "one")
    assert users.enter("ann", "correct horse", "another") is not None


def test_failed_attempts_of_all_addresses_are_counted_together(line, monkeypatch):
    monkeypatch.setattr(login, "FAILURES", (5, 0.0))
    users = Login({"ann": line}, Clock())
    for number in range(20):
        assert users.enter("ann", "correct horse", f"right {number}") is not None, "these do not count"
    for number in range(5):
        assert users.enter(("ann", "bob")[number % 2], "wrong", f"wrong {number}") is None
    for password in ("wrong", "correct horse"):
        with pytest.raises(ConfigError, match="too many attempts"):
            users.enter("ann", password, "one more")


def test_many_at_once_try_no_more_passwords_than_that(line, monkeypatch):
    monkeypatch.setattr(login, "FAILURES", (3, 0.0))
    users, said = Login({"ann": line}, Clock()), []

    def attempt(number):
        try:
            said.append(users.enter("ann", "wrong", str(number)))
        except ConfigError:
            said.append("too many")

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (said.count(None), said.count("too many")) == (3, 9)


def test_sessions_take_bounded_memory(line, monkeypatch):
    monkeypatch.setattr(login, "MOST_SESSIONS", 3)
    users = Login({"ann": line}, Clock())
    tokens = [users.enter("ann", "correct horse", str(k)) for k in range(5)]
    assert [users.knows(one) for one in tokens] == [False, False, True, True, True]


def test_a_file_holds_users_and_its_faults_are_named(line, tmp_path):
    path = tmp_path / "users"
    path.write_text(f"# listeners of May\n\nann:{line}\nbob:{hashed('another one')}\n")
    users = login_of(path, {})
    assert users.asks_name
    assert users.enter("bob", "another one", "") is not None
    for text, said in (
        ("", "expected at least one user"),
        ("ann", ":1: expected a hash"),
        (f":{line}", ":1: expected user:hash"),
        (f"ann:{line}\nann:{line}", ":2: expected user:hash, and each user once"),
        ("ann:correct horse", ":1: expected a hash"),
        ("ann:scrypt$1073741824$8$1$AAAA$AAAA", ":1: expected a hash"),  # 1 TiB of memory
        ("ann:scrypt$16384$8$1$!$!", ":1: expected a hash"),
        ("ann:" + line.replace("16384", "16383"), ":1: expected a hash"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            login_of(path, {})
    with pytest.raises(ArtefactError, match="none"):
        login_of(tmp_path / "none", {})


def test_one_password_comes_from_the_environment(tmp_path):
    assert login_of(None, {}) is None
    users = login_of(None, {PASSWORD: "correct horse"})
    assert not users.asks_name
    assert users.enter("whoever", "correct horse", "") is not None
    assert users.enter(NOBODY, "wrong", "") is None
    with pytest.raises(ConfigError, match=f"{PASSWORD}: expected at least 8 characters, found 3"):
        login_of(None, {PASSWORD: "abc"})
    with pytest.raises(ConfigError, match="found both"):
        login_of(tmp_path, {PASSWORD: "correct horse"})


def test_the_command_makes_a_line_from_a_password_that_it_is_told(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))
    assert login.main(["ann"]) == 0
    (tmp_path / "users").write_text(capsys.readouterr().out)
    assert login_of(tmp_path / "users", {}).enter("ann", "correct horse", "") is not None
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert login.main(["ann"]) == 2
    assert login.main(["a:b"]) == 2
    assert "without a colon" in capsys.readouterr().err
