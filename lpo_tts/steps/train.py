"""train: preference training from pairs and reference log-probs to run/final."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts.losses.base import Loss
from lpo_tts.losses.lpo import LpoSte
from lpo_tts.steps.examples import read_examples, reference_inputs
from lpo_tts.steps.world import World, log
from lpo_tts.training.reference import ReferenceLogps
from lpo_tts.training.run import TrainSettings, train


@dataclass(frozen=True)
class TrainStepSettings(TrainSettings):
    """The training's settings, and the loss."""

    loss: Loss = field(default_factory=LpoSte)


def run(settings: TrainStepSettings, world: World, folder: Path, system: str) -> None:
    """Writes run/ into `folder`: metrics.jsonl, checkpoints, final/."""
    out = folder / "run"
    inputs = reference_inputs(world, folder)
    artefact, done = world.prepare(out, "train", {**world.plain(settings), "seed": world.seed}, inputs)
    if done:
        return
    backbone = world.backbone.load(world.device)
    train_pairs, dev_pairs = read_examples(world, folder)
    reference = None
    if settings.loss.needs_reference != "none":
        reference = ReferenceLogps.load(folder / "reference.safetensors")
    summary = train(
        model=backbone.model,
        train_pairs=train_pairs,
        dev_pairs=dev_pairs,
        reference=reference,
        loss=settings.loss,
        settings=dataclasses.replace(settings, seed=settings.seed + world.seed),
        out_dir=out,
        processing_class=backbone.tokenizer,
    )
    artefact.finish(**summary)
    log.info("train: %s learnt from %d pairs", system, len(train_pairs))
