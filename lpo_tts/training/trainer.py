"""The preference trainer: `transformers.Trainer` with a loss of `lpo_tts.losses`."""

import inspect
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import PrinterCallback, ProgressCallback, Trainer, set_seed
from transformers.utils import logging as transformers_logging

from lpo_tts.artefacts import read_json, write_json
from lpo_tts.errors import ArtefactError, ConfigError, ContractError, TrainingError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.causal import speech_lm
from lpo_tts.lm.models import disable_dropout
from lpo_tts.losses.base import Loss
from lpo_tts.training.adapters import adapted
from lpo_tts.training.agreement import arithmetic, check_first, why_not_packed
from lpo_tts.training.arguments import as_loss, check_arguments, check_model, head_for, load_causal_lm
from lpo_tts.training.averaging import WeightAverage
from lpo_tts.training.batch import collate, split
from lpo_tts.training.callbacks import AfterStep, DriftWarning, LogLine, MetricsFile, Progress, lines_above_bars
from lpo_tts.training.checkpoints import Checkpoint, drop_list, last_checkpoint, make_readable, remove_old, saving, write_list
from lpo_tts.training.config import LPOConfig
from lpo_tts.training.examples import Example, mismatched, same_example
from lpo_tts.training.identity import described_adapters, described_data, described_loss, described_optimizers, described_settings
from lpo_tts.training.memory import release
from lpo_tts.training.meter import Meter
from lpo_tts.training.order import PromptSampler, evaluation_order
from lpo_tts.training.preparing import TooLong, prepare_dataset
from lpo_tts.training.processes import from_first, summed, summed_by_name, world_size
from lpo_tts.training.reference import ReferenceLogps, compute_reference
from lpo_tts.training.scoring import Scored, Scorer
from lpo_tts.training.trl import refuse_unknown

logger = logging.getLogger(__name__)

METER_FILE = "meter.json"
RUN_FILE = "run.json"


