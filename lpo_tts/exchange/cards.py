"""The card of a data set: which of its files are which table and split, and what its columns mean, as README.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Described:
    """One table of a data set.

    Attributes:
        name: of the table, which is its configuration.
        splits: rows by split.
        caption: what a row is.
    """

    name: str
    splits: Mapping[str, int]
    caption: str


# `datasets` calls the split by which a training is watched so.
SPLIT_NAMES = {"train": "train", "dev": "validation", "test": "test"}


def dataset_card(title: str, tables: Sequence[Described], languages: Sequence[str], text: str, folder: str = "{name}") -> str:
    """README.md: a head that `datasets` and the Hub read, and prose.

    Args:
        title: the first heading.
        tables: in order; the first one is the default configuration.
        languages: codes of the languages that are spoken.
        text: what stands below the table of tables.
        folder: of the shards of a table.
    """
    configs: list[dict[str, Any]] = []
    for number, one in enumerate(tables):
        files = [
            {"split": SPLIT_NAMES[split], "path": f"{folder.format(name=one.name)}/{SPLIT_NAMES[split]}-*.parquet"}
            for split in one.splits
        ]
        configs.append({"config_name": one.name, "data_files": files, **({"default": True} if not number else {})})
    head: dict[str, Any] = {"task_categories": ["text-to-speech"], "tags": ["lpo-tts", "preference"]}
    if languages:
        head["language"] = list(languages)
    head["configs"] = configs
    lines = ["| configuration | rows | a row is |", "|---|---|---|"]
    for one in tables:
        rows = ", ".join(f"{count} {SPLIT_NAMES[split]}" for split, count in one.splits.items())
        lines.append(f"| `{one.name}` | {rows} | {one.caption} |")
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n# {title}\n\n" + "\n".join(lines) + f"\n\n{text}\n"
