"""Judges from the command line: `label=name:key=value,key=value` to a metric and its role."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lpo_tts import asr, speaker
from lpo_tts.asr.base import Recogniser
from lpo_tts.config import Structurer, parse_value
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Metric
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.report.answers import MetricRole, Role
from lpo_tts.speaker.base import SpeakerEncoder

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
    *,
    normaliser: str = "basic",
    batch_size: int = 16,
) -> list[Judge]:
    """Judges in the order of the report: the first recogniser speaks in the headline, further ones are outside judges.

    Raises:
        ConfigError: Nobody is to judge, a label stands twice, or a member refuses its settings.
    """
    structurer = Structurer({Recogniser: asr.REGISTRY, SpeakerEncoder: speaker.REGISTRY})
    judges = []
    roles: list[tuple[str, Role]] = [(spec, "judge" if k == 0 else "outside") for k, spec in enumerate(asr_specs)]
    roles += [(spec, "training judge") for spec in training_asr_specs]
    for spec, role in roles:
        label, name, settings = parse_spec(spec)
        member = structurer.structure({"name": name, **settings}, Recogniser, f"--asr {spec}")
        metric = WordErrorRate(recogniser=member, normaliser=normaliser, batch_size=batch_size)
        shown = MetricRole(name=f"wer-{label}", kind="wer", role=role, label=f"WER, {label}", higher_is_better=False)
        judges.append(Judge(role=shown, metric=metric, spec=spec))
    for spec in speaker_specs:
        label, name, settings = parse_spec(spec)
        member = structurer.structure({"name": name, **settings}, SpeakerEncoder, f"--speaker {spec}")
        shown = MetricRole(
            name=f"similarity-{label}", kind="similarity", role="judge", label=f"SIM-o, {label}", higher_is_better=True
        )
        judges.append(Judge(role=shown, metric=SpeakerSimilarity(encoder=member, batch_size=batch_size), spec=spec))
    if not judges:
        raise ConfigError("nobody is to judge: give at least one --asr or --speaker")
    names = [judge.role.name for judge in judges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"two judges are called {twice[0]!r}: give them labels of their own, as in --asr second=whisper:model=..."
        )
    return judges
