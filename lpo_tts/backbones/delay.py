"""Backbones that write K codebooks side by side, codebook k a further k steps behind: Higgs v2 of transformers.

Proven on tiny models with random weights; no published checkpoint has been tried.
"""

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts.backbones.base import END, FIXED, Answer, Places
from lpo_tts.backbones.stacked import StackedBackbone, StackedTokenMap
from lpo_tts.codes import Codes
from lpo_tts.lm.delay import DelayLM
from lpo_tts.lm.delayed import DelayedGrid

MODEL = "a Higgs Audio v2 model of transformers (config.json, model.safetensors)"


@dataclass(frozen=True)
class DelayBackbone(StackedBackbone):
    """Settings of a `HiggsAudioV2ForConditionalGeneration`, which writes its codebooks with a delay.

    A voice stands in the prompt as a step of begins and its delayed grid, ends included; marks around it, and the one before
    the answer, are the template's. The step of begins before the answer is added.
    """

    @functools.cached_property
    def _token_map(self) -> "DelayTokenMap":
        config = self.read_config("higgs_audio_v2", MODEL)
        begin, end = config.audio_stream_bos_id, config.audio_stream_eos_id
        grid = DelayedGrid(config.num_codebooks, min(begin, end), begin, end)
        places = (config.audio_token_id, config.audio_delay_token_id)
        return DelayTokenMap(self, self.read_tokenizer(), grid, config.codebook_size, places)

    def token_map(self) -> "DelayTokenMap":
        """Reads config and tokenizer, once; raises ComponentError when one is missing or does not fit."""
        return self._token_map

    def load(self, device: str = "cpu", model: str | None = None, dtype: torch.dtype | None = None) -> DelayLM:
        """Loads the weights; `model` names another checkpoint of the same kind, `dtype` overrides the setting.

        Raises:
            ComponentError: when a checkpoint cannot be read.
        """
        grid = self.token_map().grid
        return DelayLM(self.read_weights("HiggsAudioV2ForConditionalGeneration", MODEL, model, dtype).to(device), grid)


class DelayTokenMap(StackedTokenMap):
    """Prompts by a template, answers on a delayed grid."""

    def __init__(
        self, settings: DelayBackbone, tokenizer: Any, grid: DelayedGrid, rows: int, placeholders: Collection[int | None]
    ) -> None:
        super().__init__(settings, tokenizer, grid.num_codebooks, grid.codebook_size, rows, placeholders)
        self.grid = grid

    def spoken(self, voice: Codes) -> Tensor:
        """A step of begins, and the voice's grid."""
        return torch.cat([self.opening(), self.grid.write(voice)])

    def opening(self) -> Tensor:
        """One step of begins."""
        return torch.full((1, self.streams), self.grid.begin)

    def answer(self, codes: Codes) -> Tensor:
        """The finished grid: (num_frames + streams, streams) int64."""
        return self.grid.write(codes)

    def parse(self, tokens: Tensor) -> Answer:
        """Codes of the whole frames before the first fault, and what the fault is; never raises."""
        frames, finished, status = self.grid.read(torch.as_tensor(tokens).detach().cpu().to(torch.int64))
        return Answer(codes=Codes(tuple(frames.T.contiguous())) if len(frames) else None, finished=finished, status=status)

    def places(self, answer: Tensor) -> Places:
        """Each cell's frame and codebook; begins and all ends but the first are fixed."""
        books = torch.arange(self.streams).expand(answer.shape)
        frame = torch.arange(len(answer))[:, None] - books
        drawn, ended = self.grid.drawn(answer), self.grid.last_frame(answer)
        frame, slot = torch.where(drawn, frame, FIXED), torch.where(drawn, books, FIXED)
        if ended < len(answer):
            frame[ended, 0] = slot[ended, 0] = END
        return Places(frame, slot)

    def ends(self, step: Tensor) -> Tensor:
        """(rows,) bool: whether all codebooks have ended with this step, (rows, streams)."""
        return (step == self.grid.end).all(-1)

    def allowed(self) -> tuple[tuple[Tensor, ...], ...]:
        """The codes, and for codebook 0 the end."""
        codes = torch.arange(self.codebook_size)
        return ((torch.cat([codes, torch.tensor([self.grid.end])]), *(codes,) * (self.streams - 1)),)
