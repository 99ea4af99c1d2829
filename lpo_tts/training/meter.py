"""What is measured of every batch of pairs, and the means that are logged."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lpo_tts.losses.base import Loss, LossOutput, PairLogps
from lpo_tts.losses.log_ratios import log_ratios


@torch.no_grad()
def pair_metrics(policy: PairLogps, reference: PairLogps | None, output: LossOutput, loss: Loss) -> dict[str, Tensor]:
    """Per pair, (batch,) each: the loss and its terms, TRL's names, and what shows where a run is going.

    `logps/*` are sums over the answer in nats, as in TRL; `log_ratios/*` are per token.
    """
    margins = output.chosen_rewards - output.rejected_rewards
    metrics = {
        "loss": output.losses,
        "rewards/chosen": output.chosen_rewards,
        "rewards/rejected": output.rejected_rewards,
        "rewards/margins": margins,
        "rewards/accuracies": margins > 0,
        "logps/chosen": policy.chosen.total,
        "logps/rejected": policy.rejected.total,
    }
    metrics.update({f"loss/{name}": term for name, term in output.terms.items()})
    if reference is not None:
        chosen, rejected = log_ratios(policy, reference, "mean")
        metrics["log_ratios/chosen"] = chosen
        metrics["log_ratios/rejected"] = rejected
        metrics["log_ratios/margins"] = chosen - rejected
        metrics["chosen_below_reference"] = chosen < 0
        beyond_target = getattr(loss, "beyond_target", None)
        if beyond_target is not None:
            metrics["overshoot"] = beyond_target(*log_ratios(policy, reference, loss.reduction))
    return {name: value.detach().float() for name, value in metrics.items()}


class Meter:
    """Sums of metrics since they were last drained; its state is plain numbers, so that a checkpoint can hold it."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Adds a batch of per-pair values, (batch,) each."""
        values = torch.stack(list(metrics.values())).double().sum(-1).tolist()
        for name, value in zip(metrics, values, strict=True):
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += len(next(iter(metrics.values())))

    def drain(self) -> dict[str, float]:
        """Means over the pairs since the last call."""
        means = {name: value / max(self.count, 1) for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"sums": self.sums, "count": self.count}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the sums of a checkpoint."""
        self.sums, self.count = dict(state["sums"]), int(state["count"])
