"""The same numbers as TRL's DPOTrainer: every loss both have, through one small model, values and gradients."""

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from lpo_tts.losses.aot import Aot, AotUnpaired
from lpo_tts.losses.apo import ApoDown, ApoZero
from lpo_tts.losses.bco import Bco
from lpo_tts.losses.discopop import DiscoPop
from lpo_tts.losses.dpo import Dpo
from lpo_tts.losses.dpo_nll import DpoNll
from lpo_tts.losses.exo import Exo
from lpo_tts.losses.f_dpo import FDpo
from lpo_tts.losses.hinge import Hinge
from lpo_tts.losses.ipo import Ipo
from lpo_tts.losses.kto import Kto
from lpo_tts.losses.ld_dpo import LdDpo
from lpo_tts.losses.ln_dpo import LnDpo
from lpo_tts.losses.mixture import Mixture
from lpo_tts.losses.nca import Nca
from lpo_tts.losses.robust_dpo import RobustDpo
from lpo_tts.losses.sft import Sft
from lpo_tts.losses.sppo import Sppo
from lpo_tts.losses.wpo import Wpo
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

VOCABULARY = 40


def tiny(nudge=0.0):
    """The same weights each time; `nudge` moves them, so that policy and reference differ."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            initializer_range=0.3,
            pad_token_id=0,
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(nudge * torch.randn_like(weight))
    return model


def make_rows(count, lengths=(3, 12), prompts=3):
    """Pairs of several to a prompt, one answer shared by two of them: what packing puts together."""
    generator = torch.Generator().manual_seed(5)

    def ids(low, high):
        size = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(1, VOCABULARY, (size,), generator=generator).tolist()

    texts = [ids(2, 9) for _ in range(prompts)]
    rows = [{"prompt_ids": texts[i % prompts], "chosen_ids": ids(*lengths), "rejected_ids": ids(*lengths)} for i in range(count)]
    rows[prompts]["chosen_ids"] = rows[0]["chosen_ids"]
    return rows


class Tokenised(DPOTrainer):
    """TRL's, on rows that are token ids already."""

    def _prepare_dataset(self, dataset, *_):
        return dataset


def common(folder):
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "per_device_train_batch_size": 8,
        "num_train_epochs": 4,
        "learning_rate": 1e-2,
        "optim": "adamw_torch",
        "adam_beta2": 0.95,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
    }


def trl_trainer(folder, rows, **settings):
    args = DPOConfig(**common(folder), gradient_checkpointing=False, max_length=None, **settings)
    return Tokenised(tiny(), tiny(0.02), args=args, train_dataset=Dataset.from_list(rows), processing_class=trl_tokenizer())


class TokenisedKto(KTOTrainer):
    """TRL's, on rows that are token ids already, with the answers that its z0 is taken from."""

    def _prepare_dataset(self, dataset, *_):
        return dataset


def trl_tokenizer():
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0}, unk_token="<pad>")), pad_token="<pad>", eos_token="<pad>"
    )


def our_trainer(folder, rows, loss, **switches):
    args = LPOConfig(**common(folder), check_reference=False, **switches)
    trainer = LPOTrainer(tiny(), tiny(0.02), args=args, train_dataset=rows, loss=loss)
    trainer._ready()
    return trainer


def step(trainer, batch):
    """Loss and gradients of one batch, as the trainer computes them."""
    trainer.current_gradient_accumulation_steps = 1  # set by `train`
    trainer.model.train()
    loss = trainer.training_step(trainer.model, batch)
    gradients = {name: weight.grad.clone() for name, weight in trainer.model.named_parameters()}
    return float(loss), gradients


def assert_same(folder, loss, settings, rows, **switches):
    trl = trl_trainer(folder / "trl", rows, **settings)
    assert_same_as(trl, rows, folder, loss, rows, **switches)


def assert_same_as(trl, trl_rows, folder, loss, rows, **switches):
    expected, gradients = step(trl, trl.data_collator(trl_rows))
    ours = our_trainer(folder / "ours", rows, loss, **switches)
    found, own = step(ours, ours.data_collator(ours.train_dataset))
    assert found == pytest.approx(expected, rel=2e-5)
    assert own.keys() == gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    assert largest > 1e-3  # there is something to compare
    for name, gradient in gradients.items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-3, atol=1e-5 * largest)


