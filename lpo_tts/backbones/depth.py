"""Backbones that write frames of K codes, codebook 0 by the body and the others by a depth decoder: CSM of transformers.

Proven on tiny models with random weights; no published checkpoint has been tried.
"""

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts.backbones.base import END, Answer, Places
from lpo_tts.backbones.stacked import StackedBackbone, StackedTokenMap
from lpo_tts.codes import Codes, stack_levels
from lpo_tts.errors import ContractError
from lpo_tts.lm.depth import DepthLM

MODEL = "a CSM model of transformers (config.json, model.safetensors)"


@dataclass(frozen=True)
class DepthBackbone(StackedBackbone):
    """Settings of a `CsmForConditionalGeneration`, which writes a frame's codebooks one by one.

    A voice stands in the prompt as its frames and an end frame. The codec that lies in the checkpoint is not used, and its
    weights are not trained.
    """

    @functools.cached_property
    def _token_map(self) -> "DepthTokenMap":
        config = self.read_config("csm", MODEL)
        sizes = config.num_codebooks, config.codec_config.codebook_size, config.vocab_size
        places = (config.audio_token_id, config.audio_eos_token_id)
        return DepthTokenMap(self, self.read_tokenizer(), sizes, config.codebook_eos_token_id, places)

    def token_map(self) -> "DepthTokenMap":
        """Reads config and tokenizer, once; raises ComponentError when one is missing or does not fit."""
        return self._token_map

    def load(self, device: str = "cpu", model: str | None = None, dtype: torch.dtype | None = None) -> DepthLM:
        """Loads the weights; `model` names another checkpoint of the same kind, `dtype` overrides the setting.

        Raises:
            ComponentError: when a checkpoint cannot be read.
        """
        found = self.read_weights("CsmForConditionalGeneration", MODEL, model, dtype)
        found.codec_model.requires_grad_(False)
        return DepthLM(found.to(device))


class DepthTokenMap(StackedTokenMap):
    """Prompts by a template, answers as frames and an end frame, which holds the end code in all codebooks.

    Args:
        settings: template and cut of the voice.
        tokenizer: of transformers.
        sizes: number of codebooks, codes of each, and token ids of each.
        end: the code that ends an answer when all codebooks hold it.
        placeholders: see `StackedTokenMap`.
    """

    def __init__(
        self,
        settings: DepthBackbone,
        tokenizer: Any,
        sizes: tuple[int, int, int],
        end: int,
        placeholders: Collection[int | None],
    ) -> None:
        super().__init__(settings, tokenizer, *sizes, placeholders)
        self.end = end

    def spoken(self, voice: Codes) -> Tensor:
        """The voice's frames, and an end frame."""
        return self.answer(voice)

    def answer(self, codes: Codes) -> Tensor:
        """Frames and the end frame: (num_frames + 1, streams) int64.

        Raises:
            ContractError: the codes are not those the model writes, or a frame cannot be told from the end.
        """
        frames = stack_levels(codes, self.streams, self.codebook_size)
        ends = self.ends(frames).nonzero()
        if len(ends):
            raise ContractError(f"frame {int(ends[0])} holds code {self.end} in all codebooks, which is how this model ends")
        return torch.cat([frames, torch.full((1, self.streams), self.end)])

    def parse(self, tokens: Tensor) -> Answer:
        """Codes of the frames before the first fault, and what the fault is; never raises."""
        frames = torch.as_tensor(tokens).detach().cpu().to(torch.int64)
        finished = bool(len(frames)) and bool(self.ends(frames[-1:]))
        frames = frames[:-1] if finished else frames
        status = "ok" if len(frames) else "empty"
        wrong = ((frames < 0) | (frames >= self.codebook_size)).nonzero()
        if len(wrong):
            at, book = wrong[0].tolist()
            status = f"token {int(frames[at, book])} of codebook {book} at step {at} is no code (0 to {self.codebook_size - 1})"
            frames = frames[:at]
        return Answer(codes=Codes(tuple(frames.T.contiguous())) if len(frames) else None, finished=finished, status=status)

    def places(self, answer: Tensor) -> Places:
        """Each token's frame and codebook; an end frame in the last place is an end in all of them."""
        frame = torch.arange(len(answer))[:, None].expand(answer.shape).clone()
        slot = torch.arange(self.streams).expand(answer.shape).clone()
        if len(answer) and bool(self.ends(answer[-1:])):
            frame[-1] = slot[-1] = END
        return Places(frame, slot)

    def ends(self, step: Tensor) -> Tensor:
        """(rows,) bool: which frames, (rows, streams), are end frames."""
        return (step == self.end).all(-1)

    def allowed(self) -> tuple[tuple[Tensor, ...], ...]:
        """The codes, of which the end code is one."""
        return ((torch.arange(self.codebook_size),) * self.streams,)
