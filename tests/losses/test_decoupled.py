"""Content and style pairs, each with a loss of its own."""

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Loss
from lpo_tts.losses.decoupled import Decoupled
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.epsilon_dpo import EpsilonDPO
from lpo_tts.losses.kto import KTO, KTOPair
from lpo_tts.losses.ld_dpo import LDDPO
from lpo_tts.losses.lpo import LPO
from lpo_tts.losses.tdpo import TDPO1, TDPO2
from lpo_tts.recipe import STRUCTURER


def answers(values, dtype=torch.float64):
    total = torch.tensor([float(v) for v in values], dtype=dtype, requires_grad=True)
    return Logps(total, torch.full((len(values),), 10))


def evaluate(loss, x1, x2, aspects, dtype=torch.float64, **context):
    policy = PairLogps(answers(x1, dtype), answers(x2, dtype))
    zero = answers([0] * len(x1), dtype)
    output = loss(policy, PairLogps(zero, zero), Context(aspects=aspects, **context))
    return output, torch.autograd.grad(output.losses.sum(), (policy.chosen.total, policy.rejected.total))


def test_vector():
    output, (chosen, rejected) = evaluate(Decoupled(), [0.5, 1], [-0.2, -2], ["style", "content"])
    assert output.losses.tolist() == pytest.approx([0.65875956, 0.55435524], abs=1e-8)
    assert output.losses.sum().item() == pytest.approx(1.21311480, abs=1e-8)
    assert output.terms["content"].tolist() == pytest.approx([0, 0.55435524])
    assert output.terms["style"].tolist() == pytest.approx([0.65875956, 0])
    slopes = [0.1 * torch.sigmoid(torch.tensor(-z)).item() for z in (0.07, 0.3)]
    assert chosen.tolist() == pytest.approx([-slope for slope in slopes])
    assert rejected.tolist() == pytest.approx(slopes)
    assert output.chosen_rewards.tolist() == pytest.approx([0.05, 0.1])
    assert output.rejected_rewards.tolist() == pytest.approx([-0.02, -0.2])


def test_each_pair_meets_its_own_loss_alone():
    loss = Decoupled(content=LPO(), style=DPO(beta=0.3), content_weight=2.0, style_weight=0.5)
    x1, x2, aspects = [1, -3, 4, 2], [2, 0, -7, -1], ["content", "style", "style", "content"]
    output, (chosen, _) = evaluate(loss, x1, x2, aspects)
    for row, aspect in enumerate(aspects):
        alone = LPO() if aspect == "content" else DPO(beta=0.3)
        policy, zero = PairLogps(answers([x1[row]]), answers([x2[row]])), answers([0])
        expected = alone(policy, PairLogps(zero, zero))
        weight = 2.0 if aspect == "content" else 0.5
        assert output.losses[row].item() == pytest.approx(weight * expected.losses.item())
        assert output.chosen_rewards[row].item() == pytest.approx(expected.chosen_rewards.item())
        (gradient,) = torch.autograd.grad(expected.losses.sum(), policy.chosen.total)
        assert chosen[row].item() == pytest.approx(weight * gradient.item())
        other = "style" if aspect == "content" else "content"
        assert output.terms[other][row].item() == 0


def test_a_style_pair_gives_the_content_loss_nothing():
    loss = Decoupled(content=LPO(), style_weight=0.0)
    output, (chosen, rejected) = evaluate(loss, [1, 2], [-1, 3], ["style", "content"])
    assert output.losses[0].item() == output.terms["content"][0].item() == 0
    assert chosen[0].item() == rejected[0].item() == 0
    assert output.losses[1].item() > 0


@pytest.mark.parametrize("aspect", ["content", "style"])
def test_a_batch_of_one_aspect(aspect):
    output, _ = evaluate(Decoupled(), [0.5, 1], [-0.2, -2], [aspect] * 2)
    assert output.losses.tolist() == pytest.approx([0.65875956, 0.55435524], abs=1e-8)
    other = "style" if aspect == "content" else "content"
    assert output.terms[other].tolist() == [0, 0]


