"""epsilon-DPO (Lee et al., arXiv 2502.13177): DPO whose beta follows what a slightly other beta would have ranked."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.errors import ContractError
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios, vocabulary_sum


@dataclass(frozen=True)
class EpsilonDPO(Loss):
    """`-log sigmoid(beta_i m)` with `beta_i = beta / (1 + epsilon step_i)`, a constant for the gradient.

    The policy that a slightly smaller beta would have given has the logits `z_ref + lambda (z - z_ref)`,
    lambda = 1 + epsilon; a larger beta, lambda = 1 - epsilon. R(lambda) is that policy's log-prob of the chosen less that
    of the rejected answer, and step_i says where it grows: +1 if R(1 + epsilon) > R(1) > R(1 - epsilon), -1 if the other
    way round, else 0. After an optimizer step beta becomes `beta / (1 + epsilon mean step)`, the mean being over all rows
    of the step. The full distributions of both models are needed, and beta lives in the state. A pair's rewards are
    beta_i times its log-ratios, as in the authors' code.

    log 2 where policy and reference agree; step is 0 there, since the three policies are one.

    Attributes:
        epsilon: relative change of beta that is tried, in (0, 1); 0.01 is the paper's.
        beta: at the start, in (0, infinity); 0.01 is the paper's.
    """

    epsilon: float = 0.01
    beta: float = 0.01

    needs_reference = "logits"
    needs_logits = "both"
    bounds = {"beta": above(0), "epsilon": above(0).below(1)}
    paper = "arXiv 2502.13177"

    @torch.no_grad()
    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """{"relaxed", "unchanged", "tightened"}: log-probs of the targets at lambda = 1 + epsilon, 1 and 1 - epsilon.

        Without gradient. The one at lambda = 1 is computed again, since `Logps.total` may come from logits of another
        precision: under bf16 the two differ by more than epsilon does.
        """
        if reference_logits is None:
            raise ContractError("EpsilonDPO mixes the logits of both models, but no reference logits were given")
        # written as a step away from z, so that equal models give equal log-probs to the last bit
        away = (logits - reference_logits).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)  # entries excluded by -inf
        mixed = {"relaxed": logits + self.epsilon * away, "unchanged": logits, "tightened": logits - self.epsilon * away}
        return {name: z.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1) for name, z in mixed.items()}

    def initial_state(self) -> dict[str, float]:
        """{"beta": beta}."""
        return {"beta": self.beta}

    def next_state(self, state: Mapping[str, float], observed: Mapping[str, float]) -> dict[str, float]:
        """Beta divided by 1 + epsilon times the mean step."""
        return {"beta": state["beta"] / (1 + self.epsilon * observed["step"])}

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; observed: "step". Without a state, beta is that of the start."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        beta = (context.state or self.initial_state())["beta"]
        relaxed, here, tightened = (
            vocabulary_sum(policy.chosen, name) - vocabulary_sum(policy.rejected, name)
            for name in ("relaxed", "unchanged", "tightened")
        )
        grows = (relaxed > here) & (here > tightened)
        falls = (relaxed < here) & (here < tightened)
        step = grows.to(x1.dtype) - falls.to(x1.dtype)
        own = beta / (1 + self.epsilon * step)
        return LossOutput(-logsigmoid(own * (x1 - x2)), own * x1.detach(), own * x2.detach(), observed={"step": step})
