"""Mixtures: what they need, and that every part sees its own."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.aot import AOT
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.bco import BCO
from lpo_tts.losses.beta_dpo import BetaDPO
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.ganpo import GANPO
from lpo_tts.losses.kto import KTO
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.losses.mixture import Mixture
from lpo_tts.losses.odpo import ODPO
from lpo_tts.losses.sft import SFT
from lpo_tts.losses.tdpo import TDPO1
from lpo_tts.losses.wpo import WPO
from lpo_tts.recipe import STRUCTURER

B = (-300.5, -310, -298, -305, 100, 110)


@dataclass(frozen=True)
class Counting(Loss):
    """A loss that counts its steps, and measures the vocabulary."""

    step: float = 1.0

    needs_reference: ClassVar = "tokens"
    needs_tokens: ClassVar[bool] = True
    needs_logits: ClassVar = "policy"

    def over_vocabulary(self, logits, reference_logits, targets):
        return {"largest": logits.amax(1) * self.step}

    def initial_state(self):
        return {"steps": 0.0}

    def next_state(self, state, observed):
        return {"steps": state["steps"] + observed["done"]}

    def __call__(self, policy, reference, context=None):
        assert set(policy.chosen.vocabulary) == set(policy.rejected.vocabulary) == {"largest"}
        assert set(context.state) == {"steps"}
        losses = policy.chosen.vocabulary["largest"].sum(1) + context.state["steps"] - policy.chosen.total
        zero = torch.zeros_like(losses)
        return LossOutput(losses, zero, zero, observed={"done": torch.full_like(losses, self.step)})


def test_loss_rewards_and_terms(evaluate):
    mixture = Mixture((LPOSTE(), DPO(), SFT()), (0.5, 2.0, 0.1))
    output, chosen, rejected = evaluate(mixture, *B)
    parts = [evaluate(part, *B) for part in mixture.parts]
    assert output.losses.item() == pytest.approx(0.5 * 2.2336364 + 2 * 0.57593942 + 0.1 * 3.005)
    assert chosen.item() == pytest.approx(sum(w * p[1].item() for w, p in zip(mixture.weights, parts, strict=True)))
    assert rejected.item() == pytest.approx(sum(w * p[2].item() for w, p in zip(mixture.weights, parts, strict=True)))
    assert torch.equal(output.chosen_rewards, parts[0][0].chosen_rewards)
    assert torch.equal(output.rejected_rewards, parts[0][0].rejected_rewards)
    assert mixture.reduction == "mean"
    assert list(output.terms) == ["0-lpo-ste", "1-dpo", "2-sft"]
    assert [t.item() for t in output.terms.values()] == pytest.approx([0.5 * 2.2336364, 2 * 0.57593942, 0.1 * 3.005])


def test_weights_are_one_where_none_are_given(evaluate):
    assert torch.equal(
        evaluate(Mixture((DPO(), SFT())), *B)[0].losses, evaluate(Mixture((DPO(), SFT()), (1.0, 1.0)), *B)[0].losses
    )


def test_two_of_a_kind_keep_their_terms_apart(evaluate):
    output, _, _ = evaluate(Mixture((DPO(), DPO(beta=0.5))), *B)
    assert list(output.terms) == ["0-dpo", "1-dpo"]
    assert output.terms["0-dpo"] != output.terms["1-dpo"]


def test_it_needs_what_a_part_needs():
    plain = Mixture((SFT(),))
    assert (plain.needs_reference, plain.needs_tokens, plain.needs_logits) == ("none", False, "none")
    assert (plain.needs_margins, plain.over_batch, plain.data) == (False, False, "pair")
    assert plain.initial_state() == {}
    assert Mixture((SFT(), DPO())).needs_reference == "logps"
    assert Mixture((DPO(), Counting(), SFT())).needs_reference == "tokens"
    assert Mixture((DPO(), Counting())).needs_tokens
    assert Mixture((DPO(), Counting())).needs_logits == "policy"
    assert Mixture((WPO(), TDPO1())).needs_logits == "both"
    assert Mixture((WPO(), TDPO1())).needs_reference == TDPO1().needs_reference == "logits"
    assert Mixture((DPO(), ODPO())).needs_margins
    assert Mixture((DPO(), AOT())).over_batch


def test_every_part_sees_its_own_state_statistics_and_observations():
    mixture = Mixture((Counting(), BCO(), Counting(step=3.0)))
    state = mixture.initial_state()
    assert state == {"0/steps": 0.0, "1/delta": 0.0, "2/steps": 0.0}
    found = mixture.over_vocabulary(torch.tensor([[1.0, 2.0], [5.0, 4.0]]), None, torch.tensor([0, 1]))
    assert {name: values.tolist() for name, values in found.items()} == {"0/largest": [2, 5], "2/largest": [6, 15]}
    n = torch.tensor([2])
    answers = Logps(torch.tensor([-3.0]), n, None, {name: values[None] for name, values in found.items()})
    pairs = PairLogps(answers, answers)
    state = {"0/steps": 100.0, "1/delta": 0.0, "2/steps": 1000.0}
    output = mixture(pairs, pairs, Context(state=state))
    assert next(iter(output.terms.values())).item() == 7 + 100 + 3
    assert list(output.terms.values())[2].item() == 21 + 1000 + 3
    assert {name: values.tolist() for name, values in output.observed.items()} == {
        "0/done": [1.0],
        "1/reward": [0.0],
        "2/done": [3.0],
    }
    after = mixture.next_state(state, {"0/done": 1.0, "1/reward": 2.0, "2/done": 3.0})
    assert after == {"0/steps": 101.0, "1/delta": pytest.approx(0.2), "2/steps": 1003.0}


def test_mixtures_nest(evaluate):
    inner = Mixture((BCO(), BetaDPO(keep=1.0)), (0.2, 0.3))
    outer = Mixture((SFT(), inner), (1.0, 2.0))
    assert set(outer.initial_state()) == {"1/0/delta", "1/1/mean", "1/1/std"}
    state = {"1/0/delta": 0.05, "1/1/mean": 0.0, "1/1/std": 0.0}
    output, _, _ = evaluate(outer, *B, Context(state=state))
    bco = evaluate(BCO(), *B, Context(state={"delta": 0.05}))[0].losses.item()
    beta = evaluate(BetaDPO(), *B)[0].losses.item()
    assert output.losses.item() == pytest.approx(3.005 + 2 * (0.2 * bco + 0.3 * beta))


def test_needs_margins_reach_the_part(evaluate):
    context = Context(margins={"wer": torch.tensor([1.0])})
    mixed = evaluate(Mixture((DPO(), ODPO())), *B, context)[0].losses.item()
    assert mixed == pytest.approx(2 * 0.57593942)


def test_a_recipe_can_name_one():
    tree = {
        "name": "mixture",
        "parts": [{"name": "dpo", "beta": 0.3}, "bco", {"name": "sft"}],
        "weights": [0.8, 0.2, 1],
    }
    mixture = STRUCTURER.structure(tree, Loss)
    assert mixture == Mixture((DPO(beta=0.3), BCO(), SFT()), (0.8, 0.2, 1.0))
    assert STRUCTURER.structure(STRUCTURER.unstructure(mixture), Loss) == mixture
    assert STRUCTURER.structure({"name": "mixture", "parts": ["dpo"]}, Loss) == Mixture((DPO(),))
    with pytest.raises(ConfigError, match=r"parts\[1\].*no member named 'dop'"):
        STRUCTURER.structure({"name": "mixture", "parts": ["dpo", "dop"]}, Loss)
    with pytest.raises(ConfigError, match="missing"):
        STRUCTURER.structure({"name": "mixture"}, Loss)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixture(()), "Mixture.parts is empty"),
        (lambda: Mixture((DPO(), KTO())), r"Mixture.parts\[1\] = KTO takes unpaired data, expected a loss of pairs"),
        (lambda: Mixture((GANPO(),)), r"Mixture.parts\[0\] = GANPO trains an adversary; set the mixture as its inner loss"),
        (lambda: Mixture((DPO(), SFT()), (1.0,)), "2 parts but 1 weights"),
        (lambda: Mixture((DPO(),), (-1.0,)), r"Mixture.weights\[0\] must be at least 0, found -1.0"),
        (lambda: Mixture((DPO(),), (float("nan"),)), r"Mixture.weights\[0\] must be at least 0, found nan"),
    ],
)
def test_what_cannot_be_mixed_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_ganpo_takes_a_mixture_as_its_inner_loss():
    assert GANPO(inner=Mixture((DPO(), SFT()))).inner.needs_reference == "logps"
