"""Settings of a training. Nothing here imports transformers' trainer, so that a recipe is read without it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.lm.logps import Head
from lpo_tts.trackers.names import check_trackers
from lpo_tts.training.adapters import LoraSettings
from lpo_tts.training.preparing import TooLong
from lpo_tts.training.processes import launched

if TYPE_CHECKING:
    from lpo_tts.training.config import LPOConfig

Schedule = Literal["cosine", "linear", "constant"]
SCHEDULES: dict[Schedule, str] = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
# What a resumed run may have otherwise: its weights are the same.
NEUTRAL = ("threads", "keep_checkpoints", "logging_steps", "gradient_checkpointing", "trackers")
LEARNING_RATE, ADAM_BETA2 = 1e-6, 0.95  # as in the LPO runs


@dataclass(frozen=True)
class PassSettings:
    """What a recipe's `train` and LPOConfig both set: how a batch goes through the model, and what of it counts.

    `pack`, `share_prompts`, `head` and `token_budget` change speed and memory, not losses.

    Attributes:
        pack: whether answers stand one after the other in one row, without padding; else one padded row each.
        share_prompts: whether the answers of a prompt go through the model together, and the prompt once; packed only.
        head: "fused" computes the answers' log-probs a tile of logits at a time; "answers" holds the logits of the
            answers, "full" those of all places. All three give the same losses and gradients.
        token_budget: a batch with more tokens is cut into several forward and backward passes; packed only. None: not cut.
        max_answer_tokens: longest answer that is learnt from, in tokens; None: any.
        too_long: what becomes of an example with a longer answer than that: "drop" and "cut" are counted, "error" stops.
        average_from: share of the steps after which the weights are averaged; None: the last weights are final.
    """

    pack: bool = True
    share_prompts: bool = True
    head: Head = "fused"
    token_budget: int | None = 2048
    max_answer_tokens: int | None = None
    too_long: TooLong = "drop"
    average_from: float | None = None

    where: ClassVar[str] = ""  # what stands before a setting's name in messages
    bounds = {
        "token_budget": at_least(1),
        "max_answer_tokens": at_least(1),
        "average_from": at_least(0).at_most(0.99),
    }

    def __post_init__(self) -> None:
        check_settings(self, self.where)


def pass_settings(other: object) -> dict[str, Any]:
    """The fields of PassSettings as another object has them, which sets them under the same names."""
    return {field.name: getattr(other, field.name) for field in dataclasses.fields(PassSettings)}


@dataclass(frozen=True)
class TrainSettings(PassSettings):
    """Settings of a run, beside those of PassSettings; defaults are those of the LPO runs but for the batch.

    Attributes:
        epochs: passes over the training pairs; may be a fraction.
        batch_size: pairs per optimizer step, over all processes.
        micro_batch_size: pairs per forward of one process; None: all at once. Divides batch_size.
        learning_rate: AdamW's step size after the warm-up, its highest.
        warmup_ratio: share of the steps in which the learning rate rises.
        schedule: how the learning rate falls after the warm-up; "constant" does not.
        weight_decay: share of a weight that AdamW takes off at a step, times the learning rate.
        adam_beta1: AdamW's share of the old mean of gradients that a step keeps.
        adam_beta2: AdamW's share of the old mean of squared gradients that a step keeps.
        max_grad_norm: a gradient with a larger norm is scaled down to it; 0: none is.
        precision: "bf16" autocasts matrix products; weights, log-softmax and sums stay float32.
        save_steps: optimizer steps from one checkpoint to the next.
        eval_steps: optimizer steps from one evaluation on held-out pairs to the next.
        logging_steps: optimizer steps from one row of metrics.jsonl to the next.
        keep_checkpoints: how many checkpoints are kept, the newest ones.
        seed: what the order of examples, dropout and new adapters start from; the recipe's `seed` is added to it.
        threads: number of CPU threads; None leaves torch's choice.
        attention: how padded rows are computed; "eager" is the faster one for small models on a CPU, "sdpa" on a GPU. Packed
            ones have their own (`lm.attention`).
        best_metric: the checkpoint that is best in this held-out metric is final ("loss", "rewards/margins", ...); None:
            the last weights are.
        patience: with best_metric: so many evaluations without a better one end the run; None: all steps are done.
        lora: trains adapters instead of all weights; `final/` holds the merged model, `adapter/` the adapters.
        gradient_checkpointing: layers are computed again in the backward pass: less memory, more time.
        trackers: where rows of metrics.jsonl go as well: "tensorboard", "wandb" (`evaluate.trackers` sends the result there).
    """

    epochs: float = 1.0
    batch_size: int = 16
    micro_batch_size: int | None = None
    learning_rate: float = LEARNING_RATE
    warmup_ratio: float = 0.1
    schedule: Schedule = "cosine"
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = ADAM_BETA2
    max_grad_norm: float = 1.0
    precision: Literal["fp32", "bf16"] = "bf16"
    save_steps: int = 50
    eval_steps: int = 50
    logging_steps: int = 1
    keep_checkpoints: int = 2
    seed: int = 0
    threads: int | None = None
    attention: Literal["eager", "sdpa"] = "sdpa"
    best_metric: str | None = None
    patience: int | None = None
    lora: LoraSettings | None = None
    gradient_checkpointing: bool = False
    trackers: tuple[str, ...] = ()

    where = "train"
    bounds = {
        "epochs": above(0),
        **dict.fromkeys(("batch_size", "micro_batch_size", "save_steps", "eval_steps", "logging_steps"), at_least(1)),
        **dict.fromkeys(("keep_checkpoints", "threads", "patience"), at_least(1)),
        "learning_rate": above(0),
        "warmup_ratio": at_least(0).at_most(0.99),
        "weight_decay": at_least(0),
        "adam_beta1": at_least(0).at_most(0.9999),
        "adam_beta2": at_least(0).at_most(0.99999),
        "max_grad_norm": at_least(0),
        "seed": at_least(0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_trackers(self.trackers)
        if self.batch_size % (self.micro_batch_size or 1):
            raise ConfigError(f"train.micro_batch_size = {self.micro_batch_size} does not divide batch_size = {self.batch_size}")
        if self.patience is not None and self.best_metric is None:
            raise ConfigError("train.patience counts evaluations without a better best_metric; name one (loss, rewards/margins)")
        if self.best_metric is not None and self.average_from is not None:
            raise ConfigError("train.best_metric and average_from both say which weights are final; choose one")
        if self.best_metric is not None and self.save_steps % self.eval_steps:
            raise ConfigError(
                f"train.save_steps = {self.save_steps} must be a multiple of eval_steps = {self.eval_steps}: only a saved "
                "checkpoint can be taken up as the best"
            )

    def described(self) -> dict[str, Any]:
        """The settings that the final weights depend on; a checkpoint is resumed with the same ones alone."""
        left_out = NEUTRAL if self.best_metric is not None else (*NEUTRAL, "save_steps", "eval_steps")
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in left_out}

    def config(self, out_dir: Path, *, evaluate: bool, device: str = "cpu") -> "LPOConfig":
        """The trainer's configuration for these settings."""
        from lpo_tts.training.config import LPOConfig  # imports transformers' trainer, which reading a recipe need not wait for

        micro = self.micro_batch_size or self.batch_size
        share, over = divmod(self.batch_size, launched()[1])
        own = min(micro, share)
        if over or share % own:
            raise ConfigError(
                f"train.batch_size = {self.batch_size} cannot be shared among {launched()[1]} processes in micro-batches of "
                f"{micro}; choose a multiple of their product"
            )
        return LPOConfig(
            output_dir=str(out_dir),
            num_train_epochs=self.epochs,
            per_device_train_batch_size=own,
            per_device_eval_batch_size=2 * micro,
            gradient_accumulation_steps=share // own,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_ratio,
            lr_scheduler_type=SCHEDULES[self.schedule],
            weight_decay=self.weight_decay,
            adam_beta1=self.adam_beta1,
            adam_beta2=self.adam_beta2,
            max_grad_norm=self.max_grad_norm,
            bf16=self.precision == "bf16",
            use_cpu=device == "cpu",
            save_strategy="steps",
            save_steps=self.save_steps,
            save_total_limit=self.keep_checkpoints,
            eval_strategy="steps" if evaluate else "no",
            eval_steps=self.eval_steps,
            logging_steps=self.logging_steps,
            seed=self.seed,
            activation_checkpointing=self.gradient_checkpointing,
            restore_callback_states_from_checkpoint=self.patience is not None,
            load_best_model_at_end=evaluate and self.best_metric is not None,
            metric_for_best_model=None if self.best_metric is None else f"eval_{self.best_metric}",
            **pass_settings(self),
        )
