"""reference: log-probs of the frozen model for every pair, computed once and kept."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.steps.examples import reference_inputs
from lpo_tts.steps.train import TrainStepSettings, training_examples
from lpo_tts.steps.world import Plan, World, log
from lpo_tts.training.examples import mismatched
from lpo_tts.training.preparing import prepare_examples
from lpo_tts.training.reference import compute_reference


@dataclass(frozen=True)
class ReferenceSettings:
    """How the frozen model is run; its precision is that of the training, since both are compared.

    Attributes:
        batch_size: pairs per forward pass.
    """

    batch_size: int = 32

    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")


READ = ("precision", "max_answer_tokens", "too_long", "attention", "pack", "share_prompts", "head")  # settings of the training


def plan(settings: ReferenceSettings, train: TrainStepSettings, world: World, folder: Path) -> Plan | None:
    """reference.safetensors of a system before it is made; None for a loss that needs none."""
    if train.loss.needs_reference not in ("logps", "tokens"):
        return None
    named = {
        **world.plain(settings),
        **{name: getattr(train, name) for name in READ},
        "kind": train.loss.data,
        "tokens": train.loss.needs_reference == "tokens" or bool(train.segments),
        "backbone": world.parts_identity()["backbone"],
    }
    return Plan(folder / "reference.safetensors", "reference", named)


def run(
    settings: ReferenceSettings,
    train: TrainStepSettings,
    world: World,
    folder: Path,
    directions: Mapping[str, bool],
    others: Sequence[Path] = (),
) -> None:
    """Writes reference.safetensors into `folder`; nothing for a loss that needs no reference, or a live one.

    Args:
        settings: how the frozen model is run.
        train: the training these log-probs are for.
        world: the run folder.
        folder: the system's folder.
        directions: higher_is_better of every scored metric.
        others: folders of other systems; where one holds log-probs of the same pairs, they are copied.
    """
    if train.loss.needs_reference not in ("none", "logps", "tokens"):
        log.info("reference: %s runs the frozen model beside the policy; nothing to compute before", type(train.loss).__name__)
    planned = plan(settings, train, world, folder)
    if planned is None:
        return
    kind, tokens = planned.settings["kind"], planned.settings["tokens"]
    inputs = reference_inputs(world, folder)
    if kind == "list":
        inputs["scores"] = artefacts.digest_of(world.scores_path(train.list_metric))
    artefact, done = world.prepare(planned, inputs)
    path = artefact.path
    if done:
        return
    for other in others:
        twin = Artefact(other / path.name, artefact.provenance)
        if twin.is_complete():
            shutil.copyfile(twin.path, path)
            artefact.finish(**twin.meta()["counts"])
            log.info("reference: the same as in %s", world.show(other))
            return
    lm = world.backbone.load(world.device)
    lm.set_attention(train.attention)
    if train.pack:
        lm.take_packs()
    parts = training_examples(train, world, folder, directions)
    examples = [
        one for part in parts for one in prepare_examples(part, train.max_answer_tokens, train.too_long, streams=lm.streams)
    ]
    if kind == "unpaired":
        examples += mismatched(examples).values()
    with tqdm(total=len(examples), desc="reference", unit="pair", disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        compute_reference(
            lm,
            examples,
            path,
            settings.batch_size,
            train.precision,
            progress,
            tokens=tokens,
            head=train.head,
            share=train.share_prompts,
        )
    artefact.finish(rows=len(examples))
    log.info("reference: log-probs of %d pairs", len(examples))
