"""Pilot runs: the first optimizer steps of a training at several r2, from the same weights, scored on held-out pairs."""

import gc
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import TrainerCallback
from transformers.trainer_utils import SaveStrategy

from lpo_tts.errors import ArtefactError, ContractError, TrainingError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.causal import speech_lm
from lpo_tts.lm.logps import Head
from lpo_tts.lm.models import has_adapters
from lpo_tts.losses.lpo import Weighted
from lpo_tts.training.adapters import adapted, unloaded
from lpo_tts.training.agreement import why_not_packed
from lpo_tts.training.callbacks import DriftWarning, LogLine
from lpo_tts.training.config import LPOConfig
from lpo_tts.training.examples import PairExample
from lpo_tts.training.order import PromptSampler, evaluation_order
from lpo_tts.training.r2 import Trial, pull
from lpo_tts.training.reference import ReferenceLogps, compute_reference
from lpo_tts.training.settings import TrainSettings
from lpo_tts.training.trainer import LPOTrainer

logger = logging.getLogger(__name__)

MIN_HELD_OUT = 32  # pairs; ours: with fewer, the standard error of x1 is as large as what r2 does
MAX_HELD_OUT = 256  # pairs; ours: more would take longer to score than to train


@dataclass(frozen=True, eq=False)
class Plan:
    """What a pilot trains on and is scored on.

    Attributes:
        train: the pairs of the first steps in the order of the full run, or all pairs where one epoch is shorter.
        ordered: whether `train` stands in that order already.
        held_out: pairs of prompts that no pilot step sees.
        taken: how many of `held_out` were taken from the training pairs.
        batch_size: pairs per optimizer step.
        total_steps: optimizer steps of the full run; its schedule is used.
    """

    train: list[PairExample]
    ordered: bool
    held_out: list[PairExample]
    taken: int
    batch_size: int
    total_steps: int


