"""Log-ratios policy - reference of answers, and sums over an answer of what a loss measured over the vocabulary."""

from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Reduction


def log_ratio(policy: Logps, reference: Logps | None, reduction: Reduction, answers: str = "answers") -> Tensor:
    """(batch,): nats per answer ("sum") or per token ("mean").

    Args:
        policy: log-probs of the policy.
        reference: log-probs of the frozen model.
        reduction: over the tokens of an answer.
        answers: which ones they are, for messages.

    Raises:
        ContractError: there is no reference, or it counted other answer tokens than the policy: then the two did not
            score the same answers.
    """
    theirs = counterpart(policy, reference, answers)
    return policy.total - theirs.total if reduction == "sum" else policy.mean - theirs.mean


def log_ratios(policy: PairLogps, reference: PairLogps | None, reduction: Reduction) -> tuple[Tensor, Tensor]:
    """x1 (chosen) and x2 (rejected) of a batch of pairs: see `log_ratio`."""
    return (
        log_ratio(policy.chosen, reference and reference.chosen, reduction, "chosen answers"),
        log_ratio(policy.rejected, reference and reference.rejected, reduction, "rejected answers"),
    )


def token_log_ratio(policy: Logps, reference: Logps | None, loss: str, answers: str = "answers") -> Tensor:
    """(batch, longest): nats, token by token; 0 past the end of an answer.

    Raises ContractError as `log_ratio` does, and, naming the loss, where only whole answers have log-probs.
    """
    theirs = counterpart(policy, reference, answers)
    if policy.tokens is None or theirs.tokens is None:
        raise ContractError(f"{loss} compares token by token, but only whole answers have log-probs; give both models' tokens")
    return policy.tokens - theirs.tokens


def counterpart(policy: Logps, reference: Logps | None, answers: str = "answers") -> Logps:
    """The reference; raises ContractError unless it scored the same answers as the policy."""
    if reference is None:
        raise ContractError("this loss compares with the reference model, but no reference log-probs were given")
    ours, theirs = policy.num_tokens, reference.num_tokens
    if ours is not theirs and not bool((ours == theirs).all()):
        raise ContractError(
            f"the policy scored {ours.tolist()} tokens of the {answers}, the reference {theirs.tolist()}; "
            "make the reference log-probs anew from the same pairs"
        )
    return reference


def vocabulary_sum(logps: Logps, name: str) -> Tensor:
    """(batch,): a statistic of `over_vocabulary`, summed over an answer's tokens (it is 0 past the end of an answer).

    Raises ContractError when the policy's log-probs do not hold it.
    """
    if name not in logps.vocabulary:
        raise ContractError(
            f"this loss needs {name!r} of every answer token, found {sorted(logps.vocabulary) or 'nothing'} in the policy's "
            "Logps.vocabulary; hand the logits to the loss's over_vocabulary"
        )
    return logps.vocabulary[name].sum(-1)
