"""WPO: the weight of a pair, and the loss it goes around."""

import math

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Loss
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.epsilon_dpo import EpsilonDPO
from lpo_tts.losses.kto import KTO, KTOPair
from lpo_tts.losses.listwise import PlackettLuce
from lpo_tts.losses.lpo import LPO
from lpo_tts.losses.wpo import WPO
from lpo_tts.recipe import STRUCTURER

LOGITS = torch.tensor([[2.0, 0, -1], [0, 1, 1]], dtype=torch.float64)
TARGETS = torch.tensor([0, 2])
LOG_P, COLLISION = [-0.16984602, -0.86199480], [-0.31911090, -0.96536593]


def answers(total, collision, count, dtype=torch.float64):
    return Logps(
        torch.tensor([float(total)], dtype=dtype, requires_grad=True),
        torch.tensor([count]),
        vocabulary={"collision": torch.tensor([collision], dtype=dtype)},
    )


def evaluate(loss, chosen, rejected, references=(0.0, 0.0)):
    """`chosen` and `rejected` are Logps; the two references give as many nats to the answers."""
    policy = PairLogps(chosen, rejected)
    reference = PairLogps(
        *(
            Logps(torch.tensor([float(value)], dtype=a.total.dtype), a.num_tokens)
            for value, a in zip(references, (chosen, rejected), strict=True)
        )
    )
    output = loss(policy, reference)
    return output, torch.autograd.grad(output.losses.sum(), (chosen.total, rejected.total))


def test_collision_and_weight():
    statistics = WPO().over_vocabulary(LOGITS.clone().requires_grad_(), None, TARGETS)
    assert statistics["collision"].tolist() == pytest.approx(COLLISION, abs=1e-8)
    assert not statistics["collision"].requires_grad
    chosen = answers(sum(LOG_P), COLLISION, 2)
    rejected = answers(-3, [-1.0, -2.0], 2)  # log p equals log sum p^2 on average: weight 1
    output, gradients = evaluate(WPO(max_weight=None), chosen, rejected)
    plain, expected = evaluate(DPO(), chosen, rejected)
    assert (output.losses / plain.losses).item() == pytest.approx(1.13464293, abs=1e-8)
    for mine, theirs in zip(gradients, expected, strict=True):  # no gradient through the weight
        assert (mine / theirs).item() == pytest.approx(1.13464293, abs=1e-8)
    assert output.chosen_rewards.tolist() == plain.chosen_rewards.tolist()


def test_both_answers_weigh():
    same = [answers(sum(LOG_P), COLLISION, 2) for _ in range(2)]
    output, (chosen, rejected) = evaluate(WPO(max_weight=None), *same, references=(sum(LOG_P),) * 2)
    assert output.losses.item() == pytest.approx(1.13464293**2 * math.log(2), rel=1e-7)
    assert chosen < 0 < rejected
    capped, _ = evaluate(WPO(max_weight=1.2), *same, references=(sum(LOG_P),) * 2)
    assert capped.losses.item() == pytest.approx(1.2 * math.log(2))


def test_a_pairs_weight_is_at_most_1_by_default_as_in_the_authors_code():
    """A weight of 1.1346 becomes 1, the product of 1.1346 and 0.5 stays: the product is clamped, not each answer's weight."""
    chosen = answers(sum(LOG_P), COLLISION, 2)
    for exponent, expected in ((0.0, 1.0), (math.log(0.5), 0.5 * 1.13464293)):
        rejected = answers(-3 + 2 * exponent, [-1.0, -2.0], 2)
        output, gradients = evaluate(WPO(), chosen, rejected)
        plain, others = evaluate(DPO(), chosen, rejected)
        assert (output.losses / plain.losses).item() == pytest.approx(expected, abs=1e-7)
        assert [(a / b).item() for a, b in zip(gradients, others, strict=True)] == pytest.approx([expected] * 2, abs=1e-7)


def test_rows_do_not_see_each_other():
    first, second = answers(sum(LOG_P), COLLISION, 2), answers(-3, [-1.0, -0.5], 2)
    both = Logps(
        torch.cat([first.total, second.total]),
        torch.tensor([2, 2]),
        vocabulary={"collision": torch.cat([first.vocabulary["collision"], second.vocabulary["collision"]])},
    )
    flipped = both.rows(torch.tensor([1, 0]))
    zero = Logps(torch.zeros(2).double(), both.num_tokens)
    together = WPO()(PairLogps(both, flipped), PairLogps(zero, zero)).losses.tolist()
    apart = [evaluate(WPO(), first, second)[0].losses.item(), evaluate(WPO(), second, first)[0].losses.item()]
    assert together == pytest.approx(apart)


def test_terms_are_weighted_like_the_loss():
    output, _ = evaluate(WPO(inner=LPO()), answers(sum(LOG_P), COLLISION, 2), answers(-3, [-1.0, -2.0], 2))
    assert output.terms
    assert sum(output.terms.values()).item() == pytest.approx(output.losses.item())


@pytest.mark.parametrize("sign", [1, -1])
def test_finite_at_extremes(sign):
    chosen, rejected = (answers(s * 1e4, [0.0], 1, torch.float32) for s in (sign, -sign))
    output, gradients = evaluate(WPO(), chosen, rejected)
    assert all(bool(torch.isfinite(values).all()) for values in (output.losses, *gradients))
    both = [answers(1e4, [0.0], 1, torch.float32) for _ in range(2)]
    assert bool(torch.isfinite(evaluate(WPO(), *both)[0].losses).all())


def test_declares_what_the_inner_loss_declares():
    assert (WPO().needs_reference, WPO().needs_logits, WPO().reduction, WPO().needs_tokens) == ("logps", "policy", "sum", False)
    assert WPO(inner=LPO()).reduction == "mean"
    loss = WPO(inner=EpsilonDPO())
    assert (loss.needs_reference, loss.needs_logits) == ("logits", "both")
    assert set(loss.over_vocabulary(LOGITS, LOGITS, TARGETS)) == {"collision", "relaxed", "unchanged", "tightened"}
    assert loss.initial_state() == {"beta": 0.01}
    assert loss.next_state({"beta": 0.01}, {"step": 0.25})["beta"] == pytest.approx(0.00997506, abs=1e-8)


def test_missing_statistics_are_refused():
    with pytest.raises(ContractError, match="needs 'collision' of every answer token"):
        evaluate(WPO(), *(Logps(torch.zeros(1), torch.tensor([1])) for _ in range(2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WPO(max_weight=0), r"WPO.max_weight must be above 0, found 0"),
        (lambda: WPO(inner=KTOPair()), "WPO.inner = KTOPair compares a pair with the rest of its batch"),
        (lambda: WPO(inner=len), "WPO.inner = builtin_function_or_method is no losses.base.Loss"),
        (lambda: WPO(inner=KTO()), "WPO.inner = KTO takes unpaired data"),
        (lambda: WPO(inner=PlackettLuce()), "WPO.inner = PlackettLuce takes list data"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_structured_from_a_recipe():
    tree = {"name": "wpo", "inner": {"name": "dpo", "beta": 0.3}, "max_weight": 1.5}
    loss = STRUCTURER.structure(tree, Loss)
    assert loss == WPO(inner=DPO(beta=0.3), max_weight=1.5)
    assert STRUCTURER.structure(STRUCTURER.unstructure(loss), Loss) == loss
    assert STRUCTURER.structure("wpo", Loss) == WPO(max_weight=1.0)
    assert STRUCTURER.structure({"name": "wpo", "max_weight": None}, Loss) == WPO(max_weight=None)
