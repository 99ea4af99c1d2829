"""The blind test: trials in random order, votes that survive anything, and a tally with an exact test."""

import fcntl
import hashlib
import json
import os
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.files import drop_torn_line, read_rows
from lpo_tts.statistics import sign_test

Choice = Literal["A", "B", "tie"]
CHOICES: tuple[Choice, ...] = ("A", "B", "tie")
MAX_NAME = 80  # ours: characters of a listener's name


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Two systems' candidates for one prompt with the same random numbers; `seed` counts the candidates of a prompt."""

    prompt_id: str
    seed: int
    text: str
    wavs: dict[str, Path]  # system -> its candidate
    voice: Path | None = None  # recording of the voice both should have

    @property
    def systems(self) -> tuple[str, str]:
        """Base first."""
        base, aligned = self.wavs
        return base, aligned

    @property
    def key(self) -> tuple[str, int, frozenset[str]]:
        """What a listener votes on once."""
        return self.prompt_id, self.seed, frozenset(self.wavs)


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One listener's choice in one trial; which system was A and which was B was drawn for this trial."""

    prompt_id: str
    seed: int
    a: str
    b: str
    choice: str
    listener: str
    time: str  # UTC, ISO 8601

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise ContractError(f"choice must be A, B or tie, found {self.choice!r}")
        if self.a == self.b:
            raise ContractError(f"a vote compares two systems, found {self.a!r} twice")
        check_name(self.listener)

    @property
    def winner(self) -> str | None:
        """The system preferred; None for a tie."""
        return {"A": self.a, "B": self.b, "tie": None}[self.choice]

    @property
    def key(self) -> tuple[str, int, frozenset[str]]:
        """The trial it belongs to."""
        return self.prompt_id, self.seed, frozenset((self.a, self.b))


@dataclass(frozen=True)
class Tally:
    """Votes for an aligned system against the base, and how likely so one-sided a result is by chance."""

    wins: int
    losses: int
    ties: int

    @property
    def p_value(self) -> float:
        """Two-sided exact sign test, ties left out; takes every vote as independent of the others."""
        return sign_test(self.wins, self.losses)


def check_name(listener: str) -> None:
    """Raises ContractError for a listener's name that is empty, too long, or no plain line of text."""
    if not listener.strip():
        raise ContractError("a vote needs the name of its listener, found none")
    if len(listener) > MAX_NAME:
        raise ContractError(f"a listener's name has at most {MAX_NAME} characters, found {len(listener)}; give a shorter one")
    if not listener.isprintable():
        raise ContractError(f"a listener's name is one line of plain text, found {listener!a}; leave out special characters")


def new_name(taken: Iterable[str]) -> str:
    """A name for a listener who gives none, unlike all that are taken."""
    names = set(taken)
    while (name := f"listener-{secrets.token_hex(3)}") in names:
        pass
    return name


def order(trials: Iterable[Trial], listener: str) -> list[Trial]:
    """Trials in an order of the listener's own, the same each time, so that a test can be gone on with later."""
    return sorted(trials, key=lambda one: hashlib.sha256(f"{listener}\0{one.prompt_id}\0{one.seed}".encode()).digest())


def next_trial(trials: Iterable[Trial], votes: Iterable[Vote], listener: str) -> Trial | None:
    """The first trial, in the listener's order, that this listener has not voted on; None when all are done."""
    done = {vote.key for vote in votes if vote.listener == listener}
    return next((trial for trial in order(trials, listener) if trial.key not in done), None)


def place(trials: Sequence[Trial], votes: Iterable[Vote], listener: str) -> int:
    """The number of the listener's next trial, counted from 1."""
    return 1 + len({vote.key for vote in votes if vote.listener == listener} & {trial.key for trial in trials})


def draw_sides(trial: Trial, source: random.Random | None = None) -> tuple[str, str]:
    """Which system is A and which is B; drawn from the operating system, so that no seed gives the order away."""
    sides = list(trial.systems)
    (source or random.SystemRandom()).shuffle(sides)
    return sides[0], sides[1]


def vote(trial: Trial, sides: Sequence[str], choice: str, listener: str) -> Vote:
    """A vote of now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Vote(prompt_id=trial.prompt_id, seed=trial.seed, a=sides[0], b=sides[1], choice=choice, listener=listener, time=now)


def read(path: Path) -> list[Vote]:
    """All votes so far; none when there is no table yet. Raises ArtefactError for a line that is no vote."""
    return read_rows(path, Vote) if path.exists() else []


def append(path: Path, new: Vote) -> None:
    """Adds a vote as one whole line, on the disk when this returns; listeners on other processes may do the same.

    Raises:
        ContractError: the listener has voted on this trial already.
        ArtefactError: the table cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            drop_torn_line(path)
            if any(old.listener == new.listener and old.key == new.key for old in read(path)):
                raise ContractError(
                    f"{new.listener!r} has voted on {new.prompt_id} (seed {new.seed}) already; go on to the next trial"
                )
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(new), ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise ArtefactError(
            f"cannot write {path}: {error.strerror or error}; the vote was not kept, give another --votes"
        ) from error


def tally(votes: Iterable[Vote], base: str, aligned: str) -> Tally:
    """Counts the votes between two systems."""
    own = [one for one in votes if {one.a, one.b} == {base, aligned}]
    wins, losses = sum(one.winner == aligned for one in own), sum(one.winner == base for one in own)
    return Tally(wins, losses, len(own) - wins - losses)