# Where the two have different defaults, both are given the value. TRL's f-divergences belong to its sigmoid loss.
LOSSES = {
    "sigmoid": (Dpo(beta=0.3), {"loss_type": ["sigmoid"], "beta": 0.3}),
    "sigmoid_norm": (LnDpo(beta=2.0), {"loss_type": ["sigmoid_norm"], "beta": 2.0}),
    "hinge": (Hinge(beta=0.3), {"loss_type": ["hinge"], "beta": 0.3}),
    "ipo": (Ipo(beta=0.2), {"loss_type": ["ipo"], "beta": 0.2}),
    "exo_pair": (Exo(beta=0.3, label_smoothing=1e-3), {"loss_type": ["exo_pair"], "beta": 0.3, "label_smoothing": 1e-3}),
    "nca_pair": (Nca(beta=0.3), {"loss_type": ["nca_pair"], "beta": 0.3}),
    "robust": (RobustDpo(beta=0.3, label_smoothing=0.1), {"loss_type": ["robust"], "beta": 0.3, "label_smoothing": 0.1}),
    # TRL's has no running mean: that is ours before the first step, where delta is 0, and for ever with momentum 1
    "bco_pair": (Bco(beta=0.3, momentum=1.0), {"loss_type": ["bco_pair"], "beta": 0.3}),
    "sppo_hard": (Sppo(beta=0.3), {"loss_type": ["sppo_hard"], "beta": 0.3}),
    # ours keeps a loss per row; mean value and gradients are the sorted batch's
    "aot": (Aot(beta=0.3, label_smoothing=0.1), {"loss_type": ["aot"], "beta": 0.3, "label_smoothing": 0.1}),
    "aot_unpaired": (
        AotUnpaired(beta=0.3, label_smoothing=0.1),
        {"loss_type": ["aot_unpaired"], "beta": 0.3, "label_smoothing": 0.1},
    ),
    "apo_zero": (ApoZero(beta=0.3), {"loss_type": ["apo_zero"], "beta": 0.3}),
    "apo_down": (ApoDown(beta=0.3), {"loss_type": ["apo_down"], "beta": 0.3}),
    "discopop": (DiscoPop(beta=0.05, tau=0.05), {"loss_type": ["discopop"], "beta": 0.05, "discopop_tau": 0.05}),
    "forward_kl": (FDpo(divergence="forward_kl", beta=0.3), {"f_divergence_type": "forward_kl", "beta": 0.3}),
    "js_divergence": (FDpo(divergence="js", beta=0.3), {"f_divergence_type": "js_divergence", "beta": 0.3}),
    "alpha_divergence": (
        FDpo(divergence="alpha", beta=0.3, alpha=0.4),
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.4, "beta": 0.3},
    ),
    "ld_alpha": (LdDpo(beta=0.3, alpha=0.4), {"loss_type": ["sigmoid"], "ld_alpha": 0.4, "beta": 0.3}),
    # TRL does not limit the weight, as the authors' code and our default do
    "use_weighting": (
        Wpo(inner=Dpo(beta=0.3), max_weight=None),
        {"loss_type": ["sigmoid"], "use_weighting": True, "beta": 0.3},
    ),
    # with TRL's hinge, use_weighting raises: it multiplies in place what relu keeps for its gradient
    "use_weighting nca_pair": (
        Wpo(inner=Nca(beta=0.3), max_weight=None),
        {"loss_type": ["nca_pair"], "use_weighting": True, "beta": 0.3},
    ),
    "sigmoid + bco_pair": (
        Mixture(parts=(Dpo(beta=0.3), Bco(beta=0.3)), weights=(0.8, 0.2)),
        {"loss_type": ["sigmoid", "bco_pair"], "loss_weights": [0.8, 0.2], "beta": 0.3},
    ),
}
# TRL's `sft` is the mean over all chosen tokens of the batch, ours the mean over answers of each answer's mean: a long
# answer weighs more there. The two agree where all chosen answers have the same length.
EQUAL_LENGTHS = {
    "sft": (Sft(), {"loss_type": ["sft"]}),
    "sigmoid + sft": (
        Mixture(parts=(Dpo(beta=0.3), Sft()), weights=(0.8, 1.5)),
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [0.8, 1.5], "beta": 0.3},
    ),
    "sigmoid + sft as dpo-nll": (
        DpoNll(beta=0.3, alpha=1.5),
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 1.5], "beta": 0.3},
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_equal_trl(name, tmp_path):
    loss, settings = LOSSES[name]
    assert_same(tmp_path, loss, settings, make_rows(8))


