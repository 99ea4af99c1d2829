"""Forced alignment of CTC: when a recogniser's symbols of a given text are said, by the most probable path."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.errors import ContractError


@dataclass(frozen=True)
class Forced:
    """The best path of a text through log-probabilities.

    Attributes:
        spans: of each symbol, the first frame in which the path stays on it and the one after the last.
        total: log-probability of the path, in nats.
    """

    spans: tuple[tuple[int, int], ...]
    total: float


def force(logps: Tensor, ids: Sequence[int], blank: int = 0) -> Forced:
    """Viterbi over the paths of CTC that read as `ids` (Graves et al. 2006, 10.1145/1143844.1143891, section 4.1).

    A path may stay on a symbol or on the blank, goes on to the next symbol, and needs a blank between two equal ones. Of
    equally probable paths it is the one that stays longest where it is.

    Args:
        logps: (num_frames, num_symbols) log-probabilities.
        ids: symbols of the text, the blank not among them; () is said by blanks alone.
        blank: id of CTC's blank.

    Raises:
        ContractError: the blank is in the text, an id lies outside the table, or there are too few frames for the text.
    """
    num_frames, num_symbols = logps.shape
    wrong = [one for one in ids if one == blank or not 0 <= one < num_symbols]
    if wrong:
        raise ContractError(f"ids: expected symbols from 0 to {num_symbols - 1} other than the blank {blank}, found {wrong}")
    needed = len(ids) + sum(one == other for one, other in itertools.pairwise(ids))
    if num_frames < max(1, needed):
        raise ContractError(f"expected at least {max(1, needed)} frames for a text of {len(ids)} symbols, found {num_frames}")
    # States: blank, first symbol, blank, second symbol, ..., blank.
    states = torch.full((2 * len(ids) + 1,), blank, dtype=torch.long)
    states[1::2] = torch.tensor(ids, dtype=torch.long)
    skips = torch.zeros(len(states), dtype=torch.bool)  # whether a state may follow the one before the last
    skips[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    emitted = logps.detach().to("cpu", torch.float64)[:, states]
    best = torch.full((len(states),), -torch.inf, dtype=torch.float64)
    best[:2] = emitted[0, :2]
    steps = torch.zeros(num_frames, len(states), dtype=torch.long)  # by how many states the path came on
    for frame in range(1, num_frames):
        ways = torch.full((3, len(states)), -torch.inf, dtype=torch.float64)
        ways[0] = best
        ways[1, 1:] = best[:-1]
        ways[2, 2:] = torch.where(skips[2:], best[:-2], -torch.inf)
        best, steps[frame] = ways.max(0)
        best = best + emitted[frame]
    state = len(states) - 1
    if len(ids) and best[-2] > best[-1]:
        state -= 1
    total, path = float(best[state]), [state]
    for frame in range(num_frames - 1, 0, -1):
        state -= int(steps[frame, state])
        path.append(state)
    path.reverse()
    spans = [[frame for frame, state in enumerate(path) if state == 2 * place + 1] for place in range(len(ids))]
    return Forced(tuple((own[0], own[-1] + 1) for own in spans), total)
