"""What pilot runs say about r2: how far chosen and rejected answers moved, whether that can go on, and a verdict.

Of answers that were sampled from the model, x1 (the mean log-ratio of the chosen ones, nats per token) is what a step gains
to first order, less a KL divergence that grows with the square of the displacement. The chosen answers therefore fall at any
r2 once the rate is high enough, at r2 = 0 too, and a first-order measure (cosine and norms of the two gradients) cannot see
it. Pilots can: `training.pilot` makes the first steps of the training itself, and looks at held-out pairs.

Below the reference LPO's objective is a x1 - b x2, with a the pull that holds the chosen answers up (gamma included) and b
the push on the rejected ones. Along a displacement both fall by even parts, x1 and x2 averaged over plus and minus it. With
rho the ratio of these, the objective is bounded as long as b / a < rho; above, falling together pays, and the model collapses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lpo_tts.losses.lpo import Weighted

GRID = (0.0, 0.2, 0.4, 0.8)
STEPS = 32  # on the mini run every collapse showed by then

# Ours, from the first 32 steps of the mini run on three seeds. With the shipped setting, which trains well, b / a was 0.36
# of rho, and r2 lowered the chosen by 0.3 to 0.5 times what the rate alone did. With those that collapse both were higher: at
# least 0.72, and 1.7 times. The bounds lie between. At the end of the run the chosen stood 0.15 nats per token below the
# reference at most in the former, and 0.5 at least in the latter (seed 0).
EDGE = 0.5
DANGER = 0.6
FALL = 1.0
COLLAPSE = 0.5

SAFE, AT_THE_EDGE, DANGEROUS = "safe", "at the edge", "dangerous"
RULE = (
    f"rule (constants ours, from the mini run): safe = b/a at most {EDGE:g} rho, and r2 lowers the chosen by no more than the",
    f"rate does; dangerous = b/a above {DANGER:g} rho and r2 lowers them by more, or x1 below -{COLLAPSE:g}, or training broke",
    "off; else at the edge",
)


class Estimate(NamedTuple):
    """A mean over held-out pairs and its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Tensor) -> "Estimate":
        """From one value per pair, (pairs,)."""
        return cls(float(values.mean()), float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.inf)

    @property
    def clear(self) -> bool:
        """Whether it is finite and further from 0 than two standard errors."""
        return math.isfinite(self.value) and abs(self.value) > 2 * self.error

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "not finite"
        return f"{self.value:+.3f}" + (f" ± {self.error:.3f}" if math.isfinite(self.error) else "")


@dataclass(frozen=True, eq=False)
class Trial:
    """One pilot.

    Attributes:
        r2: its weight of the rejected answers.
        pull: b / a of its loss.
        steps: optimizer steps made.
        moved: (pairs, 2), nats per token: x1 and x2 of every held-out pair after the steps.
        mirrored: the same at minus the displacement of the weights.
        stopped: why training could not go on; empty where it could.
    """

    r2: float
    pull: float
    steps: int
    moved: Tensor
    mirrored: Tensor
    stopped: str = ""

    @property
    def chosen(self) -> Estimate:
        """x1."""
        return Estimate.of(self.moved[:, 0])

    @property
    def rejected(self) -> Estimate:
        """x2."""
        return Estimate.of(self.moved[:, 1])

    @property
    def accuracy(self) -> float:
        """Share of the held-out pairs with x1 > x2."""
        return float((self.moved[:, 0] > self.moved[:, 1]).double().mean())

    @property
    def linear(self) -> Estimate:
        """The part of x1 that is odd in the displacement: what first order would have promised."""
        return Estimate.of((self.moved[:, 0] - self.mirrored[:, 0]) / 2)

    @property
    def rho(self) -> float | None:
        """Ratio of the even parts of x1 and x2; None unless both are clearly below 0."""
        chosen, rejected = (Estimate.of((self.moved[:, i] + self.mirrored[:, i]) / 2) for i in (0, 1))
        if not (chosen.clear and rejected.clear and chosen.value < 0 and rejected.value < 0):
            return None
        return chosen.value / rejected.value


def pull(loss: Weighted) -> float:
    """B / a, the push on the rejected answers over what holds the chosen ones, both below the reference.

    With `lpo-ste`, F = 4 beta / (r1 + r2): a = F r1 + gamma and b = F r2; with `lpo-r`, F = 4 beta.
    """
    chosen = loss.chosen_gradient()
    holds, pushes = chosen + loss.floor_weight, chosen * (loss.r2 / loss.r1)
    value = pushes / holds if holds > 0 else math.inf
    return math.inf if math.isnan(value) else value  # weights at the ends of what a float holds


