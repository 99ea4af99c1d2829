"""The step-by-step log-probs of the tiny models equal the models' own losses on the same frames."""

import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.lm.delayed import DelayedGrid

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms

GRID = DelayedGrid(ms.BOOKS, ms.CODES, ms.BEGIN, ms.END)
BEGINS = torch.full((1, ms.BOOKS), ms.BEGIN)


@torch.no_grad()
@pytest.mark.parametrize("cut", [None, 1, 4])
@pytest.mark.parametrize("with_voice", [False, True])
def test_delay(cut, with_voice):
    model = ms.delay_model()
    voice = torch.cat([BEGINS, GRID.write(ms.answer_of(ms.frames_of(2, 5)))]) if with_voice else None
    prompt = torch.cat([ms.prompt_of(ms.DELAY_ROWS, voice=voice), BEGINS])
    answer = GRID.write(ms.answer_of(ms.frames_of(4)))[:cut]
    found = ms.delay_logps(model, prompt, answer)
    drawn = GRID.drawn(answer)
    assert torch.equal(found != 0, drawn)
    # `num_items_in_batch` is what the model divides its sum by
    summed = ms.delay_loss(model, prompt, answer, drawn, num_items_in_batch=1)
    assert float(-found.sum()) == pytest.approx(float(summed), abs=1e-5)
    if cut is None:  # its own division: a mean per codebook, and their sum
        means = -found.sum(0) / drawn.sum(0)
        assert float(means.sum()) == pytest.approx(float(ms.delay_loss(model, prompt, answer, drawn)), abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("with_voice", [False, True])
def test_depth(ended, with_voice):
    model = ms.depth_model()
    voice = ms.frames_of(2, 5) if with_voice else None
    prompt = ms.prompt_of(ms.DEPTH_ROWS, voice=voice)
    answer = ms.frames_of(4)
    if ended:
        answer = torch.cat([answer, torch.zeros(1, ms.BOOKS, dtype=torch.int64)])
    found = ms.depth_logps(model, prompt, answer)

    own = ms.depth_loss(model, prompt, answer)
    assert float(-found[:, 0].mean()) == pytest.approx(float(own.backbone_loss), abs=1e-5)
    assert float(-found[:, 1:].mean()) == pytest.approx(float(own.depth_decoder_loss), abs=1e-5)
    summed = ms.depth_loss(model, prompt, answer, num_items_in_batch=1).loss
    assert float(-found.sum()) == pytest.approx(float(summed), abs=1e-4)
    assert torch.allclose(own.loss, own.backbone_loss + own.depth_decoder_loss)


@torch.no_grad()
def test_the_models_own_path_from_placeholders_gives_the_same_loss():
    """CSM as its processor feeds it: text ids with a placeholder per frame, and the end mark for the end frame."""
    model = ms.depth_model()
    frames = ms.frames_of(3)
    prompt, end = ms.prompt_of(ms.DEPTH_ROWS), torch.zeros(1, ms.BOOKS, dtype=torch.int64)
    found = ms.depth_logps(model, prompt, torch.cat([frames, end]))

    class Encoded:
        audio_codes = frames.T[None]

    model.codec_model.encode = lambda wave: Encoded
    model.codec_model.get_audio_codes_mask = lambda mask: torch.ones(1, 3, dtype=torch.bool)
    ids = torch.tensor([[5, 1, 2, 6, 7, 9, 9, 9, 8]])
    labels = torch.where(torch.isin(ids, torch.tensor([8, 9])), ids, -100)
    own = model(input_ids=ids, input_values=torch.zeros(1, 1, 6), input_values_cutoffs=torch.tensor([[6]]), labels=labels)
    assert float(-found[:, 0].mean()) == pytest.approx(float(own.backbone_loss), abs=1e-5)
    assert float(-found[:, 1:].mean()) == pytest.approx(float(own.depth_decoder_loss), abs=1e-5)
