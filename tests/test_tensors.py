"""Tensor shards: what is written comes back, and a torn one is named."""

import pytest
import torch

from lpo_tts import tensors
from lpo_tts.errors import ArtefactError


def test_ragged_tokens_come_back_and_torn_shards_are_named(tmp_path):
    sequences = [torch.tensor([1, 2, 3]), torch.empty(0, dtype=torch.int64), torch.tensor([9])]
    tensors.write_tensors(tmp_path / "s.safetensors", tensors.pack("ids", sequences))
    back = tensors.unpack("ids", tensors.read_tensors(tmp_path / "s.safetensors"))
    assert [one.tolist() for one in back] == [[1, 2, 3], [], [9]]
    data = (tmp_path / "s.safetensors").read_bytes()
    (tmp_path / "s.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtefactError, match="delete it and run its step again"):
        tensors.read_tensors(tmp_path / "s.safetensors")
    with pytest.raises(ArtefactError, match="No such file or directory; run the step that makes it"):
        tensors.read_tensors(tmp_path / "none.safetensors")
