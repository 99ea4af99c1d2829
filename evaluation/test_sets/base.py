"""What every test set offers: the recordings of a local copy, and the prompts that are made of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lpo_tts.manifests.recordings import Dropped, Recording
from lpo_tts.records import Prompt, Utterance

__all__ = ["Dropped", "Recording", "TestSet"]


class TestSet(Protocol):
    """Settings of a test set (a frozen dataclass), as a suite names them under `data`."""

    __test__ = False  # pytest takes the name for a test's

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The files that say what the set consists of, in groups by name; their hashes go into the side-car.

        Raises:
            ArtefactError: one is missing, which names the folder that was expected.
        """
        ...

    def recordings(self, local: Path) -> Iterator[Recording | Dropped]:
        """Every recording that a prompt may need, in the same order at every call."""
        ...

    def prompts(self, local: Path, measured: Mapping[str, Utterance]) -> Iterator[Prompt | Dropped]:
        """The prompts, in the order of the set; a row that becomes none comes as `Dropped`, with the reason.

        Args:
            local: the local copy.
            measured: the recordings that can be used, by id; paths are relative to the table that is written.
        """
        ...
