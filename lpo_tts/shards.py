"""Shards: several processes that know nothing of each other fill one artefact, each its own parts (`--shard 3/16`)."""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lpo_tts.errors import ConfigError

_NAME = re.compile(r"\.shard-(\d+)-of-(\d+)")
PARTS, ROWS = ".parts.jsonl", ".partial"  # ends of a shard's files: the list of its parts, and its rows of a table


@dataclass(frozen=True)
class Shard:
    """One of `count` processes, counted from 0 as Slurm's `--array=0-15` does; part k is done by shard k mod count."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Reads `3/16`; raises ConfigError for anything else."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if found is None or not int(found[1]) < int(found[2]):
            raise ConfigError(
                f"--shard: expected i/n with i from 0 to n - 1, as in 0/16 or $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT "
                f"(of an array that begins with 0, `--array=0-15`), found {text!r}"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def takes(self, number: int) -> bool:
        """Whether a part, by its number, is this one's."""
        return number % self.count == self.index

    def beside(self, path: Path) -> Path:
        """The name that this shard's files of an artefact begin with."""
        return path.with_name(f"{path.name}.shard-{self.index}-of-{self.count}")


def files(path: Path, end: str) -> Iterator[tuple[Shard, Path]]:
    """What shards left beside an artefact under names with this end, in their order."""
    found = []
    for one in path.parent.glob(f"{glob.escape(path.name)}.shard-*{glob.escape(end)}"):
        match = _NAME.fullmatch(one.name.removeprefix(path.name).removesuffix(end))
        if match is not None:
            found.append((Shard(int(match[1]), int(match[2])), one))
    yield from sorted(found, key=lambda pair: (pair[0].count, pair[0].index))
