"""Token ids in columns of lists, as tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.parquet import arrow


def token_lists(column: Any, streams: int, where: str) -> list[Tensor]:
    """Token ids of every row of an Arrow column of lists, (steps, streams) int64 each; a row without any has none.

    Raises:
        ArtefactError: the lists are nested otherwise than those of a model with so many streams.
    """
    pa = arrow()
    import pyarrow.compute as pc

    flat = pa.types.is_integer(column.type.value_type)
    if flat != (streams == 1):
        expected = "ids" if streams == 1 else f"steps of {streams} ids"
        raise ArtefactError(f"{where}: expected lists of {expected}, as the recipe's backbone has, found {column.type}")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    inner = column.flatten()
    if streams > 1:
        widths = set(pc.list_value_length(inner).to_pylist())
        if widths - {streams}:
            raise ArtefactError(f"{where}: expected steps of {streams} ids each, found steps of {sorted(widths, key=str)}")
        inner = inner.flatten()
    if inner.null_count:
        raise ArtefactError(f"{where}: expected ids, found an empty place (null) among them")
    values = torch.from_numpy(np.array(inner.to_numpy(zero_copy_only=False), dtype=np.int64)).reshape(-1, streams)
    return list(values.split(lengths.tolist())) if len(lengths) else []
