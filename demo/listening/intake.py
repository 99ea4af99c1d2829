"""Votes of an older demo, one JSON line each, taken into the store of answers once."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from demo.listening.design import trial_key
from demo.listening.modes import Side
from demo.listening.refusals import Refused
from demo.listening.rows import Answered, Content
from demo.listening.store import Store, tidy
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.files import loads, read_lines

TEST = "blind"  # name of the test that old votes belong to


@dataclass(frozen=True, kw_only=True)
class Vote:
    """A line of votes.jsonl: one listener's choice between two systems' candidates for one prompt.

    Attributes:
        prompt_id, seed: which candidates.
        a, b: systems that were heard as A and as B.
        choice: whom the listener preferred.
        listener: name.
        time: ISO 8601.
    """

    prompt_id: str
    seed: int
    a: str
    b: str
    choice: Literal["A", "B", "tie"]
    listener: str
    time: str

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise ConfigError(f"a vote compares two systems, found {self.a!r} twice")

    def answered(self) -> Answered:
        """The same as an answer of today; raises Refused for a name that is none, ValueError for a time that is none."""
        item = f"{self.prompt_id}#{self.seed}"
        when, key, listener = (
            datetime.fromisoformat(self.time).timestamp(),
            trial_key(item, (self.a, self.b)),
            tidy(self.listener),
        )
        sides = tuple(Side(label=label, name=name, candidate_id=item) for label, name in (("A", self.a), ("B", self.b)))
        return Answered(
            test=TEST,
            listener=listener,
            trial=hashlib.sha256(f"{TEST}\0{listener}\0{key}".encode()).hexdigest()[:32],
            key=key,
            content=Content(mode="ab", question="overall", source="systems", item=item, prompt_id=self.prompt_id, sides=sides),
            answer=self.choice,
            played={},
            shown=when,
            opened=when,
            time=when,
        )


def take_in(path: Path, store: Store) -> int:
    """Takes in what a table of votes holds and the store does not; the table stays as it is.

    A last line that a crash left torn is no vote, and is left out.

    Returns:
        How many votes are new.

    Raises:
        ArtefactError: a line is no vote; or the store cannot be written.
    """
    if not path.exists():
        return 0
    lines = read_lines(path)
    if lines and not path.read_bytes().endswith(b"\n"):
        lines.pop()
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = loads(line, where)
            if isinstance(row, dict) and "preferred" in row:
                raise ArtefactError(
                    f"{where}: expected votes of an older demo, found votes on candidates; give that table another name"
                )
            found.append(Structurer().structure(row, Vote).answered())
        except (ConfigError, Refused, ValueError) as error:
            raise ArtefactError(f"{where}: not a vote: {error}; mend or delete this line") from error
    return store.take_in(found)
