"""Preference data of others as token ids: rows of (prompt, chosen, rejected) to prompts, candidates and pairs, and drops."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lpo_tts.backbones.base import Answer, TokenMap
from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.parquet import arrow, batches, check_columns, parquet_files, schema_of
from lpo_tts.exchange.token_lists import token_lists
from lpo_tts.files import loads
from lpo_tts.records import PreferencePair, Split

# Columns of TRL today, of former versions, and of data sets that hold ids where TRL expects text.
FORMS = (
    ("prompt_ids", "chosen_ids", "rejected_ids"),
    ("prompt_input_ids", "chosen_input_ids", "rejected_input_ids"),
    ("prompt", "chosen", "rejected"),
)
IDS = "lists of whole numbers"
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
# What our own export adds; foreign data sets need none of it.
TEXTS = ("id", "prompt_id", "text", "language", "split", "aspect", "margins", "chosen_candidate", "rejected_candidate")
NUMBERS = ("chosen_seed", "rejected_seed")


@dataclass(frozen=True)
class Sampled:
    """One answer of a prompt: its id, its tokens (steps, streams), what they mean, and its seed, 0 where nobody says."""

    id: str
    tokens: Tensor
    answer: Answer
    seed: int = 0


@dataclass
class Group:
    """Rows of one prompt that follow each other."""

    id: str
    split: Split
    tokens: Tensor
    text: str | None
    language: str | None
    answers: dict[str, Sampled] = field(default_factory=dict)
    pairs: dict[str, PreferencePair] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """A row that cannot be used, and why."""

    id: str
    reason: str


class Preferences:
    """A folder of Parquet with preference pairs as token ids.

    Each pass over `groups` gives the same. Memory holds a batch of rows and, of every prompt and pair, a hash.

    Args:
        folder: with shards; see `parquet_files` for their splits.
        token_map: of the model whose tokens they are.

    Raises:
        ArtefactError: there is no Parquet, a shard is torn, or its columns hold no token ids.
    """

    def __init__(self, folder: Path, token_map: TokenMap) -> None:
        self.folder, self.token_map = folder, token_map
        self.files = parquet_files(folder)
        if not self.files:
            raise ArtefactError(f"{folder}: expected a data set with files *.parquet, found none; check the folder")
        tokenizer = token_map.tokenizer
        self.vocabulary = len(tokenizer) if tokenizer is not None else None
        self._allowed = [torch.cat([ids[stream] for ids in token_map.allowed()]).unique() for stream in range(token_map.streams)]
        self._schemas = {path: schema_of(path) for paths in self.files.values() for path in paths}
        self._forms = {path: _form(path, schema) for path, schema in self._schemas.items()}

    def groups(self) -> Iterator[Group | Drop]:
        """Prompts with their answers and pairs, and what is dropped, in the order train, dev, test."""
        first: dict[int, Split] = {}  # split of a prompt, by its tokens
        names: dict[int, int] = {}  # how often a name was given to a group
        pairs: set[int] = set()
        group: Group | None = None
        for where, row in self._rows():
            reason = self._fault(row) or _leak(first, row)
            if reason is None and row["id"] is not None:
                key = _key(str(row["id"]).encode())
                reason = "its id stands twice" if key in pairs else None
                pairs.add(key)
            if reason is not None:
                yield Drop(str(row["id"] or where), reason)
                continue
            if group is None or not _continues(group, row):
                if group is not None:
                    yield group
                group = self._group(row, names)
            if not _add(group, row, self.token_map):
                yield Drop(str(row["id"] or where), "the same pair stands twice")
        if group is not None:
            yield group

    def _rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for split in SPLITS:
            for path in self.files.get(split, []):
                form, schema = self._forms[path], self._schemas[path]
                more = [name for name in (*TEXTS, *NUMBERS) if name in schema.names and name not in form]
                kinds = {name: "text" if name in TEXTS else "whole numbers" for name in more if _is_plain(schema, name)}
                check_columns(path, schema, kinds)
                number = 0
                for batch in batches(path, [*form, *kinds]):
                    lists = [token_lists(batch.column(name), self.token_map.streams, f"{path}: {name}") for name in form]
                    plain = batch.select(list(kinds)).to_pylist() if kinds else [{}] * batch.num_rows
                    for tokens, rest in zip(zip(*lists, strict=True), plain, strict=True):
                        number += 1
                        row = dict.fromkeys((*TEXTS, *NUMBERS)) | rest
                        row |= dict(zip(("prompt", "chosen", "rejected"), tokens, strict=True))
                        row["split"] = row["split"] if row["split"] in SPLITS else split
                        yield f"{path.name}:{number}", row

    def _fault(self, row: Mapping[str, Any]) -> str | None:
        """Why a row cannot be used."""
        found = _margins(row["margins"])
        if isinstance(found, str):
            return found
        for name in ("prompt", "chosen", "rejected"):
            ids = row[name]
            if not len(ids):
                return f"{name}: no ids"
            low, high = int(ids.min()), int(ids.max())
            if self.vocabulary is not None and self.token_map.streams == 1 and not 0 <= low <= high < self.vocabulary:
                wrong = low if low < 0 else high
                return f"{name}: id {wrong} lies outside the vocabulary (0 to {self.vocabulary - 1})"
        if torch.equal(row["chosen"], row["rejected"]):
            return "chosen and rejected are the same"
        for name in ("chosen", "rejected"):
            parsed = self.token_map.parse(row[name])
            whole = parsed.status == "ok" and parsed.codes is not None
            if not whole and (parsed.finished or parsed.codes is None or not self._is_cut(row[name])):
                return f"{name}: {parsed.status}"
        return None

    def _is_cut(self, tokens: Tensor) -> bool:
        """Whether every token of an unfinished answer is one that the model may write: its last frame alone is incomplete."""
        columns = zip(tokens.unbind(1), self._allowed, strict=True)
        return all(bool(torch.isin(column, allowed).all()) for column, allowed in columns)

    def _group(self, row: Mapping[str, Any], names: dict[int, int]) -> Group:
        base = row["prompt_id"] or f"p{_key(row['prompt'].numpy().tobytes()):016x}"
        again = names[_key(base.encode())] = names.get(_key(base.encode()), 0) + 1
        name = base if again == 1 else f"{base}~{again}"
        return Group(name, row["split"], row["prompt"], row["text"], row["language"])


def _is_plain(schema: Any, name: str) -> bool:
    """Whether a column that is not needed is of the kind our own export gives it; a foreign one of its name is left out."""
    types, found = arrow().types, schema.field(name).type
    return types.is_integer(found) if name in NUMBERS else types.is_string(found) or types.is_large_string(found)


def _form(path: Path, schema: Any) -> tuple[str, str, str]:
    """The columns that hold ids; raises ArtefactError where there are none."""
    form = next((form for form in FORMS if all(name in schema.names for name in form)), FORMS[0])
    if form is not FORMS[0] or "prompt_ids" not in schema.names:
        texts = [name for name in FORMS[2] if name in schema.names and "string" in str(schema.field(name).type)]
        if form is not FORMS[1] and texts:
            raise ArtefactError(
                f"{path}: expected token ids in the columns prompt_ids, chosen_ids and rejected_ids, found text in "
                f"{', '.join(texts)}: which codes were sampled does not "
                "follow from text; export the ids"
            )
    check_columns(path, schema, dict.fromkeys(form, IDS))
    return form


def _margins(text: str | None) -> dict[str, float] | str:
    """The margins of a pair, a number by metric; or why they are none."""
    try:
        found = loads(text, "margins") if text else {}
    except ArtefactError as error:
        return str(error)
    if not isinstance(found, dict) or any(isinstance(one, bool) or not isinstance(one, int | float) for one in found.values()):
        return f"margins: expected numbers by name, found {text!r}"[:300]
    try:
        return {name: float(value) for name, value in found.items()}
    except OverflowError:
        return f"margins: expected numbers by name, found one beyond all measure: {text[:200] if text else text}"


def _key(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _leak(first: dict[int, Split], row: Mapping[str, Any]) -> str | None:
    """Why a prompt may not stand here: it is in another split too."""
    found = first.setdefault(_key(row["prompt"].numpy().tobytes()), row["split"])
    return None if found == row["split"] else f"its prompt stands in split {found} too"


def _continues(group: Group, row: Mapping[str, Any]) -> bool:
    named = row["prompt_id"] is None or group.id == row["prompt_id"] or group.id.startswith(f"{row['prompt_id']}~")
    return named and group.split == row["split"] and torch.equal(group.tokens, row["prompt"])


def _add(group: Group, row: Mapping[str, Any], token_map: TokenMap) -> bool:
    """Adds the two answers of a row and their pair; False where the pair is there already."""
    ids: dict[str, str] = {}
    for side in ("chosen", "rejected"):
        tokens, given = row[side], row[f"{side}_candidate"]
        same: str | None = next((one.id for one in group.answers.values() if torch.equal(one.tokens, tokens)), None)
        if same is None:
            usable = given is not None and given.startswith(f"{group.id}#") and given not in group.answers
            same = str(given) if usable else _free_id(group)
            group.answers[same] = Sampled(same, tokens.clone(), token_map.parse(tokens), max(0, row[f"{side}_seed"] or 0))
        ids[side] = same
    pair_id, margins = row["id"] or f"{ids['chosen']}>{ids['rejected']}", _margins(row["margins"])
    if pair_id in group.pairs or isinstance(margins, str):
        return False
    group.pairs[pair_id] = PreferencePair(
        id=pair_id,
        prompt_id=group.id,
        **ids,
        margins=margins,
        split=group.split,
        aspect=row["aspect"] or "",
    )
    return True


def _free_id(group: Group) -> str:
    number = len(group.answers)
    while f"{group.id}#{number}" in group.answers:
        number += 1
    return f"{group.id}#{number}"
