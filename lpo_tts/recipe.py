"""A recipe: which section belongs to which step; `run` does all steps and skips what is up to date."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from lpo_tts import artefacts, asr, backbones, codecs, losses, metrics, speaker
from lpo_tts.asr.base import Recogniser
from lpo_tts.backbones.base import Backbone
from lpo_tts.backbones.flat import check_codec
from lpo_tts.codecs.base import Codec
from lpo_tts.config import Structurer, check_range, merge, override, read_yaml
from lpo_tts.errors import ConfigError
from lpo_tts.losses.base import Loss
from lpo_tts.metrics.base import Metric
from lpo_tts.speaker.base import SpeakerEncoder
from lpo_tts.steps import evaluate as evaluate_step
from lpo_tts.steps import pair as pair_step
from lpo_tts.steps import prompts as prompts_step
from lpo_tts.steps import reference as reference_step
from lpo_tts.steps import sample as sample_step
from lpo_tts.steps import score as score_step
from lpo_tts.steps import synthesize as synthesize_step
from lpo_tts.steps import train as train_step
from lpo_tts.steps.evaluate import EvaluateSettings
from lpo_tts.steps.examples import read_examples
from lpo_tts.steps.pair import PairSettings
from lpo_tts.steps.prompts import PromptsSettings
from lpo_tts.steps.reference import ReferenceSettings
from lpo_tts.steps.sample import SampleSettings
from lpo_tts.steps.score import ScoreSettings
from lpo_tts.steps.synthesize import CODEC_COPY, RECORDING, SynthesizeSettings
from lpo_tts.steps.train import TrainStepSettings
from lpo_tts.steps.world import World, exclusive, torch_device
from lpo_tts.training import conflict
from lpo_tts.training.attention import install
from lpo_tts.training.examples import prepare_examples
from lpo_tts.training.order import PromptSampler
from lpo_tts.training.processes import launched

log = logging.getLogger("lpo_tts")

FAMILIES: dict[type, Any] = {
    Backbone: backbones.REGISTRY,
    Codec: codecs.REGISTRY,
    Recogniser: asr.REGISTRY,
    SpeakerEncoder: speaker.REGISTRY,
    Metric: metrics.REGISTRY,
    Loss: losses.REGISTRY,
}
STEPS = ("prompts", "sample", "score", "pair", "reference", "train", "synthesize", "evaluate")
BASE, ALIGNED = "base", "aligned"


@dataclass(frozen=True, kw_only=True)
class System:
    """One aligned model: the pairs it learns from and how it learns."""

    pair: PairSettings
    train: TrainStepSettings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment, read top to bottom like the pipeline.

    Attributes:
        name: of the experiment.
        out: run folder.
        seed: of everything random.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        workers: local processes for sampling and listening; 0 = none.
        backbone, codec: the model to align and its audio codec.
        rounds: how often the loop goes on from its own result: each round's aligned model samples, is the reference and is
            trained in the next one, on the same prompts (iterative preference training). The last round lies in `out`, the
            earlier ones in `out/rounds`; `base` in the report stays the backbone.
        base_model: the model the result is compared with; None: the backbone.
        prompts ... evaluate: one section per step.
        variants: name -> changes to `pair` and `train`; each becomes a system of its own beside the base, all from the
            same candidates. A variant named `aligned` must change nothing: it is the recipe's own system, which is the
            only one without variants.
    """

    name: str
    out: Path
    seed: int = 0
    device: str = "auto"
    workers: int = 0
    rounds: int = 1
    base_model: str | None = None
    backbone: Backbone
    codec: Codec
    prompts: PromptsSettings
    sample: SampleSettings = field(default_factory=SampleSettings)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    pair: PairSettings = field(default_factory=PairSettings)
    train: TrainStepSettings = field(default_factory=TrainStepSettings)
    reference: ReferenceSettings = field(default_factory=ReferenceSettings)
    synthesize: SynthesizeSettings = field(default_factory=SynthesizeSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    variants: dict[str, System] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0)
        check_range("workers", self.workers, 0)
        check_range("rounds", self.rounds, 1)
        if self.rounds > 1 and self.variants:
            raise ConfigError("rounds and variants do not go together: which variant should sample the next round?")
        own = self.variants.get(ALIGNED)
        if own is not None and own != System(pair=self.pair, train=self.train):
            raise ConfigError(f"variants: {ALIGNED} is the recipe's own system and changes nothing; give yours another name")
        for name in self.variants:
            if name in (BASE, RECORDING, CODEC_COPY) or not name.replace("-", "").replace("_", "").isalnum():
                raise ConfigError(f"variants: {name!r} cannot be a system's name (letters, digits, - and _; {BASE} is taken)")

    @property
    def systems(self) -> dict[str, System]:
        """The aligned systems by name."""
        return self.variants or {ALIGNED: System(pair=self.pair, train=self.train)}

    @property
    def directions(self) -> dict[str, bool]:
        """higher_is_better of every scored metric."""
        return {name: metric.higher_is_better for name, metric in self.score.metrics.items()}

    def round(self, number: int) -> "Recipe":
        """The recipe of one round, counted from 1: its folder, and the model it starts from."""
        out = self.out if number == self.rounds else self.out / "rounds" / str(number)
        model = self.backbone.model if number == 1 else str(self.round(number - 1).checkpoint(ALIGNED))
        backbone = replace(cast("Any", self.backbone), model=model)
        return replace(self, out=out, backbone=backbone, base_model=self.base_model or self.backbone.model)

    def folder(self, system: str) -> Path:
        """Where a system's pairs, reference log-probs and run/ lie; `aligned` is the recipe's own, with variants or without."""
        return self.out if system == ALIGNED else self.out / "variants" / system

    def checkpoint(self, system: str) -> Path:
        """The aligned model of a system, a Hugging Face folder."""
        return self.folder(system) / "run" / "final"

    def world(self, redo: frozenset[str] = frozenset()) -> World:
        """What the steps work in."""
        return World(
            out=self.out,
            seed=self.seed,
            device=torch_device(self.device),
            workers=self.workers,
            backbone=self.backbone,
            codec=self.codec,
            structurer=STRUCTURER,
            redo=redo,
        )