@dataclass(frozen=True)
class Verdict:
    """What is said of one r2, and why."""

    word: str
    reasons: tuple[str, ...]


def judge(trial: Trial, zero: Trial, rho: float) -> Verdict:
    """The verdict on one pilot.

    There are two signs. The *pull*: b / a is above DANGER * rho. The *fall*: the chosen answers stand below the reference, and
    r2 lowered them by more than FALL times what the rate alone did, pair by pair and beyond two standard errors. Both
    together are dangerous, and so are training that broke off and chosen answers more than COLLAPSE below the reference.
    The fall alone, or b / a above EDGE * rho, is at the edge. The constants are ours.

    Args:
        trial: of some r2.
        zero: the pilot at r2 = 0 from the same weights, on the same pairs.
        rho: what b / a is compared with.
    """
    if trial.stopped:
        return Verdict(DANGEROUS, (f"training broke off after {trial.steps} steps: {trial.stopped}",))
    if not (math.isfinite(trial.chosen.value) and math.isfinite(trial.rejected.value)):
        return Verdict(DANGEROUS, ("the held-out log-ratios are not finite",))
    fall = Estimate.of(zero.moved[:, 0] - trial.moved[:, 0])
    drift = max(-zero.chosen.value, 0.0)
    fell = fall.clear and fall.value > FALL * drift and trial.chosen.clear and trial.chosen.value < 0
    collapsed = trial.chosen.value < -COLLAPSE
    share = trial.pull / rho
    reasons = []
    if collapsed:
        reasons.append(f"the chosen stand {_number(-trial.chosen.value)} nats per token below the reference")
    if share > EDGE:
        reasons.append(f"b/a is {_number(share)} of rho")
    if fell:
        times = f", {_number(fall.value / drift)} times what the rate alone does" if drift > 0 else ""
        reasons.append(f"r2 lowers the chosen by {fall.value:.3f}{times}")
    if collapsed or (fell and share > DANGER):
        return Verdict(DANGEROUS, tuple(reasons))
    return Verdict(AT_THE_EDGE if reasons else SAFE, tuple(reasons))


def reference_rho(trials: Sequence[Trial]) -> tuple[float, str]:
    """What b / a is compared with, and where it is from: rho at the smallest r2 at which it can be measured."""
    for trial in sorted(trials, key=lambda one: one.r2):
        if trial.rho is not None:
            return trial.rho, f"measured along the displacement at r2 = {trial.r2:g}"
    return 1.0, "taken, since the answers did not clearly fall along any displacement"


def lines(trials: Sequence[Trial], own: float) -> list[str]:
    """The table of pilots, their verdicts and the rule; `own` is the recipe's r2, and one trial is at r2 = 0."""
    zero = next(trial for trial in trials if trial.r2 == 0)
    rho, origin = reference_rho(trials)
    verdicts = [judge(trial, zero, rho) for trial in trials]
    rows = [("r2", "x1 (chosen)", "x2 (rejected)", "x1 to 1st order", "x1 > x2", "b/a", "rho", "verdict")]
    for trial, verdict in zip(trials, verdicts, strict=True):
        linear = trial.linear
        rows.append(
            (
                f"{trial.r2:g}{' *' if trial.r2 == own else ''}",
                str(trial.chosen),
                str(trial.rejected),
                str(linear) if linear.clear or not math.isfinite(linear.value) else "no signal",
                f"{100 * trial.accuracy:.0f} %",
                _number(trial.pull),
                "-" if trial.rho is None else _number(trial.rho),
                verdict.word,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    why = [
        f"r2 = {trial.r2:g}: {verdict.word}: {'; '.join(verdict.reasons)}"
        for trial, verdict in zip(trials, verdicts, strict=True)
        if verdict.reasons
    ]
    safe = [trial.r2 for trial, verdict in zip(trials, verdicts, strict=True) if verdict.word == SAFE]
    return [
        *table,
        f"* the recipe's own r2; r2 = 0 shows what the rate alone does to the chosen answers: {zero.chosen}",
        f"rho = {_number(rho)}, {origin}",
        *why,
        f"the largest of these r2 that is safe: {max(safe):g}" if safe else "none of these r2 is safe; lower the rate first",
        *RULE,
    ]


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "not finite"
