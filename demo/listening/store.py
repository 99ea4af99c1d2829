"""Answers in SQLite: written at once, each once, whatever happens to the server; listeners come back to where they were."""

import contextlib
import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from demo.listening.design import Design
from demo.listening.modes import Catch
from demo.listening.refusals import Refused
from demo.listening.rows import Answered, Content, Listener, Seat, Shown, finished
from demo.listening.schema import connect
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError

MAX_NAME = 80  # ours: characters of a listener's name
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # of completion codes: nothing that is taken for something else
_structurer = Structurer()


class Store:
    """The answers of one run, open for any number of threads; other processes may have the same file open.

    Args:
        path: of the database; made where there is none.
        clock: Unix time.

    Raises:
        ArtefactError: the file cannot be used.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._connection = connect(path)
        # One connection, one at a time: SQLite takes one write at a time in any case, and each lasts as long as the disk does.
        self._lock = threading.RLock()
        self._secret = bytes.fromhex(self._rows("SELECT value FROM settings WHERE name = 'secret'")[0]["value"])

    def close(self) -> None:
        """Closes the file; everything is on the disk already."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Listeners

    def enter(self, name: str | None = None, token: str | None = None) -> Listener:
        """The listener of a token; else a new one of this name, or of a random name where none is given.

        Raises:
            Refused: nobody has this token; or the name is no name, or another listener's.
        """
        wanted = tidy(name) if name and name.strip() else None
        if token:
            found = self.by_token(token)
            if wanted not in (None, found.name):
                raise Refused("name", f"you listen as {found.name!r} in this browser; begin anew to take another name")
            return found
        fresh = secrets.token_urlsafe(18)
        with self._writing():
            if wanted is None:
                while self._named(wanted := f"listener-{secrets.token_hex(3)}"):
                    pass
            for row in self._named(wanted):
                if row["token"] is not None:
                    raise Refused(
                        "name-taken",
                        f"somebody listens as {wanted!r} already; go on in the browser you began in, or add to your name",
                    )
                self._rows("UPDATE listeners SET token = ? WHERE id = ?", _digest(fresh), row["id"])
                return Listener(id=row["id"], name=wanted, token=fresh)
            return Listener(id=self._add_listener(wanted, _digest(fresh)), name=wanted, token=fresh)

    def by_token(self, token: str) -> Listener:
        """Who has this token; raises Refused where nobody does."""
        for row in self._rows("SELECT id, name FROM listeners WHERE token = ?", _digest(token)):
            return Listener(id=row["id"], name=row["name"], token=token)
        raise Refused("token", "nobody listens here under this token; enter your name to begin")

    def forget(self, name: str) -> int:
        """Deletes a listener and all that is stored of one, so that the file holds neither name nor answers any more.

        Returns:
            How many answers went.

        Raises:
            ArtefactError: nobody listens here under this name.
        """
        with self._writing():
            found = self._named(name)
            if not found:
                raise ArtefactError(f"{self.path}: nobody listens here as {name!r}; names stand in the CSV file of the answers")
            (owner,) = found
            own = "SELECT id FROM trials WHERE listener = ?"
            gone = len(self._rows(f"DELETE FROM answers WHERE trial IN ({own}) RETURNING trial", owner["id"]))
            for table, column in (("trials", "listener"), ("seats", "listener"), ("listeners", "id")):
                self._rows(f"DELETE FROM {table} WHERE {column} = ?", owner["id"])
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")  # the log beside the file holds the rows too
        return gone

    def seat(self, test: str, listener: Listener, due: int) -> Seat:
        """The listener's place in a test; given at the first call with so many trials due, and kept."""
        query = "SELECT seat, due FROM seats WHERE test = ? AND listener = ?", test, listener.id
        with self._writing() if not self._rows(*query) else contextlib.nullcontext():
            if not self._rows(*query):
                # After the last one: where a listener was forgotten, there are fewer of them than numbers.
                free = self._rows("SELECT ifnull(max(seat) + 1, 0) AS free FROM seats WHERE test = ?", test)[0]["free"]
                self._rows("INSERT INTO seats VALUES (?, ?, ?, ?, ?)", test, listener.id, free, self.clock(), due)
            (row,) = self._rows(*query)
            return Seat(number=row["seat"], due=row["due"])

    def lower(self, test: str, listener: Listener, due: int) -> None:
        """A listener has finished a test after `due` real trials, where there were to be more."""
        self._rows("UPDATE seats SET due = ? WHERE test = ? AND listener = ? AND due > ?", due, test, listener.id, due)

    def dues(self) -> dict[str, dict[str, int]]:
        """Test -> listener -> real trials due (`Seat.due`), of everybody who has begun; tests of old votes have none."""
        found: dict[str, dict[str, int]] = {}
        for row in self._rows("SELECT test, name, due FROM seats JOIN listeners ON listener = id ORDER BY test, seat"):
            found.setdefault(row["test"], {})[row["name"]] = row["due"]
        return found

    def code(self, test: str, name: str) -> str:
        """What shows that a listener has done a test; made of a secret of this file, so that it can be checked later."""
        digest = hmac.digest(self._secret, f"{test}\0{name}".encode(), "sha256")
        letters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:12])
        return "-".join(letters[start : start + 4] for start in (0, 4, 8))

    def codes(self) -> dict[str, dict[str, str]]:
        """Test -> listener -> completion code, of those who have finished: whoever gives a code can be looked up."""
        reals = Counter((one.test, one.listener) for one in self.answers() if not one.content.catch)
        return {
            test: {name: self.code(test, name) for name, due in own.items() if finished(reals[test, name], due)}
            for test, own in self.dues().items()
        }

    def key(self, purpose: str) -> str:
        """A secret of this file for a purpose, in hexadecimal; the same whenever the file is opened."""
        return hmac.digest(self._secret, f"key\0{purpose}".encode(), "sha256").hex()

    # Trials

    def note_design(self, design: Design, due: int) -> None:
        """Keeps a design beside the answers.

        Args:
            design: of a test.
            due: real trials of each listener; those of a file of version 1, which holds no such number, are given this one.
        """
        row = (design.name, _dump(_structurer.unstructure(design)), self.clock())
        query = "INSERT INTO designs VALUES (?, ?, ?) ON CONFLICT (test, design) DO UPDATE SET since = excluded.since"
        with self._writing():
            self._rows(query, *row)
            self._rows("UPDATE seats SET due = ? WHERE test = ? AND due = 0", due, design.name)

    def show(self, test: str, listener: Listener, key: str, make: Callable[[], Content]) -> Shown:
        """A trial as this listener is shown it: drawn by `make` once, and the same after a reload or a restart."""
        where = "listener = ? AND test = ? AND key = ?", listener.id, test, key
        if self._shown(*where) is None:
            content = _dump(_structurer.unstructure(make()))
            # Another window of the same listener may have been quicker: what it was shown holds.
            self._rows(
                "INSERT INTO trials (id, listener, test, key, content, shown, opened) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (listener, test, key) DO NOTHING",
                secrets.token_hex(16), listener.id, test, key, content, self.clock(), self.clock(),
            )  # fmt: skip
        else:
            self._rows(f"UPDATE trials SET opened = ? WHERE {where[0]}", self.clock(), *where[1:])
        found = self._shown(*where)
        if found is None:
            raise ArtefactError(f"{self.path}: the trial {key} went while it was shown; nobody else may change this file")
        return found

    def trial(self, trial: str, listener: Listener | None = None) -> Shown:
        """A trial by its id; raises Refused where there is none, or where it is not this listener's."""
        found = self._shown("id = ?", trial)
        if found is None or (listener is not None and found.listener != listener.id):
            raise Refused("trial", "there is no such trial of yours; load the page anew")
        return found

    def note_fetched(self, trial: str, label: str) -> None:
        """A clip of a trial was sent whole."""
        query = "UPDATE trials SET fetched = fetched || ? WHERE id = ? AND instr(fetched, ?) = 0"
        self._rows(query, label, trial, label)

    # Answers

    def answer(self, trial: Shown, answer: Any, played: Mapping[str, float]) -> bool:
        """Keeps an answer, which is on the disk when this returns; the same one again changes nothing.

        Returns:
            Whether it is new.

        Raises:
            Refused: another answer to this trial is stored.
        """
        with self._writing():
            for row in self._rows("SELECT answer FROM answers WHERE trial = ?", trial.id):
                if json.loads(row["answer"]) == answer:
                    return False
                raise Refused("answered", "you have answered this trial already, and otherwise; go on to the next one")
            row = (trial.id, _dump(answer), _dump(dict(played)), self.clock())
            self._rows("INSERT INTO answers VALUES (?, ?, ?, ?)", *row)
        return True

    def done(self, test: str, listener: Listener) -> dict[str, Catch]:
        """Keys of the trials that a listener has answered, each with the kind of its catch, "" for a real one."""
        query = "SELECT key, content FROM trials JOIN answers ON trial = id WHERE listener = ? AND test = ?"
        return {row["key"]: _content(row["content"]).catch for row in self._rows(query, listener.id, test)}

    def answers(self, test: str | None = None) -> list[Answered]:
        """All answers, of one test or of all, in the order they were given."""
        rows = self._rows(
            "SELECT trials.*, answer, played, time, name FROM answers JOIN trials ON trial = trials.id "
            "JOIN listeners ON listener = listeners.id WHERE ? IS NULL OR test = ? ORDER BY answers.rowid",
            test, test,
        )  # fmt: skip
        return [
            Answered(
                test=row["test"],
                listener=row["name"],
                trial=row["id"],
                key=row["key"],
                content=_content(row["content"]),
                answer=json.loads(row["answer"]),
                played=json.loads(row["played"]),
                shown=row["shown"],
                opened=row["opened"],
                time=row["time"],
            )
            for row in rows
        ]

    def tests(self) -> dict[str, int]:
        """Every test with answers, and how many it has."""
        query = "SELECT test, count(*) AS count FROM trials JOIN answers ON trial = id GROUP BY test ORDER BY min(time)"
        return {row["test"]: row["count"] for row in self._rows(query)}

    def take_in(self, answers: Iterable[Answered]) -> int:
        """Adds answers that were given elsewhere, each once; returns how many are new. Their listeners may claim their names."""
        new = 0
        with self._writing():
            for one in answers:
                found = self._named(one.listener)
                owner = found[0]["id"] if found else self._add_listener(one.listener, None)
                if self._shown("listener = ? AND test = ? AND key = ?", owner, one.test, one.key) is not None:
                    continue
                content = _dump(_structurer.unstructure(one.content))
                row = (one.trial, owner, one.test, one.key, content, one.shown, one.opened)
                self._rows(
                    "INSERT INTO trials (id, listener, test, key, content, shown, opened) VALUES (?, ?, ?, ?, ?, ?, ?)", *row
                )
                row = (one.trial, _dump(one.answer), _dump(one.played), one.time)
                self._rows("INSERT INTO answers VALUES (?, ?, ?, ?)", *row)
                new += 1
        return new

    # The database

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock, _told(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """All of its block or nothing of it, with no other process writing between."""
        with self._lock:
            self._rows("BEGIN IMMEDIATE")
            try:
                yield
                self._rows("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # on a full disk SQLite may have ended it already
                    self._rows("ROLLBACK")
                raise

    def _named(self, name: str) -> list[sqlite3.Row]:
        return self._rows("SELECT id, token FROM listeners WHERE name = ?", name)

    def _add_listener(self, name: str, token: str | None) -> int:
        query = "INSERT INTO listeners (name, token, since) VALUES (?, ?, ?) RETURNING id"
        return int(self._rows(query, name, token, self.clock())[0]["id"])

    def _shown(self, where: str, *values: object) -> Shown | None:
        query = f"SELECT trials.*, answer FROM trials LEFT JOIN answers ON trial = id WHERE {where}"
        for row in self._rows(query, *values):
            return Shown(
                id=row["id"],
                listener=row["listener"],
                test=row["test"],
                key=row["key"],
                content=_content(row["content"]),
                shown=row["shown"],
                opened=row["opened"],
                answered=row["answer"] is not None,
                fetched=row["fetched"],
            )
        return None


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ArtefactError(
            f"{path}: the answers cannot be read or written: {error}; free space, or check who else uses the file"
        ) from error


def tidy(name: str) -> str:
    """A listener's name as it is kept; raises Refused for one that is empty, too long, or no plain line of text."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        raise Refused("name", "expected a name, found none")
    if len(name) > MAX_NAME:
        raise Refused("name", f"a listener's name has at most {MAX_NAME} characters, found {len(name)}; give a shorter one")
    if not name.isprintable():
        raise Refused("name", f"a listener's name is one line of plain text, found {name!a}; leave out special characters")
    return name


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)


def _content(text: str) -> Content:
    return _structurer.structure(json.loads(text), Content)
