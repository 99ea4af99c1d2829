"""Runs the verbs of a recipe: its steps in order, skipping what is up to date, in rounds; or one verb alone."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.recipe import STRUCTURER, Recipe
from lpo_tts.shards import Shard
from lpo_tts.steps import STEPS, VERBS
from lpo_tts.steps.check import broken_parts, changed, problems, slow_precision
from lpo_tts.steps.redo import Redo
from lpo_tts.steps.run import Run, exclusive, silent
from lpo_tts.training.processes import launched

log = logging.getLogger("lpo_tts")


def run(
    recipe: Recipe,
    *,
    until: str | None = None,
    only: str | None = None,
    redo: str | None = None,
    shard: Shard | None = None,
    tell: Callable[[str], None] = silent,
    **options: Any,
) -> None:
    """Runs the steps in order, or one verb alone.

    Before the first step works, everything that can be known is checked: settings, files, parts, and artefacts that were
    made with other settings.

    Args:
        recipe: what to do.
        until: last step.
        only: this verb alone; what it reads must exist.
        redo: this step's artefacts and those of later steps are made again, as far as this call does them.
        shard: which parts of `only` this process makes, beside others that make theirs; the artefact is completed by the same
            verb without one.
        tell: takes the lines of the result, such as the headline of the report.
        options: of the verb that `only` names; see `lpo_tts.steps.Verb`.
    """
    if only is not None and not VERBS[only].makes:
        VERBS[only].load().execute(recipe.run(tell=tell), **options)
        return
    if launched()[1] > 1 and only != "train":
        raise ConfigError(
            f"{launched()[1]} processes were launched, but only training is shared among processes: launch `lpo-tts train`, and "
            "run the other steps without torchrun or accelerate"
        )
    if shard is not None:
        _check_shard(only, redo, recipe.out)
    wanted = [
        step for step in STEPS if (only is None or step == only) and (until is None or STEPS.index(step) <= STEPS.index(until))
    ]
    asked = [step for step in wanted if redo is not None and STEPS.index(step) >= STEPS.index(redo)]
    lines: list[str] = []
    with exclusive(recipe.out, shard):
        again = Redo(recipe.out, asked)
        runs = [one.run(again, lines.append, shard) for one in recipe.in_rounds()]
        last = runs[-1]
        todo = check_before(runs, wanted)
        if launched()[0] == 0 and shard is None and (todo or not _has_note(last.recipe)):
            _note(last.recipe)
        if only is None:
            for number, earlier in enumerate(runs[:-1], 1):
                log.info("round %d of %d: from %s", number, recipe.rounds, earlier.backbone.model)
                for step in wanted:
                    if step not in ("synthesize", "evaluate"):
                        VERBS[step].load().execute(earlier)
        for step in wanted:
            VERBS[step].load().execute(last)
        if launched()[0] == 0 and shard is None:
            again.finish(wanted)
    for line in lines:
        tell(line)


def _check_shard(verb: str | None, redo: str | None, out: Path) -> None:
    """Raises ConfigError where shards cannot work."""
    if verb is None or not VERBS[verb].shards:
        able = ", ".join(name for name, one in VERBS.items() if one.shards)
        raise ConfigError(f"--shard: only {able} can be done in shards, one verb at a time")
    if redo is not None or (out / "redo.json").exists():
        raise ConfigError(
            f"--shard: a --redo removes what is there, which shards that start together must not; run `lpo-tts {verb}` with "
            "--redo and without --shard, or remove the artefact and its side-cars, then start the shards"
        )


def check_before(runs: Sequence[Run], wanted: Sequence[str]) -> list[str]:
    """Returns the steps that have work to do; raises ConfigError naming everything that would stop one of them later."""
    first, device = runs[0], runs[0].device
    todo = [step for step in wanted if not _done(first, step)]
    found = problems(first, wanted, todo) + changed(runs, wanted)
    if not found:
        found += broken_parts(first, todo)
    if found:
        raise ConfigError("\n".join(dict.fromkeys(found)))
    if "train" in todo or "reference" in todo:
        for line in slow_precision(first.recipe, device):
            log.warning("%s", line)
    return todo


def _done(run: Run, step: str) -> bool:
    """Whether the artefacts of a step exist and say that they are complete; the step looks closer when its turn comes."""
    for plan in VERBS[step].load().plans(run):
        meta = plan.path.with_name(f"{plan.path.name}.meta.json")
        covered = run.redo is not None and run.redo.covers(plan.verb)
        if covered or not meta.exists() or not artefacts.read_object(meta).get("complete"):
            return False
    return True


def _note_path(recipe: Recipe) -> Path:
    return recipe.out / f"recipe.{recipe.name}.json"


def _has_note(recipe: Recipe) -> bool:
    """Whether the resolved recipe is there and can be read."""
    try:
        return bool(artefacts.read_object(_note_path(recipe)))
    except ArtefactError:
        return False


def _note(recipe: Recipe) -> None:
    """Writes the resolved recipe, by which the demo opens the run."""
    artefacts.write_json(_note_path(recipe), STRUCTURER.unstructure(recipe))
