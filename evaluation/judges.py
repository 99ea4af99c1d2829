"""Judges from the command line: `label=name:key=value,key=value`, or a file with the section `evaluate` of a recipe."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lpo_tts.asr.base import Recogniser
from lpo_tts.comparison.candidates import Role
from lpo_tts.config import parse_value, read_yaml
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Metric, is_advisory, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.recipe import FAMILIES, STRUCTURER
from lpo_tts.speaker.base import SpeakerEncoder
from lpo_tts.steps.judges import EvaluateSettings, JudgeSettings

_LABEL = re.compile(r"^([\w.-]+)=(.+)$", re.DOTALL)
_SETTINGS = re.compile(r":(?=[A-Za-z_]\w*=)")
_SEPARATOR = re.compile(r",(?=[A-Za-z_]\w*=)")


def parse_spec(spec: str) -> tuple[str, str, dict[str, Any]]:
    """Splits a spec into label, registry name and settings.

    `whisper`, `whisper:model=openai/whisper-large-v3`, `strict=mini:model=FOLDER,batch_size=8`; a registry name may
    be `module:Class`. The label is what the report calls the judge; without one, the name's last part.

    Raises:
        ConfigError: The spec has no name or no settings after its colon.
    """
    found = _LABEL.match(spec)
    label, rest = found.groups() if found else ("", spec)
    parts = _SETTINGS.split(rest, maxsplit=1)
    name = parts[0]
    if not name or name.endswith(":"):
        raise ConfigError(f"judge {spec!r}: expected name:key=value,key=value")
    settings = {}
    for assignment in _SEPARATOR.split(parts[1]) if len(parts) > 1 else ():
        key, _, value = assignment.partition("=")
        settings[key] = parse_value(value)
    return label or name.rpartition(":")[2], name, settings


def make_judges(
    asr_specs: Sequence[str],
    speaker_specs: Sequence[str] = (),
    training_asr_specs: Sequence[str] = (),
    metric_specs: Sequence[str] = (),
    *,
    normaliser: str = "basic",
    batch_size: int = 16,
    held_out: bool = False,
    copies: bool = False,
) -> dict[str, JudgeSettings]:
    """Judges by name, in the order of the report; the first recogniser speaks in the headline.

    Args:
        asr_specs: Recognisers, for the word error rate.
        speaker_specs: Speaker encoders, for the speaker similarity.
        training_asr_specs: Recognisers that chose the training pairs.
        metric_specs: Any metrics, by name or `module:Class`; those that predict a quality are advisory.
        normaliser: How words are counted.
        batch_size: Waveforms given to a model at once.
        held_out: The caller knows that none of `asr_specs`, `speaker_specs` and `metric_specs` had a part in the training;
            without it the report says nothing about that.
        copies: There is a codec: speaker encoders compare with the voices' copies through it too (SIM-r).

    Raises:
        ConfigError: A label stands twice, or a member refuses its settings.
    """
    role: Role = "judge" if held_out else "unstated"
    judges: dict[str, JudgeSettings] = {}
    words: list[tuple[str, str, Role]] = [(spec, "--asr", role) for spec in asr_specs]
    words.extend((spec, "--training-asr", "training judge") for spec in training_asr_specs)
    for spec, option, own_role in words:
        label, member = member_of(spec, option, Recogniser)
        metric = WordErrorRate(recogniser=member, normaliser=normaliser, batch_size=batch_size)
        _add(judges, f"wer-{label}", JudgeSettings(metric, own_role, f"WER, {label}"))
    for spec in speaker_specs:
        label, member = member_of(spec, "--speaker", SpeakerEncoder)
        metric = SpeakerSimilarity(encoder=member, batch_size=batch_size)
        _add(judges, f"similarity-{label}", JudgeSettings(metric, role, f"SIM-o, {label}"))
        if copies:
            copied = dataclasses.replace(metric, to="codec_copy")
            _add(judges, f"similarity-copy-{label}", JudgeSettings(copied, role, f"SIM-r, {label}", tested=False))
    for spec in metric_specs:
        label, metric = member_of(spec, "--metric", Metric)
        if isinstance(metric, WordErrorRate) and metric.counts == "word" and metric.normaliser != normaliser:
            raise ConfigError(
                f"--metric {spec}: words are counted by the normaliser {normaliser} here, found {metric.normaliser}; "
                "name the recogniser with --asr instead"
            )
        _add(judges, label, JudgeSettings(metric, "advisory" if is_advisory(metric) else role, label))
    return judges


def _add(judges: dict[str, JudgeSettings], name: str, judge: JudgeSettings) -> None:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", name)  # it names a folder
    if name in judges:
        raise ConfigError(f"two judges are called {name!r}: give them labels of their own, as in --asr second=whisper:model=...")
    judges[name] = judge


def read_settings(path: Path) -> EvaluateSettings:
    """The section `evaluate` of a YAML file, such as a recipe; a file that has none may be the section itself.

    Raises:
        ConfigError: naming every key that is wrong.
    """
    return settings_of(read_yaml(path, "file of judges"), str(path))


def settings_of(tree: Mapping[str, Any], where: str) -> EvaluateSettings:
    """As `read_settings`, of a tree that was read."""
    section = tree.get("evaluate", tree)
    if section is None:
        raise ConfigError(f"{where}: evaluate: expected judges, found nothing")
    return STRUCTURER.structure(section, EvaluateSettings, f"{where}: evaluate" if "evaluate" in tree else where)


def with_margins(judges: Mapping[str, JudgeSettings], specs: Sequence[str]) -> dict[str, JudgeSettings]:
    """The judges with margins of the form JUDGE=VALUE, in the unit of the judge's values.

    Raises:
        ConfigError: a spec has another form, or names no judge.
    """
    found = dict(judges)
    for spec in specs:
        name, _, value = spec.partition("=")
        margin = parse_value(value) if value else None
        if isinstance(margin, bool) or not isinstance(margin, int | float):
            raise ConfigError(f"--margin: expected JUDGE=VALUE, such as wer-whisper=0.005, found {spec!r}")
        if name not in found:
            raise ConfigError(f"--margin {spec}: no judge is called {name!r} (there are: {', '.join(found) or 'none'})")
        try:
            found[name] = dataclasses.replace(found[name], margin=float(margin))
        except ConfigError as error:
            raise ConfigError(f"--margin {spec}: {error}") from error
    return found


def member_of(spec: str, option: str, family: type) -> tuple[str, Any]:
    """Label and settings object of a spec."""
    label, name, settings = parse_spec(spec)
    where = f"{option} {spec}"
    cls = FAMILIES[family].get(name)
    if not dataclasses.is_dataclass(cls) or not hasattr(cls, "load"):
        raise ConfigError(f"{where}: expected a dataclass of settings with a method `load`, found {cls!r}")
    if "name" in settings:
        raise ConfigError(f"{where}: the name stands before the colon, found another one among the settings")
    member = STRUCTURER.structure({"name": name, **settings}, family, where)
    if family is Metric:
        try:
            scale_of(member)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    return label, member
