"""train: preference training from pairs and reference log-probs to run/final."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lpo_tts.bounds import Range, at_least
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.losses.base import Loss
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.steps.examples import reference_inputs, training_examples
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.token_weights import inputs_of
from lpo_tts.trackers.base import Place
from lpo_tts.training.adapters import in_full
from lpo_tts.training.examples import Example, PairExample
from lpo_tts.training.processes import from_first, launched, together
from lpo_tts.training.reference import ReferenceLogps
from lpo_tts.training.reference_gap import within_reference_gap
from lpo_tts.training.settings import TrainSettings

if TYPE_CHECKING:
    from lpo_tts.recipe import System


KEPT = ("logps", "tokens")  # what losses need of the frozen model that is computed before


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
        max_reference_gap: pairs are left out whose chosen answer the frozen model finds likelier by more than this, in nats per
            token (2.0 in LPO's own data); those whose rejected answer is longer than max_answer_tokens stay. For losses of
            pairs that keep the log-probs of the frozen model; None: no pair is left out for that.
    """

    loss: Loss = field(default_factory=LPOSTE)
    segments: dict[str, tuple[int, ...]] = field(default_factory=dict)
    token_weights: Path | None = None
    list_metric: str = "wer"
    max_reference_gap: float | None = None

    bounds = {"segments": at_least(0), "max_reference_gap": Range()}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_reference_gap is None:
            return
        loss, stored = type(self.loss).__name__, self.loss.needs_reference in KEPT
        if not stored or self.loss.data != "pair":
            raise ConfigError(
                "train.max_reference_gap compares the stored log-probs of the two answers of pairs; "
                f"{loss} {'does not learn from pairs' if stored else 'stores none'}; leave it out, or choose another loss"
            )


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
    from lpo_tts.training.run import train  # imports transformers' trainer, which other steps need not wait for

    lm = in_full(run.backbone.load(run.device), settings.lora)
    train_pairs, dev_pairs = training_examples(run, system)
    reference = None
    if settings.loss.needs_reference in KEPT:
        reference = ReferenceLogps.load(system.folder / "reference.safetensors")
    beyond: dict[str, int] = {}
    if settings.max_reference_gap is not None and reference is not None:
        train_pairs, beyond["train"] = _within_gap(settings, train_pairs, reference)
        dev_pairs, beyond["dev"] = _within_gap(settings, dev_pairs, reference)
        _tell(settings.max_reference_gap, beyond, len(train_pairs), len(dev_pairs))
    summary = train(
        model=lm,
        train_pairs=train_pairs,
        dev_pairs=dev_pairs,
        reference=reference,
        loss=settings.loss,
        settings=dataclasses.replace(settings, seed=settings.seed + run.seed),
        out_dir=out,
        processing_class=run.backbone.token_map().tokenizer,
        tracked=(Place(run.out, run.recipe.name), system.name),
    )
    if launched()[0]:
        return
    final = sorted(path for name in ("final", "adapter") for path in (out / name).rglob("*") if path.is_file())
    artefact.add("final", len(train_pairs), [*final, out / "metrics.jsonl"])
    dropped = {"dropped": {f"beyond max_reference_gap ({split})": count for split, count in beyond.items()}} if beyond else {}
    artefact.finish(**summary, **dropped)
    log.info("train: %s learnt from %d pairs", system.name, len(train_pairs))


def _within_gap(
    settings: TrainStepSettings, pairs: Sequence[Example], reference: ReferenceLogps
) -> tuple[Sequence[Example], int]:
    """The pairs that are left, and how many are not."""
    of_two = [pair for pair in pairs if isinstance(pair, PairExample)]
    largest = cast("float", settings.max_reference_gap)
    kept, left_out = within_reference_gap(of_two, reference, largest, settings.max_answer_tokens)
    return kept, len(left_out)


def _tell(largest: float, beyond: Mapping[str, int], num_train: int, num_dev: int) -> None:
    """Logs what was left out; raises ArtefactError when nothing is left to learn from."""
    if not num_train:
        raise ArtefactError(
            f"train: expected pairs to learn from, but the frozen model tells all {beyond['train']} of them apart by more than "
            f"max_reference_gap = {largest:g} nats per token; raise it, or leave it out"
        )
    if launched()[0]:
        return
    log.info(
        "train: left out %d of %d pairs and %d of %d held-out ones, beyond max_reference_gap = %g nats per token",
        beyond["train"],
        beyond["train"] + num_train,
        beyond["dev"],
        beyond["dev"] + num_dev,
        largest,
    )
    if beyond["dev"] and not num_dev:
        log.warning("train: max_reference_gap = %g leaves no held-out pair: nothing will watch the training", largest)
