"""What every preference loss takes and gives: typed log-probs in, one loss per row out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor

from lpo_tts.logprobs import Logps

Reduction = Literal["sum", "mean"]
Need = Literal["none", "logps", "tokens", "logits", "hidden"]  # each holds what stands before it
DataKind = Literal["pair", "unpaired", "list"]


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
        state: numbers that live from step to step (`Preference.initial_state`).
        adversary: the modules a loss trains beside the model (GANPO's discriminators).
        gather: concatenates a (rows,) tensor over all processes; gradients reach this process's rows alone, scaled so
            that averaging over processes (as DDP does) gives the gradient of the whole.
    """

    margins: Mapping[str, Tensor] = field(default_factory=dict)
    aspects: Sequence[str] = ()
    scores: Tensor | None = None
    mismatched: tuple[Logps, Logps] | None = None
    importance: tuple[Tensor, Tensor] | None = None
    state: Mapping[str, float] = field(default_factory=dict)
    adversary: Any = None
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


class Loss(Protocol):
    """A preference loss: a frozen dataclass of its hyper-parameters that is called on log-probs."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def needs_reference(self) -> Need:
        """What of the frozen model the loss compares with; "none", "logps" and "tokens" can be computed once and kept."""
        ...

    @property
    def reduction(self) -> Reduction:
        """Over the tokens of an answer: which log-ratio the loss is defined on."""
        ...

    def __call__(self, policy: Any, reference: Any, context: Context = ...) -> LossOutput:
        """One loss per row; PairLogps or, for lists, ListLogps."""
        ...


class Preference:
    """What a loss declares, at its most common value; a loss inherits this and states what differs."""

    needs_reference: Need = "logps"
    reduction: Reduction = "sum"
    needs_tokens: ClassVar[bool] = False  # log-probs token by token, of the policy
    needs_logits: ClassVar[Literal["none", "policy", "both"]] = "none"  # logits handed to `over_vocabulary`
    data: ClassVar[DataKind] = "pair"
    over_batch: ClassVar[bool] = False  # rows depend on each other: batch statistics, over all processes
    needs_margins: ClassVar[bool] = False
    takes_weights: bool = True  # token weights of the data; False where places of tokens count, which weights hide
    paper: ClassVar[str] = ""  # "arXiv 2305.18290, eq. 7"

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
