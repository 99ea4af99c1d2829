"""synthesize: held-out prompts spoken by base and aligned models, with the same random numbers for each system."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lpo_tts import artefacts, audio
from lpo_tts.codecs.base import Codec
from lpo_tts.config import check_range
from lpo_tts.engines.local import map_blocks
from lpo_tts.engines.sampling import SamplingSettings
from lpo_tts.records import Split
from lpo_tts.steps.sample import SampleWorker, check_failures, counts_of, sample_into
from lpo_tts.steps.score import decode
from lpo_tts.steps.world import World, log, progress, read_part, read_prompts


@dataclass(frozen=True)
class SynthesizeSettings:
    """What is spoken for the evaluation.

    Attributes:
        split: whose prompts; settings are chosen on dev, test is touched once.
        num_prompts: at most so many; None = all.
        num_seeds: answers per prompt.
        sampling: how answers are drawn.
        floor_prompts: so many recordings of the prompts' own texts are judged too, clean and through the codec:
            the judges' own error. 0 = none.
    """

    split: Split = "test"
    num_prompts: int | None = None
    num_seeds: int = 3
    sampling: SamplingSettings = SamplingSettings()  # noqa: RUF009 (frozen)
    floor_prompts: int = 100
    max_failed: float = 0.01

    def __post_init__(self) -> None:
        check_range("num_prompts", self.num_prompts, 1)
        check_range("num_seeds", self.num_seeds, 1)
        check_range("floor_prompts", self.floor_prompts, 0)
        check_range("max_failed", self.max_failed, 0, 1)


RECORDING, CODEC_COPY = "recording", "codec-copy"  # systems that are no model: the judges' floor


@dataclass(frozen=True)
class WaveWorker:
    """Makes the function that decodes parts to wav files."""

    codec: Codec
    device: str
    folder: Path

    def __call__(self) -> Callable[[Path], int]:
        """Loads the codec once."""
        codec = self.codec.load(self.device)

        def write(part: Path) -> int:
            sampled = read_part(part)
            for one, wave in zip(sampled, decode(sampled, codec), strict=True):
                if wave is not None:
                    audio.write(wave_path(self.folder, one.row.id), wave, codec.sample_rate)
            return len(sampled)

        return write


def wave_path(folder: Path, candidate_id: str) -> Path:
    """Where the waveform of an answer lies."""
    return folder / "wavs" / f"{candidate_id.replace('#', '-').replace('/', '_')}.wav"


def run(settings: SynthesizeSettings, world: World, system: str, model: str | None) -> None:
    """Writes synthesized/<system>/: parts of answers and their wavs; `model` None = the base."""
    folder = world.synthesized_path(system)
    inputs = {"prompts": artefacts.file_hash(world.prompts_path), "model": world.model_identity(model)}
    named = {
        "split": settings.split,
        "num_prompts": settings.num_prompts,
        "num_seeds": settings.num_seeds,
        "sampling": world.plain(settings.sampling),
        "codec": world.plain(world.codec),
        "seed": world.seed,
    }
    artefact, done = world.prepare(folder, "synthesize", named, inputs)
    if done:
        return
    prompts = read_prompts(world, (settings.split,), settings.num_prompts)
    # The base seed is another one than sample's, so that no held-out answer shares its random numbers with a candidate.
    worker = SampleWorker(
        world.backbone, world.codec, model, world.device, world.out, settings.num_seeds, settings.sampling, world.seed + 1_000_003
    )
    failed = sample_into(folder, prompts, worker, world, f"synthesize {system}")
    check_failures("synthesize", failed, len(prompts), settings.max_failed)
    parts = sorted(folder.glob("part-*.jsonl"))
    for _ in progress(
        map_blocks(WaveWorker(world.codec, world.device, folder), parts, world.workers), f"decode {system}", len(parts)
    ):
        pass
    counts = counts_of(folder)
    artefact.finish(**counts, failed=len(failed))
    log.info("synthesize: %s spoke %d answers, %d without an end", system, counts["rows"], counts["unfinished"])


def run_floor(settings: SynthesizeSettings, world: World) -> None:
    """Writes synthesized/codec-copy/: recordings of held-out texts through the codec;
    the recordings themselves lie in the corpus.
    """
    folder = world.synthesized_path(CODEC_COPY)
    named = {"split": settings.split, "floor_prompts": settings.floor_prompts, "codec": world.plain(world.codec)}
    artefact, done = world.prepare(folder, "synthesize", named, {"prompts": artefacts.file_hash(world.prompts_path)})
    if done:
        return
    codec = world.codec.load(world.device)
    prompts = [prompt for prompt in read_prompts(world, (settings.split,)) if prompt.target is not None][: settings.floor_prompts]
    for prompt in progress(prompts, "codec copies", unit="recording"):
        wave = audio.read(world.out / prompt.target.audio, codec.input_sample_rate)[0] if prompt.target else None
        if wave is not None:
            audio.write(wave_path(folder, prompt.id), codec.decode(codec.encode([wave]))[0], codec.sample_rate)
    artefact.finish(rows=len(prompts))
