"""reference: log-probs of the frozen model for every pair, computed once and kept."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.backbones.base import Backbone
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.lm.base import SpeechLM
from lpo_tts.steps.examples import reference_inputs, training_examples
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import ALIGNED, Plan, Run
from lpo_tts.steps.token_weights import inputs_of, weighs
from lpo_tts.training.adapters import in_full
from lpo_tts.training.examples import Example, mismatched
from lpo_tts.training.preparing import prepare_examples
from lpo_tts.training.reference import ReferenceWork, compute_reference
from lpo_tts.training.scored import BatchLogps, Scorer

if TYPE_CHECKING:
    from lpo_tts.recipe import System
    from lpo_tts.steps.train import TrainStepSettings


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


def _plan(run: Run, system: "System") -> Plan | None:
    """reference.safetensors of a system before it is made; None for a loss that needs none."""
    train = system.train
    if train.loss.needs_reference not in ("logps", "tokens"):
        return None
    named = {
        **run.plain(run.recipe.reference),
        **{name: getattr(train, name) for name in READ},
        "kind": train.loss.data,
        "tokens": train.loss.needs_reference == "tokens" or weighs(system),
        "backbone": run.parts_identity()["backbone"],
    }
    return Plan(system.folder / "reference.safetensors", "reference", named)


def plans(run: Run) -> list[Plan]:
    """reference.safetensors of every system whose loss needs it, before it is made."""
    found = (_plan(run, system) for system in run.recipe.systems.values())
    return [plan for plan in found if plan is not None]


def execute(run: Run) -> None:
    """Writes reference.safetensors of every system; nothing for a loss that needs no reference, or a live one.

    Where another system holds log-probs of the same pairs, they are copied.
    """
    begun: list[Provenance] = []
    for name, system in run.recipe.systems.items():
        others = [run.recipe.folder(other) for other in (ALIGNED, *run.recipe.systems) if other != name]
        _reference(run, system, others, begun)


def _reference(run: Run, system: "System", others: Sequence[Path], begun: list[Provenance]) -> None:
    """Writes one system's; `others` are folders of other systems, `begun` what this call has worked on."""
    settings, train = run.recipe.reference, system.train
    if train.loss.needs_reference not in ("none", "logps", "tokens"):
        log.info("reference: %s runs the frozen model beside the policy; nothing to compute before", type(train.loss).__name__)
    planned = _plan(run, system)
    if planned is None:
        return
    inputs = reference_inputs(run, system.folder)
    if train.too_long == "cut" and train.max_answer_tokens is not None:
        inputs |= inputs_of(system)  # answers that keep no weight once cut are left out
    if train.loss.data == "list":
        inputs["scores"] = artefacts.digest_of(run.scores_path(train.list_metric))
    artefact, done = run.prepare(planned, inputs)
    path = artefact.path
    if done or (run.shard is not None and artefact.provenance in begun):
        return
    begun.append(artefact.provenance)
    for other in others if run.shard is None else ():
        twin = Artefact(other / path.name, artefact.provenance)
        if twin.is_complete():
            shutil.copyfile(twin.path, path)
            artefact.finish(**twin.meta()["counts"])
            log.info("reference: the same as in %s", run.show(other))
            return
    here = run.engine.in_process
    worker = ReferenceWorker(run.backbone, run.worker_device, train, planned.settings["tokens"])
    # Where workers score, the model here only says what it is: its hash, its streams, whether it takes packs.
    lm = worker.model() if here else worker.model("cpu")
    examples = _examples(run, system, lm.streams)
    options: dict[str, Any] = {"tokens": worker.tokens, "share": train.share_prompts}
    score = partial(map, worker.scorer(lm)) if here else partial(run.map, worker)
    with tqdm(total=len(examples), desc="reference", unit="pair", disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        if run.shard is not None:
            work = ReferenceWork.plan(lm, examples, path, settings.batch_size, train.precision, **options)
            work.fill(score, progress, run.shard.takes)
            log.info("reference: shard %s is done; once all are, `lpo-tts reference` completes the file", run.shard)
            return
        compute_reference(
            lm, examples, path, settings.batch_size, train.precision, progress, head=train.head, elsewhere=score, **options
        )
    artefact.finish(rows=len(examples))
    log.info("reference: log-probs of %d pairs", len(examples))


def _examples(run: Run, system: "System", streams: int) -> list[Example]:
    """All that a system's loss learns from, and what its reference point needs beside it."""
    train = system.train
    parts = training_examples(run, system)
    examples = [one for part in parts for one in prepare_examples(part, train.max_answer_tokens, train.too_long, streams=streams)]
    if train.loss.data == "unpaired":
        examples += mismatched(examples).values()
    return examples


@dataclass(frozen=True)
class ReferenceWorker:
    """Makes the function one worker process applies to batches of examples.

    Attributes:
        backbone: the frozen model.
        device: where it runs.
        train: how the policy is to be run, and so the reference.
        tokens: whether log-probs are kept token by token.
    """

    backbone: Backbone
    device: str
    train: "TrainStepSettings"
    tokens: bool

    def model(self, device: str | None = None) -> SpeechLM:
        """Loads the model; on another `device` it is not to score, and keeps the attention that it has there."""
        lm = in_full(self.backbone.load(device or self.device), self.train.lora)
        if device is None:
            lm.set_attention(self.train.attention)
        if self.train.pack:
            lm.take_packs()
        return lm

    def __call__(self) -> Callable[[list[Example]], BatchLogps]:
        """Loads the model once; the function scores a batch."""
        return self.scorer(self.model())

    def scorer(self, lm: SpeechLM) -> Scorer:
        """Scores batches by a model that is loaded."""
        return Scorer(lm, self.train.precision, self.tokens, self.train.head, self.train.share_prompts)
