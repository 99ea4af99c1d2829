"""synthesize: held-out prompts spoken by base and aligned models, with the same random numbers for each system."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts import artefacts, audio
from lpo_tts.artefacts import Artefact
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import Codec
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Prompt, Split, file_name
from lpo_tts.sampling import default_sampler
from lpo_tts.sampling.base import Sampler
from lpo_tts.steps.candidates import part_paths, read_part
from lpo_tts.steps.sample import SampleWorker, close, sample_into
from lpo_tts.steps.score import decode
from lpo_tts.steps.world import Plan, World, check_failures, log, progress, read_prompts


@dataclass(frozen=True)
class SynthesizeSettings:
    """What is spoken for the evaluation.

    Attributes:
        split: whose prompts; settings are chosen on dev, test is touched once.
        num_prompts: at most so many prompts are spoken; None = all.
        num_seeds: candidates per prompt.
        sampling: who samples, and how tokens are drawn.
        part_size: candidates of a part, which is the unit of resuming (a prompt's candidates are never divided); None: as
            many as the sampler likes, one batch of `local`.
        floor_prompts: so many recordings of the prompts' own texts are judged too, clean and through the codec:
            the judges' own error. 0 = none.
        max_failed: share of prompts that may fail (a word outside the vocabulary, an unreadable voice).
    """

    split: Split = "test"
    num_prompts: int | None = None
    num_seeds: int = 3
    sampling: Sampler = field(default_factory=default_sampler)
    part_size: int | None = None
    floor_prompts: int = 100
    max_failed: float = 0.01

    bounds = {
        "num_prompts": at_least(1),
        "num_seeds": at_least(1),
        "part_size": at_least(1),
        "floor_prompts": at_least(0),
        "max_failed": at_least(0).at_most(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")


RECORDING, CODEC_COPY = "recording", "codec-copy"  # systems that are no model: the judges' floor


@dataclass(frozen=True)
class WaveWorker:
    """Makes the function that decodes parts to wav files; it returns the part and its wavs."""

    codec: Codec
    device: str
    folder: Path

    def __call__(self) -> Callable[[Path], tuple[Path, list[Path]]]:
        """Loads the codec once."""
        codec = self.codec.load(self.device)

        def write(part: Path) -> tuple[Path, list[Path]]:
            sampled = read_part(part)
            written = []
            for one, wave in zip(sampled, decode(sampled, codec), strict=True):
                if wave is not None:
                    path = wave_path(self.folder, one.row.id)
                    audio.write(path, wave, codec.sample_rate)
                    written.append(path)
            return part, written

        return write


@dataclass(frozen=True)
class CopyWorker:
    """Makes the function that puts one recording through the codec; it returns the wav, or why there is none."""

    codec: Codec
    device: str
    root: Path
    folder: Path

    def __call__(self) -> Callable[[Prompt], tuple[Prompt, Path | str]]:
        """Loads the codec once."""
        codec = self.codec.load(self.device)

        def write(prompt: Prompt) -> tuple[Prompt, Path | str]:
            path = wave_path(self.folder, prompt.id)
            try:
                wave = audio.read_speech(self.root / prompt.target.audio, codec.input_sample_rate)[0] if prompt.target else None
            except ArtefactError as error:
                return prompt, str(error)
            if wave is None:
                return prompt, "there is no recording of this text"
            audio.write(path, codec.decode(codec.encode([wave]))[0], codec.sample_rate)
            return prompt, path

        return write


def wave_path(folder: Path, candidate_id: str) -> Path:
    """Where the waveform of an answer lies; different ids have different files."""
    return folder / "wavs" / f"{file_name(candidate_id)}.wav"


def plan(settings: SynthesizeSettings, world: World, system: str) -> Plan:
    """synthesized/<system>/ before anything is sampled; which model speaks is an input."""
    named = {
        "split": settings.split,
        "num_prompts": settings.num_prompts,
        "num_seeds": settings.num_seeds,
        "sampling": world.plain(settings.sampling, Sampler),
        "part_size": settings.part_size,
        **world.parts_identity(),
        "seed": world.seed,
    }
    return Plan(world.synthesized_path(system), "synthesize", named)


def run(settings: SynthesizeSettings, world: World, system: str, model: str | None) -> None:
    """Writes synthesized/<system>/: parts of answers and their wavs; `model` None = the base."""
    inputs = {"prompts": artefacts.digest_of(world.prompts_path), "model": world.model_identity(model)}
    artefact, done = world.prepare(plan(settings, world, system), inputs)
    if done and not artefact.failed:
        return
    prompts = read_prompts(world, (settings.split,), settings.num_prompts)
    # The base seed is another one than sample's, so that no held-out answer shares its random numbers with a candidate.
    worker = SampleWorker(
        world.backbone, world.codec, model, world.device, world.out, settings.num_seeds, settings.sampling, world.seed + 1_000_003
    )
    written = sample_into(artefact, prompts, worker, world, f"synthesize {system}", settings.part_size)
    if done and not written:
        check_failures("synthesize", len(artefact.failed), len(prompts), settings.max_failed)
        return
    _decode_into(artefact, system, world)
    counts = close(artefact, "synthesize", len(prompts), settings.max_failed)
    log.info("synthesize: %s spoke %d answers, %d without an end", system, counts["rows"], counts["unfinished"])


def _decode_into(artefact: Artefact, system: str, world: World) -> None:
    """Decodes every part whose wavs are not there as they were written from it."""
    todo = []
    for path in part_paths(artefact.path):
        wavs = artefact.parts.get(f"wavs of {path.stem}")
        if wavs is None or wavs.rows != artefact.parts[path.stem].rows:
            todo.append(path)
    work = world.engine.map(WaveWorker(world.codec, world.device, artefact.path), todo)
    for path, wavs in progress(work, f"decode {system}", len(todo)):
        artefact.add(f"wavs of {path.stem}", artefact.parts[path.stem].rows, wavs)


def plan_floor(settings: SynthesizeSettings, world: World) -> Plan:
    """synthesized/codec-copy/ before anything is encoded."""
    named = {"split": settings.split, "floor_prompts": settings.floor_prompts, "codec": world.parts_identity()["codec"]}
    return Plan(world.synthesized_path(CODEC_COPY), "synthesize", named)


def run_floor(settings: SynthesizeSettings, world: World) -> None:
    """Writes synthesized/codec-copy/: recordings of held-out texts through the codec;
    the recordings themselves lie in the corpus.
    """
    artefact, done = world.prepare(plan_floor(settings, world), {"prompts": artefacts.digest_of(world.prompts_path)})
    if done and not artefact.failed:
        return
    prompts = [prompt for prompt in read_prompts(world, (settings.split,)) if prompt.target is not None][: settings.floor_prompts]
    todo = [one for one in prompts if (part := artefact.parts.get(one.id)) is None or part.failed]
    if artefact.is_closed:
        artefact.begin()
    # In worker processes of one thread each, like every other answer: the last bits depend on the number of threads.
    worker = CopyWorker(world.codec, world.device, world.out, artefact.path)
    for prompt, result in progress(world.engine.map(worker, todo), "codec copies", len(todo), "recording"):
        if isinstance(result, Path):
            artefact.add(prompt.id, 1, [result])
        else:
            artefact.add(prompt.id, 0, [], {prompt.id: result})
    first = next((f"{key}: {reason}" for key, reason in artefact.failed.items()), "")
    check_failures("synthesize", len(artefact.failed), len(prompts), settings.max_failed, first)
    artefact.finish(rows=len(prompts) - len(artefact.failed), failed=len(artefact.failed))
