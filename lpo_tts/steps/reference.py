"""reference: log-probs of the frozen model for every pair, computed once and kept."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.steps.examples import reference_inputs, training_examples
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import ALIGNED, Plan, Run
from lpo_tts.steps.token_weights import inputs_of, weighs
from lpo_tts.training.adapters import in_full
from lpo_tts.training.examples import mismatched
from lpo_tts.training.preparing import prepare_examples
from lpo_tts.training.reference import compute_reference

if TYPE_CHECKING:
    from lpo_tts.recipe import System


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
    for name, system in run.recipe.systems.items():
        others = [run.recipe.folder(other) for other in (ALIGNED, *run.recipe.systems) if other != name]
        _reference(run, system, others)


def _reference(run: Run, system: "System", others: Sequence[Path]) -> None:
    """Writes one system's; `others` are folders of other systems."""
    settings, train = run.recipe.reference, system.train
    if train.loss.needs_reference not in ("none", "logps", "tokens"):
        log.info("reference: %s runs the frozen model beside the policy; nothing to compute before", type(train.loss).__name__)
    planned = _plan(run, system)
    if planned is None:
        return
    kind, tokens = planned.settings["kind"], planned.settings["tokens"]
    inputs = reference_inputs(run, system.folder)
    if train.too_long == "cut" and train.max_answer_tokens is not None:
        inputs |= inputs_of(system)  # answers that keep no weight once cut are left out
    if kind == "list":
        inputs["scores"] = artefacts.digest_of(run.scores_path(train.list_metric))
    artefact, done = run.prepare(planned, inputs)
    path = artefact.path
    if done:
        return
    for other in others:
        twin = Artefact(other / path.name, artefact.provenance)
        if twin.is_complete():
            shutil.copyfile(twin.path, path)
            artefact.finish(**twin.meta()["counts"])
            log.info("reference: the same as in %s", run.show(other))
            return
    lm = in_full(run.backbone.load(run.device), train.lora)
    lm.set_attention(train.attention)
    if train.pack:
        lm.take_packs()
    parts = training_examples(run, system)
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
