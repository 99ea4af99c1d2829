"""The contract of losses: `check_loss`, and the made-up batches it uses."""

import dataclasses
import math
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.logprobs import ListLogps, Logps, PairLogps
from lpo_tts.losses.base import Context, DataKind, Logits, Loss, LossOutput, Need, Reduction
from lpo_tts.testing.base import expect

VOCABULARY, WIDTH, LONGEST, SEED = 7, 8, 6, 4  # of the made-up batches that losses are checked on


@dataclass(frozen=True)
class LossBatch:
    """A made-up batch that holds what a loss declares a need for, and nothing else.

    `leaves` are the log-probs token by token, (answers, LONGEST), that gradients flow to: of the chosen and of the rejected
    answers, or of the answers of all lists.
    """

    leaves: tuple[Tensor, ...]
    policy: PairLogps | ListLogps
    reference: PairLogps | ListLogps | None
    context: Context

    def row(self, index: int) -> "LossBatch":
        """One row alone: a pair, a desirable answer, or a list."""
        if isinstance(self.policy, ListLogps):
            start, size = sum(self.policy.sizes[:index]), self.policy.sizes[index]
            own = slice(start, start + size)
            reference = self.reference.answers.rows(own) if isinstance(self.reference, ListLogps) else None
            scores = None if self.context.scores is None else self.context.scores[own]
            return LossBatch(
                self.leaves,
                ListLogps(self.policy.answers.rows(own), (size,)),
                None if reference is None else ListLogps(reference, (size,)),
                dataclasses.replace(self.context, scores=scores),
            )
        chosen = slice(index, index + 1)
        rejected = chosen if len(self.policy.chosen.total) == len(self.policy.rejected.total) else slice(0)
        context = dataclasses.replace(
            self.context,
            margins={name: values[chosen] for name, values in self.context.margins.items()},
            aspects=self.context.aspects[chosen],
        )
        reference = self.reference if isinstance(self.reference, PairLogps) else None
        return LossBatch(
            self.leaves,
            PairLogps(self.policy.chosen.rows(chosen), self.policy.rejected.rows(rejected)),
            reference and PairLogps(reference.chosen.rows(chosen), reference.rejected.rows(rejected)),
            context,
        )


def loss_batch(loss: Loss, rows: int = 4, *, same: bool = False) -> LossBatch:
    """Random log-probs for a loss, float32, the same at every call.

    Args:
        loss: which the batch is for.
        rows: how many pairs, desirable answers (and one undesirable less), or lists.
        same: policy and reference agree, and so do chosen and rejected answers.
    """
    generator = torch.Generator().manual_seed(SEED)
    context = Context(
        state=loss.initial_state(),
        adversary=loss.make_adversary(WIDTH, 0, "cpu") if loss.needs_adversary else None,
    )
    if loss.data == "list":
        sizes = tuple(2 + index % 3 for index in range(rows))
        leaf, policy, reference = _answers(loss, sum(sizes), generator, same)
        scores = torch.cat([torch.linspace(1, 0, size) for size in sizes])
        context = dataclasses.replace(context, scores=scores)
        return LossBatch((leaf,), ListLogps(policy, sizes), reference and ListLogps(reference, sizes), context)
    chosen = _answers(loss, rows, generator, same)
    if same:
        generator.manual_seed(SEED)  # the rejected answers are the chosen ones again
    rejected = _answers(loss, rows if loss.data == "pair" else rows - 1, generator, same)
    if loss.data == "unpaired":
        _, ours, theirs = _answers(loss, 2 * rows - 1, generator, same)
        context = dataclasses.replace(context, mismatched=theirs and (ours, theirs))
    else:
        context = dataclasses.replace(
            context,
            margins={getattr(loss, "metric", "wer"): torch.linspace(0.2, 0.9, rows)} if loss.needs_margins else {},
            aspects=tuple(("content", "style")[index % 2] for index in range(rows)),
        )
    reference = PairLogps(chosen[2], rejected[2]) if chosen[2] and rejected[2] else None
    return LossBatch((chosen[0], rejected[0]), PairLogps(chosen[1], rejected[1]), reference, context)


