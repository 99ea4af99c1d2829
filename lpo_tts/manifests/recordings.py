"""What is found in a corpus: recordings, not yet checked, and rows that do not reach the manifest."""

from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts.records import Split


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording as a corpus names it, not yet checked; `split` None = assigned by a hash, as `--by` says."""

    id: str
    audio: Path
    text: str
    speaker: str
    language: str = "en"
    split: Split | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A row that does not reach the manifest.

    Attributes:
        id: of the row, or where it stands.
        reason: one line for people.
        fault: tells a broken row from one that was asked to be left out.
        filter: under which name a row that was left out is counted.
    """

    id: str
    reason: str
    fault: bool = True
    filter: str = "corpus"