STRUCTURER = Structurer(FAMILIES)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe file and lays key=value overrides over it; raises ConfigError naming every wrong key."""
    tree = read_yaml(Path(path))
    for assignment in overrides:
        tree = override(tree, assignment)
    return structure(tree, str(path))


def structure(tree: dict[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from its tree; each variant is the recipe's `pair` and `train` with the variant's changes over them."""
    variants = tree.get("variants") or {}
    if not isinstance(variants, dict):
        raise ConfigError(f"{where}: variants: expected a mapping of names, found {variants!r}")
    common = {key: tree.get(key) or {} for key in ("pair", "train")}
    tree = {**tree, "variants": {name: merge(common, changes or {}) for name, changes in variants.items()}}
    try:
        return STRUCTURER.structure(tree, Recipe)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def run(recipe: Recipe, *, until: str | None = None, only: str | None = None, redo: str | None = None) -> dict[str, Any] | None:
    """Runs the steps in order (or only one); returns the report when evaluate was among them.

    Args:
        recipe: what to do.
        until: last step.
        only: this step alone; what it reads must exist.
        redo: this step's artefacts and those of later steps are made again.
    """
    check_judges(recipe)
    if launched()[1] > 1 and only != "train":
        raise ConfigError(
            f"{launched()[1]} processes were launched, but only training is shared among processes: launch `lpo-tts train`, and "
            "run the other steps without torchrun or accelerate"
        )
    world = recipe.world(frozenset(STEPS[STEPS.index(redo) :]) if redo else frozenset())
    wanted = [
        step for step in STEPS if (only is None or step == only) and (until is None or STEPS.index(step) <= STEPS.index(until))
    ]
    report = None
    for number in range(1, recipe.rounds if only is None else 1):
        earlier = recipe.round(number)
        log.info("round %d of %d: from %s", number, recipe.rounds, earlier.backbone.model)
        with exclusive(earlier.out):
            for step in wanted:
                if step not in ("synthesize", "evaluate"):
                    _STEP_FUNCTIONS[step](earlier, replace(world, out=earlier.out, backbone=earlier.backbone))
    if recipe.rounds > 1:
        recipe = recipe.round(recipe.rounds)
        world = replace(world, backbone=recipe.backbone)
    with exclusive(recipe.out):
        if launched()[0] == 0:
            artefacts.write_json(recipe.out / f"recipe.{recipe.name}.json", STRUCTURER.unstructure(recipe))
        for step in wanted:
            report = _STEP_FUNCTIONS[step](recipe, world)
    return report


def _prompts(recipe: Recipe, world: World) -> None:
    prompts_step.run(recipe.prompts, world)


def _sample(recipe: Recipe, world: World) -> None:
    sample_step.run(recipe.sample, world)
    if any(system.pair.needs_targets for system in recipe.systems.values()):
        sample_step.run_targets(world, recipe.sample.splits)


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
        steps=_steps_done(recipe),
        recipe=STRUCTURER.unstructure(recipe),
    )


