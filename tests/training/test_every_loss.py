"""Every loss of the registry through the trainer: it trains, resumes to the last bit, and refuses what it cannot use."""

import json
import logging
import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from lpo_tts.errors import ArtefactError, ConfigError, ContractError
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.bco import BCO
from lpo_tts.losses.beta_dpo import BetaDPO
from lpo_tts.losses.decoupled import Decoupled
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.epsilon_dpo import EpsilonDPO
from lpo_tts.losses.ganpo import GANPO
from lpo_tts.losses.kto import KTO
from lpo_tts.losses.ld_dpo import LDDPO
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.losses.mixture import Mixture
from lpo_tts.losses.odpo import ODPO
from lpo_tts.losses.sft import SFT
from lpo_tts.losses.tdpo import TDPO1
from lpo_tts.losses.tkto import TKTO
from lpo_tts.losses.wpo import WPO
from lpo_tts.training import scored as scored_module
from lpo_tts.training.examples import AnswerExample, ListExample, PairExample, mismatched
from lpo_tts.training.reference import compute_reference
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

VOCABULARY = 40
SMALL = {"model_width": 8, "layers": 1, "heads": 2, "feedforward": 16, "max_positions": 32}
SPECIAL = {"mixture": lambda: Mixture((DPO(), BCO(), SFT()), (0.8, 0.2, 1.0)), "ganpo": lambda: GANPO(**SMALL)}


def tiny(seed=0):
    torch.manual_seed(seed)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, initializer_range=0.2, tie_word_embeddings=True))


G = torch.Generator().manual_seed(3)


def ids(low=4, high=12):
    return torch.randint(0, VOCABULARY, (int(torch.randint(low, high, (1,), generator=G)),), generator=G)


PROMPTS = [ids() for _ in range(5)]
PAIRS = [
    PairExample(f"p{i}", PROMPTS[i % 5], ids(), ids(), {"wer": 0.1 + 0.2 * (i % 3)}, ("content", "style")[i % 2])
    for i in range(16)
]
LABELLED = [AnswerExample(f"a{i}", PROMPTS[i % 5], ids(), i % 3 != 0) for i in range(16)]
LISTS = [
    ListExample(f"l{i}", PROMPTS[i % 5], tuple(ids() for _ in range(2 + i % 3)), (0.9, 0.5, 0.1, 0.0)[: 2 + i % 3])
    for i in range(8)
]
DATA = {"pair": PAIRS, "unpaired": LABELLED, "list": LISTS}


def config(folder, **changes):
    defaults = {
        "output_dir": str(folder),
        "use_cpu": True,
        "max_steps": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "per_device_train_batch_size": 4,
        "learning_rate": 5e-3,
        "lr_scheduler_type": "constant",
        "token_budget": 70,
    }
    return LPOConfig(**{**defaults, **changes})


