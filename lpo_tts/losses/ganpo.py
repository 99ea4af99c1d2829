"""GANPO (arXiv 2601.22083): a preference loss, and two discriminators that hold the hidden states near the reference's."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

from lpo_tts.bounds import above, at_least
from lpo_tts.errors import ConfigError, ContractError, TrainingError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, LossOutput, Need
from lpo_tts.losses.wrapping import Wrapper, check_inner

MOMENTS = ("exp_avg", "exp_avg_sq")
MOMENTUM = 0.9  # of the running mean scores, the authors' code
OWN, REFERENCE, OTHER = 0, 1, 2  # a discriminator's three inputs: see `discriminator_loss`


def discriminator_loss(scores: Tensor, means: Tensor) -> Tensor:
    """(rows,) from scores (3, rows) and mean scores (3,): reference above policy, policy above the reference's other side.

    In the order OWN (the policy on this discriminator's side, chosen or rejected), REFERENCE (the frozen model on the
    same side), OTHER (the frozen model on the other side).
    """
    own, reference, other = scores - means[[REFERENCE, OWN, OWN]].unsqueeze(1)
    above_other = scores[OWN] - means[OTHER]
    # BCE with logits: softplus(-z) for the target 1, softplus(z) for 0
    return (softplus(-reference) + softplus(own) + softplus(-above_other) + softplus(other)) / 4


def generator_loss(score: Tensor, reference_mean: Tensor) -> Tensor:
    """(rows,): how far the policy's score lies below the reference's mean score."""
    return softplus(reference_mean - score)


def moved_means(old: Tensor, new: Tensor) -> Tensor:
    """The running mean scores after a batch whose mean scores are `new`."""
    return MOMENTUM * old + (1 - MOMENTUM) * new


class Discriminator(nn.Module):
    """Hidden states of answers to one score each: a small Transformer, its mean over the answer, and two linear layers."""

    def __init__(self, width: int, settings: "GANPO") -> None:
        super().__init__()
        size = settings.model_width
        self.stride = settings.stride
        enter, between, leave = nn.Linear(width, size), nn.Linear(size, size), nn.Linear(size, 1)
        self.positions = nn.Parameter(0.02 * torch.randn(settings.max_positions, size))
        # kept apart: nn.TransformerEncoder may cut a padded batch shorter than its mask
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size, settings.heads, settings.feedforward, settings.dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(settings.layers)
        )
        for name, values in (pair for part in (enter, between, leave, self.layers) for pair in part.named_parameters()):
            if values.dim() > 1:
                nn.init.xavier_uniform_(values)
            elif name.endswith("bias"):
                nn.init.zeros_(values)
        self.enter = spectral_norm(enter)
        self.leave = nn.Sequential(spectral_norm(between), nn.GELU(), spectral_norm(leave))

    def forward(self, answers: Logps) -> Tensor:
        """(rows,) float32 scores; every `stride`-th token is seen, up to `max_positions` of them."""
        if answers.hidden is None:
            raise ContractError("GANPO scores hidden states, but Logps.hidden is empty; give those of policy and reference")
        with torch.autocast(answers.hidden.device.type, enabled=False):
            hidden = answers.hidden[:, :: self.stride][:, : len(self.positions)].float()
            lengths = (answers.num_tokens + self.stride - 1) // self.stride
            outside = torch.arange(hidden.shape[1], device=hidden.device) >= lengths.unsqueeze(1)
            states = self.enter(hidden.masked_fill(outside.unsqueeze(-1), 0)) + self.positions[: hidden.shape[1]]
            for layer in self.layers:
                states = layer(states, src_key_padding_mask=outside)
            mean = states.masked_fill(outside.unsqueeze(-1), 0).sum(1) / (~outside).sum(1, keepdim=True)
            return self.leave(mean).squeeze(-1)


class Discriminators(nn.Module):
    """GANPO's two discriminators, their optimizer and running mean scores; frozen and in eval mode except in `update`."""

    def __init__(self, width: int, settings: "GANPO", seed: int) -> None:
        super().__init__()
        self.settings = settings
        self.chosen, self.rejected = Discriminator(width, settings), Discriminator(width, settings)
        self.means: Tensor
        self.register_buffer("means", torch.zeros(2, 3))  # (chosen, rejected) x (OWN, REFERENCE, OTHER)
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.seed: Tensor
        self.register_buffer("seed", torch.tensor(seed))
        self.optimizer = torch.optim.AdamW(self.parameters())
        self.eval().requires_grad_(False)

    def update(
        self,
        policy: PairLogps,
        reference: PairLogps,
        learning_rate: float,
        gather: Callable[[Tensor], Tensor] = lambda rows: rows,
    ) -> dict[str, float]:
        """Moves the mean scores by a batch, then takes one step of both discriminators; gradients are averaged over processes.

        As in the authors' code, the step compares with mean scores that its own batch has moved; the first batch's scores
        are the first means.

        Args:
            policy: with hidden states, which are detached.
            reference: the same.
            learning_rate: the policy's now; the discriminators' is `discriminator_learning_rate_ratio` times that.
            gather: as in `Context`.

        Returns:
            Of this process: "chosen" and "rejected", the two losses before the step, and "grad_norm", the larger norm.
        """
        parallel = distributed.is_available() and distributed.is_initialized()
        seed = (int(self.seed) * 1_000_003 + int(self.updates)) * 1_009 + (distributed.get_rank() if parallel else 0)
        self.train().requires_grad_(True)
        try:
            with _seeded(seed, self.means.device), torch.enable_grad():
                scores = self._scores(*(_detached(logps) for logps in (policy, reference)))
                of_batch = self._means(scores, gather)
                means = moved_means(self.means, of_batch) if self.updates > 0 else of_batch
                losses = [discriminator_loss(*side).mean() for side in zip(scores, means, strict=True)]
                torch.stack(losses).sum().backward()
        finally:
            self.eval().requires_grad_(False)
        if parallel:
            for parameter in self.parameters():
                distributed.all_reduce(parameter.grad)
                parameter.grad /= distributed.get_world_size()
        limit = self.settings.max_grad_norm
        norm = max(float(nn.utils.clip_grad_norm_(side.parameters(), limit)) for side in (self.chosen, self.rejected))
        if not math.isfinite(norm):
            raise TrainingError(f"update {int(self.updates) + 1} of GANPO's discriminators: the gradient is not finite")
        self.optimizer.param_groups[0]["lr"] = learning_rate * self.settings.discriminator_learning_rate_ratio
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.means.copy_(means)
        self.updates += 1
        return {"chosen": losses[0].item(), "rejected": losses[1].item(), "grad_norm": norm}

    def _scores(self, policy: PairLogps, reference: PairLogps) -> Tensor:
        """(2, 3, rows): (chosen, rejected) x (OWN, REFERENCE, OTHER)."""
        chosen = [self.chosen(answers) for answers in (policy.chosen, reference.chosen, reference.rejected)]
        rejected = [self.rejected(answers) for answers in (policy.rejected, reference.rejected, reference.chosen)]
        return torch.stack([torch.stack(chosen), torch.stack(rejected)])

    def _means(self, scores: Tensor, gather: Callable[[Tensor], Tensor]) -> Tensor:
        rows = [gather(one) for one in scores.detach().flatten(0, 1).unbind()]
        return torch.stack([one.mean() for one in rows]).view(2, 3)

    @torch.no_grad()
    def reference_means(self, policy: PairLogps, reference: PairLogps, gather: Callable[[Tensor], Tensor]) -> Tensor:
        """(2,): the running mean scores of the reference's chosen and rejected; before any update, this batch's."""
        if self.updates > 0:
            return self.means[:, REFERENCE].clone()
        return self._means(self._scores(policy, reference), gather)[:, REFERENCE]

    def state_tensors(self) -> dict[str, Tensor]:
        """All that `load_state_tensors` needs for the next update to be the same to the last bit."""
        tensors = {f"module.{name}": values for name, values in self.state_dict().items()}
        for name, parameter in self.named_parameters():
            for key, values in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = values
        return {name: values.detach().clone().contiguous() for name, values in tensors.items()}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up what `state_tensors` gave; raises ContractError when it is of other discriminators."""
        parts = {name.removeprefix("module."): values for name, values in tensors.items() if name.startswith("module.")}
        try:
            self.load_state_dict(parts)
            for name, parameter in self.named_parameters() if self.updates > 0 else ():
                moments = {key: tensors[f"optimizer.{key}.{name}"].to(parameter.device, copy=True) for key in MOMENTS}
                step = tensors[f"optimizer.step.{name}"].to("cpu", copy=True)  # where AdamW keeps it
                self.optimizer.state[parameter] = {"step": step, **moments}
        except (KeyError, RuntimeError) as error:
            raise ContractError(f"the state of GANPO's discriminators does not fit their settings: {error}") from error


def _detached(logps: PairLogps) -> PairLogps:
    def detach(answers: Logps) -> Logps:
        return replace(answers, hidden=None if answers.hidden is None else answers.hidden.detach())

    return PairLogps(detach(logps.chosen), detach(logps.rejected))


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """The random numbers of `seed` inside; outside, those that were to come anyhow."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed devices that are not forked
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@dataclass(frozen=True)
class GANPO(Wrapper):
    """`L + weight / 2 (BCE(C(h_c) - m_Hc, 1) + BCE(Q(h_r) - m_Hr, 1))`, h being the policy's hidden states, H the reference's.

    C (of chosen answers) and Q (of rejected) score an answer's final hidden states. They learn to score the reference
    above the policy, and the policy above the reference's states of the other side; the policy learns to be scored like
    the reference, whose running mean scores are m. `context.adversary` is what `make_adversary` returns; `update` it on
    every batch before the loss is called. Needs the reference's hidden states; only tokens of the answer are pooled (the
    authors' code pools prompt and padding too). Segment weights of the data do not go with this loss, since the places
    of an answer's tokens count; the trainer refuses them.

    Attributes:
        inner: L, a loss of pairs; DPO with beta 0.1 is the authors' code.
        weight: lambda, in [0, infinity); 1 is the paper's.
        model_width: width of a discriminator; 512 is the authors' code.
        layers: number of a discriminator's layers; 2 is the authors' code.
        heads: attention heads of a layer, by which the width must divide; 8 is the authors' code.
        feedforward: inner width of a layer; 2048 is the authors' code.
        max_positions: how many hidden states of an answer are seen; the rest is not looked at. 2048 is the authors' code.
        dropout: in a discriminator while it learns, in [0, 1); 0.1 is the authors' code.
        stride: every how many tokens one is looked at, from 1; 1 is ours. Codec answers of several thousand tokens want more:
            the discriminators see `stride * max_positions` tokens at most, and cost by the square of what they see.
        discriminator_learning_rate_ratio: of the discriminators' learning rate to the policy's, in (0, infinity); 0.5 is
            the authors' code.
        max_grad_norm: of a discriminator's gradient, in (0, infinity); 1 is ours, the authors' code clips nothing.
    """

    weight: float = 1.0
    model_width: int = 512
    layers: int = 2
    heads: int = 8
    feedforward: int = 2048
    max_positions: int = 2048
    dropout: float = 0.1
    stride: int = 1
    discriminator_learning_rate_ratio: float = 0.5
    max_grad_norm: float = 1.0

    needs_reference: ClassVar[Need] = "hidden"  # whatever the inner loss needs
    needs_adversary = True
    over_batch: ClassVar[bool] = True
    takes_weights: ClassVar[bool] = False  # hidden states are pooled over the places of an answer
    bounds = {
        "weight": at_least(0),
        "dropout": at_least(0).below(1),
        **dict.fromkeys(("model_width", "layers", "heads", "feedforward", "max_positions", "stride"), at_least(1)),
        **dict.fromkeys(("discriminator_learning_rate_ratio", "max_grad_norm"), above(0)),
    }
    paper = "arXiv 2601.22083"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model_width % self.heads:
            raise ConfigError(f"GANPO.model_width = {self.model_width} is no multiple of heads = {self.heads}")
        check_inner("GANPO.inner", self.inner, over_batch=True)

    def make_adversary(self, width: int, seed: int, device: torch.device | str) -> Discriminators:
        """The discriminators for hidden states of `width`, the same for the same seed whatever was drawn before."""
        with _seeded(seed, torch.device("cpu")):
            discriminators = Discriminators(width, self, seed)
        return discriminators.to(device)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "adversarial" (with its weight). Rewards are the inner loss's."""
        adversary = context.adversary
        if not isinstance(adversary, Discriminators) or reference is None:
            raise ContractError(
                f"GANPO needs its discriminators (context.adversary, from make_adversary), found {type(adversary).__name__}, "
                f"and {'the' if reference is not None else 'found no'} reference with hidden states"
            )
        means = adversary.reference_means(policy, reference, context.gather)
        chosen = generator_loss(adversary.chosen(policy.chosen), means[0])
        rejected = generator_loss(adversary.rejected(policy.rejected), means[1])
        adversarial = self.weight * (chosen + rejected) / 2
        output = self.inner(policy, reference, context)
        return replace(
            output,
            losses=output.losses + adversarial,
            terms={"preference": output.losses.detach(), "adversarial": adversarial.detach()},
        )
