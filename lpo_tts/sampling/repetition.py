"""What looks back at the tokens so far: repetition penalty, and drawing again what repeats (RAS)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lpo_tts.backbones.base import PromptInputs
from lpo_tts.sampling.base import Drawing


class History:
    """The tokens of a block, prompts and answers, row by row and stream by stream.

    Args:
        prompts: of the block.
        counts: candidates of each prompt.
        answers: (rows, steps, streams) int64, which the loop writes into.
    """

    def __init__(self, prompts: Sequence[PromptInputs], counts: Sequence[int], answers: Tensor) -> None:
        longest = max(len(prompt.tokens) for prompt in prompts)
        padded = torch.full((len(prompts), longest, answers.shape[2]), -1, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            padded[row, longest - len(prompt.tokens) :] = prompt.tokens
        self._prompts = padded.repeat_interleave(torch.tensor(list(counts)), 0).to(answers.device)
        self._answers = answers

    def answered(self, rows: Tensor, step: int, stream: int, window: int) -> Tensor:
        """The last `window` tokens of the answers before this step, fewer where there are not so many: (rows, tokens)."""
        return self._answers[rows, max(0, step - window) : step, stream]

    def seen(self, rows: Tensor, step: int, stream: int, window: int) -> Tensor:
        """The last `window` tokens (0 = all) of prompt and answer before this step: (rows, tokens), -1 where there is none."""
        before = torch.cat([self._prompts[rows, :, stream], self._answers[rows, :step, stream]], 1)
        return before[:, -window:] if window else before


def penalised(logits: Tensor, seen: Tensor, settings: Drawing) -> Tensor:
    """Logits under `repetition_penalty` (CTRL, arXiv 1909.05858, as transformers and vLLM apply it).

    Args:
        logits: (rows, columns) float32.
        seen: (rows, tokens) columns of the tokens so far; one that is none of these columns stands for no token here.
        settings: the penalty.
    """
    rows, columns = logits.shape
    there = torch.zeros(rows, columns + 1, dtype=torch.bool, device=logits.device)
    there.scatter_(1, torch.where((seen < 0) | (seen >= columns), columns, seen), True)
    changed = torch.where(logits < 0, logits * settings.repetition_penalty, logits / settings.repetition_penalty)
    return torch.where(there[:, :columns], changed, logits)


def repeats(drawn: Tensor, last: Tensor, settings: Drawing) -> Tensor:
    """(rows,) bool: which drawn columns fill at least `ras_share` of the last `ras_window` ones.

    Args:
        drawn: (rows,) columns.
        last: (rows, tokens) columns, at most `ras_window` of them.
        settings: window and share.
    """
    return (last == drawn[:, None]).sum(1) >= settings.ras_share * settings.ras_window
