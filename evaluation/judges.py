"""Judges from the command line: `label=name:key=value,key=value` to a metric and its role."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lpo_tts import asr, metrics, speaker
from lpo_tts.asr.base import Recogniser
from lpo_tts.comparison.candidates import MetricRole, Role
from lpo_tts.config import Structurer, parse_value
from lpo_tts.errors import ConfigError
from lpo_tts.judging import Panel, role_of
from lpo_tts.metrics.base import Metric, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.registry import Registry
from lpo_tts.speaker.base import SpeakerEncoder

FAMILIES: dict[type, Registry] = {Recogniser: asr.REGISTRY, SpeakerEncoder: speaker.REGISTRY, Metric: metrics.REGISTRY}
_LABEL = re.compile(r"^([\w.-]+)=(.+)$", re.DOTALL)
_SETTINGS = re.compile(r":(?=[A-Za-z_]\w*=)")
_SEPARATOR = re.compile(r",(?=[A-Za-z_]\w*=)")


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A metric under a name, its role in the report, and the words it was asked for in (kept as provenance)."""

    role: MetricRole
    metric: Metric
    spec: str


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
) -> list[Judge]:
    """Judges in the order of the report; the first recogniser speaks in the headline.

    Args:
        asr_specs: Recognisers, for the word error rate.
        speaker_specs: Speaker encoders, for the speaker similarity.
        training_asr_specs: Recognisers that chose the training pairs.
        metric_specs: Any metrics, by name or `module:Class`.
        normaliser: How words are counted.
        batch_size: Waveforms given to a model at once.
        held_out: The caller knows that none of `asr_specs`, `speaker_specs` and `metric_specs` had a part in the training;
            without it the report says nothing about that.

    Raises:
        ConfigError: Nobody is to judge, a label stands twice, or a member refuses its settings.
    """
    role: Role = "judge" if held_out else "unstated"
    judges = []
    words: list[tuple[str, str, Role]] = [(spec, "--asr", role) for spec in asr_specs]
    words.extend((spec, "--training-asr", "training judge") for spec in training_asr_specs)
    for spec, option, own_role in words:
        label, member = _member(spec, option, Recogniser)
        metric = WordErrorRate(recogniser=member, normaliser=normaliser, batch_size=batch_size)
        judges.append(_judge(f"wer-{label}", f"WER, {label}", metric, own_role, spec))
    for spec in speaker_specs:
        label, member = _member(spec, "--speaker", SpeakerEncoder)
        metric = SpeakerSimilarity(encoder=member, batch_size=batch_size)
        judges.append(_judge(f"similarity-{label}", f"SIM-o, {label}", metric, role, spec))
    for spec in metric_specs:
        label, metric = _member(spec, "--metric", Metric)
        if isinstance(metric, WordErrorRate) and metric.counts == "word" and metric.normaliser != normaliser:
            raise ConfigError(
                f"--metric {spec}: words are counted by the normaliser {normaliser} here, found {metric.normaliser}; "
                "name the recogniser with --asr instead"
            )
        judges.append(_judge(label, label, metric, role, spec))
    if not judges:
        raise ConfigError("nobody is to judge: give at least one --asr, --speaker or --metric")
    names = [judge.role.name for judge in judges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"two judges are called {twice[0]!r}: give them labels of their own, as in --asr second=whisper:model=..."
        )
    return judges


def _judge(name: str, label: str, metric: Metric, role: Role, spec: str) -> Judge:
    return Judge(role=role_of(metric, name, role, label), metric=metric, spec=spec)


def panel_of(judges: Sequence[Judge], device: str = "cpu") -> Panel:
    """The judges as one panel, by the names they have in the report; voices are relative to the working folder."""
    return Panel({judge.role.name: judge.metric for judge in judges}, device=device)


def settings_of(judges: Sequence[Judge]) -> dict[str, Any]:
    """What every judge was asked for and its resolved settings, plain values."""
    plain = Structurer(FAMILIES)
    return {judge.role.name: {"spec": judge.spec, "settings": plain.unstructure(judge.metric, Metric)} for judge in judges}


def _member(spec: str, option: str, family: type) -> tuple[str, Any]:
    """Label and settings object of a spec."""
    label, name, settings = parse_spec(spec)
    where = f"{option} {spec}"
    cls = FAMILIES[family].get(name)
    if not dataclasses.is_dataclass(cls) or not hasattr(cls, "load"):
        raise ConfigError(f"{where}: expected a dataclass of settings with a method `load`, found {cls!r}")
    if "name" in settings:
        raise ConfigError(f"{where}: the name stands before the colon, found another one among the settings")
    member = Structurer(FAMILIES).structure({"name": name, **settings}, family, where)
    if family is Metric:
        try:
            scale_of(member)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    return label, member
