"""epsilon-DPO: the perturbed policies, the step, and the beta that follows it."""

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context
from lpo_tts.losses.epsilon_dpo import EpsilonDPO

CHOSEN = ([[1, 0.2, -0.5], [0.3, 0.8, 0]], [[0.7, 0.4, -0.3], [0.5, 0.2, 0.1]], [0, 1])
REJECTED = ([[0.6, 0.1, 0], [0.2, -0.4, 0.9]], [[0.2, 0.5, 0.1], [0.6, -0.1, 0.3]], [1, 0])


def scored(logits, targets, vocabulary=None):
    tokens = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    total = tokens.sum()[None].detach().requires_grad_()
    return Logps(total, torch.tensor([len(targets)]), vocabulary={k: v[None] for k, v in (vocabulary or {}).items()})


def answer(loss, policy, reference, targets):
    """Policy's and reference's Logps of one answer from the logits of its tokens."""
    policy, reference = (torch.tensor(x, dtype=torch.float64) for x in (policy, reference))
    targets = torch.tensor(targets)
    return scored(policy, targets, loss.over_vocabulary(policy, reference, targets)), scored(reference, targets)


def pair(loss, chosen, rejected):
    (pc, rc), (pr, rr) = answer(loss, *chosen), answer(loss, *rejected)
    return PairLogps(pc, pr), PairLogps(rc, rr)


@pytest.mark.parametrize(
    ("epsilon", "beta", "swapped", "relaxed", "tightened", "step", "value", "gradient"),
    [
        (0.01, 0.01, False, 1.31963093, 1.28726555, 1, 0.68553187, -0.00491265),
        (0.1, 0.1, False, 1.46598479, 1.14234151, 1, 0.62541782, -0.04226929),
        (0.1, 0.1, True, -1.46598479, -1.14234151, -1, 0.78261116, -0.06030993),
    ],
)
def test_vectors(epsilon, beta, swapped, relaxed, tightened, step, value, gradient):
    loss = EpsilonDPO(epsilon=epsilon, beta=beta)
    policy, reference = pair(loss, *((REJECTED, CHOSEN) if swapped else (CHOSEN, REJECTED)))
    for name, expected in (("relaxed", relaxed), ("tightened", tightened)):
        found = policy.chosen.vocabulary[name].sum() - policy.rejected.vocabulary[name].sum()
        assert found.item() == pytest.approx(expected, abs=1e-8)
    here = policy.chosen.vocabulary["unchanged"].sum() - policy.rejected.vocabulary["unchanged"].sum()
    assert here.item() == pytest.approx(-1.30344101 if swapped else 1.30344101, abs=1e-8)
    output = loss(policy, reference, Context(state=loss.initial_state()))
    chosen, rejected = torch.autograd.grad(output.losses.sum(), (policy.chosen.total, policy.rejected.total))
    assert output.observed["step"].tolist() == [step]
    assert output.losses.item() == pytest.approx(value, abs=1e-8)
    assert (chosen.item(), rejected.item()) == pytest.approx((gradient, -gradient), abs=1e-8)
    own = beta / (1 + epsilon * step)
    margin = (output.chosen_rewards - output.rejected_rewards).item() / own
    assert margin == pytest.approx(-1.54419550 if swapped else 1.54419550, abs=1e-8)


def test_beta_follows_the_mean_step():
    loss = EpsilonDPO()
    steps = torch.tensor([1.0, 1, 0, -1])
    state = loss.next_state(loss.initial_state(), {"step": steps.mean().item()})
    assert state["beta"] == pytest.approx(0.00997506, abs=1e-8)
    assert loss.initial_state() == {"beta": 0.01}


def test_beta_is_read_from_the_state():
    loss = EpsilonDPO(epsilon=0.1, beta=0.5)
    policy, reference = pair(loss, CHOSEN, REJECTED)
    output = loss(policy, reference, Context(state={"beta": 0.1}))
    assert output.losses.item() == pytest.approx(0.62541782, abs=1e-8)
    assert loss(policy, reference).losses.item() == pytest.approx(
        torch.log1p(torch.exp(torch.tensor(-1.5441955 * 0.5 / 1.1))).item()
    )


