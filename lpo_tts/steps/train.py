"""train: preference training from pairs and reference log-probs to run/final."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts.bounds import at_least
from lpo_tts.errors import ConfigError
from lpo_tts.losses.base import Loss
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.steps.examples import read_examples, read_labels, read_lists, reference_inputs
from lpo_tts.steps.world import Plan, World, log
from lpo_tts.training.examples import Example
from lpo_tts.training.processes import from_first, launched, meet
from lpo_tts.training.reference import ReferenceLogps
from lpo_tts.training.run import TrainSettings, train


@dataclass(frozen=True)
class TrainStepSettings(TrainSettings):
    """The training's settings, the loss, and how pairs become what it learns from.

    Attributes:
        loss: what is minimised.
        segments: aspect of a pair -> the slots of a frame (counted from 0) whose tokens count in it, for models whose
            frames have several tokens; the end token always counts. Aspects that are not named count every token.
        list_metric: for listwise losses, where no rule ranked candidates: the score that ranks those of prompts with a pair.
    """

    loss: Loss = field(default_factory=LPOSTE)
    segments: dict[str, tuple[int, ...]] = field(default_factory=dict)
    list_metric: str = "wer"

    bounds = {"segments": at_least(0)}


def training_examples(
    settings: TrainStepSettings, world: World, folder: Path, directions: Mapping[str, bool]
) -> tuple[Sequence[Example], Sequence[Example]]:
    """What the loss learns from, (train, dev): pairs, labelled candidates or ranked lists, as the pair rules found them.

    Losses of labelled candidates take pairs where no rule labelled any; listwise losses rank the prompts that have a pair.

    Args:
        settings: of the training.
        world: the run folder.
        folder: the system's folder.
        directions: higher_is_better of every scored metric.
    """
    data = settings.loss.data
    labelled = read_labels(world, folder) if data == "unpaired" else None
    if labelled is not None:
        return labelled
    if data != "list":
        return read_examples(world, folder, settings.segments)
    if settings.list_metric not in directions:
        raise ConfigError(
            f"train.list_metric: {settings.list_metric!r} is not scored by this recipe; it has {', '.join(directions)}"
        )
    return read_lists(world, folder, settings.list_metric, directions[settings.list_metric])


def plan(settings: TrainStepSettings, world: World, folder: Path) -> Plan:
    """run/ of a system before it is made."""
    # Without what the weights do not depend on (threads, rows of the log, ...): that may change on resume.
    named = {name: value for name, value in world.plain(settings).items() if name in settings.described()}
    named |= {"seed": world.seed, "backbone": world.parts_identity()["backbone"]}
    return Plan(folder / "run", "train", named)


def run(settings: TrainStepSettings, world: World, folder: Path, system: str, directions: Mapping[str, bool]) -> None:
    """Writes run/ into `folder`: metrics.jsonl, checkpoints, final/.

    Launched several times by torchrun or `accelerate launch`, the first process alone writes; all of them train.
    """
    inputs = reference_inputs(world, folder)
    meet(world.device)
    artefact, done = from_first(lambda: world.prepare(plan(settings, world, folder), inputs))
    out = artefact.path
    if done:
        return
    lm = world.backbone.load(world.device)
    train_pairs, dev_pairs = training_examples(settings, world, folder, directions)
    reference = None
    if settings.loss.needs_reference in ("logps", "tokens"):
        reference = ReferenceLogps.load(folder / "reference.safetensors")
    summary = train(
        model=lm,
        train_pairs=train_pairs,
        dev_pairs=dev_pairs,
        reference=reference,
        loss=settings.loss,
        settings=dataclasses.replace(settings, seed=settings.seed + world.seed),
        out_dir=out,
        processing_class=world.backbone.token_map().tokenizer,
    )
    if launched()[0]:
        return
    final = sorted(path for path in (out / "final").rglob("*") if path.is_file())
    artefact.add("final", len(train_pairs), [*final, out / "metrics.jsonl"])
    artefact.finish(**summary)
    log.info("train: %s learnt from %d pairs", system, len(train_pairs))
