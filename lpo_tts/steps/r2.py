"""r2: pilot runs of the training at several r2, and what they say; it reads the run folder and writes nothing."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts.errors import ConfigError
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.lpo import Weighted
from lpo_tts.steps.examples import read_examples
from lpo_tts.steps.train import TrainStepSettings
from lpo_tts.steps.world import World, log
from lpo_tts.training.pilot import run_pilots
from lpo_tts.training.preparing import prepare_examples
from lpo_tts.training.processes import launched
from lpo_tts.training.r2 import GRID, STEPS, lines


def run(
    systems: Mapping[str, tuple[TrainStepSettings, Path]],
    world: World,
    steps: int = STEPS,
    values: Sequence[float] = GRID,
) -> list[str]:
    """Measures r2 for every system whose loss has one; returns what the command prints.

    Args:
        systems: name -> how it is trained, and its folder with pairs.jsonl (and reference.safetensors, where made).
        world: the run folder, whose `train` may have been done or not.
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
    without = [_no_r2(name, settings) for name, (settings, _) in systems.items() if not isinstance(settings.loss, Weighted)]
    if len(without) == len(systems):
        raise ConfigError("; ".join(without) + "; lpo-ste and lpo-r have one")
    found = list(without)
    for name, (settings, folder) in systems.items():
        if isinstance(settings.loss, Weighted):
            printed = _measure(settings, settings.loss, world, folder, steps, values)
            found += [f"{name}: {line}" for line in printed] if len(systems) > 1 else printed
    return found


def _no_r2(system: str, settings: TrainStepSettings) -> str:
    return f"the loss of {system}, {REGISTRY.name_of(type(settings.loss))}, has no r2 to measure"


def _measure(
    settings: TrainStepSettings, loss: Weighted, world: World, folder: Path, steps: int, values: Sequence[float]
) -> list[str]:
    streams = world.backbone.token_map().streams
    train, dev = (
        prepare_examples(part, settings.max_answer_tokens, settings.too_long, streams=streams)
        for part in read_examples(world, folder, settings.segments)
    )
    own = sorted({0.0, loss.r2, *map(float, values)})
    lm = world.backbone.load(world.device)
    settings = replace(settings, seed=settings.seed + world.seed)
    with tqdm(total=len(own) * steps, desc="r2", unit="step", disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(r2: float, step: int) -> None:
            bar.set_postfix_str(f"r2 {r2:g}", refresh=False)
            bar.update()
            if bar.disable and step in (1, steps):
                log.info("r2 %g (%d of %d): step %d of %d", r2, own.index(r2) + 1, len(own), step, steps)

        plan, trials = run_pilots(lm, train, dev, loss, settings, own, steps, folder / "reference.safetensors", progress)
    taken = f", {plan.taken} of them taken from the training pairs" if plan.taken else ""
    return [
        f"{min(steps, plan.total_steps)} of {plan.total_steps} optimizer steps each, rate {settings.learning_rate:g}, "
        f"{len(plan.held_out)} held-out pairs{taken}",
        "x1, x2: log-ratios after the steps, nats per token, ± standard error",
        *lines(trials, loss.r2),
    ]
