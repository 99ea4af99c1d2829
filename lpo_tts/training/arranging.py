"""From answers in the order of the examples to what a loss takes: pairs, labelled answers, lists."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lpo_tts.logprobs import ListLogps, Logps, PairLogps


def split_pairs(logps: Logps) -> PairLogps:
    """Parts the answers of pairs, which come in twos."""
    return PairLogps(logps.rows(slice(0, None, 2)), logps.rows(slice(1, None, 2)))


def arrange(logps: Logps, batch: Mapping[str, Any], kind: str) -> PairLogps | ListLogps:
    """Answers in the order of the examples, as a loss of this kind takes them."""
    if kind == "list":
        return ListLogps(logps, batch["sizes"])
    if "desirable" in batch:
        return PairLogps(logps.rows(batch["desirable"]), logps.rows(~batch["desirable"]))
    return split_pairs(logps)


def sides(rows: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Parts what a batch says of its answers, (answers, ...), into chosen and rejected, as `arrange` does log-probs."""
    if "desirable" in batch:
        return rows[batch["desirable"]], rows[~batch["desirable"]]
    return rows[0::2], rows[1::2]
