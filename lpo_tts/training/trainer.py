"""The preference trainer: `transformers.Trainer` with a loss of `lpo_tts.losses`, and its configuration."""

import logging
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from lpo_tts.artefacts import read_json, write_json
from lpo_tts.audio import import_torchaudio
from lpo_tts.errors import ArtefactError, ConfigError, ContractError, TrainingError
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.base import Logps, Loss
from lpo_tts.training.averaging import WeightAverage
from lpo_tts.training.batch import LengthSampler, PairExample, collate, prepare_pairs, same_pair
from lpo_tts.training.callbacks import DriftWarning, LogLine, MetricsFile, Progress
from lpo_tts.training.logps import answer_logps, autocast, split_pairs
from lpo_tts.training.meter import Meter, pair_metrics
from lpo_tts.training.reference import ReferenceLogps, compute_reference

import_torchaudio()  # before transformers, whose audio_utils imports it
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

logger = logging.getLogger(__name__)

METER_FILE = "meter.json"
TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}  # nats per token at the first batch (losses.md 8.3)


@dataclass
class LPOConfig(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for preference training, and the fields below.

    Attributes:
        max_answer_tokens: pairs with a longer answer are dropped (counted) or refused, by `too_long`.
        too_long: "drop" or "error".
        average_from: fraction of the steps from which on the weights are averaged; None: not.
        disable_dropout: sets every dropout probability to 0; policy and reference must not differ by chance.
        check_reference: whether the first batch must give policy = reference; not where they differ on purpose.
        length_window: batches within which pairs of similar length are brought together.
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
    max_answer_tokens: int | None = field(default=None, metadata={"help": "Longest answer, in tokens."})
    too_long: str = field(default="drop", metadata={"help": "drop or error."})
    average_from: float | None = field(default=None, metadata={"help": "Fraction of steps before averaging."})
    disable_dropout: bool = field(default=True, metadata={"help": "Set all dropout to 0."})
    check_reference: bool = field(default=True, metadata={"help": "First batch: policy = reference."})
    length_window: int = field(default=8, metadata={"help": "Batches sorted by length together."})
    metrics_file: str = field(default="metrics.jsonl", metadata={"help": "Rows, in output_dir."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.too_long not in ("drop", "error"):
            raise ConfigError(f"too_long = {self.too_long!r} is none of drop, error")
        if self.average_from is not None and (self.fsdp or self.deepspeed):
            raise ConfigError("average_from needs whole weights on every device; it does not work with FSDP or DeepSpeed")
        if self.average_from is not None and self.load_best_model_at_end:
            raise ConfigError("average_from and load_best_model_at_end both say which weights are final; choose one")
        if self.fp16:
            raise ConfigError("fp16 is not offered: summed log-probs of codec tokens overflow its range; use bf16")

    @property
    def precision(self) -> str:
        """What `compute_reference` takes: "bf16" or "fp32"."""
        return "bf16" if self.bf16 else "fp32"


class LPOTrainer(Trainer):
    """Trains a causal LM on preference pairs; what TRL's DPOTrainer does, with any loss of `lpo_tts.losses`.

    Args:
        model: a causal LM; a peft model too.
        ref_model: the frozen model; None: the model as it is before training (not needed with `reference_logps`).
        args: an LPOConfig.
        train_dataset: PairExamples, or rows with TRL's columns `prompt_ids`, `chosen_ids`, `rejected_ids`.
        eval_dataset: the same, held out; or a dict of such.
        processing_class: the tokenizer, saved with every checkpoint.
        loss: a loss or its name; "lpo-ste" by default.
        reference_logps: log-probs of the frozen model, computed before.
        callbacks, optimizers: as in `Trainer`.

    Raises:
        ContractError: a pair is unusable, or has no reference log-probs.
        TrainingError: while training: a non-finite loss or gradient, or a first batch on which policy and reference
            disagree.
    """

    def __init__(
        self,
        model: nn.Module,
        ref_model: nn.Module | None = None,
        args: LPOConfig | None = None,
        train_dataset: Sequence[Any] | None = None,
        eval_dataset: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
        processing_class: Any = None,
        loss: Loss | str = "lpo-ste",
        reference_logps: ReferenceLogps | None = None,
        callbacks: list[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        args = args if args is not None else LPOConfig(output_dir="lpo-tts-run")
        self.loss: Loss = REGISTRY.get(loss)() if isinstance(loss, str) else loss
        train = self._prepare(train_dataset, args, model, "train")
        evaluation = (
            {name: self._prepare(part, args, model, f"eval-{name}") for name, part in eval_dataset.items()}
            if isinstance(eval_dataset, Mapping)
            else self._prepare(eval_dataset, args, model, "eval")
        )
        self._sampler: LengthSampler | None = None
        self._meter = Meter()
        self._tokens, self._clock = 0, time.monotonic()
        self._last_ids: list[str] = []
        self._resumed = False
        if args.disable_dropout:
            _disable_dropout(model)
        if args.disable_tqdm:
            transformers_logging.disable_progress_bar()  # save_pretrained's own
        super().__init__(
            model=model,
            args=args,
            data_collator=self._collate,
            train_dataset=train,
            eval_dataset=evaluation,
            processing_class=processing_class,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self.loss_is_scaled_for_ga = False  # ours is a mean over the batch
        self._average = WeightAverage(args.average_from) if args.average_from is not None else None
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(Progress())
        if args.metrics_file:
            self.add_callback(MetricsFile(Path(args.output_dir) / args.metrics_file))
        for callback in (LogLine(), DriftWarning(), self._average):
            if callback is not None:
                self.add_callback(callback)
        self._ref_model = ref_model
        self.reference_logps = reference_logps
        if self.reference_logps is not None:
            self.reference_logps.check_covers(self._all_pairs())

    # Data

    @staticmethod
    def _prepare(dataset: Sequence[Any] | None, args: LPOConfig, model: nn.Module, name: str) -> list[PairExample] | None:
        if dataset is None:
            return None
        vocab_size = getattr(getattr(model, "config", None), "vocab_size", None)
        too_long = cast('Literal["drop", "error"]', args.too_long)  # LPOConfig checks it
        return prepare_pairs(dataset, args.max_answer_tokens, too_long, vocab_size, name)

    def _all_pairs(self) -> list[PairExample]:
        parts = list(self.eval_dataset.values()) if isinstance(self.eval_dataset, dict) else [self.eval_dataset]
        pairs: dict[str, PairExample] = {}
        for pair in (pair for part in [self.train_dataset, *parts] if part is not None for pair in part):
            if not same_pair(pairs.setdefault(pair.id, pair), pair):
                raise ContractError(f"two different pairs of the training and held-out data have the id {pair.id}")
        return list(pairs.values())

    def _collate(self, pairs: Sequence[PairExample]) -> dict[str, Any]:
        batch = collate(pairs)
        if self.reference_logps is not None:
            logps = self.reference_logps.take(batch["ids"])
            batch["reference"] = torch.cat([logps.chosen.total, logps.rejected.total])
        return batch

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        pairs = self.train_dataset if train_dataset is None else train_dataset
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        self._sampler = LengthSampler(
            [pair.num_tokens for pair in pairs], self.args.train_batch_size, seed, self.args.length_window
        )
        return self._sampler

    def _evaluation_loader(self, pairs: Sequence[PairExample]) -> DataLoader:
        return self.accelerator.prepare(
            DataLoader(
                sorted(pairs, key=lambda pair: (pair.num_tokens, pair.id)),
                batch_size=self.args.eval_batch_size,
                collate_fn=self._collate,
                pin_memory=self.args.dataloader_pin_memory,
            )
        )

    # Reference

    def ensure_reference(self) -> None:
        """Computes the reference log-probs of all pairs, unless they are there or the loss needs none.

        They are kept in `output_dir/reference.safetensors`, so that a resumed run does not score its own weights.
        """
        if self.reference_logps is not None or self.loss.needs_reference == "none":
            return
        model = self._ref_model if self._ref_model is not None else self.model
        if next(model.parameters()).device != self.args.device:
            model.to(self.args.device)
        path = Path(self.args.output_dir) / "reference.safetensors"
        batch_size = self.args.per_device_eval_batch_size
        self.reference_logps = compute_reference(model, self._all_pairs(), path, batch_size, self.args.precision)

    # Training

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Trains; with `resume_from_checkpoint=True` from the last whole checkpoint in `output_dir`."""
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_checkpoint(Path(self.args.output_dir))
            if resume_from_checkpoint is None:
                raise ArtefactError(f"{self.args.output_dir}: no whole checkpoint to resume from; train without resuming")
        self.ensure_reference()
        self._meter, self._tokens, self._clock = Meter(), 0, time.monotonic()
        self._resumed = bool(resume_from_checkpoint)
        if self._average is not None:
            self._average.reset()
        return super().train(resume_from_checkpoint or None, *args, **kwargs)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean loss of a batch of pairs; what is measured of it goes into the next logged row."""
        loss, metrics = self._score(model, inputs)
        self._last_ids = inputs["ids"]
        if not bool(torch.isfinite(loss)):
            values = zip(inputs["ids"], metrics["loss"].tolist(), strict=True)
            bad = [pair_id for pair_id, value in values if not math.isfinite(value)]
            raise TrainingError(
                f"step {self.state.global_step + 1}: the loss is not finite for pairs {', '.join(bad[:8])}"
                f"{' ...' if len(bad) > 8 else ''}; look at these pairs, or lower the learning rate"
            )
        if self.state.global_step == 0 and not self._resumed and "log_ratios/chosen" in metrics and self.args.check_reference:
            self._check_first(metrics, inputs["ids"])
        self._meter.add(self._gathered(metrics))
        self._tokens += inputs["num_real_tokens"] * self.accelerator.num_processes
        return (loss, metrics) if return_outputs else loss

    def _score(self, model: nn.Module, inputs: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        with autocast(self.model, self.args.precision):
            logps = answer_logps(model, inputs)
        policy = split_pairs(logps)
        reference = split_pairs(Logps(inputs["reference"], logps.num_tokens)) if "reference" in inputs else None
        output = self.loss(policy, reference)
        return output.losses.mean(), pair_metrics(policy, reference, output, self.loss)

    def _check_first(self, metrics: Mapping[str, Tensor], ids: Sequence[str]) -> None:
        ratios = torch.stack([metrics["log_ratios/chosen"], metrics["log_ratios/rejected"]]).abs().amax(0)
        worst = int(ratios.argmax())
        limit = TOLERANCE[self.args.precision]
        if ratios[worst] > limit:
            raise TrainingError(
                f"policy and reference must agree before the first step, but differ by {ratios[worst]:.3g} nats per token on "
                f"pair {ids[worst]} (at most {limit:g} with {self.args.precision}): the reference log-probs are of another "
                "model, tokenization or precision; make them anew, or set check_reference: false if they differ on purpose"
            )

    def _gathered(self, metrics: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.accelerator.num_processes == 1:
            return metrics
        stacked = self.accelerator.gather(torch.stack(list(metrics.values()), dim=-1))
        return dict(zip(metrics, stacked.unbind(-1), strict=True))

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if norm is not None and not math.isfinite(float(norm)):
            raise TrainingError(
                f"step {self.state.global_step + 1}: the gradient is not finite; the last batch held pairs "
                f"{', '.join(self._last_ids[:8])}; look at these pairs, or lower the learning rate"
            )
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means since the last row, and the speed, to a training row."""
        if "loss" in logs and "grad_norm" in logs:
            logs.update(self._meter.drain())
            now = time.monotonic()
            logs["tokens_per_second"] = round(self._tokens / max(now - self._clock, 1e-9), 1)
            self._tokens, self._clock = 0, now
        super().log(logs, start_time)

    # Evaluation

    @torch.no_grad()
    def score_pairs(self, pairs: Sequence[PairExample]) -> dict[str, float]:
        """Means of the loss and all metrics over pairs, without logging them."""
        self.ensure_reference()
        model = self.model_wrapped if self.is_in_train else self.model
        was_training = model.training
        model.eval()
        meter = Meter()
        for inputs in self._evaluation_loader(pairs):
            _, metrics = self._score(model, self._prepare_inputs(inputs))
            if self.accelerator.num_processes > 1:
                stacked = self.accelerator.gather_for_metrics(torch.stack(list(metrics.values()), dim=-1))
                metrics = dict(zip(metrics, stacked.unbind(-1), strict=True))
            meter.add(metrics)
        model.train(was_training)
        return meter.drain()

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Scores held-out pairs; logs and returns the means under `<prefix>_loss`, `<prefix>_rewards/margins`, ..."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, dict):
            parts = [self.evaluate(part, ignore_keys, f"{metric_key_prefix}_{name}") for name, part in dataset.items()]
            return {key: value for part in parts for key, value in part.items()}
        if eval_dataset is not None:
            dataset = self._prepare(dataset, self.args, self.model, metric_key_prefix)
        pairs = cast("Sequence[PairExample]", dataset)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.score_pairs(pairs).items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._clock = time.monotonic()  # tokens_per_second is of training alone
        return metrics

    # Checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the model; into a checkpoint also the weight average and the half-filled meter.

        `trainer_state.json` is written after this, and last of all: a checkpoint that has it is whole.
        """
        super().save_model(output_dir, _internal_call)
        folder = Path(output_dir or self.args.output_dir)
        if _internal_call and self.is_in_train and self.args.should_save:
            write_json(folder / METER_FILE, self._meter.state())
            if self._average is not None:
                self._average.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder = Path(resume_from_checkpoint)
        if (folder / METER_FILE).exists():
            self._meter.restore(read_json(folder / METER_FILE))
        if self._average is not None:
            self._average.load(folder)


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of a run; one that an interruption tore has no readable trainer_state.json."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        try:
            read_json(path / "trainer_state.json")
        except ArtefactError:
            logger.warning("%s is torn (no readable trainer_state.json); an older checkpoint is taken", path)
            continue
        return str(path)
    return None


def _disable_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