def test_margins_reach_the_inner_losses_row_by_row():
    seen = {}

    class Spy(DPO):
        def __call__(self, policy, reference, context):
            seen[context.aspects[0]] = context.margins["wer"].tolist()
            return super().__call__(policy, reference, context)

    evaluate(
        Decoupled(content=Spy(), style=Spy()),
        [0] * 3,
        [0] * 3,
        ["style", "content", "style"],
        margins={"wer": torch.tensor([1.0, 2.0, 3.0])},
    )
    assert seen == {"content": [2.0], "style": [1.0, 3.0]}


@pytest.mark.parametrize("aspect", ["", "both"])
def test_an_unknown_aspect_is_refused_with_its_place(aspect):
    with pytest.raises(ContractError, match=rf"pair 1 of the batch has the aspect '{aspect}', expected content or style"):
        evaluate(Decoupled(), [0, 0], [0, 0], ["style", aspect])


def test_missing_aspects_are_refused():
    with pytest.raises(ContractError, match="each of the 2 pairs in what it differs, found 0 aspects"):
        evaluate(Decoupled(), [0, 0], [0, 0], [])


def test_needs_are_those_of_both():
    loss = Decoupled()
    assert (loss.needs_reference, loss.needs_tokens, loss.needs_logits, loss.needs_margins) == ("logps", False, "none", False)
    loss = Decoupled(content=LDDPO(), style=TDPO1())
    assert (loss.needs_reference, loss.needs_tokens, loss.needs_logits) == ("logits", True, "both")
    assert loss.data == "pair"
    assert not loss.over_batch


def test_statistics_of_the_two_losses_are_kept_apart():
    loss = Decoupled(content=TDPO1(), style=TDPO2(alpha=0.25))
    generator = torch.Generator().manual_seed(0)
    logits, reference = torch.randn(2, 8, 5, generator=generator).double()
    statistics = loss.over_vocabulary(logits, reference, torch.zeros(8, dtype=torch.int64))
    assert set(statistics) == {"content.kl", "style.kl"}
    kl = TDPO1().over_vocabulary(logits, reference, torch.zeros(8, dtype=torch.int64))["kl"]
    counts = torch.tensor([2, 2])
    policy = PairLogps(
        *(
            Logps(torch.zeros(2).double(), counts, vocabulary={name: v[part].view(2, 2) for name, v in statistics.items()})
            for part in (slice(4), slice(4, 8))
        )
    )
    output = loss(policy, policy, Context(aspects=["content", "style"]))
    difference = kl[4:].view(2, 2).sum(1) - kl[:4].view(2, 2).sum(1)
    expected = torch.nn.functional.softplus(0.1 * difference * torch.tensor([1, 0.25]))
    assert output.losses.tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("sign", [1, -1])
def test_finite_at_extremes_and_right_at_equal_logps(sign):
    output, gradients = evaluate(Decoupled(), [sign * 1e4] * 2, [-sign * 1e4] * 2, ["content", "style"], torch.float32)
    assert all(bool(torch.isfinite(values).all()) for values in (output.losses, *gradients))
    output, (chosen, rejected) = evaluate(Decoupled(), [0, 0], [0, 0], ["content", "style"])
    assert output.losses.tolist() == pytest.approx([0.69314718] * 2)
    assert bool((chosen < 0).all())
    assert bool((rejected > 0).all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Decoupled(content_weight=-1), r"Decoupled.content_weight must be at least 0, found -1"),
        (lambda: Decoupled(style_weight=-1), r"Decoupled.style_weight must be at least 0, found -1"),
        (lambda: Decoupled(content=KTOPair()), "Decoupled.content = KTOPair compares a pair with the rest of its batch"),
        (lambda: Decoupled(style=KTO()), "Decoupled.style = KTO takes unpaired data"),
        (lambda: Decoupled(style=EpsilonDPO()), "Decoupled.style = EpsilonDPO has a state"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_structured_from_a_recipe():
    tree = {"name": "decoupled", "content": {"name": "lpo-ste", "beta": 0.5}, "style": "dpo", "style_weight": 0.5}
    loss = STRUCTURER.structure(tree, Loss)
    assert isinstance(loss, Decoupled)
    assert (loss.content.beta, loss.style, loss.style_weight) == (0.5, DPO(), 0.5)
    assert STRUCTURER.structure(STRUCTURER.unstructure(loss), Loss) == loss
    with pytest.raises(ConfigError, match=r"content.*betta"):
        STRUCTURER.structure({"name": "decoupled", "content": {"name": "dpo", "betta": 1}}, Loss)
