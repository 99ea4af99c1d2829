"""score: listens to every candidate, one table per metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from lpo_tts import artefacts, audio
from lpo_tts.codecs.base import Codec, LoadedCodec
from lpo_tts.config import check_range
from lpo_tts.engines.local import map_blocks
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.metrics.base import Judgement, Metric, Speech
from lpo_tts.records import Candidate, Prompt, Score
from lpo_tts.steps.world import Sampled, World, log, progress, read_part, read_prompts


@dataclass(frozen=True)
class ScoreSettings:
    """What listens to the candidates.

    Attributes:
        metrics: name of the table (`scores-<name>.jsonl`) to metric.
        max_unscorable: share of candidates with audio that a metric may fail to judge before the step stops.
    """

    metrics: dict[str, Metric] = field(default_factory=dict)
    max_unscorable: float = 0.05

    def __post_init__(self) -> None:
        check_range("max_unscorable", self.max_unscorable, 0, 1)
        for name in self.metrics:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ConfigError(f"metrics: a name may hold letters, digits, - and _, found {name!r}")


NO_AUDIO = "no audio"  # an answer without a decodable code: the candidate's fault, not the metric's


class Listener:
    """Decodes answers and hands them to metrics; voices are read once per process."""

    def __init__(self, metrics: Mapping[str, Metric], root: Path, device: str) -> None:
        self.metrics = {name: metric.load(device) for name, metric in metrics.items()}
        self.root = root
        self._voices: dict[str, tuple[Tensor, int]] = {}

    def judge(self, items: list[tuple[str, Prompt, Tensor | None, int]]) -> dict[str, list[Judgement]]:
        """Items are (id, prompt, waveform or None, sample rate); a missing waveform is judged None with its reason."""
        speech, places = [], []
        for place, (item_id, prompt, wave, sample_rate) in enumerate(items):
            if wave is None or wave.numel() == 0:
                continue
            voice, voice_rate = self._voice(prompt)
            speech.append(
                Speech(
                    id=item_id,
                    audio=wave,
                    sample_rate=sample_rate,
                    text=prompt.text,
                    language=prompt.language,
                    voice=voice,
                    voice_sample_rate=voice_rate,
                    voice_id=prompt.voice.id if prompt.voice is not None else None,
                )
            )
            places.append(place)
        result = {}
        for name, metric in self.metrics.items():
            judged = [Judgement(value=None, detail={"reason": NO_AUDIO})] * len(items)
            for place, judgement in zip(places, metric.judge(speech) if speech else [], strict=True):
                judged[place] = judgement
            result[name] = judged
        return result

    def _voice(self, prompt: Prompt) -> tuple[Tensor | None, int | None]:
        if prompt.voice is None:
            return None, None
        if prompt.voice.id not in self._voices:
            self._voices[prompt.voice.id] = audio.read(self.root / prompt.voice.audio)
        return self._voices[prompt.voice.id]


@dataclass(frozen=True)
class Part:
    """One part of candidates to listen to."""

    path: Path
    prompts: dict[str, Prompt]


@dataclass(frozen=True)
class ScoreWorker:
    """Makes the function one worker process applies to parts."""

    metrics: dict[str, Metric]
    codec: Codec
    device: str
    root: Path

    def __call__(self) -> Callable[[Part], dict[str, list[Score]]]:
        """Loads codec and metrics once."""
        codec, listener = self.codec.load(self.device), Listener(self.metrics, self.root, self.device)

        def listen(part: Part) -> dict[str, list[Score]]:
            sampled = read_part(part.path)
            waves = decode(sampled, codec)
            items = [
                (one.row.id, part.prompts[one.row.prompt_id], wave, codec.sample_rate)
                for one, wave in zip(sampled, waves, strict=True)
            ]
            return {
                name: [
                    Score(candidate_id=one.row.id, metric=name, value=found.value, detail=found.detail)
                    for one, found in zip(sampled, judged, strict=True)
                ]
                for name, judged in listener.judge(items).items()
            }

        return listen


def decode(sampled: Sequence[Sampled], codec: LoadedCodec) -> list[Tensor | None]:
    """Waveforms of candidates; None where nothing is decodable."""
    whole = [one.codes for one in sampled if one.codes is not None]
    waves = iter(codec.decode(whole) if whole else [])
    return [next(waves) if one.codes is not None else None for one in sampled]


def run(settings: ScoreSettings, world: World) -> None:
    """Writes scores-<metric>.jsonl for every metric whose table is not up to date; resumes part by part."""
    inputs = {"candidates": artefacts.content_hash(world.candidates_path)}
    todo = {}
    for name, metric in settings.metrics.items():
        artefact, done = world.prepare(world.scores_path(name), "score", world.plain(metric), inputs)
        if not done:
            todo[name] = artefact
    if not todo:
        return
    writers = {name: artefacts.RowWriter(world.scores_path(name), Score, key="candidate_id") for name in todo}
    prompts = {prompt.id: prompt for prompt in read_prompts(world, ("train", "dev", "test"))}
    parts = []
    for path in sorted(world.candidates_path.glob("part-*.jsonl")):
        rows = artefacts.read_rows(path, Candidate)
        if any(row.id not in writer.done for writer in writers.values() for row in rows):
            parts.append(Part(path, {row.prompt_id: prompts[row.prompt_id] for row in rows}))
    worker = ScoreWorker({name: settings.metrics[name] for name in todo}, world.codec, world.device, world.out)
    for result in progress(map_blocks(worker, parts, world.workers), "score", len(parts), "part"):
        for name, rows in result.items():
            writers[name].append(row for row in rows if row.candidate_id not in writers[name].done)
    for name, artefact in todo.items():
        counts = writers[name].finish()
        rows = artefacts.read_rows(world.scores_path(name), Score)
        values = [row.value for row in rows if row.value is not None]
        silent = sum(row.detail.get("reason") == NO_AUDIO for row in rows)
        unscorable = len(rows) - len(values)
        if not values or unscorable - silent > settings.max_unscorable * (len(rows) - silent):
            reasons = [row.detail.get("reason") for row in rows if row.value is None]
            reason = next((one for one in reasons if one != NO_AUDIO), NO_AUDIO)
            raise ArtefactError(
                f"score: {name} could not judge {unscorable} of {len(rows)} candidates (limit max_unscorable), first: {reason}"
            )
        artefact.finish(**counts, unscorable=unscorable, without_audio=silent, mean=sum(values) / len(values))
        log.info("score: %s of %d candidates, mean %.4f, %d unscorable", name, len(rows), sum(values) / len(values), unscorable)
