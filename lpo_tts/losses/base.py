"""What every preference loss takes and gives: typed log-probs in, one loss per row out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from lpo_tts.bounds import Range, check_settings
from lpo_tts.errors import ContractError
from lpo_tts.logprobs import ListLogps, Logps, PairLogps

Reduction = Literal["mean", "sum"]
Need = Literal["none", "logps", "tokens", "logits", "hidden"]  # each holds what stands before it
Logits = Literal["none", "policy", "both"]  # likewise
DataKind = Literal["pair", "unpaired", "list"]


class Adversary(Protocol):
    """Networks that learn beside the model, and that the loss asks for their opinion of it."""

    def update(
        self, policy: PairLogps, reference: PairLogps, learning_rate: float, gather: Callable[[Tensor], Tensor]
    ) -> Mapping[str, float]:
        """Learns from one batch with hidden states, before the loss is called on it; returns numbers for the log."""
        ...

    def state_tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint has to hold of it."""
        ...

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up what `state_tensors` gave."""
        ...


def _same(rows: Tensor) -> Tensor:
    return rows


@dataclass(frozen=True)
class Context:
    """What a loss may use beside log-probs; every field is empty where the loss does not declare it.

    Attributes:
        margins: per metric, (batch,): by how much the chosen answer is better (>= 0), nan where it was not scored.
        aspects: per pair, in what its two answers differ: "content", "style", or "" where the pair does not say.
        scores: for lists, (rows,): higher is better.
        mismatched: for KTO, (policy, reference) log-probs of answers under other rows' prompts, without gradient.
        importance: for TKTO, of (desirable, undesirable) answers, (rows, longest) each: the factor of a token's cost.
            None: all 1.
        state: numbers that live from step to step (`Loss.initial_state`).
        adversary: what `Loss.make_adversary` made (GANPO's discriminators).
        gather: concatenates a (rows,) tensor over all processes; gradients reach this process's rows alone, scaled so
            that averaging over processes (as DDP does) gives the gradient of the whole.
    """

    margins: Mapping[str, Tensor] = field(default_factory=dict)
    aspects: Sequence[str] = ()
    scores: Tensor | None = None
    mismatched: tuple[Logps, Logps] | None = None
    importance: tuple[Tensor, Tensor] | None = None
    state: Mapping[str, float] = field(default_factory=dict)
    adversary: Adversary | None = None
    gather: Callable[[Tensor], Tensor] = _same


@dataclass(frozen=True)
class LossOutput:
    """losses: one per row (pair, answer or list); rewards are beta * log-ratio, detached, beta being that of the row.

    `terms` holds named parts of the loss, (rows,) detached, for logging (the gamma term apart, say).
    `observed` holds numbers per row, (rows,) detached, whose mean over the step makes the next state.
    """

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    observed: dict[str, Tensor] = field(default_factory=dict)


class Loss(ABC):
    """A preference loss: a frozen dataclass of its hyper-parameters that is called on log-probs.

    A loss inherits this, states what differs from the declarations below, and defines `__call__`. One that is a formula on
    two numbers per pair inherits `losses.pairs.PairLoss` and defines that formula alone. `lpo_tts.testing.check_loss` says
    whether a loss keeps what it declares.

    Attributes:
        paper: where the loss was published: "arXiv 2305.18290, eq. 7".
        bounds: hyper-parameter -> its range; checked when a loss is made. A field annotated as a Literal needs no entry.
        data: what a row is: a pair, an answer with a label, or a ranked list of answers.
        reduction: over the tokens of an answer: which log-ratio the loss is defined on, per token or summed.
        needs_reference: what of the frozen model the loss compares with; "none", "logps" and "tokens" can be computed once
            and kept, with "logits" and "hidden" the frozen model runs at every step.
        needs_tokens: whether it needs the policy's log-probs token by token.
        needs_logits: whose logits are handed to `over_vocabulary`.
        needs_margins: whether it looks at `Context.margins`.
        needs_adversary: whether networks are trained beside the model (`make_adversary`); needs hidden states.
        over_batch: whether rows depend on each other (batch statistics, over all processes).
        takes_weights: whether the data may have token weights; False where places of tokens count, which weights hide.
        takes_importance: whether it has a cost for every token, and reads `Context.importance`.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    paper: ClassVar[str] = ""
    bounds: ClassVar[Mapping[str, Range]] = {}
    data: ClassVar[DataKind] = "pair"
    reduction: ClassVar[Reduction] = "sum"
    needs_reference: ClassVar[Need] = "logps"
    needs_tokens: ClassVar[bool] = False
    needs_logits: ClassVar[Logits] = "none"
    needs_margins: ClassVar[bool] = False
    needs_adversary: ClassVar[bool] = False
    over_batch: ClassVar[bool] = False
    takes_weights: ClassVar[bool] = True
    takes_importance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_settings(self, type(self).__name__)

    @abstractmethod
    def __call__(
        self, policy: PairLogps | ListLogps, reference: PairLogps | ListLogps | None, context: Context = Context()
    ) -> LossOutput:
        """One loss per row. PairLogps for pairs and for labelled answers, ListLogps for lists.

        Raises ContractError when something is missing that the loss declares.
        """

    @property
    def target_margin(self) -> float | None:
        """The finite margin the loss aims at, in the unit of its reduction; None without one."""
        return None

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor | None:
        """(batch,) bool: which pairs have passed the target, so that the chosen answer is pushed down; None: no pair ever is.

        Args:
            x1: (batch,) log-ratios of the chosen answers, in the loss's reduction.
            x2: of the rejected ones.
        """
        return None if self.target_margin is None else x1 - x2 > self.target_margin

    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """Statistics over the vocabulary, computed chunk by chunk where the logits are at hand.

        Args:
            logits: (rows, vocabulary) float32, of the policy.
            reference_logits: the same of the frozen model, or None.
            targets: (rows,) the answer tokens.

        Returns:
            name -> (rows,); they arrive as `Logps.vocabulary` of the policy.
        """
        return {}

    def initial_state(self) -> dict[str, float]:
        """Numbers that live from step to step."""
        return {}

    def next_state(self, state: Mapping[str, float], observed: Mapping[str, float]) -> dict[str, float]:
        """The state after an optimizer step, from the means of `LossOutput.observed` over all rows and processes."""
        return dict(state)

    def make_adversary(self, width: int, seed: int, device: torch.device | str) -> Adversary:
        """The networks trained beside the model, for hidden states of `width`; the same for the same seed."""
        raise ContractError(f"{type(self).__name__} declares no adversary (needs_adversary), so there is none to make")
