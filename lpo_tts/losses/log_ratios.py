"""Log-ratios policy - reference of a batch of pairs, and the refusal of hyper-parameters out of range."""

import math

from torch import Tensor

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Reduction


def log_ratios(policy: PairLogps, reference: PairLogps | None, reduction: Reduction) -> tuple[Tensor, Tensor]:
    """Returns x1 (chosen) and x2 (rejected), each (batch,): nats per answer ("sum") or per token ("mean").

    Raises ContractError when there is no reference, or when it counted other answer tokens than the policy:
    then the two did not score the same answers.
    """
    if reference is None:
        raise ContractError("this loss compares with the reference model, but no reference log-probs were given")
    for name in ("chosen", "rejected"):
        ours, theirs = getattr(policy, name).num_tokens, getattr(reference, name).num_tokens
        if ours is not theirs and not bool((ours == theirs).all()):
            raise ContractError(
                f"the policy scored {ours.tolist()} tokens of the {name} answers, the reference {theirs.tolist()}; "
                "make the reference log-probs anew from the same pairs"
            )
    if reduction == "sum":
        return policy.chosen.total - reference.chosen.total, policy.rejected.total - reference.rejected.total
    return policy.chosen.mean - reference.chosen.mean, policy.rejected.mean - reference.rejected.mean


def check_range(
    loss: object, name: str, low: float, high: float = math.inf, *, open_low: bool = False, open_high: bool = False
) -> None:
    """Raises ConfigError, with the range, unless low <= loss.name <= high; None passes.

    Args:
        loss: whose attribute is looked at.
        name: the attribute.
        low: the smallest value allowed.
        high: the largest value allowed; infinity itself never is.
        open_low: `low` itself is refused.
        open_high: `high` itself is refused.
    """
    value = getattr(loss, name)
    if value is None:
        return
    above = low < value if open_low else low <= value
    below = value < high if open_high else value <= high
    if not (above and below and math.isfinite(value)):
        left = f"({low:g}" if open_low else f"[{low:g}"
        right = "infinity)" if high == math.inf else f"{high:g})" if open_high else f"{high:g}]"
        raise ConfigError(f"{type(loss).__name__}.{name} = {value!r} lies outside {left}, {right}")


def check_choice(loss: object, name: str, choices: tuple[str, ...]) -> None:
    """Raises ConfigError unless loss.name is one of `choices`."""
    value = getattr(loss, name)
    if value not in choices:
        raise ConfigError(f"{type(loss).__name__}.{name} = {value!r} is none of {', '.join(choices)}")
