"""One alignment run from plain settings: what the `train` step and scripts call."""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import EarlyStoppingCallback

from lpo_tts.artefacts import read_lines, read_object
from lpo_tts.errors import ArtefactError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.causal import speech_lm
from lpo_tts.losses.base import Loss
from lpo_tts.trackers import sending as trackers
from lpo_tts.trackers.base import Place
from lpo_tts.training.adapters import merged
from lpo_tts.training.examples import Example
from lpo_tts.training.processes import launched
from lpo_tts.training.reference import ReferenceLogps
from lpo_tts.training.settings import TrainSettings
from lpo_tts.training.trainer import LPOTrainer

logger = logging.getLogger(__name__)


def train(
    model: nn.Module | SpeechLM,
    train_pairs: Sequence[Example],
    loss: Loss,
    settings: TrainSettings,
    out_dir: Path,
    dev_pairs: Sequence[Example] = (),
    reference: ReferenceLogps | None = None,
    processing_class: Any = None,
    resume: bool = True,
    tracked: tuple[Place, str] | None = None,
) -> dict[str, Any]:
    """Aligns a model and saves it.

    `out_dir` receives checkpoint-*/, metrics.jsonl, run.json (what the run was made from) and final/ (the model,
    averaged if so set); with `settings.lora` also adapter/, what was trained, before it is merged.

    Args:
        model: a transformers causal LM, or any `SpeechLM`, with float32 weights; it is changed in place.
        train_pairs: pairs to train on.
        loss: a loss of `lpo_tts.losses`.
        settings: how to train.
        out_dir: folder of the run.
        dev_pairs: held-out pairs, scored now and then.
        reference: log-probs of the frozen model; None: computed from `model` as it comes in.
        processing_class: tokenizer to save beside the model.
        resume: takes up the last whole checkpoint in `out_dir`, if there is one.
        tracked: where `settings.trackers` keep their files, and the name of what is trained; None: `out_dir` and its name.

    Returns:
        steps, pairs trained on, pairs left out, seconds, pairs_per_second (of this sitting), the last training row and
        the final model's dev metrics.

    Raises:
        ArtefactError: `out_dir` holds checkpoints of other settings or data (which are named), or `resume` is off.
        ContractError, TrainingError: see LPOTrainer.
    """
    out_dir = Path(out_dir)
    threads = torch.get_num_threads()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    try:
        lm = speech_lm(model)
        lm.set_attention(settings.attention)
        trainer = LPOTrainer(
            model=lm,
            args=settings.config(out_dir, evaluate=bool(dev_pairs), device=next(lm.module.parameters()).device.type),
            train_dataset=train_pairs,
            eval_dataset=list(dev_pairs) or None,
            processing_class=processing_class,
            loss=loss,
            reference_logps=reference,
            callbacks=None if settings.patience is None else [EarlyStoppingCallback(settings.patience)],
            peft_config=None if settings.lora is None else settings.lora.config(),
        )
        trainer.named_settings = settings.described()
        checkpoint = trainer.last_checkpoint()
        if checkpoint is not None and not resume:
            raise ArtefactError(f"{out_dir} already holds {Path(checkpoint).name}; resume it, remove it, or choose another `out`")
        place, system = tracked or (Place(out_dir, out_dir.name), out_dir.name)
        step = 0 if checkpoint is None else read_object(Path(checkpoint) / "trainer_state.json")["global_step"]
        names = () if launched()[0] else settings.trackers  # the first process alone sends
        start = time.monotonic()
        with trackers.training(names, place, system, step, _last_logged(out_dir / trainer.args.metrics_file)) as callbacks:
            for callback in callbacks:
                trainer.add_callback(callback)
            trainer.train(resume_from_checkpoint=checkpoint)
        seconds = time.monotonic() - start
        dev = trainer.score_pairs(trainer.eval_dataset) if trainer.eval_dataset else {}
        if settings.lora is not None:
            trainer.save_model(str(out_dir / "adapter"))
            (out_dir / "adapter" / "training_args.bin").unlink(missing_ok=True)
            trainer.model = cast("Any", merged(cast("nn.Module", trainer.model)))
        trainer.save_model(str(out_dir / "final"))
        (out_dir / "final" / "training_args.bin").unlink(missing_ok=True)  # a pickle, and run.json says as much
        kept = cast("Sequence[Example]", trainer.train_dataset)
        rows = [row for row in trainer.state.log_history if "grad_norm" in row]
        steps = trainer.state.global_step - trainer._initial_global_step
        return {
            "steps": trainer.state.global_step,
            "train_pairs": len(kept),
            "left_out_pairs": len(train_pairs) - len(kept),
            "seconds": round(seconds, 1),
            "pairs_per_second": round(steps * settings.batch_size / max(seconds, 1e-9), 2),
            "resumed_from": checkpoint,
            "last": rows[-1] if rows else {},
            "dev": dev,
        }
    finally:
        torch.set_num_threads(threads)


def _last_logged(path: Path) -> int:
    """The last optimizer step in a metrics.jsonl; 0 where there is none. A torn line counts for nothing."""
    steps = [0]
    for line in read_lines(path) if path.exists() else []:
        try:
            steps.append(int(json.loads(line)["step"]))
        except (ValueError, KeyError, TypeError):
            continue
    return max(steps)
