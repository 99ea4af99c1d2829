"""TRL's names, and where what they set is to be found here."""

import difflib
from collections.abc import Iterable

from lpo_tts.errors import ConfigError
from lpo_tts.losses import REGISTRY

LOSSES = {  # TRL's loss_type -> our name
    "sigmoid": "dpo",
    "exo_pair": "exo",
    "nca_pair": "nca",
    "robust": "robust-dpo",
    "bco_pair": "bco",
    "sppo_hard": "sppo",
    "aot_unpaired": "aot-unpaired",
    "aot_pair": "aot",
    "apo_zero": "apo-zero",
    "apo_down": "apo-down",
    "sigmoid_norm": "ln-dpo",
    "kto_pair": "kto-pair",
}
LOSS = "it belongs to the loss, which the trainer takes: LPOTrainer(..., loss={})"
ANSWERS = "prompts are never cut; max_answer_tokens limits answers, and too_long says what becomes of longer ones"
PADDING = "there is no padding: answers stand packed in one row (pack), and padded rows are masked (pack=False)"
HINTS = {
    "beta": LOSS.format("DPO(beta=0.1)"),
    "loss_type": "the trainer takes the loss: LPOTrainer(..., loss='dpo'), or an instance such as DPO(beta=0.1)",
    "loss_weights": LOSS.format("Mixture((DPO(), SFT()), (0.8, 0.2))"),
    "label_smoothing": LOSS.format("CDPO(label_smoothing=...), RobustDPO(...) or EXO(...)"),
    "ld_alpha": LOSS.format("LDDPO(alpha=...)"),
    "f_divergence_type": LOSS.format("FDPO(divergence=...)"),
    "f_alpha_divergence_coef": LOSS.format("FDPO(divergence='alpha', alpha=...)"),
    "use_weighting": LOSS.format("WPO()"),
    "discopop_tau": LOSS.format("DiscoPOP(tau=...)"),
    "rpo_alpha": LOSS.format("DPONLL(...)"),
    "simpo_gamma": LOSS.format("SimPO(...)"),
    "cpo_alpha": LOSS.format("CPO(...)"),
    "desirable_weight": LOSS.format("KTO(...)"),
    "undesirable_weight": LOSS.format("KTO(...)"),
    "reference_free": "a loss says whether it needs a reference: LPOTrainer(..., loss='simpo') needs none",
    "max_length": ANSWERS,
    "max_prompt_length": ANSWERS,
    "max_completion_length": ANSWERS,
    "max_target_length": ANSWERS,
    "truncation_mode": ANSWERS,
    "padding_free": PADDING,
    "pad_to_multiple_of": PADDING,
    "pad_token": PADDING,
    "padding_value": PADDING,
    "label_pad_token_id": PADDING,
    "precompute_ref_log_probs": "leave it out: reference log-probs are always computed once, before training, where the loss "
    "allows it; LPOTrainer(..., reference_logps=...) takes ready ones",
    "precompute_ref_batch_size": "leave it out: the reference is scored in batches of per_device_eval_batch_size",
    "model_init_kwargs": "load the model yourself and pass it: AutoModelForCausalLM.from_pretrained(name, ...)",
    "trust_remote_code": "load the model yourself and pass it: AutoModelForCausalLM.from_pretrained(name, ...)",
    "router_aux_loss_coef": "leave it out: the balancing loss of mixtures of experts is not added",
    "dataset_num_proc": "leave it out: the data are token ids; tokenize_pairs makes them from text",
    "activation_offloading": "use activation_checkpointing=True, activation_checkpointing_kwargs={'offload': True}",
    "use_logits_to_keep": "leave it out: head='fused' computes the logits of answer tokens alone",
    "generate_during_eval": "leave it out: `lpo-tts synthesize` and `lpo-tts evaluate` speak and judge held-out prompts",
    "tokenizer": "its name is processing_class",
    "evaluation_strategy": "its name is eval_strategy",
    "model_init": "pass the model itself",
    "compute_loss_func": "pass a loss of your own, which inherits lpo_tts.losses.base.Loss: LPOTrainer(..., loss=...)",
}


def refuse_unknown(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises ConfigError for the first name that is none of `known`: where its setting lives here, or the nearest name."""
    known = list(known)
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = HINTS.get(name) or (f"did you mean {near[0]}?" if near else "leave it out; docs/training.md lists what there is")
        raise ConfigError(f"{owner} has no setting {name!r}: {hint}")


def loss_class(name: str) -> type:
    """The loss of that name; raises ConfigError with our name where TRL's was given."""
    if name in LOSSES and name not in REGISTRY.members:
        raise ConfigError(f"losses: TRL's {name!r} is {LOSSES[name]!r} here")
    return REGISTRY.get(name)
