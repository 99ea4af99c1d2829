"""The best and the worst share of an order: what `percentile` and `rank_sum` have in common."""

import math
from collections.abc import Iterator, Sequence

from lpo_tts.rules.base import NONE_GOOD, Dropped, Scored

FEW = Dropped("too few candidates for a share")


def outer(order: Sequence[Scored], share: float) -> Iterator[tuple[Scored, Scored] | Dropped]:
    """The i-th of the first share of an order with the i-th last of its last share.

    Args:
        order: candidates, best first.
        share: of the candidates on either side, in (0, 0.5]; rounded down, at least one candidate. Of the first share, those
            that cannot be chosen are passed over.
    """
    if not order:
        return
    if len(order) < 2:
        yield FEW
        return
    size = max(1, math.floor(share * len(order) + 1e-9))
    good = [one for one in order[:size] if one.choosable]
    if not good:
        yield NONE_GOOD
    yield from zip(good, order[::-1][:size], strict=False)
