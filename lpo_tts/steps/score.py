"""score: listens to every candidate, one table per metric."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from lpo_tts import artefacts, audio
from lpo_tts.artefacts import Artefact
from lpo_tts.codecs.base import Codec, LoadedCodec
from lpo_tts.config import check_name, check_range
from lpo_tts.errors import ArtefactError
from lpo_tts.metrics.base import Judgement, Metric, Speech
from lpo_tts.records import Candidate, Prompt, Score
from lpo_tts.steps.candidates import Sampled, iterate_candidates, part_paths, read_part
from lpo_tts.steps.world import Plan, World, log, progress, read_prompts


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
            check_name("metrics", name)


NO_AUDIO = "no audio"  # an answer without a decodable code: the candidate's fault, not the metric's


class Listener:
    """Decodes answers and hands them to metrics; voices are read once per process."""

    def __init__(self, metrics: Mapping[str, Metric], root: Path, device: str) -> None:
        self.metrics = {name: metric.load(device) for name, metric in metrics.items()}
        self.root = root
        self._voices: dict[str, tuple[Tensor | None, int | None, str | None]] = {}

    def judge(self, items: list[tuple[str, Prompt, Tensor | None, int]]) -> dict[str, list[Judgement]]:
        """Items are (id, prompt, waveform or None, sample rate); a missing waveform is judged None with its reason.

        A voice that cannot be read is the reason where a metric that needs one has no value.
        """
        speech, places, faults = [], [], []
        for place, (item_id, prompt, wave, sample_rate) in enumerate(items):
            if wave is None or wave.numel() == 0:
                continue
            voice, voice_rate, fault = self._voice(prompt)
            faults.append(fault)
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
            for place, fault, judgement in zip(places, faults, metric.judge(speech) if speech else [], strict=True):
                blamed = fault is not None and judgement.value is None
                judged[place] = replace(judgement, detail={**judgement.detail, "reason": fault}) if blamed else judgement
            result[name] = judged
        return result

    def _voice(self, prompt: Prompt) -> tuple[Tensor | None, int | None, str | None]:
        """The recording of a prompt's voice with its sample rate, or why there is none."""
        if prompt.voice is None:
            return None, None, None
        if prompt.voice.id not in self._voices:
            try:
                self._voices[prompt.voice.id] = *audio.read_speech(self.root / prompt.voice.audio), None
            except ArtefactError as error:
                self._voices[prompt.voice.id] = None, None, f"the voice cannot be read: {error}"
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


def plans(settings: ScoreSettings, world: World) -> dict[str, Plan]:
    """The tables of all metrics before anything is judged."""
    codec = world.parts_identity()["codec"]
    return {
        name: Plan(world.scores_path(name), "score", {"metric": world.identity(metric, Metric), "codec": codec})
        for name, metric in settings.metrics.items()
    }


def run(settings: ScoreSettings, world: World) -> None:
    """Writes scores-<metric>.jsonl for every metric whose table is not up to date; resumes part by part."""
    inputs = {"prompts": artefacts.digest_of(world.prompts_path), "candidates": artefacts.digest_of(world.candidates_path)}
    todo = {}
    for name, plan in plans(settings, world).items():
        artefact, done = world.prepare(plan, inputs)
        if not done:
            todo[name] = artefact
    if not todo:
        return
    writers = {name: artefacts.RowWriter(world.scores_path(name), Score) for name in todo}
    prompts = {prompt.id: prompt for prompt in read_prompts(world, ("train", "dev", "test"))}
    parts = []
    for path in part_paths(world.candidates_path):
        rows = artefacts.read_rows(path, Candidate)
        unknown = next((row for row in rows if row.prompt_id not in prompts), None)
        if unknown is not None:
            raise ArtefactError(
                f"{path}: candidate {unknown.id!r} answers the prompt {unknown.prompt_id!r}, which is none of "
                f"{world.prompts_path}; run sample again with --redo sample"
            )
        if any(row.id not in writer.done for writer in writers.values() for row in rows):
            parts.append(Part(path, {row.prompt_id: prompts[row.prompt_id] for row in rows}))
    worker = ScoreWorker({name: settings.metrics[name] for name in todo}, world.codec, world.device, world.out)
    for result in progress(world.engine.map(worker, parts), "score", len(parts), "part"):
        for name, rows in result.items():
            writers[name].append(row for row in rows if row.candidate_id not in writers[name].done)
    one_pass = uuid.uuid4().hex  # tables that were made together share their seconds
    for name, artefact in todo.items():
        if writers[name].resumed:
            writers[name].sort(row.id for row in iterate_candidates(world.candidates_path))
        artefact.one_pass = one_pass
        _close(name, artefact, writers[name], settings.max_unscorable)


def _close(name: str, artefact: Artefact, writer: artefacts.RowWriter[Score], limit: float) -> None:
    """Marks one table complete; raises ArtefactError when too much could not be judged, which is then tried again next time."""
    total, silent, reasons, mean = 0, 0, Counter(), 0.0
    for row in artefacts.iterate_rows(writer.partial, Score):
        total += 1
        if row.value is not None:
            mean += row.value
        elif row.detail.get("reason") == NO_AUDIO:
            silent += 1
        else:
            reasons[str(row.detail.get("reason"))] += 1
    unscorable = sum(reasons.values())
    scored = total - silent - unscorable
    if not scored or unscorable > limit * (total - silent):
        writer.keep(lambda row: row.value is not None or row.detail.get("reason") == NO_AUDIO)
        reason = next(iter(reasons), NO_AUDIO)
        raise ArtefactError(
            f"score: {name} could not judge {unscorable + silent} of {total} candidates (limit max_unscorable), first: {reason}; "
            "they are tried again when the step runs again"
        )
    counts = {"unscorable": unscorable + silent, "without_audio": silent, "mean": mean / scored}
    artefact.finish(**writer.finish(), **counts)
    log.info("score: %s of %d candidates, mean %.4f, %d unscorable", name, total, mean / scored, unscorable + silent)
