"""Records as columns of a table: the Arrow type of every field, and rows there and back without loss."""

import dataclasses
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from lpo_tts.bounds import annotations
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.exchange.parquet import arrow
from lpo_tts.files import loads

Row = TypeVar("Row")
_structurer = Structurer()


def fields_of(kind: type) -> list[Any]:
    """The Arrow fields of a record, one per field.

    Text, numbers and truth values stay what they are, a record within a record is a struct, a tuple of plain values a list.
    Mappings (tags, margins, details) and tuples of tuples are JSON in a column of text, since their keys differ by row.
    """
    pa = arrow()
    return [pa.field(name, _arrow_type(one)) for name, one in annotations(kind).items()]


def _inner(kind: Any) -> Any:
    """The type without `| None`."""
    if get_origin(kind) in (types.UnionType, Union):
        (kind,) = (one for one in get_args(kind) if one is not type(None))
    return kind


def _arrow_type(kind: Any) -> Any:
    pa = arrow()
    kind = _inner(kind)
    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if kind in plain:
        return plain[kind]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return pa.struct([pa.field(name, _arrow_type(one)) for name, one in annotations(kind).items()])
    if get_origin(kind) is Literal:
        return pa.string()
    if get_origin(kind) is tuple and get_args(kind)[0] in plain:
        return pa.list_(plain[get_args(kind)[0]])
    return pa.string()


def _is_json(kind: Any) -> bool:
    kind = _inner(kind)
    return get_origin(kind) is dict or (get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is tuple)


def to_columns(record: Any) -> dict[str, Any]:
    """A record as plain values by column."""
    return {name: _to_plain(getattr(record, name), kind) for name, kind in annotations(type(record)).items()}


def _to_plain(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if _is_json(kind):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    return to_columns(value) if dataclasses.is_dataclass(value) else value


def from_columns(row: Mapping[str, Any], kind: type[Row], where: str) -> Row:
    """The record of a row; columns that are none of its fields are left out.

    Raises:
        ArtefactError: a value is missing, of another type, or out of range; `where` says which row.
    """
    try:
        return _structurer.structure(_to_tree(row, kind, where), kind)
    except ConfigError as error:
        raise ArtefactError(f"{where}: not a {kind.__name__}: {error}") from error


def _to_tree(row: Mapping[str, Any], kind: type, where: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, one in annotations(kind).items():
        value = row.get(name)
        if value is None and (name not in row or not _is_optional(one)):
            continue  # so that the field takes its default, or is missed
        if value is not None and _is_json(one):
            value = loads(value, f"{where}: {name}") if isinstance(value, str) else value
        elif isinstance(value, Mapping) and dataclasses.is_dataclass(_inner(one)):
            value = _to_tree(value, _inner(one), where)
        tree[name] = value
    return tree


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (types.UnionType, Union) and type(None) in get_args(kind)