def _answers(loss: Loss, rows: int, generator: torch.Generator, same: bool) -> tuple[Tensor, Logps, Logps | None]:
    """(leaf, policy, reference) of some answers."""
    shape = (rows, LONGEST, VOCABULARY)
    logits = torch.randn(shape, generator=generator)
    reference_logits = logits if same else logits + 0.3 * torch.randn(shape, generator=generator)
    targets = torch.randint(VOCABULARY, (rows, LONGEST), generator=generator)
    hidden, reference_hidden = torch.randn((2, rows, LONGEST, WIDTH), generator=generator)
    lengths = torch.full((rows,), 4) if same else torch.randint(2, LONGEST + 1, (rows,), generator=generator)
    inside = (torch.arange(LONGEST) < lengths[:, None]).float()
    tokens, reference_tokens = (
        z.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1) * inside for z in (logits, reference_logits)
    )
    tokens.requires_grad_()
    vocabulary: dict[str, Tensor] = {}
    if loss.needs_logits != "none":
        theirs = reference_logits.flatten(0, 1) if loss.needs_logits == "both" else None
        found = loss.over_vocabulary(logits.flatten(0, 1), theirs, targets.flatten())
        vocabulary = {name: values.view_as(inside) * inside for name, values in found.items()}
    needs = get_args(Need).index(loss.needs_reference)
    policy = Logps(
        total=tokens.sum(1),
        num_tokens=lengths,
        tokens=tokens if loss.needs_tokens else None,
        vocabulary=vocabulary,
        hidden=hidden if needs == 4 else None,
    )
    reference = Logps(
        total=reference_tokens.sum(1),
        num_tokens=lengths,
        tokens=reference_tokens if needs >= 2 else None,
        hidden=reference_hidden if needs == 4 else None,
    )
    return tokens, policy, reference if needs else None


def check_loss(loss: Loss) -> None:
    """Raises AssertionError unless a loss keeps the contract of `losses.base.Loss`, saying what it breaks.

    The loss is called on made-up batches that hold what it declares a need for, and nothing else. It must give one finite
    loss per row, with a finite gradient, and detached rewards; rows must not see each other unless it declares so; a missing
    reference must be refused; and its state must go on from what it observed.
    """
    name = type(loss).__name__
    _check_declarations(loss)
    batch = loss_batch(loss)
    output = _called(loss, batch)
    counts = _counts(batch)
    expect(output.losses.shape == (counts[0],), f"{name}: losses of shape {tuple(output.losses.shape)}, expected ({counts[0]},)")
    for what, values, count in (
        ("chosen_rewards", output.chosen_rewards, counts[1]),
        ("rejected_rewards", output.rejected_rewards, counts[2]),
        *((f"terms[{key!r}]", values, counts[0]) for key, values in output.terms.items()),
        *((f"observed[{key!r}]", values, counts[0]) for key, values in output.observed.items()),
    ):
        expect(values.shape == (count,), f"{name}: {what} of shape {tuple(values.shape)}, expected ({count},)")
        expect(values.isfinite().all(), f"{name}: {what} is not finite: {values.tolist()}")
        expect(not values.requires_grad, f"{name}: {what} carries a gradient; detach it")
    expect(output.losses.isfinite().all(), f"{name}: losses are not finite: {output.losses.tolist()}")
    expect(output.losses.dtype == torch.float32, f"{name}: losses are {output.losses.dtype} for log-probs in float32")
    if output.terms:
        whole = torch.stack(list(output.terms.values())).sum(0)
        expect(torch.allclose(whole, output.losses.detach(), rtol=1e-4), f"{name}: the terms do not add up to the loss")
    _check_gradient(loss, batch, output)
    if not loss.over_batch:
        _check_rows(loss, batch, output)
    _check_state(loss, batch, output)
    if loss.needs_reference != "none":
        try:
            loss(batch.policy, None, batch.context)
        except ContractError:
            return
        raise AssertionError(f"{name}: a missing reference must raise ContractError, since needs_reference is not 'none'")


