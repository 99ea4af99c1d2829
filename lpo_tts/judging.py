"""One panel of metrics over audio, and resumable tables of what they said: for candidates, reports, folders and the demo."""

import json
import math
import uuid
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from lpo_tts import audio
from lpo_tts.artefacts import Artefact, RowWriter
from lpo_tts.comparison.candidates import MetricRole, Role
from lpo_tts.errors import ArtefactError, ContractError, os_errors
from lpo_tts.metrics.base import (
    Derived,
    LoadedMetric,
    Metric,
    Speech,
    derived_of,
    is_advisory,
    needs_voice_copy,
    scale_of,
    weight_of,
)
from lpo_tts.records import Judgement, Prompt, Score, file_name
from lpo_tts.rows import ids_of
from lpo_tts.scale import Scale
from lpo_tts.shards import ROWS, Shard, files

NO_AUDIO = "no audio"  # a candidate without a decodable code: its own fault, not the metric's
MAX_VOICE_SAMPLES = 1 << 25  # ours: of the voices kept in memory, 128 MiB; systems and seeds come back to a prompt's voice
LEAST_VOICE = 1 << 10  # samples that a voice counts as at least, so that those that cannot be read are bounded too
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Something to be judged: audio, and the prompt that says what it should be.

    Attributes:
        id: of the candidate or file.
        prompt: its text, language and voice; the voice's path is relative to the panel's root.
        audio: (num_samples,) float32; None where there is none.
        sample_rate: Hz.
    """

    id: str
    prompt: Prompt
    audio: Tensor | None
    sample_rate: int


class Panel:
    """Metrics by name, each loaded when it is first asked, and the voices they compare with.

    Args:
        metrics: settings by name.
        root: folder that the paths of voices are relative to.
        device: "cpu", "cuda", ...
        copies: folder of the voices' copies through the codec (`voice_copy_path`), for metrics that ask for them; None: there
            are none.
    """

    def __init__(
        self, metrics: Mapping[str, Metric], root: Path = Path(), device: str = "cpu", copies: Path | None = None
    ) -> None:
        self.metrics = dict(metrics)
        self.scales: dict[str, Scale] = {name: scale_of(metric) for name, metric in self.metrics.items()}
        self.root, self.device = root, device
        self.copies = copies if any(needs_voice_copy(metric) for metric in self.metrics.values()) else None
        self._loaded: dict[str, LoadedMetric] = {}
        self._voices: dict[str, tuple[Tensor | None, int | None, str | None]] = {}  # the one used last stands last
        self._voice_samples = 0

    def load(self, names: Iterable[str] | None = None) -> None:
        """Loads these metrics (all of them if None) now; raises ComponentError for one that cannot be loaded."""
        for name in self.metrics if names is None else names:
            if name not in self._loaded:
                self._loaded[name] = self.metrics[name].load(self.device)

    def judge(self, clips: Sequence[Clip], names: Iterable[str] | None = None) -> dict[str, list[Judgement]]:
        """Judgements by metric, one per clip in order, each with its weight.

        A clip without audio has no value. A voice that cannot be read is the reason where a metric that needs one has
        no value.

        Args:
            clips: what is judged together: the last bits of a judgement may depend on who shares its batch.
            names: metrics to ask; None = all.

        Raises:
            ContractError: a metric gives another number of judgements, or what is no finite number.
        """
        names = list(self.metrics if names is None else names)
        self.load(names)
        heard = [place for place, clip in enumerate(clips) if clip.audio is not None and clip.audio.numel()]
        speech, faults = [], []
        for place in heard:
            one, fault = self.speech(clips[place])
            speech.append(one)
            faults.append(fault)
        found = {}
        for name in names:
            judged = [Judgement(value=None, detail={"reason": NO_AUDIO}) for _ in clips]
            for place, judgement, fault in zip(heard, self._ask(name, speech), faults, strict=True):
                blamed = fault is not None and judgement.value is None
                judged[place] = replace(judgement, detail={**judgement.detail, "reason": fault}) if blamed else judgement
            found[name] = [self._weighed(name, one, clip) for one, clip in zip(judged, clips, strict=True)]
        return found

    def _ask(self, name: str, speech: Sequence[Speech]) -> list[Judgement]:
        judged = self._loaded[name].judge(speech) if speech else []
        if len(judged) != len(speech):
            raise ContractError(f"metric {name!r}: expected one judgement per utterance, {len(speech)}, found {len(judged)}")
        return [self._plain(name, one, item) for one, item in zip(judged, speech, strict=True)]

    def _plain(self, name: str, judgement: Judgement, item: Speech) -> Judgement:
        value: Any = judgement.value
        if isinstance(value, np.generic | Tensor) and value.ndim == 0:
            judgement = replace(judgement, value=value.item())
        fault = judgement_fault(judgement)
        if fault:
            raise ContractError(f"metric {name!r} of {item.id!r}: {fault}")
        return judgement

    def _weighed(self, name: str, judgement: Judgement, clip: Clip) -> Judgement:
        """With its weight, and numbers as they are read back from a table."""
        weight = judgement.weight
        if weight is None:
            weight = weight_of(self.metrics[name], clip.prompt.text, clip.prompt.language)
        value = judgement.value
        return replace(judgement, value=None if value is None else float(value), weight=None if weight is None else float(weight))

    def speech(self, clip: Clip) -> tuple[Speech, str | None]:
        """What a metric hears of a clip, and what is wrong with its voice."""
        named = clip.prompt.voice
        voice, rate, fault = (None, None, None) if named is None else self._voice(self.root / named.audio)
        copy, copy_rate = None, None
        if self.copies is not None and named is not None and (path := voice_copy_path(self.copies, named.id)).exists():
            copy, copy_rate, _ = self._voice(path)
        speech = Speech(
            id=clip.id,
            audio=clip.audio if clip.audio is not None else Tensor(),
            sample_rate=clip.sample_rate,
            text=clip.prompt.text,
            language=clip.prompt.language,
            voice=voice,
            voice_sample_rate=rate,
            voice_id=named.id if named is not None else None,
            voice_copy=copy,
            voice_copy_sample_rate=copy_rate,
        )
        return speech, fault

    def _voice(self, path: Path) -> tuple[Tensor | None, int | None, str | None]:
        """The recording of a voice with its sample rate, or why there is none."""
        key = str(path)
        if key in self._voices:
            self._voices[key] = self._voices.pop(key)  # the last one to be forgotten
            return self._voices[key]
        try:
            with os_errors("read", path):
                found = *audio.read_speech(path), None
        except ArtefactError as error:
            found = None, None, f"the voice cannot be read: {error}"
        self._voice_samples += _voice_size(found[0])
        while self._voices and self._voice_samples > MAX_VOICE_SAMPLES:
            self._voice_samples -= _voice_size(self._voices.pop(next(iter(self._voices)))[0])
        self._voices[key] = found
        return found


def _voice_size(voice: Tensor | None) -> int:
    return max(LEAST_VOICE, 0 if voice is None else voice.numel())


def voice_copies(out: Path) -> Path:
    """The folder of the voices' copies through the codec within a folder of results; there need be none."""
    return out / "synthesized" / "codec-copy-voices"