@pytest.mark.parametrize("name", EQUAL_LENGTHS)
def test_losses_that_equal_trl_on_answers_of_one_length(name, tmp_path):
    loss, settings = EQUAL_LENGTHS[name]
    assert_same(tmp_path, loss, settings, make_rows(8, lengths=(7, 8)))


def test_sft_means_are_per_answer_where_trl_has_one_over_all_tokens(tmp_path):
    rows = make_rows(4)
    lengths = [len(row["chosen_ids"]) for row in rows]
    assert len(set(lengths)) > 1
    ours = our_trainer(tmp_path / "ours", rows, Sft(), token_budget=None)  # which keeps the order of rows
    scored = ours.scorer.score(ours.speech_lm, ours.data_collator(ours.train_dataset)["packs"][0])
    trl = trl_trainer(tmp_path / "trl", rows, loss_type=["sft"])
    theirs, _ = step(trl, trl.data_collator(rows))
    losses = scored.losses.tolist()
    by_token = sum(one * size for one, size in zip(losses, lengths, strict=True)) / sum(lengths)
    assert theirs == pytest.approx(by_token, rel=1e-5)
    assert sum(losses) / len(losses) != pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("switches", [{"pack": False, "head": "full"}, {"share_prompts": False}, {"token_budget": 40}], ids=str)
def test_every_way_to_compute_equals_trl(switches, tmp_path):
    assert_same(tmp_path, *LOSSES["sigmoid"], make_rows(8), **switches)


@pytest.mark.parametrize("switches", [{}, {"pack": False}], ids=str)
def test_kto_on_pairs_equals_trl_with_both_answers_in_its_reference_point(switches, tmp_path):
    """Each prompt has two pairs. TRL is told which answers stand at which other prompt: those of the next one."""
    rows = [{"id": f"p{i}", **row} for i, row in enumerate(make_rows(6, lengths=(4, 9)))]
    rows = sorted(rows, key=lambda row: rows.index(row) % 3)  # by prompt, as many of each
    answers = [(row["prompt_ids"], row[f"{side}_ids"], side == "chosen") for row in rows for side in ("chosen", "rejected")]
    labelled = [
        {"prompt_ids": prompt, "completion_ids": answer, "label": label, "KL_completion_ids": answers[(i + 4) % 12][1]}
        for i, (prompt, answer, label) in enumerate(answers)
    ]
    settings = {**common(tmp_path / "trl"), "per_device_train_batch_size": 12, "train_sampling_strategy": "sequential"}
    args = KTOConfig(**settings, gradient_checkpointing=False, max_length=None, beta=0.3, desirable_weight=1.2)
    data = Dataset.from_list(labelled)
    trl = TokenisedKto(tiny(), tiny(0.02), args=args, train_dataset=data, processing_class=trl_tokenizer())
    assert_same_as(trl, labelled, tmp_path, Kto(beta=0.3, desirable_weight=1.2), rows, **switches)
    assert trl._metrics["train"]["kl"][0] == pytest.approx(0.538, abs=1e-3)  # over the chosen answers alone it would be 0.341


def test_training_and_its_metrics_equal_trl(tmp_path):
    rows = make_rows(8)  # one batch per epoch, so that the order within it does not matter
    trl = trl_trainer(tmp_path / "trl", rows, beta=0.3)
    trl.train()
    ours = our_trainer(tmp_path / "ours", rows, Dpo(beta=0.3))
    ours.train()
    expected, found = ([row for row in one.state.log_history if "grad_norm" in row] for one in (trl, ours))
    names = ["loss", "grad_norm", "learning_rate", "epoch", "logps/chosen", "logps/rejected"]
    names += [f"rewards/{name}" for name in ("chosen", "rejected", "margins", "accuracies")]
    assert len(expected) == len(found) == 4
    assert found[-1]["loss"] < found[0]["loss"] - 0.05
    for theirs, own in zip(expected, found, strict=True):
        for name in names:
            assert own[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-4), name
    for name, weight in trl.model.named_parameters():
        torch.testing.assert_close(ours.model.get_parameter(name), weight, rtol=1e-3, atol=1e-4)
