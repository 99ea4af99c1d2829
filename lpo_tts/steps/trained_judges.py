"""Judges whose model took part in the training: what a system was trained to please, it pleases.

Models are compared and not settings: a recogniser, speaker encoder or predictor with its checkpoint is the same one under
another batch size, normaliser or metric.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpo_tts import hf
from lpo_tts.errors import ConfigError
from lpo_tts.files import file_hash
from lpo_tts.metrics.base import is_advisory, needs_voice_copy, scale_of

if TYPE_CHECKING:
    from lpo_tts.recipe import Recipe

# Settings that name what is loaded; beside one of them nothing else decides which model it is.
NAMES = ("model", "source", "checkpoint", "weights", "path", "folder", "file", "url")
# Settings that never decide which model it is, of members that name none.
TUNING = ("batch_size", "normaliser", "language", "min_duration", "max_duration", "num_threads", "num_beams", "max_new_tokens")
TUNING += ("device", "times", "grammar", "word_insertion_penalty", "padding", "noise", "compute_type", "min_gap", "lowest")
TUNING += ("highest", "min_voiced", "order", "revision", "sample_rate", "resampler", "to", "dtype")
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".nemo", ".tar", ".gguf")
TELLING = 8  # ours: characters of a name that tells a checkpoint, whoever shares it
PACKED = ("-ct2", "-hf", "-onnx")  # ends of the names of one checkpoint in other formats


@dataclass(frozen=True)
class Model:
    """One model within a metric.

    Attributes:
        kind: name of the class that loads it.
        source: hub id, folder, file or URL; "" where the class alone, with its `settings`, says which model it is.
        revision: of a hub id.
        settings: of a class without a source, those that may decide which model it is.
    """

    kind: str
    source: str = ""
    revision: str | None = None
    settings: tuple[tuple[str, str], ...] = ()


def models_of(member: Any) -> list[Model]:
    """The models that a metric, a comparer or another member asks; the member itself, where it has none inside."""
    inside = [model for _, value in _fields(member) if dataclasses.is_dataclass(value) for model in models_of(value)]
    kind, revision = f"{type(member).__module__}.{type(member).__qualname__}", getattr(member, "revision", None)
    named = [Model(kind, value, revision) for key, value in _fields(member) if key in NAMES and value and isinstance(value, str)]
    if inside or named:
        return [*named, *inside]
    return [Model(kind, settings=tuple((key, repr(value)) for key, value in _fields(member) if key not in TUNING))]


def _fields(member: Any) -> Iterator[tuple[str, Any]]:
    yield from ((field.name, getattr(member, field.name)) for field in dataclasses.fields(member))


def same(one: Model, other: Model) -> bool:
    """Whether two models have the same weights, as far as their names and files tell.

    Two sources are the same under the same name, or where a file of weights has the same contents. Checkpoints of a hub that
    differ in the owner and the format alone (`openai/whisper-base.en`, `Systran/faster-whisper-base.en`) count as the same.
    """
    if not one.source or not other.source:
        return (one.source, other.source) == ("", "") and (one.kind, one.settings) == (other.kind, other.settings)
    if one.source == other.source or _plain_name(one.source) == _plain_name(other.source) != "":
        return True
    files = {size: path for path, size in _weights(one)}
    return any(size in files and file_hash(path) == file_hash(files[size]) for path, size in _weights(other))


def _plain_name(source: str) -> str:
    """What a hub's checkpoint is called, without owner and format; "" for what is no hub id, and for names such as `model`."""
    if not hf.may_be_hub_id(source):
        return ""
    name = source.rpartition("/")[2].lower().removeprefix("faster-")
    for end in PACKED:
        name = name.removesuffix(end)
    return name if len(name) >= TELLING else ""


def _weights(model: Model) -> list[tuple[Path, int]]:
    """Files of weights of a source with their sizes in bytes; of a hub id, those in this machine's cache."""
    is_hub = hf.may_be_hub_id(model.source)
    place = hf.cached(model.source, model.revision) if is_hub else Path(model.source)
    if place is None:
        return []
    files = [place] if place.is_file() else [one for one in sorted(place.rglob("*")) if one.is_file()]
    weights = [one for one in files if one.suffix in WEIGHTS] or files
    return [(file, size) for file in weights if (size := file.stat().st_size)]