def rows_of(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


def weights_of(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def moved(before, model):
    after = dict(model.named_parameters())
    assert all(bool(weight.isfinite().all()) for weight in after.values())
    return any(not torch.equal(before[name], weight) for name, weight in after.items())


def run(folder, loss, data, model=None, passes=None, **changes):
    model = model or tiny()
    trainer = LPOTrainer(model, args=config(folder, **changes), train_dataset=data, eval_dataset=data[:3], loss=loss)
    inner = trainer.compute_loss
    if passes is not None:
        trainer.compute_loss = lambda *a, **k: (passes.append(1), inner(*a, **k))[1]
    trainer.train()
    return trainer, rows_of(folder)


CASES = [(name, REGISTRY.get(name).data) for name in REGISTRY] + [("kto", "pair"), ("tkto", "pair")]


# One for each kind of data and of reference; the others are slow together.
SOME = ("lpo-ste", "kto", "plackett-luce", "sft", "tdpo2", "ganpo")
MARKED = [pytest.param(*case, marks=[] if case[0] in SOME else pytest.mark.slow) for case in CASES]


@pytest.mark.parametrize(("name", "kind"), MARKED)
def test_it_trains(tmp_path, name, kind):
    loss = SPECIAL.get(name, REGISTRY.get(name))()
    model, passes = tiny(), []
    before = weights_of(model)
    trainer, rows = run(tmp_path, loss, DATA[kind], model, passes, max_steps=3)
    assert len(rows) == 3
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert moved(before, model)
    first = rows[0]
    assert first["grad_norm"] > 0
    if loss.needs_reference == "none":
        assert "log_ratios/chosen" not in first
        assert not (tmp_path / "reference.safetensors").exists()
    else:
        for side in ("chosen", "rejected"):
            assert first[f"log_ratios/{side}"] == pytest.approx(0, abs=1e-5)
            assert abs(rows[-1][f"log_ratios/{side}"]) > 1e-4
            assert first[f"rewards/{side}"] == pytest.approx(0, abs=1e-4)
        live = loss.needs_reference in ("logits", "hidden")
        assert (tmp_path / "reference.safetensors").exists() != live
        assert (trainer.scorer.ref_model is not None) == live
    # rows that depend on each other stand in one pass, others in as many as the budget asks for
    assert (len(passes) == 3) == loss.over_batch
    held_out = trainer.evaluate()
    assert math.isfinite(held_out["eval_loss"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["dpo", "lpo-ste", "simpo", "cpo", "orpo", "tdpo2", "kto", "plackett-luce", "lipo", "sft", "ld-dpo"]
)
def test_the_loss_falls(tmp_path, name):
    cls = REGISTRY.get(name)
    trainer, _ = run(tmp_path, cls(), DATA[cls.data], max_steps=1)
    start = trainer.score_pairs(DATA[cls.data])["loss"]
    trainer, _ = run(tmp_path / "long", cls(), DATA[cls.data], max_steps=15)
    assert trainer.score_pairs(DATA[cls.data])["loss"] < start - 0.02


class Interrupt(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 5:
            raise KeyboardInterrupt


STATEFUL = {
    "epsilon-dpo": (EpsilonDPO(), {}),
    "bco": (BCO(), {}),
    "beta-dpo": (BetaDPO(), {}),
    "mixture": (Mixture((BetaDPO(), BCO())), {}),
    "ganpo": (GANPO(**SMALL), {}),
    "tr-dpo": (DPO(), {"sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 0.5}),
    "kto": (KTO(), {}),
    "tdpo": (TDPO1(), {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATEFUL)
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, name):
    loss, changes = STATEFUL[name]
    data = LABELLED if name == "kto" else PAIRS
    # a checkpoint between two rows, and between two movements of the reference
    changes |= {"max_steps": 8, "logging_steps": 2, "save_strategy": "steps", "save_steps": 3, "average_from": 0.3}

    def trainer(folder, callbacks=None):
        return LPOTrainer(tiny(), args=config(folder, **changes), train_dataset=data, loss=loss, callbacks=callbacks)

    whole = trainer(tmp_path / "whole")
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "torn", [Interrupt()]).train()
    torch.manual_seed(99)
    resumed = trainer(tmp_path / "torn")
    resumed.train(resume_from_checkpoint=True)
    assert rows_of(tmp_path / "torn") == rows_of(tmp_path / "whole")
    assert len(rows_of(tmp_path / "whole")) == 4
    assert resumed.scorer.state == whole.scorer.state
    for mine, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    if name == "tr-dpo":
        start = tiny()
        pairs = zip(resumed.scorer.ref_model.parameters(), whole.scorer.ref_model.parameters(), start.parameters(), strict=True)
        for mine, theirs, before in pairs:
            assert torch.equal(mine, theirs)
            assert not torch.equal(mine, before)
    if name == "ganpo":
        mine, theirs = resumed.scorer.adversary.state_tensors(), whole.scorer.adversary.state_tensors()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
        assert int(mine["module.updates"]) == 8


def test_the_state_moves_and_is_logged(tmp_path):
    _, rows = run(tmp_path / "epsilon", EpsilonDPO(), PAIRS, max_steps=4)
    assert all(key.removeprefix("state/") in EpsilonDPO().initial_state() for row in rows for key in row if "state/" in key)
    _, rows = run(tmp_path / "bco", BCO(), PAIRS, max_steps=4)
    name = next(key for key in rows[0] if key.startswith("state/"))
    assert rows[0][name] == pytest.approx(0, abs=1e-5)
    assert rows[3][name] != rows[1][name]


def test_a_checkpoint_without_what_the_loss_keeps_is_refused(tmp_path):
    changes = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    run(tmp_path, DPO(), PAIRS, **changes)
    with pytest.raises(ArtefactError, match=r"another run \(loss\.name: 'dpo' -> 'ganpo'"):
        LPOTrainer(tiny(), args=config(tmp_path, **changes), train_dataset=PAIRS, loss=GANPO(**SMALL)).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-2")
        )
    changes |= {"sync_ref_model": True}
    with pytest.raises(ArtefactError, match=r"another run \(settings\.sync_ref_model: False -> True"):
        LPOTrainer(tiny(), args=config(tmp_path, **changes), train_dataset=PAIRS, loss=DPO()).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-2")
        )


def test_a_reference_that_follows_by_hand(tmp_path):
    """TR-DPO with alpha 1 and a sync at every step: the policy starts every step at its reference."""
    changes = {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0}
    trainer, rows = run(tmp_path, DPO(), PAIRS, max_steps=3, **changes)
    for row in rows:
        assert row["log_ratios/chosen"] == pytest.approx(0, abs=1e-5)
        assert row["loss"] == pytest.approx(math.log(2), abs=1e-5)
    for mine, theirs in zip(trainer.model.parameters(), trainer.scorer.ref_model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.slow
def test_kto_takes_pairs_as_two_labelled_answers(tmp_path):
    answers = [
        AnswerExample(f"{pair.id}-{side}", pair.prompt_ids, answer, side == 0)
        for pair in PAIRS[:4]
        for side, answer in enumerate(pair.answers)
    ]
    _, [one] = run(tmp_path / "pairs", KTO(), PAIRS[:4], max_steps=1)
    _, [two] = run(tmp_path / "answers", KTO(), answers, max_steps=1, per_device_train_batch_size=8)
    for name in ("loss", "logps/chosen", "logps/rejected"):
        assert one[name] == pytest.approx(two[name], abs=1e-4)
    _, [mixed] = run(tmp_path / "mixed", KTO(), [*PAIRS[:2], *answers[4:]], max_steps=1, per_device_train_batch_size=6)
    for name in ("loss", "logps/chosen", "logps/rejected"):
        assert mixed[name] == pytest.approx(two[name], abs=1e-4)


# What a loss makes of columns of numbers per token, against the models' own logits in float64


def noise(example, seed):
    """One number above 0 for every token of every answer, some of them 0."""
    generator = torch.Generator().manual_seed(seed)
    values = [2 * torch.rand(len(answer), generator=generator) for answer in example.answers]
    for one in values:
        one[1] = 0.0
    return values


def with_columns(column):
    """Pairs and labelled answers, most of them with a column of this name."""
    found = []
    for i, pair in enumerate(PAIRS[:6]):
        chosen, rejected = noise(pair, i) if i != 2 else (None, None)
        plain = {"id": pair.id, "prompt_ids": pair.prompt_ids.flatten().tolist()}
        if i % 3 == 1:
            row = {"answer_ids": pair.chosen_ids.flatten().tolist(), "label": False, f"answer_{column}": chosen.tolist()}
        else:
            row = {"chosen_ids": pair.chosen_ids.flatten().tolist(), "rejected_ids": pair.rejected_ids.flatten().tolist()}
            row |= {} if chosen is None else {f"chosen_{column}": chosen.tolist(), f"rejected_{column}": rejected.tolist()}
        found.append(plain | row)
    return found


def token_logps(model, prompt, answer):
    logits = model(torch.cat([prompt, answer]).T).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, answer)[:, 0]


def trained_step(folder, loss, data, **switches):
    """The loss and gradients of one batch, as the trainer computes them from a policy that is not the reference."""
    args = config(folder, per_device_train_batch_size=len(data), check_reference=False, **switches)
    trainer = LPOTrainer(tiny(3), tiny(7), args=args, train_dataset=data, loss=loss)
    trainer._ready()
    trainer.current_gradient_accumulation_steps = 1  # set by `train`
    trainer.model.train()
    value = trainer.training_step(trainer.model, trainer.data_collator(trainer.train_dataset))
    return float(value), {name: weight.grad for name, weight in trainer.model.named_parameters()}, trainer


def by_hand(cost, data):
    """The mean of `cost(log-ratios of tokens, example, place)` over all answers, and its gradients, in float64."""
    policy, reference = tiny(3).double(), tiny(7).double()

    def ratios(prompt, answer):
        with torch.no_grad():
            frozen = token_logps(reference, prompt, answer)
        return token_logps(policy, prompt, answer) - frozen

    losses = [cost(ratios, example, i) for example in data for i in range(len(example.answers))]
    value = torch.stack(losses).mean()
    value.backward()
    return value.item(), {name: weight.grad for name, weight in policy.named_parameters()}


def labels(example):
    return [example.desirable] if isinstance(example, AnswerExample) else [True, False]


def ones(factors, answer):
    return torch.ones(len(answer), dtype=torch.float64) if factors is None else factors.flatten().double()


def kto_point(data, others, each):
    """KTO's z0: `each` answer under another prompt, pairs' rejected ones too; without gradient."""
    rows = [(others[e.id].prompt_ids, *row) for e in data for row in zip(others[e.id].answers, others[e.id].weights, strict=True)]
    assert len(rows) == sum(len(e.answers) for e in data)
    with torch.no_grad():
        policy, reference = tiny(3).double(), tiny(7).double()
        found = [each(token_logps(policy, p, a) - token_logps(reference, p, a), ones(w, a)) for p, a, w in rows]
    return max(0.0, float(torch.stack(found).mean()))


WAYS = [{}, {"pack": False}, {"share_prompts": False, "head": "full"}]


def assert_equal(found, expected):
    (value, gradients, _), (oracle, exact) = found, expected
    assert value == pytest.approx(oracle, rel=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in exact.values())
    assert largest > 1e-4  # there is something to compare
    for name, gradient in exact.items():
        torch.testing.assert_close(gradients[name].double(), gradient, rtol=1e-3, atol=2e-5 * largest)


@pytest.mark.parametrize("switches", WAYS, ids=str)
def test_the_importance_of_tokens_reaches_tkto(switches, tmp_path):
    rows = with_columns("importance")
    found = trained_step(tmp_path, TKTO(beta=0.7), rows, **switches)
    data = found[2].train_dataset
    assert sum(one is not None for example in data for one in example.importance) == 8
    z0 = kto_point(data, mismatched(data), lambda ratios, _: ratios.mean())

    def cost(ratios, example, i):
        sign = -1 if labels(example)[i] else 1
        costs = torch.sigmoid(sign * 0.7 * (ratios(example.prompt_ids, example.answers[i]) - z0))
        return (ones(example.importance[i], example.answers[i]) * costs).mean()

    assert_equal(found, by_hand(cost, data))
    plain, _, _ = trained_step(tmp_path / "plain", TKTO(beta=0.7), [{**r, **dict.fromkeys(IMPORTANCE)} for r in rows], **switches)
    assert abs(plain - found[0]) > 1e-3


IMPORTANCE = ("answer_importance", "chosen_importance", "rejected_importance")


@pytest.mark.parametrize("column", ["weights", "importance"])
@pytest.mark.parametrize("switches", WAYS, ids=str)
def test_ktos_reference_point_is_of_all_answers_and_weighed_as_they_are(switches, column, tmp_path):
    """Importance, which is TKTO's, changes nothing here."""
    found = trained_step(tmp_path, KTO(), with_columns(column), **switches)
    data = found[2].train_dataset
    z0 = kto_point(data, mismatched(data), lambda ratios, weights: (weights * ratios).sum())

    def cost(ratios, example, i):
        weights = ones(example.weights[i], example.answers[i])
        x = (weights * ratios(example.prompt_ids, example.answers[i])).sum()
        return torch.sigmoid((-0.1 if labels(example)[i] else 0.1) * (x - z0))

    assert z0 > 1  # or it would not be known whether it was right
    assert_equal(found, by_hand(cost, data))


@pytest.mark.parametrize("loss", [TKTO(), LDDPO(), WPO(inner=LDDPO()), GANPO(**SMALL), Mixture((DPO(), LDDPO()))], ids=repr)
def test_token_weights_are_refused_where_places_of_tokens_count(loss, tmp_path):
    pairs = [PairExample("w", PROMPTS[0], [1, 2, 3], [4, 5], chosen_weights=[0, 1, 1]), *PAIRS]
    message = f"{type(loss).__name__} goes by the places of an answer's tokens, so token weights do not go with it; leave out"
    with pytest.raises(ContractError, match=message):
        run(tmp_path, loss, pairs, token_budget=None, per_device_train_batch_size=len(pairs))


def test_a_batch_of_one_label_will_do(tmp_path):
    desirable = [example for example in LABELLED if example.desirable]
    _, rows = run(tmp_path, KTO(), desirable)
    assert "rewards/rejected" not in rows[0]
    assert math.isfinite(rows[1]["loss"])


@pytest.mark.slow
def test_margins_that_are_missing_are_named(tmp_path):
    bare = [PairExample(pair.id, *(pair.prompt_ids, *pair.answers)) for pair in PAIRS]
    message = "ODPO needs every pair's margin in the metric 'wer', but the pairs have margins in: none at all"
    with pytest.raises(ContractError, match=message):
        run(tmp_path / "none", ODPO(), bare)
    with pytest.raises(
        ContractError, match="ODPO needs every pair's margin in the metric 'sim', but the pairs have margins in: wer"
    ):
        run(tmp_path / "other", ODPO(metric="sim"), PAIRS)
    with pytest.raises(ContractError, match="metric 'wer', but 8 of 16 pairs of the batch have none"):
        run(tmp_path / "some", ODPO(), [*PAIRS[:8], *bare[8:]], token_budget=None, per_device_train_batch_size=16)
    with pytest.raises(ContractError, match="has the aspect '', expected content or style"):
        run(tmp_path / "aspects", Decoupled(), bare)


@pytest.mark.parametrize(
    ("loss", "data", "message"),
    [
        (DPO(), LISTS, "DPO learns from pair data, but l0 is list; "),
        (DPO(), LABELLED, "DPO learns from pair data, but a0 is unpaired; "),
        (KTO(), LISTS, "KTO learns from unpaired data, but l0 is list; "),
        (REGISTRY.get("lipo")(), PAIRS, "LiPO learns from list data, but p0 is pair; "),
    ],
)
def test_data_of_another_kind_is_refused(tmp_path, loss, data, message):
    with pytest.raises(ContractError, match=message):
        LPOTrainer(tiny(), args=config(tmp_path), train_dataset=data, loss=loss)


@pytest.mark.parametrize(("name", "data"), [("kto", LABELLED), ("aot", PAIRS), ("beta-dpo", PAIRS)])
def test_a_batch_of_one_is_refused_where_rows_are_compared(tmp_path, name, data):
    cls = REGISTRY.get(name)
    with pytest.raises(ConfigError, match=f"{cls.__name__} compares the rows of a batch; use a batch size of at least 2"):
        LPOTrainer(tiny(), args=config(tmp_path, per_device_train_batch_size=1), train_dataset=data, loss=cls())


def test_kto_on_one_prompt_is_refused(tmp_path):
    same = [AnswerExample(f"a{i}", PROMPTS[0], ids(), i % 2 == 0) for i in range(4)]
    with pytest.raises(ContractError, match="all examples have the same prompt"):
        LPOTrainer(tiny(), args=config(tmp_path), train_dataset=same, loss="kto")


def test_kept_sums_do_not_do_for_a_loss_on_tokens(tmp_path):
    reference = compute_reference(tiny(), PAIRS)
    with pytest.raises(ContractError, match="need reference log-probs token by token, and these are sums"):
        LPOTrainer(tiny(), args=config(tmp_path), train_dataset=PAIRS, loss="ld-dpo", reference_logps=reference)


def test_lists_without_scores_do_for_plackett_luce_alone(tmp_path):
    unscored = [ListExample(one.id, one.prompt_ids, one.ranked) for one in LISTS]
    _, rows = run(tmp_path / "pl", REGISTRY.get("plackett-luce")(), unscored, max_steps=1)
    assert math.isfinite(rows[0]["loss"])
    with pytest.raises(ContractError, match="LiPO weighs answers by their labels"):
        run(tmp_path / "lipo", REGISTRY.get("lipo")(), unscored)


def test_cut_answers_are_the_same_for_policy_and_reference(tmp_path, caplog):
    """The first batch's check would fail if one of the two had seen whole answers."""
    with caplog.at_level(logging.WARNING):
        trainer, rows = run(tmp_path, LPOSTE(), PAIRS, max_answer_tokens=6, too_long="cut")
    assert "pairs cut to max_answer_tokens = 6" in caplog.text
    assert max(len(answer) for pair in trainer.train_dataset for answer in pair.answers) == 6
    assert int(trainer.reference_logps.num_tokens.max()) == 6
    assert rows[0]["log_ratios/chosen"] == pytest.approx(0, abs=1e-5)


def test_sync_ref_model_needs_a_reference_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match="sync_ref_model moves the reference, but SFT has none"):
        LPOTrainer(tiny(), args=config(tmp_path, sync_ref_model=True), train_dataset=PAIRS, loss="sft")


@pytest.mark.parametrize("loss", [WPO(inner=TDPO1()), GANPO(inner=BCO(), **SMALL), Decoupled(style=TDPO1()), TKTO()])
def test_losses_inside_others_get_what_they_need(tmp_path, loss):
    trainer, rows = run(tmp_path, loss, DATA["unpaired"] if isinstance(loss, TKTO) else PAIRS)
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert trainer.scorer.state.keys() == loss.initial_state().keys()


# LoRA


def lora():
    peft = pytest.importorskip("peft")
    return peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=True)


def adapted(folder, loss, **changes):
    return LPOTrainer(tiny(), args=config(folder, **changes), train_dataset=PAIRS, loss=loss, peft_config=lora())


def test_new_adapters_depend_on_the_seed_alone(tmp_path):
    def adapters(before, seed):
        model = tiny()
        torch.manual_seed(before)
        args = config(tmp_path, seed=seed)
        weights = LPOTrainer(model, args=args, train_dataset=PAIRS, loss="dpo", peft_config=lora()).model.state_dict()
        return {name: value for name, value in weights.items() if "lora_A" in name}

    one, again, other = adapters(1, seed=5), adapters(2, seed=5), adapters(1, seed=6)
    assert one
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_lora_compares_with_the_model_without_adapters(tmp_path, monkeypatch):
    before = weights_of(tiny())
    changes = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "learning_rate": 2e-2}
    trainer = adapted(tmp_path / "whole", DPO(), **changes)
    trainer.train()
    assert rows_of(tmp_path / "whole")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert rows_of(tmp_path / "whole")[-1]["rewards/margins"] > 0
    base = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): weight
        for name, weight in trainer.model.named_parameters()
        if "lora" not in name
    }
    assert base.keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in base.items())
    kept = compute_reference(tiny(), PAIRS)
    taken = trainer.reference_logps.take([pair.id for pair in PAIRS])
    assert torch.allclose(taken.total, kept.take([pair.id for pair in PAIRS]).total, atol=1e-4)

    torn = adapted(tmp_path / "torn", DPO(), **changes)
    torn.add_callback(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        torn.train()

    def computed(*args, **kwargs):
        raise AssertionError("the reference is computed anew")

    monkeypatch.setattr(scored_module, "collate", computed)
    resumed = adapted(tmp_path / "torn", DPO(), **changes)
    resumed.train(resume_from_checkpoint=True)
    assert rows_of(tmp_path / "torn") == rows_of(tmp_path / "whole")
    for mine, theirs in zip(resumed.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("loss", [TDPO1(), EpsilonDPO(), GANPO(**SMALL)])
@pytest.mark.slow
def test_live_reference_under_lora(tmp_path, loss):
    trainer = adapted(tmp_path / "adapters", loss, learning_rate=2e-2, max_steps=3)
    trainer.train()
    rows = rows_of(tmp_path / "adapters")
    assert trainer.scorer.ref_model is None
    assert rows[0]["log_ratios/chosen"] == pytest.approx(0, abs=1e-6)
    assert abs(rows[-1]["log_ratios/chosen"]) > 1e-4
    assert all(weight.grad is None for name, weight in trainer.model.named_parameters() if "lora" not in name)
    other = LPOTrainer(
        adapted(tmp_path / "same", loss).model,
        ref_model=tiny(),
        args=config(tmp_path / "model", learning_rate=2e-2, max_steps=3),
        train_dataset=PAIRS,
        loss=loss,
    )
    other.train()  # the model itself as the reference gives the same numbers
    for row, expected in zip(rows_of(tmp_path / "model"), rows, strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_sync_ref_model_is_refused_under_lora(tmp_path):
    with pytest.raises(ConfigError, match="sync_ref_model moves the reference's weights, but under peft the reference is the"):
        adapted(tmp_path, DPO(), sync_ref_model=True)