_STEP_FUNCTIONS = {
    "prompts": _prompts,
    "sample": _sample,
    "score": _score,
    "pair": _pair,
    "reference": _reference,
    "train": _train,
    "synthesize": _synthesize,
    "evaluate": _evaluate,
}


def _steps_done(recipe: Recipe) -> list[dict[str, Any]]:
    """Per artefact of this recipe: step, seconds, rows, from the side-cars, in the order of the pipeline."""
    found = []
    for path in recipe.out.glob("**/*.meta.json"):
        name = path.relative_to(recipe.out).as_posix().removesuffix(".meta.json")
        meta = artefacts.read_json(path)
        if meta["verb"] != "evaluate":
            counts = meta.get("counts", {})
            found.append(
                {"step": f"{meta['verb']}: {name}", "seconds": meta["seconds"], "rows": counts.get("rows"), "verb": meta["verb"]}
            )
    found.sort(key=lambda row: (STEPS.index(row["verb"]) if row["verb"] in STEPS else 1, row["step"]))
    return [{key: row[key] for key in ("step", "seconds", "rows")} for row in found]


def check(recipe: Recipe) -> list[str]:
    """Loads every part of a recipe; returns a line for each; raises what is wrong with the first that does not load."""
    check_judges(recipe)
    device = torch_device(recipe.device)
    lines = [f"recipe {recipe.name}: settings are valid"]
    codec = recipe.codec.load(device)
    lines.append(f"codec: {codec.sample_rate} Hz, {codec.frame_rate:g} frames/s, codebooks {codec.codebook_sizes}")
    backbone = recipe.backbone.load(device)
    check_codec(backbone.layout, codec.codebook_sizes)
    lines.append(
        f"backbone: {recipe.backbone.model}, "
        f"{sum(p.numel() for p in backbone.model.parameters()) / 1e6:.2f} M parameters, fits the codec"
    )
    for name, metric in recipe.score.metrics.items():
        metric.load(device)
        lines.append(f"score {name}: {FAMILIES[Metric].name_of(type(metric))} loads")
    for name, judge in recipe.evaluate.judges.items():
        judge.metric.load(device)
        lines.append(f"judge {name}: {judge.label} ({judge.role}) loads")
    return lines


def check_judges(recipe: Recipe) -> None:
    """Raises ConfigError when what ranked the pairs is to judge the result too."""
    ranking = list(recipe.score.metrics.values())
    same = [name for name, judge in recipe.evaluate.judges.items() if judge.role == "judge" and judge.metric in ranking]
    if same:
        raise ConfigError(
            f"evaluate.judges: {', '.join(same)} also ranks the pairs and cannot judge the result; call it a training judge"
        )


def measure_r2(recipe: Recipe, batches: int) -> list[str]:
    """Measures which r2 suits this model and these pairs (`training.conflict`); a line for each figure of each system."""
    world = recipe.world()
    found: list[str] = []
    for name, system in recipe.systems.items():
        settings = system.train
        backbone = recipe.backbone.load(world.device)
        if settings.pack:
            install(backbone.model)
        pairs, _ = read_examples(world, recipe.folder(name), settings.segments)
        size = min(settings.micro_batch_size or settings.batch_size, len(pairs))
        kept = prepare_examples(pairs, settings.max_answer_tokens, settings.too_long)
        order = list(PromptSampler(kept, size, recipe.seed))[: batches * size]
        whole, alone = conflict.measure(backbone.model, [kept[i] for i in order], size, settings.precision)
        found += [f"{name}: {line}" if len(recipe.systems) > 1 else line for line in conflict.lines(whole, alone, size)]
    return found


def listing(family: str | None = None) -> list[str]:
    """Names of the members of every family."""
    lines = []
    for registry in FAMILIES.values():
        if family in (None, registry.family):
            lines.append(f"{registry.family}: {', '.join(sorted(registry))}")
    if not lines:
        raise ConfigError(
            f"no family named {family!r} (there are: {', '.join(registry.family for registry in FAMILIES.values())})"
        )
    return lines


def closing_lines(recipe: Recipe, report: dict[str, Any]) -> list[str]:
    """What a run says last: what was gained, the interval, where the report lies, how to listen."""
    folder = recipe.out / recipe.evaluate.folder
    lines = list(report["headline"])
    lines.append(f"report: {folder / 'report.html'} (numbers: {folder / 'report.json'})")
    lines.append(f"listen: python demo/app.py --run {recipe.out}")
    return lines