def judges_of_training(recipe: "Recipe") -> dict[str, str]:
    """The judges of an evaluation whose model took part in the training, and how.

    A judge that the recipe calls a training judge is believed: so are others that share its model.

    Returns:
        Judge name -> how, such as "ranked the pairs: score.metrics.wer", in the order of the judges.
    """
    used, judges = list(_used(recipe)), recipe.evaluate.judges
    said = {name: models_of(judge.metric) for name, judge in judges.items() if judge.role == "training judge"}
    found = {}
    for name, judge in judges.items():
        own = models_of(judge.metric)
        ways: dict[str, list[str]] = {}
        for way, where, models in used:
            if _shared(own, models):
                ways.setdefault(way, []).append(where)
        others = [f"evaluate.judges.{other}" for other, models in said.items() if _shared(own, models)]
        if ways:
            found[name] = "; ".join(f"{way}: {', '.join(where)}" for way, where in ways.items())
        elif name in said:
            found[name] = "chose the pairs, as its role says"
        elif others:
            found[name] = f"chose the pairs: {', '.join(others)}"
    return found


def _shared(some: Iterable[Model], others: Sequence[Model]) -> bool:
    return any(same(one, other) for one in some for other in others)


def _used(recipe: "Recipe") -> Iterator[tuple[str, str, list[Model]]]:
    """How models took part in the training, where the recipe says so, and which models."""
    systems = recipe.systems.values()
    ranking = {name for system in systems for name in system.pair.metrics}
    ranking |= {system.train.list_metric for system in systems if getattr(system.train.loss, "data", "pair") == "list"}
    weighing = {system.pair.weights.metric for system in systems if system.pair.weights is not None}
    for name, metric in recipe.score.metrics.items():
        models = models_of(metric)
        if name in ranking or name not in weighing:
            yield "ranked the pairs" if name in ranking else "scored the candidates", f"score.metrics.{name}", models
        if name in weighing:
            yield "weighed the tokens", f"score.metrics.{name}", models
    for name, one in recipe.score.comparisons.items():
        yield "compared the candidates", f"score.comparisons.{name}", models_of(one.comparer)


def check_separate(recipe: "Recipe") -> None:
    """Raises ConfigError when a judge that is called held out took part in the training.

    With `evaluate.separate_judges`, no judge but a training judge may have taken part.
    """
    judges, trained = recipe.evaluate.judges, judges_of_training(recipe)
    refused = [name for name in trained if judges[name].role == "judge"]
    if refused:
        raise ConfigError(
            f"evaluate.judges: {_told(refused, trained)} and cannot judge the result; call it a training judge, or take another "
            "model"
        )
    refused = [name for name in trained if judges[name].role != "training judge"]
    if refused and recipe.evaluate.separate_judges:
        raise ConfigError(
            f"evaluate.separate_judges: {_told(refused, trained)}; call it a training judge, take another model, or leave "
            "separate_judges out"
        )


def _told(names: Iterable[str], trained: Mapping[str, str]) -> str:
    return ", ".join(f"{name} took part in the training ({trained[name]})" for name in names)


def check_judges(recipe: "Recipe") -> None:
    """Raises ConfigError when what took part in the training is to judge the result too, or a judge lacks what it needs."""
    check_separate(recipe)
    copies = [name for name, judge in recipe.evaluate.judges.items() if needs_voice_copy(judge.metric)]
    if copies and recipe.codec is None:
        raise ConfigError(
            f"evaluate.judges: {', '.join(copies)} compares with the voice's copy through the codec; name the codec, or compare "
            "with the original"
        )


def predictors(recipe: "Recipe") -> list[str]:
    """A warning where a network's guess at a quality is to judge the result: the report calls it advisory."""
    return [
        f"evaluate.judges.{name}: {scale_of(judge.metric).title} is a guess of a network at what listeners would say; reports "
        f"call it advisory whatever its role, so write `role: advisory`"
        for name, judge in recipe.evaluate.judges.items()
        if is_advisory(judge.metric) and judge.role in ("judge", "outside")
    ]
