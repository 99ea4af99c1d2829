"""A recipe: the schema of its file, and reading it; which section belongs to which step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from lpo_tts import asr, backbones, codecs, comparers, engines, frontends, losses, metrics, rules, sampling, speaker
from lpo_tts.asr.base import Recogniser
from lpo_tts.backbones.base import Backbone
from lpo_tts.bounds import above, at_least, check_settings, check_value
from lpo_tts.codecs.base import Codec
from lpo_tts.comparers.base import Comparer
from lpo_tts.config import Structurer, check_name, merge, override, read_yaml
from lpo_tts.engines.base import Engine
from lpo_tts.errors import ConfigError
from lpo_tts.frontends.base import FrontEnd
from lpo_tts.losses.base import Loss
from lpo_tts.metrics.base import Metric
from lpo_tts.rules.base import Rule
from lpo_tts.sampling.base import Sampler
from lpo_tts.shards import Shard
from lpo_tts.speaker.base import SpeakerEncoder
from lpo_tts.steps.evaluate import EvaluateSettings
from lpo_tts.steps.pair import PairSettings
from lpo_tts.steps.prompts import PromptsSettings
from lpo_tts.steps.redo import Redo
from lpo_tts.steps.reference import ReferenceSettings
from lpo_tts.steps.run import ALIGNED, BASE, CODEC_COPY, RECORDING, Run, silent
from lpo_tts.steps.sample import SampleSettings
from lpo_tts.steps.score import ScoreSettings
from lpo_tts.steps.synthesize import SynthesizeSettings
from lpo_tts.steps.train import TrainStepSettings

FAMILIES: dict[type, Any] = {
    Backbone: backbones.REGISTRY,
    Codec: codecs.REGISTRY,
    FrontEnd: frontends.REGISTRY,
    Recogniser: asr.REGISTRY,
    SpeakerEncoder: speaker.REGISTRY,
    Metric: metrics.REGISTRY,
    Comparer: comparers.REGISTRY,
    Rule: rules.REGISTRY,
    Engine: engines.REGISTRY,
    Loss: losses.REGISTRY,
    Sampler: sampling.REGISTRY,
}
MAX_SEED = 2**32 - 1  # numpy takes no larger one
MAX_ROUNDS = 100  # ours: beyond it a slip of the keyboard is likelier than a plan


@dataclass(frozen=True, kw_only=True)
class About:
    """What people want to know of a recipe before they run it; nothing is computed from it.

    Attributes:
        caption: the model and its codec, in a few words.
        licence: of the model's weights, and of the codec's where it is another one.
        sample_rate: of the audio, in Hz.
        tokens_per_second: tokens that the model writes for a second of audio.
        gpu_sampling: GPU memory to sample with.
        gpu_training: GPU memory to train with, and by which settings.
        verified: what of the recipe was verified, and what was not.
    """

    caption: str = ""
    licence: str = ""
    sample_rate: int | None = None
    tokens_per_second: float | None = None
    gpu_sampling: str = ""
    gpu_training: str = ""
    verified: str = ""

    bounds = {"sample_rate": at_least(1), "tokens_per_second": above(0)}

    def __post_init__(self) -> None:
        check_settings(self, "")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Pairs and training of one aligned model, as they stand in a recipe.

    Attributes:
        pair: the pairs it learns from.
        train: how it learns.
    """

    pair: PairSettings
    train: TrainStepSettings


