"""`testing.check_loss` finds what a loss of one's own may get wrong."""

import re
from dataclasses import dataclass, replace

import pytest
import torch
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Loss, LossOutput
from lpo_tts.losses.pairs import PairLoss
from lpo_tts.losses.rpo import RPO
from lpo_tts.testing import check_loss, loss_batch


@dataclass(frozen=True)
class Own(PairLoss):
    beta: float = 0.1

    bounds = {"beta": above(0)}

    def per_pair(self, x1, x2, context):
        return -logsigmoid(self.beta * (x1 - x2))


class Undecorated(Own):
    pass


@dataclass(frozen=True)
class Whole(Own):
    def per_pair(self, x1, x2, context):
        return super().per_pair(x1, x2, context).mean()


@dataclass(frozen=True)
class Batch(Own):
    def per_pair(self, x1, x2, context):
        return super().per_pair(x1 - x1.mean(), x2, context)


@dataclass(frozen=True)
class BatchDeclared(Batch):
    over_batch = True


@dataclass(frozen=True)
class Detached(Own):
    def per_pair(self, x1, x2, context):
        return super().per_pair(x1.detach(), x2.detach(), context)


@dataclass(frozen=True)
class Broken(Own):
    def per_pair(self, x1, x2, context):
        return super().per_pair(x1, x2, context) / 0


@dataclass(frozen=True)
class Undeclared(Own):
    def per_pair(self, x1, x2, context):
        return context.margins["wer"] * super().per_pair(x1, x2, context)


@dataclass(frozen=True)
class Declared(Undeclared):
    needs_margins = True


@dataclass(frozen=True)
class Misnamed(Own):
    bounds = {"alpha": above(0)}


@dataclass(frozen=True)
class Misspelt(Own):
    reduction = "average"


@dataclass(frozen=True)
class Attached(Own):
    def __call__(self, policy, reference, context=None):
        output = super().__call__(policy, reference, context)
        return replace(output, terms={"preference": output.losses})


@dataclass(frozen=True)
class Terms(Own):
    def __call__(self, policy, reference, context=None):
        output = super().__call__(policy, reference, context)
        return replace(output, terms={"preference": 2 * output.losses.detach()})


@dataclass(frozen=True)
class Forgetful(Own):
    def __call__(self, policy, reference, context=None):
        output = super().__call__(policy, reference, context)
        return replace(output, observed={"margin": output.chosen_rewards})


@dataclass(frozen=True)
class Unreferenced(Loss):
    """Takes no notice that there is no reference, though it declares one."""

    def __call__(self, policy, reference, context=None):
        x1 = policy.chosen.total
        return LossOutput(-x1, x1.detach(), x1.detach())


@pytest.mark.parametrize("loss", [Own(), Own(beta=3.0), BatchDeclared(), Declared(), RPO(metric="mos")], ids=repr)
def test_a_good_loss_passes(loss):
    check_loss(loss)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Undecorated, "Undecorated is no @dataclass(frozen=True)"),
        (Whole, "Whole: losses of shape (), expected (4,)"),
        (Batch, "Batch: a row alone has the loss"),
        (Detached, "Detached: the losses carry no gradient"),
        (Broken, "Broken: losses are not finite"),
        (Undeclared, "Undeclared fails on a batch that holds what it declares, and nothing else: 'wer'"),
        (Misspelt, "Misspelt.reduction = 'average' is none of mean, sum"),
        (Attached, "Attached: terms['preference'] carries a gradient; detach it"),
        (Terms, "Terms: the terms do not add up to the loss"),
        (Forgetful, "Forgetful observes margin, but has no state that could take it in"),
        (Unreferenced, "Unreferenced: a missing reference must raise ContractError"),
    ],
)
def test_what_breaks_the_contract_is_named(make, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_loss(make())


def test_a_bound_of_something_that_is_no_setting_is_named():
    with pytest.raises(AttributeError, match="alpha"):
        Misnamed()


def test_batches_leave_the_random_numbers_of_the_program_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    batch = loss_batch(Own())
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(batch.policy.chosen.total, loss_batch(Own()).policy.chosen.total)