class LPOTrainer(Trainer):
    """Trains a causal LM on preferences; what TRL's DPOTrainer does, with any loss of `lpo_tts.losses`.

    The arguments are those of TRL's DPOTrainer, in its order, and two more by name: `loss` and `reference_logps`.

    Args:
        model: a causal LM, a peft model too, or the hub id or folder of one (loaded in float32); or a `SpeechLM`, for
            models that write several tokens per step.
        ref_model: the frozen model; None: the model as it is before training (not needed with `reference_logps`). Under
            peft it is the model without its adapters.
        args: an LPOConfig.
        data_collator: None; the trainer packs token ids itself.
        train_dataset: examples (`training.examples`), or rows with columns of token ids: `prompt_ids`, `chosen_ids`,
            `rejected_ids` as in TRL; see `as_example` for labelled answers and lists.
        eval_dataset: the same, held out; or a dict of such.
        processing_class: the tokenizer, saved with every checkpoint.
        compute_metrics: None; a callback's `on_evaluate(..., metrics)` receives what was measured.
        callbacks, optimizers: as in `Trainer`.
        quantization_config: for a model given by name: how its frozen weights are quantized; needs `peft_config`.
        peft_config: wraps the model in fresh adapters.
        loss: a loss or its name; "lpo-ste" by default.
        reference_logps: log-probs of the frozen model, computed before.

    Raises:
        ContractError: an example is unusable, of a kind the loss cannot learn from, or has no reference log-probs.
        ConfigError: loss, data and settings do not go together, or an argument has no meaning here.
        TrainingError: while training: a non-finite loss or gradient, or a first batch on which policy and reference
            disagree.
    """

    def __init__(
        self,
        model: nn.Module | SpeechLM | str,
        ref_model: nn.Module | None = None,
        args: LPOConfig | None = None,
        data_collator: None = None,
        train_dataset: Sequence[Any] | None = None,
        eval_dataset: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
        processing_class: Any = None,
        compute_metrics: None = None,
        callbacks: list[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        *,
        loss: Loss | str = "lpo-ste",
        reference_logps: ReferenceLogps | None = None,
        **others: Any,
    ) -> None:
        refuse_unknown("LPOTrainer", others, inspect.signature(LPOTrainer).parameters)
        args = args if args is not None else LPOConfig(output_dir="lpo-tts-run")
        check_arguments(model, args, data_collator, compute_metrics, quantization_config)
        self.loss: Loss = as_loss(loss)
        if isinstance(model, str):
            model = load_causal_lm(model, quantization_config)
        lm = speech_lm(model)
        if peft_config is not None:
            set_seed(args.seed)  # new adapters are random; `Trainer` seeds only when the model is made
            lm = lm.around(adapted(lm.module, peft_config))
        self._reading = lm  # how the module, whatever wraps it, is read
        train = self._prepare(train_dataset, args, "train")
        evaluation = (
            {name: self._prepare(part, args, f"eval-{name}") for name, part in eval_dataset.items()}
            if isinstance(eval_dataset, Mapping)
            else self._prepare(eval_dataset, args, "eval")
        )
        self._meter, self._step_meter = Meter(), Meter()  # over all processes; of this one since the last optimizer step
        self._tokens, self._clock = 0, time.monotonic()
        self._last_ids: list[str] = []
        self._resumed = self._packing_compared = self._in_checkpoint = False
        self._made_of: dict[str, Any] | None = None
        self._asked = described_settings(args)  # before `pack` may be turned off
        self._optimizers = described_optimizers(optimizers)
        self._whole: str | None = None  # a checkpoint found whole
        self.named_settings: Mapping[str, Any] | None = None  # in place of `args` in messages, where those were made from others
        self._share = 1.0
        self._observed = Meter()
        if args.disable_dropout:
            disable_dropout(lm.module)
        if args.disable_tqdm:
            transformers_logging.disable_progress_bar()  # save_pretrained's own
        super().__init__(
            model=lm.module,
            args=args,
            data_collator=self._collate,
            train_dataset=train,
            eval_dataset=evaluation,
            processing_class=processing_class,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        if args.sharded and not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            logger.warning(
                "FSDP or DeepSpeed was asked for, but accelerate divides no weights on %s; every process holds the whole model",
                args.device.type,
            )
        self.loss_is_scaled_for_ga = False  # ours is a mean over the batch
        self._average = WeightAverage(args.average_from) if args.average_from is not None else None
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(Progress())
        if args.metrics_file:
            self.add_callback(MetricsFile(Path(args.output_dir) / args.metrics_file))
        for callback in (AfterStep(self._after_step), LogLine(), DriftWarning(), self._average):
            if callback is not None:
                self.add_callback(callback)
        self.scorer = Scorer(self.loss, head_for(lm, args), args.precision, ref_model, args.seed)
        self.reference_logps = reference_logps
        check_model(lm, self.loss, args)
        self._others = mismatched(self._all_examples()) if self.scorer.kind == "unpaired" and train else {}
        if self.scorer.over_batch and train and min(len(train), args.train_batch_size) < 2:
            raise ConfigError(f"{type(self.loss).__name__} compares the rows of a batch; use a batch size of at least 2")
        if self.reference_logps is not None and self._keeps_reference:
            self.reference_logps.check_covers(self._to_score(), tokens=self._needs_tokens, counted=lm.counted)

    @property
    def speech_lm(self) -> SpeechLM:
        """The model in training as a speech LM."""
        return self._reading.around(cast("nn.Module", self.model))

    # Data

    def _prepare(self, dataset: Sequence[Any] | None, args: LPOConfig, name: str) -> list[Example] | None:
        if dataset is None:
            return None
        too_long = cast("TooLong", args.too_long)
        return prepare_dataset(
            dataset, name, self._reading, self.loss, max_answer_tokens=args.max_answer_tokens, too_long=too_long
        )

    def _all_examples(self) -> list[Example]:
        parts = list(self.eval_dataset.values()) if isinstance(self.eval_dataset, dict) else [self.eval_dataset]
        examples: dict[str, Example] = {}
        for example in (one for part in [self.train_dataset, *parts] if part is not None for one in part):
            if not same_example(examples.setdefault(example.id, example), example):
                raise ContractError(f"two different pairs of the training and held-out data have the id {example.id}")
        return list(examples.values())

    def _to_score(self) -> list[Example]:
        return [*self._all_examples(), *self._others.values()]

    @property
    def _keeps_reference(self) -> bool:
        """Whether log-probs computed before are what the loss compares with."""
        live = self.scorer.needs_live_reference or self.args.sync_ref_model
        return self.loss.needs_reference != "none" and not live

    @property
    def _needs_tokens(self) -> bool:
        weights = (w for example in self._all_examples() for w in example.weights)
        return self.scorer.needs_tokens() or any(w is not None for w in weights)

    def _collate(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch as one or several packs."""
        args = self.args
        budget = args.token_budget if args.pack and not self.scorer.over_batch else None
        packs = []
        for part in split(examples, budget, args.share_prompts):
            pack = self._pack(part)
            if self._others:
                pack["mismatched"] = self._pack([self._others[example.id] for example in part])
            packs.append(pack)
        return {"packs": packs, "count": len(examples)}

    def _pack(self, examples: Sequence[Example]) -> dict[str, Any]:
        pack = collate(examples, pack=self.args.pack, share=self.args.share_prompts, counted=self._reading.counted)
        if self.reference_logps is not None and self._keeps_reference:
            kept = self.reference_logps.take(pack["ids"])
            pack["reference"] = {"total": kept.total, "num_tokens": kept.num_tokens}
            if kept.tokens is not None:
                pack["reference"]["tokens"] = kept.tokens
        return pack

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        examples = self.train_dataset if train_dataset is None else train_dataset
        args = self.args
        seed = args.seed if args.data_seed is None else args.data_seed
        whole = args.train_batch_size * args.gradient_accumulation_steps * world_size()
        return PromptSampler(examples, whole, seed, 1 if args.pack else args.length_window)

    # Reference

    def ensure_reference(self) -> None:
        """Computes the reference log-probs of all examples, unless they are there or the loss needs none or a live model.

        They are kept in `output_dir/reference.safetensors`, so that a resumed run does not score its own weights.
        """
        if self.loss.needs_reference == "none":
            return
        if not self._keeps_reference:
            self.scorer.make_live(self.model, sharded=self.args.sharded)
            if self.scorer.ref_model is not None:
                self.scorer.ref_model.to(self.args.device)
            return
        if self.reference_logps is not None:
            return
        model = self.scorer.ref_model if self.scorer.ref_model is not None else self.model
        if next(model.parameters()).device != self.args.device:
            model.to(self.args.device)
        lm = self._reading.around(model)
        if self.args.pack:
            lm.take_packs()
        path = Path(self.args.output_dir) / "reference.safetensors"
        examples, size = self._to_score(), self.args.per_device_eval_batch_size
        options: dict[str, Any] = {"tokens": self._needs_tokens, "head": self.scorer.head, "share": self.args.share_prompts}
        options["hashed"] = None if self._made_of is None else self._made_of["reference"]["model"]
        with self.args.main_process_first(local=False, desc="reference log-probs"):
            self.reference_logps = compute_reference(lm, examples, path, size, self.args.precision, **options)

    # Training

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Trains; `run.json` in `output_dir` says from what.

        Args:
            resume_from_checkpoint: True: the last whole checkpoint in `output_dir`; a folder: that checkpoint.
            *args: as in `Trainer.train`.
            **kwargs: as in `Trainer.train`.

        Raises:
            ArtefactError: there is no such checkpoint, the one named is torn, or it is of another loss, of other settings,
                data or models, which are named.
        """
        if not self.train_dataset:
            raise ConfigError("there is nothing to train on: train_dataset is None; pass examples or rows of token ids")
        if resume_from_checkpoint is True:
            resume_from_checkpoint = self.last_checkpoint()
            if resume_from_checkpoint is None:
                raise ArtefactError(f"{self.args.output_dir}: no whole checkpoint to resume from; train without resuming")
        resume_from_checkpoint = str(resume_from_checkpoint) if resume_from_checkpoint else None
        self._made_of = from_first(lambda: self._begin(resume_from_checkpoint))
        self._ready()
        self._meter, self._step_meter, self._observed = Meter(), Meter(), Meter()
        self._tokens, self._clock = 0, time.monotonic()
        self._resumed = bool(resume_from_checkpoint)
        if self._average is not None:
            self._average.reset()
        with nullcontext() if self.args.disable_tqdm else lines_above_bars():
            return super().train(resume_from_checkpoint, *args, **kwargs)

    def last_checkpoint(self) -> str | None:
        """The newest whole checkpoint in `output_dir`; a warning names what is wrong with each newer one."""
        self._whole = from_first(lambda: last_checkpoint(Path(self.args.output_dir)))
        return self._whole

    def _begin(self, checkpoint: str | None) -> dict[str, Any]:
        """What the run is made from, compared with the checkpoint's and written to `run.json`."""
        made_of = self._described(anew=checkpoint is None)
        if checkpoint is not None:
            # Once found whole it need not be read again.
            path = Path(checkpoint)
            kept = Checkpoint.listed(path) if checkpoint == self._whole else Checkpoint.open(path)
            kept.refuse_other_run(made_of)
        write_json(Path(self.args.output_dir) / RUN_FILE, made_of)
        return made_of

    def _described(self, *, anew: bool) -> dict[str, Any]:
        """Everything that the final weights depend on; models as they are before training (`anew`) or were then."""
        args, parts = self.args, self.eval_dataset
        if self._made_of is not None and not anew:
            models = {name: self._made_of[name] for name in ("model", "reference")}
        else:
            model, precision = self.speech_lm.fingerprint(), args.precision
            reference: dict[str, str] | None = {"model": model, "precision": precision}
            if self.loss.needs_reference == "none":
                reference = None
            elif self.reference_logps is not None and self._keeps_reference:
                reference = {"model": self.reference_logps.model, "precision": self.reference_logps.precision}
            elif self.scorer.ref_model is not None:
                reference = {"model": self._reading.around(self.scorer.ref_model).fingerprint(), "precision": precision}
            models = {"model": model, "reference": reference}
        held_out = parts if isinstance(parts, dict) else {} if parts is None else {"eval": parts}
        return {
            "loss": described_loss(self.loss),
            "settings": self._asked if self.named_settings is None else dict(self.named_settings),
            "batch_size": args.train_batch_size * args.gradient_accumulation_steps * world_size(),
            "processes": world_size(),
            "train_data": described_data(cast("list[Example]", self.train_dataset), in_order=True),
            "dev_data": {name: described_data(part, in_order=False) for name, part in held_out.items()},
            **models,
            "adapters": described_adapters(cast("nn.Module", self.model)),
            "optimizers": self._optimizers,
        }

    def _ready(self) -> None:
        if self.args.pack:
            lm = self.speech_lm
            before = lm.attention
            lm.take_packs()
            # Once: after training, accelerate has the model compute in bf16 where that is set.
            if self.args.check_packing and not self._packing_compared and not self.args.sharded and self.train_dataset:
                reason = why_not_packed(lm, self.train_dataset, self.scorer.head, self.args.share_prompts)
                if reason is not None:
                    logger.warning("pack: false instead of true, since %s %s", type(self.model).__name__, reason)
                    self.args.pack = False
                self._packing_compared = True
            if not self.args.pack:  # the reference must not be packed either
                lm.set_attention(before)
        self.ensure_reference()

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """One forward and backward for every pack of the batch; processes exchange gradients at the last one."""
        packs, count = inputs["packs"], inputs["count"]
        total: Any = 0.0
        for number, pack in enumerate(packs):
            self._share = len(pack["ids"]) / count
            last = number == len(packs) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                total = total + super().training_step(model, pack, num_items_in_batch)
            if self.args.device.type == "cpu":
                release()  # packs differ in shape, and memory would grow with each
        return total

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean loss of a pack times its share of the batch; what is measured goes into the next logged row."""
        scored = self.scorer.score(self._reading.around(model), inputs, self._get_learning_rate() if self.is_in_train else None)
        self._last_ids = inputs["ids"]
        self._check_finite(scored, inputs)
        if self.state.global_step == 0 and not self._resumed and self.args.check_reference:
            check_first(scored.log_ratios, inputs, arithmetic(model, self.args.precision))
        self._step_meter.add(scored.metrics)
        if scored.observed:
            self._observed.add(scored.observed)
        self._tokens += inputs["num_real_tokens"] * world_size()
        loss = scored.losses.mean() * self._share
        return (loss, scored.metrics) if return_outputs else loss

    def _check_finite(self, scored: Scored, inputs: Mapping[str, Any]) -> None:
        finite = torch.isfinite(scored.losses)
        if bool(finite.all()):
            return
        named = inputs["ids"] if len(inputs["ids"]) == len(finite) else []
        bad = [one for one, fine in zip(named, finite.tolist(), strict=True) if not fine] or list(inputs["ids"])
        raise TrainingError(
            f"step {self.state.global_step + 1}: the loss is not finite for pairs {', '.join(bad[:8])}"
            f"{' ...' if len(bad) > 8 else ''}; look at these pairs, or lower the learning rate"
        )

    def _after_step(self, step: int) -> None:
        """What moves after an optimizer step beside the weights: the loss's state and, with TR-DPO, the reference."""
        # Once per step: processes may have cut their batches into different numbers of packs.
        self._meter.take_in(summed_by_name(self._step_meter.sums))
        self._step_meter = Meter()
        if self._observed.sums:
            means = {name: total / count for name, (total, count) in summed_by_name(self._observed.sums).items()}
            self.scorer.state = cast("Any", self.loss).next_state(self.scorer.state, means)
            self._observed = Meter()
        if self.args.sync_ref_model and step % self.args.ref_model_sync_steps == 0:
            self.scorer.follow(self.model, self.args.ref_model_mixup_alpha)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if norm is not None and not math.isfinite(float(norm)):
            raise TrainingError(
                f"step {self.state.global_step + 1}: the gradient is not finite; the last batch held pairs "
                f"{', '.join(self._last_ids[:8])}; look at these pairs, or lower the learning rate"
            )
        return norm

    def floating_point_ops(self, inputs: Any) -> int:
        """Not estimated: the rule of thumb knows neither packing nor the vocabulary."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means since the last row, the loss's state and the speed to a training row."""
        if "loss" in logs and "grad_norm" in logs:
            logs.update(self._meter.drain())
            logs.update({f"state/{name}": value for name, value in self.scorer.state.items()})
            now = time.monotonic()
            logs["tokens_per_second"] = round(self._tokens / max(now - self._clock, 1e-9), 1)
            self._tokens, self._clock = 0, now
        super().log(logs, start_time)

    # Evaluation

    @torch.no_grad()
    def score_pairs(self, examples: Sequence[Example]) -> dict[str, float]:
        """Means of the loss and all metrics over examples, without logging them."""
        if not self.is_in_train:
            self._ready()
        # Under DDP the processes may run the bare model; sharded weights want the wrapped one, and as many passes everywhere.
        model = self.model_wrapped if self.args.sharded and self.is_in_train else self.model
        was_training = model.training
        model.eval()
        ordered = sorted(examples, key=evaluation_order)
        size = self.args.eval_batch_size
        packs = [p for at in range(0, len(ordered), size) for p in self._collate(ordered[at : at + size])["packs"]]
        meter = Meter()
        rank, count = self.args.process_index, world_size()
        for turn in range(0, len(packs), count):
            mine = turn + rank
            inputs = self._prepare_inputs(packs[mine if mine < len(packs) else turn])
            metrics = self.scorer.score(self._reading.around(model), inputs).metrics
            if mine >= len(packs):
                metrics = {name: value[:0] for name, value in metrics.items()}  # done by another process
            meter.add(metrics, summed)
        model.train(was_training)
        return meter.drain()

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Scores held-out examples; logs and returns the means under `<prefix>_loss`, `<prefix>_rewards/margins`, ..."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, dict):
            parts = [self.evaluate(part, ignore_keys, f"{metric_key_prefix}_{name}") for name, part in dataset.items()]
            return {key: value for part in parts for key, value in part.items()}
        if eval_dataset is not None:
            dataset = self._prepare(dataset, self.args, metric_key_prefix)
            self._others |= mismatched(dataset or []) if self.scorer.kind == "unpaired" else {}
        examples = cast("Sequence[Example]", dataset)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.score_pairs(examples).items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._clock = time.monotonic()  # tokens_per_second is of training alone
        return metrics

    # Checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the model; into a checkpoint also the weight average, the half-filled meter and what the loss keeps.

        Raises:
            ArtefactError: the disk is full, or the folder cannot be written.
        """
        folder = Path(output_dir or self.args.output_dir)
        with saving(folder):
            super().save_model(output_dir, _internal_call)
            if not self.args.should_save:
                return
            make_readable(folder)
            if _internal_call and self.is_in_train:
                write_json(folder / METER_FILE, {**self._meter.state(), "loss_state": self.scorer.state})
                self.scorer.save(folder, with_reference=self.args.sync_ref_model)
                if self._average is not None:
                    self._average.save(folder)
        if self._in_checkpoint:
            self.args.save_total_limit = None  # old ones go when this one is whole, see below

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """A checkpoint is whole once its list is written, after all processes have written theirs; then old ones go."""
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        limit = self.args.save_total_limit
        with saving(folder):
            if self.args.should_save:
                drop_list(folder)
            self._in_checkpoint = True
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._in_checkpoint, self.args.save_total_limit = False, limit
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                make_readable(folder)
                write_list(folder, self._made_of or {}, resumable=not self.args.save_only_model)
                remove_old(folder, limit, self.state.best_model_checkpoint)

    def _load_best_model(self) -> None:
        """Takes up the best checkpoint; raises ArtefactError, naming the file, where it is torn by now."""
        best = self.state.best_model_checkpoint
        if best is not None:
            from_first(lambda: Checkpoint.open(Path(best), to_resume=False))
        super()._load_best_model()

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """As in `Trainer`, but silent about a key whose weight is there under the name that it is tied to."""
        weights = cast("nn.Module", self.model).state_dict(keep_vars=True)
        loaded = {id(weight) for name, weight in weights.items() if name not in load_result.missing_keys}
        missing = [name for name in load_result.missing_keys if id(weights.get(name)) not in loaded]
        super()._issue_warnings_after_load(type(load_result)(missing, load_result.unexpected_keys))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Takes up our own part of a checkpoint as well: unlike the weights' loading, this is called with DeepSpeed too."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        folder = Path(checkpoint)
        kept = read_json(folder / METER_FILE)
        self._meter.restore(kept)
        self.scorer.state = kept.get("loss_state", self.scorer.state)
        self.scorer.load(folder, self.speech_lm, with_reference=self.args.sync_ref_model)
        if self._average is not None:
            self._average.load(folder)
