"""Parts of candidates: what was sampled comes back, streams and features too."""

import pytest
import torch

from lpo_tts.backbones.base import PromptInputs
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate
from lpo_tts.steps.candidates import Sampled, part_files, read_part, write_part


def sampled(number, tokens, frames, **features):
    row = Candidate(
        id=f"p#{number}",
        prompt_id="p",
        index=number,
        seed=number,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_tokens=len(tokens),
        num_frames=frames,
        finished=False,
    )
    codes = Codes((torch.arange(frames), torch.arange(2 * frames))) if frames else None
    return Sampled(row, PromptInputs(torch.tensor([[number, 1], [2, 3], [4, 5]])[: number + 1], features), tokens, codes)


def test_what_is_written_is_read(tmp_path):
    written = [
        sampled(0, torch.tensor([[1, 2], [3, 4]]), 2, speaker=torch.tensor([[0.5, 0.25]]), text=torch.tensor([7])),
        sampled(1, torch.tensor([[5, 6]]), 0, speaker=torch.tensor([[1.0, 2.0], [3.0, 4.0]]), text=torch.tensor([8, 9])),
    ]
    write_part(tmp_path, 0, written)
    for found, one in zip(read_part(part_files(tmp_path, 0)[0]), written, strict=True):
        assert found.row == one.row
        assert torch.equal(found.tokens, one.tokens)
        assert torch.equal(found.prompt.tokens, one.prompt.tokens)
        assert found.prompt.features.keys() == {"speaker", "text"}
        for name, value in one.prompt.features.items():
            assert found.prompt.features[name].dtype == value.dtype
            assert torch.equal(found.prompt.features[name], value)
        assert (found.codes is None) == (one.codes is None)
        if one.codes is not None:
            assert [level.tolist() for level in found.codes.levels] == [level.tolist() for level in one.codes.levels]


def test_rows_that_say_another_length_are_refused(tmp_path):
    one = sampled(0, torch.tensor([[1, 2], [3, 4]]), 0)
    write_part(tmp_path, 0, [one._replace(tokens=one.tokens[:1])])
    with pytest.raises(ArtefactError, match="p#0 says 2 tokens, its shard holds 1"):
        read_part(part_files(tmp_path, 0)[0])