@dataclass(frozen=True, kw_only=True)
class System:
    """One aligned model of a run folder.

    Attributes:
        name: of the variant, or `aligned`.
        pair: the pairs it learns from.
        train: how it learns.
        folder: where its pairs, reference log-probs and run/ lie.
    """

    name: str
    pair: PairSettings
    train: TrainStepSettings
    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The aligned model, a Hugging Face folder."""
        return self.folder / "run" / "final"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment, read top to bottom like the pipeline.

    Attributes:
        about: what people want to know before they run it.
        name: name of the experiment.
        out: run folder, which everything is written into.
        seed: what everything random starts from.
        device: where models run: "auto", "cpu", "cuda", "cuda:1", ...
        engine: where sampling, scoring and reference log-probs run: in this process, in several worker processes, or on Ray.
        backbone: the model to align.
        codec: the model's audio codec.
        rounds: how often the loop goes on from its own result: each round's aligned model samples, is the reference and is
            trained in the next one (iterative preference training), on the same prompts or on new ones (`prompts.per_round`).
            The last round lies in `out`, the earlier ones in `out/rounds`; `base` in the report stays the backbone.
        base_model: the model the result is compared with; None: the backbone.
        prompts: how prompts are made from a manifest.
        sample: how candidates are drawn.
        score: what judges the candidates.
        pair: which pairs are built.
        train: how the model learns from them.
        reference: how the frozen model is run.
        synthesize: what is spoken for the evaluation.
        evaluate: who judges the result, and how it is reported.
        variants: changes to `pair` and `train`, by names of your choice; each becomes a system of its own beside the
            base, all from the same candidates. A variant named `aligned` must change nothing: it is the recipe's own system,
            which is the only one without variants.
    """

    about: About = field(default_factory=About)
    name: str
    out: Path
    seed: int = 0
    device: str = "auto"
    engine: Engine = field(default_factory=lambda: engines.REGISTRY.get("local")())
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
    variants: dict[str, Variant] = field(default_factory=dict)

    bounds = {"seed": at_least(0).at_most(MAX_SEED), "rounds": at_least(1).at_most(MAX_ROUNDS)}

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_settings(self, "")
        for system in self.systems.values():
            check_value("seed + train.seed", self.seed + system.train.seed, at_least(0).at_most(MAX_SEED))
        if self.rounds > 1 and self.variants:
            raise ConfigError("rounds and variants do not go together: which variant should sample the next round?")
        for name in ("revision", "adapter"):  # later rounds load folders, and compare with the backbone's `model` alone
            value = getattr(self.backbone, name, None)
            if self.rounds > 1 and value is not None:
                raise ConfigError(
                    f"rounds: expected 1 where backbone.{name} is set ({value!r}), found {self.rounds}; "
                    f"write the model with its {name} into a folder, and name that folder as backbone.model"
                )
        for name, other in self.sample.others.items():
            other.backbone(self.backbone, name)
        own = self.variants.get(ALIGNED)
        if own is not None and own != Variant(pair=self.pair, train=self.train):
            raise ConfigError(f"variants: {ALIGNED} is the recipe's own system and changes nothing; give yours another name")
        for name in self.variants:
            check_name("variants", name)
            if name in (BASE, RECORDING, CODEC_COPY):
                raise ConfigError(f"variants: {name!r} cannot be a system's name: it is taken")

    @property
    def systems(self) -> dict[str, System]:
        """The aligned systems by name."""
        variants = self.variants or {ALIGNED: Variant(pair=self.pair, train=self.train)}
        return {
            name: System(name=name, pair=one.pair, train=one.train, folder=self.folder(name)) for name, one in variants.items()
        }

    @property
    def directions(self) -> dict[str, bool]:
        """higher_is_better of every scored metric."""
        return {name: metric.higher_is_better for name, metric in self.score.metrics.items()}

    def in_rounds(self) -> list["Recipe"]:
        """The recipe of every round, in order; without rounds only itself."""
        return [self.round(number) for number in range(1, self.rounds + 1)] if self.rounds > 1 else [self]

    def round(self, number: int) -> "Recipe":
        """The recipe of one round, counted from 1: its folder, its prompts, and the model it starts from."""
        out = self.out if number == self.rounds else self.out / "rounds" / str(number)
        if number == 1:
            backbone = self.backbone
        else:
            before = self.out / "rounds" / str(number - 1)
            backbone = replace(cast("Any", self.backbone), model=str(before / "run" / "final"))
        prompts = self.prompts
        if prompts.per_round != "same":
            prompts = replace(prompts, round=prompts.round + number - 1)
        return replace(self, out=out, backbone=backbone, prompts=prompts, base_model=self.base_model or self.backbone.model)

    def folder(self, system: str) -> Path:
        """Where a system's pairs, reference log-probs and run/ lie; `aligned` is the recipe's own, with variants or without."""
        return self.out if system == ALIGNED else self.out / "variants" / system

    def checkpoint(self, system: str) -> Path:
        """The aligned model of a system, a Hugging Face folder."""
        return self.folder(system) / "run" / "final"

    def run(self, redo: Redo | None = None, tell: Callable[[str], None] = silent, shard: Shard | None = None) -> Run:
        """What the verbs work in; `tell` takes the lines of their results."""
        return Run(self, STRUCTURER, redo, tell, shard)


STRUCTURER = Structurer(FAMILIES)
UNTRUSTED = Structurer(FAMILIES, trusted=False)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe file and lays key=value overrides over it; raises ConfigError naming every wrong key."""
    tree = read_yaml(Path(path))
    for assignment in overrides:
        tree = override(tree, assignment)
    return structure(tree, str(path))


def structure(tree: dict[str, Any], where: str = "recipe", *, trusted: bool = True) -> Recipe:
    """A recipe from its tree; each variant is the recipe's `pair` and `train` with the variant's changes over them.

    Args:
        tree: plain values.
        where: the file, for messages.
        trusted: whether parts may run code: those named `module:Class`, which are imported, and those that start a program.

    Raises:
        ConfigError: naming every key that is wrong.
    """
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: expected a mapping of sections, found {type(tree).__name__}")
    empty = [key for key, value in tree.items() if value is None and key not in ("base_model", "variants")]
    if empty:
        raise ConfigError(f"{where}: {empty[0]}: expected settings, found nothing; leave the key out to take the defaults")
    variants = tree.get("variants") or {}
    if not isinstance(variants, dict):
        raise ConfigError(f"{where}: variants: expected a mapping of names, found {variants!r}")
    for name, changes in variants.items():
        if not isinstance(changes, dict | None):
            raise ConfigError(f"{where}: variants.{name}: expected changes to `pair` and `train`, found {changes!r}")
    common = {key: tree.get(key) or {} for key in ("pair", "train")}
    tree = {**tree, "variants": {name: merge(common, changes or {}) for name, changes in variants.items()}}
    try:
        return (STRUCTURER if trusted else UNTRUSTED).structure(tree, Recipe)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
