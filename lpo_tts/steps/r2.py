"""r2: pilot runs of the training at several r2, and what they say; it reads the run folder and writes nothing."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts.errors import ConfigError
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.lpo import Weighted
from lpo_tts.steps.examples import read_examples
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.token_weights import read_table
from lpo_tts.training.adapters import in_full
from lpo_tts.training.pilot import run_pilots
from lpo_tts.training.preparing import prepare_examples
from lpo_tts.training.processes import launched
from lpo_tts.training.r2 import GRID, STEPS, lines

if TYPE_CHECKING:
    from lpo_tts.recipe import System


def plans(run: Run) -> list[Plan]:
    """Nothing is made."""
    return []


def execute(run: Run, *, steps: int = STEPS, values: Sequence[float] = GRID) -> None:
    """Measures r2 for every system whose loss has one, in the first of several rounds; tells what it found.

    Args:
        run: the run folder, with pairs.jsonl of every system (and reference.safetensors, where made).
        steps: optimizer steps of a pilot.
        values: the r2 to try; 0 and the system's own r2 are added.

    Raises:
        ConfigError: no system's loss has an r2; steps or values are out of range; several processes were launched.
    """
    if launched()[1] > 1:
        raise ConfigError(
            f"{launched()[1]} processes were launched, but r2 is measured by one; run it without torchrun or accelerate"
        )
    if steps < 1:
        raise ConfigError(f"steps: expected at least 1, found {steps}")
    wrong = [value for value in values if not 0 <= value < float("inf")]
    if wrong:
        raise ConfigError(f"values of r2: expected finite numbers of at least 0, found {wrong[0]:g}")
    run = replace(run, recipe=run.recipe.in_rounds()[0])
    systems = run.recipe.systems.values()
    without = [_no_r2(system) for system in systems if not isinstance(system.train.loss, Weighted)]
    if len(without) == len(systems):
        raise ConfigError("; ".join(without) + "; lpo-ste and lpo-r have one")
    found = list(without)
    for system in systems:
        if isinstance(system.train.loss, Weighted):
            printed = _measure(run, system, system.train.loss, steps, values)
            found += [f"{system.name}: {line}" for line in printed] if len(systems) > 1 else printed
    for line in found:
        run.tell(line)


def _no_r2(system: "System") -> str:
    return f"the loss of {system.name}, {REGISTRY.name_of(type(system.train.loss))}, has no r2 to measure"


def _measure(run: Run, system: "System", loss: Weighted, steps: int, values: Sequence[float]) -> list[str]:
    settings = system.train
    streams = run.backbone.token_map().streams
    train, dev = (
        prepare_examples(part, settings.max_answer_tokens, settings.too_long, streams=streams)
        for part in read_examples(run, system.folder, settings.segments, read_table(run, system))
    )
    own = sorted({0.0, loss.r2, *map(float, values)})
    lm = in_full(run.backbone.load(run.device), settings.lora)
    settings = replace(settings, seed=settings.seed + run.seed)
    with tqdm(total=len(own) * steps, desc="r2", unit="step", disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(r2: float, step: int) -> None:
            bar.set_postfix_str(f"r2 {r2:g}", refresh=False)
            bar.update()
            if bar.disable and step in (1, steps):
                log.info("r2 %g (%d of %d): step %d of %d", r2, own.index(r2) + 1, len(own), step, steps)

        plan, trials = run_pilots(lm, train, dev, loss, settings, own, steps, system.folder / "reference.safetensors", progress)
    taken = f", {plan.taken} of them taken from the training pairs" if plan.taken else ""
    return [
        f"{min(steps, plan.total_steps)} of {plan.total_steps} optimizer steps each, rate {settings.learning_rate:g}, "
        f"{len(plan.held_out)} held-out pairs{taken}",
        "x1, x2: log-ratios after the steps, nats per token, ± standard error",
        *lines(trials, loss.r2),
    ]
