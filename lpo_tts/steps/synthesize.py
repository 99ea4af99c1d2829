"""synthesize: held-out prompts spoken by base and aligned models, with the same random numbers for each system."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts import artefacts, audio
from lpo_tts.artefacts import Artefact
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import Codec
from lpo_tts.metrics.base import Metric
from lpo_tts.records import Prompt, Split
from lpo_tts.sampling import default_sampler
from lpo_tts.sampling.base import Sampler
from lpo_tts.steps.blocks import SampleWorker, block_size, close, sample_into
from lpo_tts.steps.candidates import decode, part_paths, read_part, wave_path
from lpo_tts.steps.codec_copies import Recording, copy_into, copy_voices, voices_plan, voices_wanted
from lpo_tts.steps.progress import check_failures, log, progress
from lpo_tts.steps.real_time import WAVS
from lpo_tts.steps.run import BASE, CODEC_COPY, Plan, Run, read_prompts


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


@dataclass(frozen=True)
class WaveWorker:
    """Makes the function that decodes parts to wav files; it returns the part, its wavs, and what the decoding took.

    That is `seconds` of the codec for `audio` seconds of speech, and `first` as in `SampledBlock`.
    """

    codec: Codec
    device: str
    folder: Path

    def __call__(self) -> Callable[[Path], tuple[Path, list[Path], dict[str, float]]]:
        """Loads the codec once."""
        codec = self.codec.load(self.device)
        first = True

        def write(part: Path) -> tuple[Path, list[Path], dict[str, float]]:
            nonlocal first
            sampled = read_part(part)
            started = time.perf_counter()
            waves = decode(sampled, codec)
            timing = {"seconds": round(time.perf_counter() - started, 4), "audio": 0.0, "first": float(first)}
            written, first = [], False
            for one, wave in zip(sampled, waves, strict=True):
                if wave is not None:
                    path = wave_path(self.folder, one.row.id)
                    audio.write(path, wave, codec.sample_rate)
                    written.append(path)
                    timing["audio"] += len(wave) / codec.sample_rate
            return part, written, timing

        return write


def plans(run: Run) -> list[Plan]:
    """synthesized/<system>/ of every system, and recordings through the codec, before anything is sampled."""
    found = [_plan(run, system) for system in (BASE, *run.recipe.systems)]
    found += [_plan_copies(run)] if run.recipe.synthesize.floor_prompts else []
    return found + ([voices_plan(run, run.codec)] if voices_wanted(_metrics(run)) else [])


def execute(run: Run) -> None:
    """Writes synthesized/<system>/ of base and aligned systems, and copies of recordings through the codec."""
    models = {BASE: run.recipe.base_model}
    speak(run, models | {name: str(system.checkpoint) for name, system in run.recipe.systems.items()})


def speak(run: Run, models: Mapping[str, str | None]) -> None:
    """Writes synthesized/<system>/ of these systems, and recordings through the codec where the recipe wants them.

    Args:
        run: gives prompts, codec, token layout and sampling.
        models: system -> folder or hub id of its checkpoint; None: the recipe's backbone.
    """
    for system, model in models.items():
        _speak(run, system, model)
    if run.recipe.synthesize.floor_prompts:
        _copy_recordings(run)
    _copy_voices(run)


def _plan(run: Run, system: str) -> Plan:
    """synthesized/<system>/ before anything is sampled; which model speaks is an input."""
    settings = run.recipe.synthesize
    named = {
        "split": settings.split,
        "num_prompts": settings.num_prompts,
        "num_seeds": settings.num_seeds,
        "sampling": run.identity(settings.sampling, Sampler),
        "part_size": settings.part_size,
        **run.parts_identity(),
        "seed": run.seed,
    }
    return Plan(run.synthesized_path(system), "synthesize", named)


def _speak(run: Run, system: str, model: str | None) -> None:
    settings = run.recipe.synthesize
    inputs = {"prompts": artefacts.digest_of(run.prompts_path), "model": run.model_identity(model)}
    artefact, done = run.prepare(_plan(run, system), inputs)
    if done and not artefact.failed:
        return
    prompts = read_prompts(run, (settings.split,), settings.num_prompts)
    # The base seed is another one than sample's, so that no held-out candidate shares its random numbers with a candidate.
    worker = SampleWorker(
        run.backbone, run.codec, model, run.worker_device, run.out, settings.num_seeds, settings.sampling, run.seed + 1_000_003
    )
    size = block_size(settings.sampling, settings.num_seeds, settings.part_size)
    written = sample_into(artefact, prompts, worker, run, f"synthesize {system}", size)
    if done and not written:
        check_failures("synthesize", len(artefact.failed), len(prompts), settings.max_failed)
        return
    _decode_into(artefact, system, run)
    counts = close(artefact, "synthesize", len(prompts), settings.max_failed)
    log.info("synthesize: %s spoke %d candidates, %d without an end", system, counts["rows"], counts["unfinished"])


def _decode_into(artefact: Artefact, system: str, run: Run) -> None:
    """Decodes every part whose wavs are not there as they were written from it."""
    todo = []
    for path in part_paths(artefact.path):
        wavs = artefact.parts.get(f"{WAVS}{path.stem}")
        if wavs is None or wavs.rows != artefact.parts[path.stem].rows:
            todo.append(path)
    work = run.map(WaveWorker(run.codec, run.worker_device, artefact.path), todo)
    for path, wavs, timing in progress(work, f"decode {system}", len(todo)):
        artefact.add(f"{WAVS}{path.stem}", artefact.parts[path.stem].rows, wavs, timing=timing)


def _plan_copies(run: Run) -> Plan:
    settings = run.recipe.synthesize
    named = {"split": settings.split, "floor_prompts": settings.floor_prompts, "codec": run.parts_identity()["codec"]}
    return Plan(run.synthesized_path(CODEC_COPY), "synthesize", named)


def _copy_recordings(run: Run) -> None:
    """Writes synthesized/codec-copy/: recordings of held-out texts through the codec;
    the recordings themselves lie in the corpus.
    """
    settings = run.recipe.synthesize
    artefact, _ = run.prepare(_plan_copies(run), {"prompts": artefacts.digest_of(run.prompts_path)})
    recordings = [Recording(one.id, one.target.audio) for one in _floor(run) if one.target is not None]
    copy_into(artefact, run, run.codec, recordings, settings.max_failed, "codec copies")


def _floor(run: Run) -> list[Prompt]:
    """Prompts whose own texts were recorded, as many as are to show the judges' own error."""
    settings = run.recipe.synthesize
    return [prompt for prompt in read_prompts(run, (settings.split,)) if prompt.target is not None][: settings.floor_prompts]


def _metrics(run: Run) -> list[Metric]:
    return [judge.metric for judge in run.recipe.evaluate.judges.values()]


def _copy_voices(run: Run) -> None:
    """Writes synthesized/codec-copy-voices/ where a judge compares with the voices' copies."""
    settings = run.recipe.synthesize
    if voices_wanted(_metrics(run)):
        prompts = read_prompts(run, (settings.split,), settings.num_prompts)
        copy_voices(run, run.codec, [*prompts, *_floor(run)], settings.max_failed)
