"""Tensor shards (safetensors), and sequences of unequal length within them."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.files import MISSING, share, sync


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors shard atomically."""
    partial = path.with_name(path.name + ".partial")
    try:
        with os_errors("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, dict(metadata or {}))
            share(partial)
            sync(partial)
            partial.replace(path)
    except SafetensorError as error:
        raise ArtefactError(f"cannot write {path}: {error}; free space or choose another `out`, then run again") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a shard; raises ArtefactError when it is missing or torn."""
    try:
        with os_errors("read", path, MISSING):
            path.stat()  # the library's own error for a missing file names no cause
            return load_file(path)
    except SafetensorError as error:
        raise ArtefactError(f"cannot read {path}: {error}; delete it and run its step again") from error


def pack(name: str, sequences: Iterable[Tensor], dtype: torch.dtype | None = torch.int32) -> dict[str, Tensor]:
    """Ragged sequences, (length, ...) each, as two tensors: `<name>` (sum, ...) and `<name>_offsets` (n + 1,) int64.

    Args:
        name: of the tensors.
        sequences: equal in all sizes but the first.
        dtype: kept in the file; None = their own.
    """
    parts = [sequence if dtype is None else sequence.to(dtype) for sequence in sequences]
    offsets = torch.zeros(len(parts) + 1, dtype=torch.int64)
    if parts:
        offsets[1:] = torch.tensor([len(part) for part in parts]).cumsum(0)
    return {name: torch.cat(parts) if parts else torch.empty(0, dtype=dtype), f"{name}_offsets": offsets}


def unpack(name: str, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The inverse of `pack`; integers as int64."""
    offsets = tensors[f"{name}_offsets"].tolist()
    kept = tensors[name]
    kept = kept if kept.is_floating_point() else kept.to(torch.int64)
    return [kept[start:stop] for start, stop in itertools.pairwise(offsets)]