def voice_copy_path(folder: Path, voice_id: str) -> Path:
    """Where the copy of a voice through the codec lies; different voices have different files."""
    return folder / "wavs" / f"{file_name(voice_id)}.wav"


def judgement_fault(judgement: Judgement) -> str | None:
    """What is wrong with a judgement: a value that is no finite number, a detail that JSON cannot hold; None = nothing."""
    value = judgement.value
    if value is not None and not (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)):
        return f"expected a finite number or None, found {value!r}"
    try:
        json.dumps(judgement.detail, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"expected a detail of plain finite values, found {judgement.detail!r}"[:200] + f" ({error})"
    return None


def role_of(metric: Metric, name: str, role: Role, label: str) -> MetricRole:
    """A metric as a report knows it: under a name, with its role and what its values mean."""
    return roles_of(metric, name, role, label)[0]


def roles_of(
    metric: Metric, name: str, role: Role, label: str, margin: float | None = None, tested: bool = False
) -> list[MetricRole]:
    """A metric as a report knows it, and after it the figures that its judgements tell beside their value.

    Each of those is a metric of its own, `<name>.<suffix>`. It is never tested, and advisory where the metric chose the pairs. A
    metric that guesses at a quality (`advisory`) is called so, unless it chose the pairs.

    Args:
        metric: settings.
        name: of the judge.
        role: how it stands to the training.
        label: the judge's name in words.
        margin: difference that is too small to matter, in the unit of the values.
        tested: whether it belongs to the family of Holm's correction.
    """
    if is_advisory(metric) and role != "training judge":
        role = "advisory"
    own = role if role in ("judge", "outside", "unstated") else "advisory"
    main = MetricRole(name=name, role=role, label=label, margin=margin, tested=tested, **asdict(scale_of(metric)))
    return [main] + [
        MetricRole(name=f"{name}.{suffix}", role=own, label=label, of=name, **asdict(one.scale))
        for suffix, one in derived_of(metric).items()
    ]


def expanded(metric: Metric, name: str, judgement: Judgement, prompt: Prompt | None = None) -> dict[str, Judgement]:
    """A judgement under all names of `roles_of`.

    Where the judge has no value, no figure has one, for the same reason.

    Args:
        metric: settings of the judge.
        name: of the judge.
        judgement: by it.
        prompt: what was to be said: it tells what a ratio weighs that has no value.

    Raises:
        ContractError: the detail of the judgement does not hold what a figure is made of.
    """
    found = {name: judgement}
    for suffix, one in derived_of(metric).items():
        key = f"{name}.{suffix}"
        told = None if judgement.value is None else _told(key, one, judgement)
        if told is None:
            reason = judgement.detail.get("reason") or f"this judgement tells no {one.scale.short}"
            weight = None if one.weight is None or prompt is None else one.weight(metric, prompt.text, prompt.language)
            told = Judgement(value=None, weight=weight, detail={"reason": reason})
        found[key] = told
    return found


def _told(key: str, derived: Derived, judgement: Judgement) -> Judgement | None:
    """A derived judgement; raises ContractError where its detail lacks something, as one of another version may."""
    try:
        told = derived.tell(judgement.detail)
    except KeyError as error:
        raise ContractError(
            f"{key}: expected a judgement whose detail holds {error}, found one with "
            f"{', '.join(judgement.detail) or 'nothing'}; it is of another version: have it judged again"
        ) from error
    fault = None if told is None else judgement_fault(told)
    if fault is not None:
        raise ContractError(f"{key}: {fault}")
    return told


@dataclass
class Tables(Generic[Key]):
    """Tables of scores that are filled together, each begun, resumed and finished on its own.

    Attributes:
        max_failed: share of rows of a table that may fail before it is refused.
    """

    max_failed: float = 0.01
    _open: dict[Key, tuple[Artefact, RowWriter[Score]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._open)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._open)

    def open(self, key: Key, artefact: Artefact, shard: Shard | None = None) -> None:
        """Goes on with a table where it was: one of a `shard`'s own, or the whole, which takes over the rows of shards."""
        if shard is not None:
            writer = RowWriter(shard.beside(artefact.path), Score, self.max_failed)
            writer.done |= ids_of(artefact.path.with_name(artefact.path.name + ROWS), Score)
        else:
            writer = RowWriter(artefact.path, Score, self.max_failed)
            writer.absorb(file for _, file in files(artefact.path, ROWS))
        self._open[key] = artefact, writer

    def lacks(self, key: Key, ids: Iterable[str]) -> bool:
        """Whether a table has no row of one of these ids yet."""
        done = self._open[key][1].done
        return any(one not in done for one in ids)

    def add(self, key: Key, metric: str, ids: Sequence[str], judgements: Sequence[Judgement]) -> None:
        """Adds the rows that are not there yet, and flushes them."""
        writer = self._open[key][1]
        writer.append(
            Score(candidate_id=one, metric=metric, value=found.value, weight=found.weight, detail=found.detail)
            for one, found in zip(ids, judgements, strict=True)
            if one not in writer.done
        )

    def close(self) -> Iterator[tuple[Key, Artefact, RowWriter[Score]]]:
        """The tables one after the other, to be finished; they tell their seconds as made in one pass."""
        one_pass = uuid.uuid4().hex
        for key, (artefact, writer) in self._open.items():
            artefact.one_pass = one_pass
            yield key, artefact, writer
