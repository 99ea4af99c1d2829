"""The trainer's configuration: transformers' TrainingArguments, and what preference training adds."""

import functools
import os
import sys
from dataclasses import dataclass, field, fields
from typing import Any

from transformers import TrainingArguments

from lpo_tts.errors import ConfigError
from lpo_tts.lm.logps import Head
from lpo_tts.training.preparing import TooLong
from lpo_tts.training.settings import ADAM_BETA2, LEARNING_RATE, PassSettings, pass_settings
from lpo_tts.training.trl import refuse_unknown


@dataclass
class LPOConfig(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for preference training, and the fields below.

    Attributes:
        pack, share_prompts, head, token_budget, max_answer_tokens, too_long, average_from: see
            `lpo_tts.training.settings.PassSettings`.
        disable_dropout: sets every dropout probability to 0; policy and reference must not differ by chance.
        check_reference: whether the first batch must give policy = reference; not where they differ on purpose.
        check_packing: whether packed and plain log-probs are compared once before training.
        length_window: not packed only: batches within which pairs of similar length are brought together.
        sync_ref_model: TR-DPO (arXiv 2404.09656): every `ref_model_sync_steps` steps the reference becomes
            `ref_model_mixup_alpha` * policy + (1 - `ref_model_mixup_alpha`) * reference. Names and defaults are TRL's.
        metrics_file: name of the JSONL file of logged rows in `output_dir`; empty: none.
    """

    learning_rate: float = LEARNING_RATE
    adam_beta2: float = ADAM_BETA2
    logging_steps: float = 10
    logging_nan_inf_filter: bool = False  # a non-finite loss is an error here
    remove_unused_columns: bool = False  # the collator needs them all
    report_to: str | list[str] | None = "none"
    disable_tqdm: bool | None = field(default_factory=lambda: not sys.stderr.isatty())
    # a dataclass that changes cannot inherit from a frozen one: here are names and defaults, PassSettings has all else
    pack: bool = PassSettings.pack
    share_prompts: bool = PassSettings.share_prompts
    head: Head = PassSettings.head
    token_budget: int | None = PassSettings.token_budget
    max_answer_tokens: int | None = PassSettings.max_answer_tokens
    too_long: TooLong = PassSettings.too_long
    average_from: float | None = PassSettings.average_from
    disable_dropout: bool = True
    check_reference: bool = True
    check_packing: bool = True
    length_window: int = 8
    sync_ref_model: bool = False
    ref_model_mixup_alpha: float = 0.6
    ref_model_sync_steps: int = 512
    metrics_file: str = "metrics.jsonl"

    def __post_init__(self) -> None:
        super().__post_init__()
        PassSettings(**pass_settings(self))  # refuses what is out of range
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
