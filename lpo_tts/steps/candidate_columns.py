"""Candidates as columns: rows beside their token ids, codes and what the model was given, there and back."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpo_tts.backbones.base import PromptInputs
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.columns import fields_of, from_columns, to_columns
from lpo_tts.exchange.parquet import arrow
from lpo_tts.exchange.token_lists import token_lists
from lpo_tts.records import Candidate
from lpo_tts.steps.candidates import Sampled

FEATURE, SHAPE = "feature_", "shape_"


def candidate_fields(streams: int, features: Mapping[str, Tensor]) -> list[Any]:
    """Arrow fields of candidates: those of the record, tokens, codes, and the features of the prompt by name.

    Token ids are a list for models of one stream, and a list of steps, each a list of its streams, for others.
    """
    pa = arrow()
    tokens = pa.list_(pa.int32()) if streams == 1 else pa.list_(pa.list_(pa.int32()))
    named = [field for name, value in sorted(features.items()) for field in _feature_fields(name, value)]
    return [
        *fields_of(Candidate),
        pa.field("part", pa.int32()),
        pa.field("prompt_tokens", tokens),
        pa.field("tokens", tokens),
        pa.field("codes", pa.list_(pa.list_(pa.int32()))),
        *named,
    ]


def _feature_fields(name: str, value: Tensor) -> list[Any]:
    pa = arrow()
    kind = pa.float32() if value.is_floating_point() else pa.int64()
    return [pa.field(f"{FEATURE}{name}", pa.list_(kind)), pa.field(f"{SHAPE}{name}", pa.list_(pa.int64()))]


def candidate_columns(one: Sampled, part: int) -> dict[str, Any]:
    """The row of one candidate, by column."""
    row = {**to_columns(one.row), "part": part, "prompt_tokens": ids(one.prompt.tokens), "tokens": ids(one.tokens)}
    row["codes"] = None if one.codes is None else [level.to(torch.int32).numpy() for level in one.codes.levels]
    for name, value in one.prompt.features.items():
        row[f"{FEATURE}{name}"] = (value.float() if value.is_floating_point() else value).reshape(-1).numpy()
        row[f"{SHAPE}{name}"] = list(value.shape)
    return row


def ids(tokens: Tensor) -> Any:
    """Tokens (steps, streams) as a list of ids, or of steps where there are several streams."""
    found = tokens.to(torch.int32).numpy()
    return found[:, 0] if found.shape[1] == 1 else list(found)


def candidates_of(batch: Any, streams: int, where: str) -> Iterator[tuple[Sampled, int]]:
    """The candidates of a record batch, and the part that each belongs to.

    Raises:
        ArtefactError: a row is no candidate, or its tokens are not those of a model with so many streams.
    """
    names = batch.schema.names
    tensors = [name for name in names if name in ("prompt_tokens", "tokens", "codes") or name.startswith((FEATURE, SHAPE))]
    plain = batch.drop_columns(tensors).to_pylist()
    prompts, tokens = (token_lists(batch.column(name), streams, f"{where}: {name}") for name in ("prompt_tokens", "tokens"))
    features = [name.removeprefix(SHAPE) for name in names if name.startswith(SHAPE)]
    for number, tree in enumerate(plain):
        row = from_columns(tree, Candidate, f"{where}: row {tree.get('row', number)}")
        if row.num_tokens != len(tokens[number]):
            raise ArtefactError(f"{where}: {row.id} says {row.num_tokens} tokens, found {len(tokens[number])}; export it again")
        levels = batch.column("codes")[number]
        codes = None
        if levels.is_valid and row.num_frames:
            try:
                codes = Codes(tuple(torch.tensor(level, dtype=torch.int64) for level in levels.as_py()))
            except (TypeError, ValueError) as error:
                raise ArtefactError(
                    f"{where}: {row.id}: expected codes, lists of whole numbers, found another ({error})"
                ) from error
        named = {name: _feature_of(batch, name, number) for name in features}
        yield Sampled(row, PromptInputs(prompts[number], named), tokens[number], codes), int(tree.get("part") or 0)


def _feature_of(batch: Any, name: str, number: int) -> Tensor:
    values = batch.column(f"{FEATURE}{name}")[number].values.to_numpy(zero_copy_only=False)
    return torch.from_numpy(np.array(values)).reshape(batch.column(f"{SHAPE}{name}")[number].as_py())
