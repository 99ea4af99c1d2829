"""The tables of a listening test, and how the file is opened so that nothing stored is lost."""

import secrets
import sqlite3
from pathlib import Path

from lpo_tts.errors import ArtefactError, os_errors

VERSION = 2
WAIT = 30.0  # seconds for another process to finish its write; a write takes milliseconds

TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE listeners (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    token TEXT UNIQUE,            -- sha-256 of the token; NULL: came from an old table of votes and may be claimed once
    since REAL NOT NULL           -- Unix time, as all times here
) STRICT;
CREATE TABLE seats (              -- a listener's number within a test, from 0
    test TEXT NOT NULL,
    listener INTEGER NOT NULL REFERENCES listeners,
    seat INTEGER NOT NULL,
    since REAL NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,  -- real trials after which the listener has finished; 0: not known, from a file of version 1
    PRIMARY KEY (test, listener),
    UNIQUE (test, seat)
) STRICT;
CREATE TABLE designs (            -- every design a test had, so that answers can be read later
    test TEXT NOT NULL,
    design TEXT NOT NULL,         -- JSON
    since REAL NOT NULL,
    PRIMARY KEY (test, design)
) STRICT;
CREATE TABLE trials (             -- what was shown, and which clip was which
    id TEXT PRIMARY KEY,          -- random, for addresses
    listener INTEGER NOT NULL REFERENCES listeners,
    test TEXT NOT NULL,
    key TEXT NOT NULL,            -- what a listener answers once
    content TEXT NOT NULL,        -- JSON: mode, question, item, sides, ...
    shown REAL NOT NULL,          -- first
    opened REAL NOT NULL,         -- last
    fetched TEXT NOT NULL DEFAULT '',  -- labels of the clips that were sent whole, one letter each
    UNIQUE (listener, test, key)
) STRICT;
CREATE TABLE answers (
    trial TEXT PRIMARY KEY REFERENCES trials,
    answer TEXT NOT NULL,         -- JSON
    played TEXT NOT NULL,         -- JSON: label -> seconds
    time REAL NOT NULL
) STRICT;
"""


def connect(path: Path) -> sqlite3.Connection:
    """Opens the database, and makes it where there is none; several threads and processes may.

    Raises:
        ArtefactError: the file is no database of a listening test, one of a later version, or cannot be written.
    """
    with os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        _prepare(connection, path)
    except (sqlite3.Error, ArtefactError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"{path}: cannot be used as the table of answers: {error}; give another --answers") from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Write-ahead log, each commit on the disk before it is told of, and the tables of this version; older ones are altered."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: a forgotten listener is in no free page
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        foreign = version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if foreign or version > VERSION:
            found = "tables of another program" if foreign else f"version {version}"
            raise ArtefactError(
                f"{path}: expected answers of version {VERSION}, found {found}; give another --answers, or use a later lpo-tts"
            )
        if version == 0:
            for statement in TABLES.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute("INSERT INTO settings VALUES ('secret', ?)", (secrets.token_hex(32),))
        if version == 1:
            connection.execute("ALTER TABLE seats ADD COLUMN due INTEGER NOT NULL DEFAULT 0")
            connection.execute("ALTER TABLE trials ADD COLUMN fetched TEXT NOT NULL DEFAULT ''")
        if version < VERSION:
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