def _check_declarations(loss: Loss) -> None:
    name = type(loss).__name__
    expect(isinstance(loss, Loss), f"{name} does not inherit lpo_tts.losses.base.Loss")
    frozen = dataclasses.is_dataclass(loss) and "__dataclass_params__" in vars(type(loss))
    expect(frozen and type(loss).__dataclass_params__.frozen, f"{name} is no @dataclass(frozen=True)")  # pyright: ignore[reportAttributeAccessIssue]
    expect(dataclasses.replace(loss) == loss, f"{name}: the same settings make another loss")
    for declared, kind in (("data", DataKind), ("reduction", Reduction), ("needs_reference", Need), ("needs_logits", Logits)):
        value, choices = getattr(loss, declared), get_args(kind)
        expect(value in choices, f"{name}.{declared} = {value!r} is none of {', '.join(choices)}")
    for declared in ("needs_tokens", "needs_margins", "needs_adversary", "over_batch", "takes_weights", "takes_importance"):
        value = getattr(loss, declared)
        expect(isinstance(value, bool), f"{name}.{declared} = {value!r} is neither True nor False")
    hidden = loss.needs_reference == "hidden"
    expect(hidden or not loss.needs_adversary, f"{name}: an adversary needs hidden states; declare needs_reference = 'hidden'")


def _called(loss: Loss, batch: LossBatch) -> LossOutput:
    try:
        return loss(batch.policy, batch.reference, batch.context)
    except (AttributeError, ContractError, KeyError, TypeError) as error:
        raise AssertionError(
            f"{type(loss).__name__} fails on a batch that holds what it declares, and nothing else: {error}"
        ) from error


def _counts(batch: LossBatch) -> tuple[int, int, int]:
    """How many losses, chosen rewards and rejected rewards a batch asks for."""
    if isinstance(batch.policy, ListLogps):
        lists = len(batch.policy.sizes)
        return lists, lists, lists
    chosen, rejected = len(batch.policy.chosen.total), len(batch.policy.rejected.total)
    return (chosen if chosen == rejected else chosen + rejected), chosen, rejected


def _check_gradient(loss: Loss, batch: LossBatch, output: LossOutput) -> None:
    name = type(loss).__name__
    expect(output.losses.requires_grad, f"{name}: the losses carry no gradient")
    gradients = torch.autograd.grad(output.losses.mean(), batch.leaves, allow_unused=True, retain_graph=True)
    found = [gradient for gradient in gradients if gradient is not None]
    expect(all(gradient.isfinite().all() for gradient in found), f"{name}: the gradient is not finite")
    expect(any(gradient.any() for gradient in found), f"{name}: the gradient is 0 everywhere")


def _check_rows(loss: Loss, batch: LossBatch, output: LossOutput) -> None:
    name = type(loss).__name__
    alone = _called(loss, batch.row(1)).losses
    expect(
        alone.shape == (1,) and math.isclose(alone.item(), output.losses[1].item(), rel_tol=1e-4, abs_tol=1e-6),
        f"{name}: a row alone has the loss {alone.tolist()}, in its batch {output.losses[1].item():g}; declare over_batch",
    )
    (gradient, *_) = torch.autograd.grad(output.losses[1], batch.leaves, allow_unused=True, retain_graph=True)
    if gradient is not None and isinstance(batch.policy, PairLogps):
        expect(not gradient[[0, 2, 3]].any(), f"{name}: a row's loss moves other rows; declare over_batch")


def _check_state(loss: Loss, batch: LossBatch, output: LossOutput) -> None:
    name = type(loss).__name__
    start = loss.initial_state()
    observed = {key: values.mean().item() for key, values in output.observed.items()}
    expect(start or not observed, f"{name} observes {', '.join(observed)}, but has no state that could take it in")
    after = loss.next_state(start, observed)
    expect(after.keys() == start.keys(), f"{name}: the state goes from {sorted(start)} to {sorted(after)}")
    expect(
        all(isinstance(value, float) and math.isfinite(value) for value in after.values()),
        f"{name}: the next state holds other things than finite floats: {after}",
    )
    moved = LossBatch(batch.leaves, batch.policy, batch.reference, dataclasses.replace(batch.context, state=after))
    expect(_called(loss, moved).losses.isfinite().all(), f"{name}: losses are not finite in the state {after}")
