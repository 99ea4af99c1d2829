"""What is measured of every batch, and the means that are logged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lpo_tts.logprobs import ListLogps, PairLogps
from lpo_tts.losses.base import Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios


@torch.no_grad()
def row_metrics(
    policy: PairLogps | ListLogps, reference: PairLogps | ListLogps | None, output: LossOutput, loss: Loss
) -> dict[str, Tensor]:
    """Per row: the loss and its terms, TRL's names, and what shows where a run is going.

    `logps/*` are sums over the answer in nats, as in TRL; `log_ratios/*` are per token. Of a list, the best and the worst
    answer count as chosen and rejected. Unpaired answers have no margins; a metric may have fewer rows than another.
    """
    if isinstance(policy, ListLogps):
        policy = _ends(policy)
        reference = _ends(reference) if isinstance(reference, ListLogps) else None
    chosen, rejected = output.chosen_rewards, output.rejected_rewards
    metrics = {
        "loss": output.losses,
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "logps/chosen": policy.chosen.total,
        "logps/rejected": policy.rejected.total,
    }
    paired = len(policy.chosen.total) == len(policy.rejected.total) == len(output.losses)
    if paired:
        metrics["rewards/margins"] = chosen - rejected
        metrics["rewards/accuracies"] = chosen > rejected
    metrics.update({f"loss/{name}": term for name, term in output.terms.items()})
    if isinstance(reference, PairLogps):
        x1 = policy.chosen.mean - reference.chosen.mean
        x2 = policy.rejected.mean - reference.rejected.mean
        metrics["log_ratios/chosen"], metrics["log_ratios/rejected"] = x1, x2
        metrics["chosen_below_reference"] = x1 < 0
        if paired:
            metrics["log_ratios/margins"] = x1 - x2
            beyond_target = loss.beyond_target(*log_ratios(policy, reference, loss.reduction))
            if beyond_target is not None:
                metrics["overshoot"] = beyond_target
    return {name: value.detach().float() for name, value in metrics.items()}


def _ends(lists: ListLogps) -> PairLogps:
    ends = torch.tensor(lists.sizes).cumsum(0)
    first = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
    return PairLogps(lists.answers.rows(first), lists.answers.rows(ends - 1))


class Meter:
    """Sums of metrics since they were last drained; its state is plain numbers, so that a checkpoint can hold it."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}  # name -> [sum, rows]

    def add(self, metrics: Mapping[str, Tensor], reduce: Callable[[Tensor], Tensor] | None = None) -> None:
        """Adds a batch of per-row values; `reduce` adds (names, 2) sums and counts up over all processes."""
        table = torch.stack([torch.stack([v.double().sum(), v.new_tensor(len(v)).double()]) for v in metrics.values()])
        self.take_in(dict(zip(metrics, (table if reduce is None else reduce(table)).tolist(), strict=True)))

    def take_in(self, sums: Mapping[str, Sequence[float]]) -> None:
        """Adds the sums of another meter."""
        for name, (total, count) in sums.items():
            before = self.sums.setdefault(name, [0.0, 0.0])
            before[0] += total
            before[1] += count

    def drain(self) -> dict[str, float]:
        """Means over the rows since the last call; metrics without rows are left out."""
        means = {name: total / count for name, (total, count) in self.sums.items() if count}
        self.sums = {}
        return means

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"sums": self.sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the sums of a checkpoint."""
        self.sums = {name: list(pair) for name, pair in state["sums"].items()}