def test_equal_models_give_no_step_and_dpos_gradient():
    loss = EpsilonDPO()
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 50, generator=generator)
    targets = torch.randint(50, (40,), generator=generator)
    statistics = loss.over_vocabulary(logits, logits.clone(), targets)
    assert torch.equal(statistics["relaxed"], statistics["tightened"])  # to the last bit
    assert torch.equal(statistics["relaxed"], logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0])
    answers = [
        scored(logits[part], targets[part], {k: v[part] for k, v in statistics.items()}) for part in (slice(20), slice(20, 40))
    ]
    policy = PairLogps(*answers)
    output = loss(policy, PairLogps(*(Logps(a.total.detach(), a.num_tokens) for a in answers)))
    chosen, rejected = torch.autograd.grad(output.losses.sum(), (policy.chosen.total, policy.rejected.total))
    assert output.observed["step"].item() == 0
    assert output.losses.item() == pytest.approx(0.69314718)
    assert chosen.item() < 0 < rejected.item()


def test_the_step_does_not_depend_on_totals_of_another_precision():
    loss = EpsilonDPO()
    policy, reference = pair(loss, CHOSEN, REJECTED)
    off = Logps(policy.chosen.total + 0.5, policy.chosen.num_tokens, vocabulary=policy.chosen.vocabulary)
    assert loss(PairLogps(off, policy.rejected), reference).observed["step"].item() == 1


def test_rows_do_not_see_each_other():
    loss = EpsilonDPO(epsilon=0.1, beta=0.1)
    straight, swapped = pair(loss, CHOSEN, REJECTED), pair(loss, REJECTED, CHOSEN)

    def joined(one, two):
        names = one.vocabulary
        vocabulary = {name: torch.cat([one.vocabulary[name], two.vocabulary[name]]) for name in names}
        return Logps(torch.cat([one.total, two.total]), torch.cat([one.num_tokens, two.num_tokens]), vocabulary=vocabulary)

    policy, reference = (
        PairLogps(joined(a.chosen, b.chosen), joined(a.rejected, b.rejected)) for a, b in zip(straight, swapped, strict=True)
    )
    output = loss(policy, reference)
    assert output.losses.tolist() == pytest.approx([0.62541782, 0.78261116], abs=1e-8)
    assert output.observed["step"].tolist() == [1, -1]
    # the rewards are of each pair's own beta, 0.1 / 1.1 and 0.1 / 0.9
    margins = output.chosen_rewards - output.rejected_rewards
    assert margins.tolist() == pytest.approx([1.54419550 / 11, -1.54419550 / 9], abs=1e-8)


def test_statistics_carry_no_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    statistics = EpsilonDPO().over_vocabulary(logits, torch.randn(2, 3), torch.tensor([0, 1]))
    assert not any(values.requires_grad for values in statistics.values())


@pytest.mark.parametrize("sign", [1, -1])
def test_finite_at_extremes(sign):
    def answers(value):
        vocabulary = {name: torch.tensor([[value]]) for name in ("relaxed", "unchanged", "tightened")}
        return Logps(torch.tensor([value], requires_grad=True), torch.tensor([10]), vocabulary=vocabulary)

    policy, zero = PairLogps(answers(sign * 1e4), answers(-sign * 1e4)), answers(0.0)
    output = EpsilonDPO()(policy, PairLogps(zero, zero))
    gradients = torch.autograd.grad(output.losses.sum(), (policy.chosen.total, policy.rejected.total))
    assert all(bool(torch.isfinite(values).all()) for values in (output.losses, *gradients))


def test_what_is_missing_is_refused():
    bare = PairLogps(Logps(torch.zeros(1), torch.tensor([1])), Logps(torch.zeros(1), torch.tensor([1])))
    with pytest.raises(ContractError, match="needs 'relaxed' of every answer token"):
        EpsilonDPO()(bare, bare)
    with pytest.raises(ContractError, match="no reference logits"):
        EpsilonDPO().over_vocabulary(torch.zeros(1, 3), None, torch.tensor([0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0}, r"EpsilonDPO.beta must be above 0, found 0"),
        ({"epsilon": 0}, r"EpsilonDPO.epsilon must be above 0 and below 1, found 0"),
        ({"epsilon": 1}, r"EpsilonDPO.epsilon must be above 0 and below 1, found 1"),
    ],
)
def test_values_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        EpsilonDPO(**settings)


def test_what_is_declared():
    assert (EpsilonDPO().needs_reference, EpsilonDPO.needs_logits, EpsilonDPO.over_batch) == ("logits", "both", False)
