"""What a recipe's `train` and LPOConfig both set: how answers are cut and go through the model, and which weights are final."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.lm.logps import Head
from lpo_tts.training.preparing import TooLong


@dataclass(frozen=True)
class PassSettings:
    """How a batch goes through the model, and what of it counts.

    `pack`, `share_prompts`, `head` and `token_budget` change speed and memory, not losses.

    Attributes:
        pack: whether answers stand one after the other in one row, without padding; else one padded row each.
        share_prompts: whether the answers of a prompt go through the model together, and the prompt once; packed only.
        head: "fused" computes the answers' log-probs a tile of logits at a time; "answers" holds the logits of the
            answers, "full" those of all places. All three give the same losses and gradients.
        token_budget: a batch with more tokens is cut into several forward and backward passes; packed only. None: not cut.
        max_answer_tokens: longest answer that is learnt from, in tokens; None: any.
        too_long: what becomes of an example with a longer answer than that: "drop" and "cut" are counted, "error" stops.
        average_from: share of the steps after which the weights are averaged; None: the last weights are final.
    """

    pack: bool = True
    share_prompts: bool = True
    head: Head = "fused"
    token_budget: int | None = 2048
    max_answer_tokens: int | None = None
    too_long: TooLong = "drop"
    average_from: float | None = None

    where: ClassVar[str] = ""  # what stands before a setting's name in messages
    bounds = {
        "token_budget": at_least(1),
        "max_answer_tokens": at_least(1),
        "average_from": at_least(0).at_most(0.99),
    }

    def __post_init__(self) -> None:
        check_settings(self, self.where)


def pass_settings(other: object) -> dict[str, Any]:
    """The fields of PassSettings as another object has them, which sets them under the same names."""
    return {field.name: getattr(other, field.name) for field in dataclasses.fields(PassSettings)}
