"""reference: log-probs of the frozen model for every pair, computed once and kept."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts.artefacts import Artefact
from lpo_tts.config import check_range
from lpo_tts.steps.examples import read_examples, reference_inputs
from lpo_tts.steps.train import TrainStepSettings
from lpo_tts.steps.world import World, log
from lpo_tts.training.examples import prepare_examples
from lpo_tts.training.reference import compute_reference


@dataclass(frozen=True)
class ReferenceSettings:
    """How the frozen model is run; its precision is that of the training, since both are compared.

    Attributes:
        batch_size: pairs per forward pass.
    """

    batch_size: int = 32

    def __post_init__(self) -> None:
        check_range("batch_size", self.batch_size, 1)


def run(settings: ReferenceSettings, train: TrainStepSettings, world: World, folder: Path, others: Sequence[Path] = ()) -> None:
    """Writes reference.safetensors into `folder`; nothing for a loss that needs no reference.

    Args:
        settings: how the frozen model is run.
        train: the training these log-probs are for.
        world: the run folder.
        folder: the system's folder.
        others: folders of other systems; where one holds log-probs of the same pairs, they are copied.
    """
    if train.loss.needs_reference == "none":
        return
    path = folder / "reference.safetensors"
    named = {"precision": train.precision, "max_answer_tokens": train.max_answer_tokens}
    artefact, done = world.prepare(path, "reference", named, reference_inputs(world, folder))
    if done:
        return
    for other in others:
        twin = Artefact(other / path.name, artefact.provenance)
        if twin.is_complete():
            shutil.copyfile(twin.path, path)
            artefact.finish(**twin.meta()["counts"])
            log.info("reference: the same as in %s", world.show(other))
            return
    backbone = world.backbone.load(world.device)
    backbone.model.set_attn_implementation(train.attention)
    pairs = prepare_examples([pair for part in read_examples(world, folder) for pair in part], train.max_answer_tokens)
    with tqdm(total=len(pairs), desc="reference", unit="pair", disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        compute_reference(backbone.model, pairs, path, settings.batch_size, train.precision, progress)
    artefact.finish(rows=len(pairs))
    log.info("reference: log-probs of %d pairs", len(pairs))
