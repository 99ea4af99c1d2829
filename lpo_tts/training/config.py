"""The trainer's configuration: transformers' TrainingArguments, and what preference training adds."""

import functools
import os
import sys
from dataclasses import dataclass, field, fields
from typing import Any

from transformers import TrainingArguments

from lpo_tts.errors import ConfigError
from lpo_tts.training.trl import refuse_unknown

HEADS = ("fused", "answers", "full")


@dataclass
class LPOConfig(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for preference training, and the fields below.

    Attributes:
        pack: answers stand one after the other in one row, without padding; else one padded row each.
        share_prompts: packed only: the answers of a prompt go through the model together, and the prompt once.
        head: "fused" computes the answers' log-probs a tile of logits at a time; "answers" holds the logits of the
            answers, "full" those of all places. All three give the same losses and gradients.
        token_budget: packed only: a batch with more tokens is cut into several forward and backward passes; None: not.
        max_answer_tokens: longest answer.
        too_long: what becomes of a pair with a longer one: "drop" and "cut" are counted, "error" stops.
        average_from: fraction of the steps from which on the weights are averaged; None: not.
        disable_dropout: sets every dropout probability to 0; policy and reference must not differ by chance.
        check_reference: whether the first batch must give policy = reference; not where they differ on purpose.
        check_packing: whether packed and plain log-probs are compared once before training.
        length_window: not packed only: batches within which pairs of similar length are brought together.
        sync_ref_model: TR-DPO (arXiv 2404.09656): every `ref_model_sync_steps` steps the reference becomes
            `ref_model_mixup_alpha` * policy + (1 - `ref_model_mixup_alpha`) * reference. Names and defaults are TRL's.
        metrics_file: name of the JSONL file of logged rows in `output_dir`; empty: none.
    """

    learning_rate: float = field(default=1e-6, metadata={"help": "Peak learning rate."})
    adam_beta2: float = field(default=0.95, metadata={"help": "As in the LPO runs."})
    logging_steps: float = field(default=10, metadata={"help": "Steps between logged rows."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "A non-finite loss is an error here."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator needs them all."})
    report_to: str | list[str] | None = field(default="none", metadata={"help": "Trackers, e.g. wandb."})
    disable_tqdm: bool | None = field(
        default_factory=lambda: not sys.stderr.isatty(), metadata={"help": "No bar off a terminal."}
    )
    pack: bool = field(default=True, metadata={"help": "One row without padding."})
    share_prompts: bool = field(default=True, metadata={"help": "Each prompt once per batch."})
    head: str = field(default="fused", metadata={"help": "fused, answers or full."})
    token_budget: int | None = field(default=2048, metadata={"help": "Tokens of one pass."})
    max_answer_tokens: int | None = field(default=None, metadata={"help": "Longest answer, in tokens."})
    too_long: str = field(default="drop", metadata={"help": "drop, error or cut."})
    average_from: float | None = field(default=None, metadata={"help": "Fraction of steps before averaging."})
    disable_dropout: bool = field(default=True, metadata={"help": "Set all dropout to 0."})
    check_reference: bool = field(default=True, metadata={"help": "First batch: policy = reference."})
    check_packing: bool = field(default=True, metadata={"help": "Packed = plain, once before training."})
    length_window: int = field(default=8, metadata={"help": "Batches sorted by length together."})
    sync_ref_model: bool = field(default=False, metadata={"help": "TR-DPO: the reference follows the policy."})
    ref_model_mixup_alpha: float = field(default=0.6, metadata={"help": "Share of the policy."})
    ref_model_sync_steps: int = field(default=512, metadata={"help": "Steps between two updates of the reference."})
    metrics_file: str = field(default="metrics.jsonl", metadata={"help": "Rows, in output_dir."})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("too_long", ("drop", "error", "cut")), ("head", HEADS)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} = {getattr(self, name)!r} is none of {', '.join(choices)}")
        if self.token_budget is not None and self.token_budget < 1:
            raise ConfigError(f"token_budget must be at least 1, found {self.token_budget}")
        if self.sharded:
            self.token_budget = None  # every process must make as many passes as the others
        if self.average_from is not None and self.sharded:
            raise ConfigError("average_from needs whole weights on every device; it does not work with FSDP or DeepSpeed")
        if self.average_from is not None and self.load_best_model_at_end:
            raise ConfigError("average_from and load_best_model_at_end both say which weights are final; choose one")
        if self.sync_ref_model and self.sharded:
            raise ConfigError("sync_ref_model needs whole weights on every device; it does not work with FSDP or DeepSpeed")
        if not 0 < self.ref_model_mixup_alpha <= 1 or self.ref_model_sync_steps < 1:
            raise ConfigError(
                f"ref_model_mixup_alpha must lie in (0, 1] and ref_model_sync_steps be at least 1, found "
                f"{self.ref_model_mixup_alpha} and {self.ref_model_sync_steps}"
            )
        launched = self.mixed_precision  # accelerate's, where bf16 is off; it would compute the policy alone so
        if not self.fp16 and launched != ("bf16" if self.bf16 else "no"):
            raise ConfigError(
                f"accelerate was launched with mixed_precision {launched}, but this training is in {self.precision}; give both "
                "the same (bf16 here is train.precision: bf16 of a recipe)"
            )
        if self.fp16:
            raise ConfigError("fp16 is not offered: summed log-probs of codec tokens overflow its range; use bf16")

    @property
    def sharded(self) -> bool:
        """Whether weights are divided among processes, by these settings or by `accelerate launch`."""
        launched = (os.environ.get(name, "").lower() == "true" for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"))
        return bool(self.fsdp) or bool(self.deepspeed) or any(launched)

    @property
    def precision(self) -> str:
        """What `compute_reference` takes: "bf16" or "fp32"."""
        return "bf16" if self.bf16 else "fp32"


def _strict(init: Any) -> Any:
    """An initialiser that says of an unknown name what to do, since TRL's names live elsewhere here."""

    @functools.wraps(init)
    def checked(self: LPOConfig, *args: Any, **settings: Any) -> None:
        refuse_unknown(type(self).__name__, settings, [one.name for one in fields(self)])
        init(self, *args, **settings)

    return checked


LPOConfig.__init__ = _strict(LPOConfig.__init__)
