"""Runs the steps of a recipe in order; skips what is up to date; rounds and variants."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lpo_tts import artefacts, checks
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.recipe import ALIGNED, BASE, STRUCTURER, Recipe
from lpo_tts.steps import evaluate as evaluate_step
from lpo_tts.steps import pair as pair_step
from lpo_tts.steps import prompts as prompts_step
from lpo_tts.steps import r2 as r2_step
from lpo_tts.steps import reference as reference_step
from lpo_tts.steps import sample as sample_step
from lpo_tts.steps import score as score_step
from lpo_tts.steps import synthesize as synthesize_step
from lpo_tts.steps import train as train_step
from lpo_tts.steps.redo import Redo
from lpo_tts.steps.world import Plan, World, exclusive
from lpo_tts.training.processes import launched

log = logging.getLogger("lpo_tts")

STEPS = ("prompts", "sample", "score", "pair", "reference", "train", "synthesize", "evaluate")


def run(recipe: Recipe, *, until: str | None = None, only: str | None = None, redo: str | None = None) -> dict[str, Any] | None:
    """Runs the steps in order (or only one); returns the report when evaluate was among them.

    Before the first step works, everything that can be known is checked: settings, files, parts, and artefacts that were
    made with other settings.

    Args:
        recipe: what to do.
        until: last step.
        only: this step alone; what it reads must exist.
        redo: this step's artefacts and those of later steps are made again, as far as this call does them.
    """
    if launched()[1] > 1 and only != "train":
        raise ConfigError(
            f"{launched()[1]} processes were launched, but only training is shared among processes: launch `lpo-tts train`, and "
            "run the other steps without torchrun or accelerate"
        )
    wanted = [
        step for step in STEPS if (only is None or step == only) and (until is None or STEPS.index(step) <= STEPS.index(until))
    ]
    asked = [step for step in wanted if redo is not None and STEPS.index(step) >= STEPS.index(redo)]
    report = None
    with exclusive(recipe.out):
        again = Redo(recipe.out, asked)
        rounds = [recipe.round(number) for number in range(1, recipe.rounds + 1)] if recipe.rounds > 1 else [recipe]
        world = recipe.world(again)
        worlds = [replace(world, out=one.out, backbone=one.backbone) for one in rounds]
        todo = check_before(rounds, worlds, wanted)
        if launched()[0] == 0 and (todo or not _has_note(rounds[-1])):
            _note(rounds[-1])
        if only is None:
            for number, (earlier, there) in enumerate(zip(rounds[:-1], worlds[:-1], strict=True), 1):
                log.info("round %d of %d: from %s", number, recipe.rounds, earlier.backbone.model)
                for step in wanted:
                    if step not in ("synthesize", "evaluate"):
                        _STEP_FUNCTIONS[step](earlier, there)
        for step in wanted:
            report = _STEP_FUNCTIONS[step](rounds[-1], worlds[-1])
        if launched()[0] == 0:
            again.finish(wanted)
    return report


def check_before(rounds: list[Recipe], worlds: list[World], wanted: list[str]) -> list[str]:
    """Returns the steps that have work to do; raises ConfigError naming everything that would stop one of them later."""
    todo = [step for step in wanted if not _done(rounds[0], worlds[0], step)]
    found = checks.problems(rounds[0], worlds[0], wanted, todo)
    for recipe, world in zip(rounds, worlds, strict=True):
        plans = [plan for step in wanted for plan in _PLANS[step](recipe, world)]
        found += world.check_plans(plans)
    if not found:
        found += checks.broken_parts(rounds[0], worlds[0], todo)
    if found:
        raise ConfigError("\n".join(dict.fromkeys(found)))
    if "train" in todo or "reference" in todo:
        for line in checks.slow_precision(rounds[0], worlds[0].device):
            log.warning("%s", line)
    return todo


def _note_path(recipe: Recipe) -> Path:
    return recipe.out / f"recipe.{recipe.name}.json"


def _has_note(recipe: Recipe) -> bool:
    """Whether the resolved recipe is there and can be read."""
    try:
        return bool(artefacts.read_object(_note_path(recipe)))
    except ArtefactError:
        return False


def _done(recipe: Recipe, world: World, step: str) -> bool:
    """Whether the artefacts of a step exist and say that they are complete; `run` looks closer when their turn comes."""
    for plan in _PLANS[step](recipe, world):
        meta = plan.path.with_name(f"{plan.path.name}.meta.json")
        covered = world.redo is not None and world.redo.covers(plan.verb)
        if covered or not meta.exists() or not artefacts.read_object(meta).get("complete"):
            return False
    return True


def _note(recipe: Recipe) -> None:
    """Writes the resolved recipe, by which the demo opens the run."""
    artefacts.write_json(_note_path(recipe), STRUCTURER.unstructure(recipe))


def _prompts(recipe: Recipe, world: World) -> None:
    prompts_step.run(recipe.prompts, world)


def _needs_targets(recipe: Recipe) -> bool:
    return any(system.pair.needs_targets for system in recipe.systems.values())


def _sample(recipe: Recipe, world: World) -> None:
    sample_step.run(recipe.sample, world)
    if _needs_targets(recipe):
        sample_step.run_targets(recipe.sample, world)


def _score(recipe: Recipe, world: World) -> None:
    score_step.run(recipe.score, world)


def _pair(recipe: Recipe, world: World) -> None:
    for name, system in recipe.systems.items():
        pair_step.run(system.pair, world, recipe.folder(name), recipe.directions)


def _reference(recipe: Recipe, world: World) -> None:
    for name, system in recipe.systems.items():
        others = [recipe.folder(other) for other in (ALIGNED, *recipe.systems) if other != name]
        reference_step.run(recipe.reference, system.train, world, recipe.folder(name), recipe.directions, others)


def _train(recipe: Recipe, world: World) -> None:
    for name, system in recipe.systems.items():
        train_step.run(system.train, world, recipe.folder(name), name, recipe.directions)


def _synthesize(recipe: Recipe, world: World) -> None:
    synthesize_step.run(recipe.synthesize, world, BASE, recipe.base_model)
    for name in recipe.systems:
        synthesize_step.run(recipe.synthesize, world, name, str(recipe.checkpoint(name)))
    if recipe.synthesize.floor_prompts:
        synthesize_step.run_floor(recipe.synthesize, world)


def _evaluate(recipe: Recipe, world: World) -> dict[str, Any]:
    return evaluate_step.run(
        recipe.evaluate,
        world,
        [BASE, *recipe.systems],
        split=recipe.synthesize.split,
        floor_prompts=recipe.synthesize.floor_prompts,
        run_folders={name: recipe.folder(name) for name in recipe.systems},
        steps=lambda: _steps_done(recipe),
        recipe=STRUCTURER.unstructure(recipe),
    )


_STEP_FUNCTIONS: dict[str, Callable[[Recipe, World], Any]] = {
    "prompts": _prompts,
    "sample": _sample,
    "score": _score,
    "pair": _pair,
    "reference": _reference,
    "train": _train,
    "synthesize": _synthesize,
    "evaluate": _evaluate,
}


def _plan_sample(recipe: Recipe, world: World) -> list[Plan]:
    targets = [sample_step.plan_targets(recipe.sample, world)] if _needs_targets(recipe) else []
    return [sample_step.plan(recipe.sample, world), *targets]


def _plan_reference(recipe: Recipe, world: World) -> list[Plan]:
    found = [
        reference_step.plan(recipe.reference, system.train, world, recipe.folder(name)) for name, system in recipe.systems.items()
    ]
    return [plan for plan in found if plan is not None]


def _plan_synthesize(recipe: Recipe, world: World) -> list[Plan]:
    found = [synthesize_step.plan(recipe.synthesize, world, system) for system in (BASE, *recipe.systems)]
    return found + ([synthesize_step.plan_floor(recipe.synthesize, world)] if recipe.synthesize.floor_prompts else [])


_PLANS: dict[str, Callable[[Recipe, World], list[Plan]]] = {
    "prompts": lambda recipe, world: [prompts_step.plan(recipe.prompts, world)],
    "sample": _plan_sample,
    "score": lambda recipe, world: list(score_step.plans(recipe.score, world).values()),
    "pair": lambda recipe, world: [
        pair_step.plan(system.pair, world, recipe.folder(name)) for name, system in recipe.systems.items()
    ],
    "reference": _plan_reference,
    "train": lambda recipe, world: [
        train_step.plan(system.train, world, recipe.folder(name)) for name, system in recipe.systems.items()
    ],
    "synthesize": _plan_synthesize,
    "evaluate": lambda recipe, world: evaluate_step.plans(
        recipe.evaluate, world, [BASE, *recipe.systems], recipe.synthesize.split
    ),
}


def _steps_done(recipe: Recipe) -> list[dict[str, Any]]:
    """Per artefact of this recipe: step, seconds, rows, from the side-cars, in the order of the pipeline.

    Artefacts that were made in one pass name it, for each of them has the seconds of all.
    """
    found = []
    for path in recipe.out.glob("**/*.meta.json"):
        name = path.relative_to(recipe.out).as_posix().removesuffix(".meta.json")
        meta = artefacts.read_object(path)
        if name.endswith("report.json") or meta.get("verb") not in (*STEPS, "targets"):
            continue
        row = {"step": f"{meta['verb']}: {name}", "seconds": meta["seconds"], "rows": meta["counts"].get("rows")}
        if meta.get("pass") is not None:
            row["pass"] = meta["pass"]
        found.append((STEPS.index(meta["verb"]) if meta["verb"] in STEPS else 1, row))
    return [row for _, row in sorted(found, key=lambda one: (one[0], one[1]["step"]))]


def check(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Looks for everything that can be found before work starts; returns a line for each part that is in order, and problems."""
    lines = [f"recipe {recipe.name}: settings are valid"]
    rounds = [recipe.round(number) for number in range(1, recipe.rounds + 1)] if recipe.rounds > 1 else [recipe]
    try:
        world = recipe.world(Redo(recipe.out))
    except ConfigError as error:
        return lines, [str(error)]
    found = checks.problems(recipe, world, STEPS, STEPS)
    for one in rounds:
        there = replace(world, out=one.out, backbone=one.backbone)
        found += there.check_plans(plan for step in STEPS for plan in _PLANS[step](one, there))
    found += checks.broken_parts(recipe, world, STEPS, lines.append)
    lines += [f"warning: {line}" for line in (*checks.unpinned(recipe), *checks.slow_precision(recipe, world.device))]
    return lines, list(dict.fromkeys(found))


def measure_r2(recipe: Recipe, steps: int, values: Sequence[float]) -> list[str]:
    """What `lpo-tts r2` prints: short pilot runs of every system's training at several r2."""
    recipe = recipe.round(1) if recipe.rounds > 1 else recipe
    systems = {name: (system.train, recipe.folder(name)) for name, system in recipe.systems.items()}
    return r2_step.run(systems, recipe.world(), steps, values)


def closing_lines(recipe: Recipe, report: dict[str, Any]) -> list[str]:
    """What a run says last: what was gained, the interval, where the report lies, how to listen."""
    folder = recipe.out / recipe.evaluate.folder
    lines = list(report["headline"])
    lines.append(f"report: {folder / 'report.html'} (numbers: {folder / 'report.json'})")
    lines.append(f"listen: python demo/app.py --run {recipe.out}")
    return lines
