"""train: preference training from pairs and reference log-probs to run/final."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lpo_tts.bounds import at_least
from lpo_tts.losses.base import Loss
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.steps.examples import reference_inputs, training_examples
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.token_weights import inputs_of
from lpo_tts.training.adapters import in_full
from lpo_tts.training.processes import from_first, launched, together
from lpo_tts.training.reference import ReferenceLogps
from lpo_tts.training.run import TrainSettings, train

if TYPE_CHECKING:
    from lpo_tts.recipe import System


@dataclass(frozen=True)
class TrainStepSettings(TrainSettings):
    """The training's settings, the loss, and how pairs become what it learns from.

    Attributes:
        loss: what is minimised.
        segments: aspect of a pair -> the slots of a frame (counted from 0) whose tokens count in it, for models whose
            frames have several tokens; the end token always counts. Aspects that are not named count every token.
        token_weights: your own table of what the tokens of candidates weigh (rows of TokenWeights), in place of the one that
            `pair.weights` makes.
        list_metric: for listwise losses, where no rule ranked candidates: the score that ranks those of prompts with a pair.
    """

    loss: Loss = field(default_factory=LPOSTE)
    segments: dict[str, tuple[int, ...]] = field(default_factory=dict)
    token_weights: Path | None = None
    list_metric: str = "wer"

    bounds = {"segments": at_least(0)}


def _plan(run: Run, system: "System") -> Plan:
    # Without what the weights do not depend on (threads, rows of the log, ...): that may change on resume.
    named = {name: value for name, value in run.plain(system.train).items() if name in system.train.described()}
    named.pop("token_weights")  # an input, known by its contents
    named |= {"seed": run.seed, "backbone": run.parts_identity()["backbone"]}
    return Plan(system.folder / "run", "train", named)


def plans(run: Run) -> list[Plan]:
    """run/ of every system before it is made."""
    return [_plan(run, system) for system in run.recipe.systems.values()]


def execute(run: Run) -> None:
    """Writes run/ of every system: metrics.jsonl, checkpoints, final/.

    Launched several times by torchrun or `accelerate launch`, the first process alone writes; all of them train.
    """
    inputs = {name: reference_inputs(run, one.folder) | inputs_of(one) for name, one in run.recipe.systems.items()}
    with together(run.device):
        for name, system in run.recipe.systems.items():
            _train(run, system, inputs[name])


def _train(run: Run, system: "System", inputs: dict[str, str]) -> None:
    settings = system.train
    artefact, done = from_first(lambda: run.prepare(_plan(run, system), inputs))
    out = artefact.path
    if done:
        return
    lm = in_full(run.backbone.load(run.device), settings.lora)
    train_pairs, dev_pairs = training_examples(run, system)
    reference = None
    if settings.loss.needs_reference in ("logps", "tokens"):
        reference = ReferenceLogps.load(system.folder / "reference.safetensors")
    summary = train(
        model=lm,
        train_pairs=train_pairs,
        dev_pairs=dev_pairs,
        reference=reference,
        loss=settings.loss,
        settings=dataclasses.replace(settings, seed=settings.seed + run.seed),
        out_dir=out,
        processing_class=run.backbone.token_map().tokenizer,
    )
    if launched()[0]:
        return
    final = sorted(path for path in (out / "final").rglob("*") if path.is_file())
    artefact.add("final", len(train_pairs), [*final, out / "metrics.jsonl"])
    artefact.finish(**summary)
    log.info("train: %s learnt from %d pairs", system.name, len(train_pairs))
