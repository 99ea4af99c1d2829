"""Pairs that the frozen model tells apart already, by the mean log-probs of their answers."""

from collections.abc import Sequence

from lpo_tts.training.examples import PairExample
from lpo_tts.training.reference import ReferenceLogps


def within_reference_gap(
    pairs: Sequence[PairExample], reference: ReferenceLogps, largest: float, max_answer_tokens: int | None = None
) -> tuple[list[PairExample], list[PairExample]]:
    """Pairs to learn from, and those left out, after the filter of the LPO authors' data preparation (`> 2.0` there).

    Left out is a pair whose chosen answer has a mean log-prob per counted token that exceeds that of the rejected one by
    more than `largest`: there is little left to learn from it. Kept whatever their log-probs are pairs whose rejected answer
    is over-long, as in the authors' code: runaways are to stay.

    Args:
        pairs: before their answers are cut.
        reference: log-probs of the frozen model. Pairs that are not there, since an answer was too long, are kept for whoever
            counts those.
        largest: nats per token.
        max_answer_tokens: a rejected answer with more steps than this is over-long; None: none is. The authors count the
            prompt's tokens too (4097 in all).
    """
    scored = set(reference.ids)
    kept, left_out = [], []
    for pair in pairs:
        over_long = max_answer_tokens is not None and len(pair.rejected_ids) > max_answer_tokens
        beyond = not over_long and pair.id in scored and reference_gap(pair, reference) > largest
        (left_out if beyond else kept).append(pair)
    return kept, left_out


def reference_gap(pair: PairExample, reference: ReferenceLogps) -> float:
    """Mean log-prob of the chosen answer minus that of the rejected one, nats per counted token, by the frozen model.

    Raises ContractError when the reference has no such pair.
    """
    found = reference.take([pair.id])
    chosen, rejected = (found.total / found.num_tokens.clamp(min=1)).tolist()
    return chosen - rejected