def plan(train: Sequence[PairExample], dev: Sequence[PairExample], settings: TrainSettings, steps: int, *, pack: bool) -> Plan:
    """Chooses the pairs of a pilot.

    Where there are fewer than MIN_HELD_OUT dev pairs, more are taken from the training pairs, whole prompts at a time: from
    those that come after the pilot's steps, or else from the end of the order, which are then not trained on.

    Raises:
        ContractError: the pairs are of one prompt only, so that none can be held out.
    """
    size = settings.batch_size

    def ordered(pairs: Sequence[PairExample]) -> list[PairExample]:
        window = 1 if pack else LPOConfig.length_window
        return [pairs[i] for i in PromptSampler(pairs, size, settings.seed, window)]

    total = max(1, math.ceil(settings.epochs * math.ceil(len(train) / size)))
    held_out, order = list(dev[:MAX_HELD_OUT]), ordered(train)
    wanted = steps * size
    taken: list[PairExample] = []
    if len(held_out) < MIN_HELD_OUT:
        seen = {pair.prompt_key for pair in order[:wanted]} if wanted < len(order) else set()
        later = [pair for pair in order if seen and pair.prompt_key not in seen]
        if len(held_out) + len(later) < MIN_HELD_OUT:
            later = _last_prompts(order, min(MIN_HELD_OUT - len(held_out), len(order) // 5 + 1))
            if len(later) == len(order):
                raise ContractError(
                    f"all {len(order)} training pairs are of one prompt, so none can be held out to score r2 on; make pairs of "
                    "more prompts, or set pair.dev_share"
                )
            gone = {pair.id for pair in later}
            order = ordered([pair for pair in train if pair.id not in gone])
        taken = later[: 2 * MIN_HELD_OUT]
    is_ordered = wanted <= len(order)
    return Plan(order[:wanted] if is_ordered else order, is_ordered, held_out + taken, len(taken), size, total)


def _last_prompts(order: Sequence[PairExample], count: int) -> list[PairExample]:
    """The pairs of the last prompts, whole prompts, at least `count` of them."""
    prompts: dict[bytes, list[PairExample]] = {}
    for pair in reversed(order):
        prompts.setdefault(pair.prompt_key, []).append(pair)
    found: list[PairExample] = []
    for pairs in prompts.values():
        if len(found) >= count:
            break
        found += pairs
    return found


def run_pilots(
    model: nn.Module | SpeechLM,
    train: Sequence[PairExample],
    dev: Sequence[PairExample],
    loss: Weighted,
    settings: TrainSettings,
    values: Sequence[float],
    steps: int,
    reference: Path | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> tuple[Plan, list[Trial]]:
    """Trains the model for some steps at every r2, each time from its weights as they come in, which it has again at the end.

    Optimizer, rate, schedule, gamma and order of pairs are those of the full run. The warm-up takes at most half of the
    steps, so that a pilot of a long run reaches the full rate too. Nothing is written but for a temporary folder.

    Args:
        model: a transformers causal LM, or any `SpeechLM`, before training; with `settings.lora`, fresh adapters are trained
            and taken off again.
        train: the training pairs of the run, from `prepare_examples`.
        dev: the held-out ones.
        loss: a loss with r2; every other hyper-parameter stays.
        settings: how the full run trains.
        values: the r2 to try; 0 among them shows what the rate alone does.
        steps: optimizer steps of a pilot; fewer where the full run has fewer.
        reference: log-probs of the frozen model, used where they are of this model and these pairs.
        progress: called with (r2, steps done) after every step.

    Raises:
        ContractError: see `plan`.
        TrainingError: policy and reference disagree at the first step.
    """
    threads = torch.get_num_threads()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    try:
        lm = speech_lm(model)
        lm.set_attention(settings.attention)
        pack = settings.pack and _packs(lm, train, settings)
        settings = replace(settings, pack=pack)
        chosen = plan(train, dev, settings, steps, pack=pack)
        steps = min(steps, chosen.total_steps)
        kept = _reference(lm, [*chosen.train, *chosen.held_out], settings, reference)
        with _trainable(lm, settings) as policy, tempfile.TemporaryDirectory(prefix="lpo-tts-r2-") as folder:
            bench = _Bench(policy, settings, chosen, kept, steps, Path(folder))
            try:
                trials = [bench.trial(replace(loss, r2=r2), _told(progress, r2)) for r2 in values]
            finally:
                bench.restore()
        return chosen, trials
    finally:
        torch.set_num_threads(threads)


def _told(progress: Callable[[float, int], None] | None, r2: float) -> Callable[[int], None] | None:
    return None if progress is None else lambda step: progress(r2, step)


def _packs(lm: SpeechLM, train: Sequence[PairExample], settings: TrainSettings) -> bool:
    """Whether this model's answers can be packed, as the trainer finds it; the model is left ready for either."""
    lm.take_packs()
    head: Head = "answers" if settings.head == "fused" and lm.why_not_fused() else settings.head
    reason = why_not_packed(lm, train, head, settings.share_prompts)
    if reason is not None:
        logger.warning("pack: false instead of true, since %s %s", type(lm.module).__name__, reason)
        lm.set_attention(settings.attention)
    return reason is None


def _reference(lm: SpeechLM, examples: Sequence[PairExample], settings: TrainSettings, path: Path | None) -> ReferenceLogps:
    """The kept log-probs where they fit, else those of the pairs at hand, computed and not kept."""
    tokens = any(weights is not None for example in examples for weights in example.weights)
    if path is not None and path.exists():
        try:
            found = ReferenceLogps.load(path, model=lm.fingerprint(), precision=settings.precision)
            found.check_covers(examples, tokens=tokens, counted=lm.counted)
            return found
        except (ArtefactError, ContractError):
            logger.info(
                "%s is not of this model, precision and these pairs; the log-probs of %d pairs are computed", path, len(examples)
            )
    return compute_reference(
        lm,
        examples,
        None,
        2 * (settings.micro_batch_size or settings.batch_size),
        settings.precision,
        tokens=tokens,
        head=settings.head,
        share=settings.share_prompts,
    )


@contextmanager
def _trainable(lm: SpeechLM, settings: TrainSettings) -> Iterator[SpeechLM]:
    """The model as it is trained: itself, or within fresh adapters, which are taken off at the end."""
    if settings.lora is None or has_adapters(lm.module):
        yield lm
        return
    wanted = [weight.requires_grad for weight in lm.module.parameters()]
    config = settings.lora.config()
    torch.manual_seed(settings.seed)
    wrapped = adapted(lm.module, config)
    try:
        yield lm.around(wrapped)
    finally:
        bare = unloaded(wrapped)
        for weight, wants in zip(bare.parameters(), wanted, strict=True):
            weight.requires_grad_(wants)


class _Bench:
    """A model whose trainable weights every trial starts from, and what all trials share."""

    def __init__(
        self, policy: SpeechLM, settings: TrainSettings, chosen: Plan, reference: ReferenceLogps, steps: int, folder: Path
    ) -> None:
        self.policy = policy
        self.settings = settings
        self.plan = chosen
        self.reference = reference
        self.steps = steps
        self.folder = folder
        self.weights = [weight for weight in policy.module.parameters() if weight.requires_grad]
        self.start = [weight.detach().cpu().clone() for weight in self.weights]
        self.before: Tensor | None = None  # log-ratios at the start: 0 but for rounding

    def trial(self, loss: Weighted, told: Callable[[int], None] | None) -> Trial:
        """Trains, scores the held-out pairs there and at the mirror image of the displacement, and restores the weights."""
        trainer = Pilot(self.policy, self._args(), self.plan, loss, self.reference, _Stop(self.steps, told))
        stopped = ""
        try:
            if self.before is None:
                self.before = trainer.log_ratios()
            try:
                trainer.train()
            except TrainingError as error:
                if trainer.state.global_step == 0:
                    raise  # no step was made, so r2 has no part in it
                stopped = str(error)
            after = trainer.log_ratios()
            self._mirror()
            mirrored = trainer.log_ratios()
        finally:
            trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # the next one wraps it anew
        self.restore()
        done = trainer.state.global_step
        del trainer
        gc.collect()  # a trainer holds itself in circles, and its optimizer with it
        return Trial(loss.r2, pull(loss), done, after - self.before, mirrored - self.before, stopped)

    def _args(self) -> LPOConfig:
        args = self.settings.config(self.folder, evaluate=False, device=self.weights[0].device.type)
        args.save_strategy, args.metrics_file, args.average_from = SaveStrategy.NO, "", None
        args.disable_tqdm, args.check_packing, args.max_steps = True, False, self.plan.total_steps
        args.warmup_steps = min(args.get_warmup_steps(self.plan.total_steps), self.steps // 2)
        return args

    @torch.no_grad()
    def _mirror(self) -> None:
        """From start + displacement to start - displacement."""
        for weight, was in zip(self.weights, self.start, strict=True):
            weight.mul_(-1).add_(was.to(weight.device), alpha=2)

    @torch.no_grad()
    def restore(self) -> None:
        """The weights as they came in."""
        for weight, was in zip(self.weights, self.start, strict=True):
            weight.copy_(was)
        self.policy.module.zero_grad(set_to_none=True)


class Pilot(LPOTrainer):
    """The trainer of a full run that stops early and scores held-out pairs one by one."""

    def __init__(
        self, model: SpeechLM, args: Any, chosen: Plan, loss: Weighted, reference: ReferenceLogps, stop: TrainerCallback
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            train_dataset=chosen.train,
            eval_dataset=chosen.held_out,
            loss=loss,
            reference_logps=reference,
            callbacks=[stop],
        )
        self.ordered = chosen.ordered
        for callback in (LogLine, DriftWarning):
            self.pop_callback(callback)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        if self.ordered:
            return torch.utils.data.SequentialSampler(cast("Any", self.train_dataset))
        return super()._get_train_sampler(train_dataset)

    @torch.no_grad()
    def log_ratios(self) -> Tensor:
        """(pairs, 2) float64, nats per token: x1 and x2 of every held-out pair."""
        self._ready()
        was_training = self.model.training
        self.model.eval()
        examples = sorted(cast("Any", self.eval_dataset), key=evaluation_order)
        size, found = self.args.eval_batch_size, []
        for at in range(0, len(examples), size):
            for pack in self._collate(examples[at : at + size])["packs"]:
                metrics = self.scorer.score(self.speech_lm, self._prepare_inputs(pack)).metrics
                found.append(torch.stack([metrics["log_ratios/chosen"], metrics["log_ratios/rejected"]], 1).double().cpu())
        self.model.train(was_training)
        return torch.cat(found)


class _Stop(TrainerCallback):
    def __init__(self, steps: int, told: Callable[[int], None] | None) -> None:
        self.steps = steps
        self.told = told

    def on_step_end(self, args, state, control, **kwargs):
        if self.told is not None:
            self.told(state.global_step)
        if state.global_step >= self.steps:
            control.should_training_stop = True
        return control
