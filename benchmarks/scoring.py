"""Files per second of decoding, word error rate and speaker similarity together: the score step beside one file at a time.

The candidates are recordings of a manifest, each taken several times. Both ways decode the codes of every candidate, hear
it with Whisper, count its errors and compare its voice with another recording, by the same models and weights.

- `one` goes as the scripts of seed-tts-eval do: it decodes a candidate and writes its wav; then, in a second pass, reads each
  wav, resamples it (scipy), hears it by transformers, greedily and with a forced language; then, in a third pass, reads and
  embeds the wav and the recording of its voice, anew for every wav. It runs in this process, with `--threads` threads.
- `whisper` is the worker of the score step, over parts on the disk, with the same Whisper by transformers.
- `faster-whisper` is the same, with those weights by CTranslate2 in int8.
- `short` is that, with the encoder's window cut to the candidate and 8 s of silence (setting `padding`).

The last three run in `--workers` processes of one thread, and load their models anew each time, inside the time that counts.
`one` has its models already.

Codes cannot be made into speech without the weights of a codec. So a codec's network does its work, and in place of what it
gives the recordings are judged (`HeardAsRecorded`). Without `--codec` the network is EnCodec's at 24 kHz, of real size with
random weights.

The ways take turns, several times, and medians are given: what else runs on the machine then weighs on all of them. CPU
seconds are those of the process and its workers.

    python -m data_prep.ljspeech LJSpeech-1.1 --out ljspeech
    python -m benchmarks.scoring ljspeech/manifest.jsonl --whisper tiny.en --ct2 faster-whisper-tiny.en --json scoring.json
"""

import argparse
import json
import math
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import torch
from torch import Tensor

from lpo_tts import artefacts, audio
from lpo_tts.asr import REGISTRY as RECOGNISERS
from lpo_tts.asr.whisper import WhisperRecogniser
from lpo_tts.codecs.base import Codec, LoadedCodec
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codecs.mini import MiniCodec
from lpo_tts.codes import Codes
from lpo_tts.engines.local import Local
from lpo_tts.lm.base import PromptInputs
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Candidate, Prompt, Utterance
from lpo_tts.speaker.ecapa import ECAPAEncoder
from lpo_tts.steps.candidates import Sampled, part_files, write_part
from lpo_tts.steps.score import Part, ScoreWorker
from lpo_tts.text import normalise

SPEAKER = "recipes/mini/checkpoints/speaker-judge"
NORMALISER = "basic"
RATE = 16_000  # Hz, of Whisper and of the speaker encoder
PADDING = 8.0  # seconds of silence after a candidate in the way `short`; with 4 s Whisper repeats itself
PART = 32  # ours: candidates of a part; enough for batches, few enough to share among the workers


@dataclass(frozen=True)
class HeardAsRecorded:
    """A codec whose network does its work; what is heard are the recordings, for want of a codec's weights.

    Attributes:
        codec: whose network decodes.
        recordings: paths; the first two codes of a candidate are the number of its recording, the lower digit first.
    """

    codec: Codec
    recordings: tuple[str, ...]

    def load(self, device: str = "cpu") -> "LoadedHeardAsRecorded":
        """Loads the codec, and the recordings at its sample rate."""
        codec = self.codec.load(device)
        return LoadedHeardAsRecorded(codec, [audio.read(path, codec.sample_rate)[0] for path in self.recordings])


class LoadedHeardAsRecorded:
    """Codec and recordings in memory."""

    def __init__(self, codec: LoadedCodec, recordings: Sequence[Tensor]) -> None:
        self._codec, self._recordings = codec, recordings
        self.input_sample_rate, self.sample_rate = codec.input_sample_rate, codec.sample_rate
        self.frame_rate, self.codebook_sizes = codec.frame_rate, codec.codebook_sizes

    def codes(self, number: int, seed: int) -> Codes:
        """Random codes as long as a recording, which name it."""
        generator = torch.Generator().manual_seed(seed)
        frames = max(2, math.ceil(self._recordings[number].numel() / self.sample_rate * self.frame_rate))
        levels = [torch.randint(size, (frames,), generator=generator) for size in self.codebook_sizes]
        size = self.codebook_sizes[0]
        levels[0][0], levels[0][1] = number % size, number // size
        return Codes(tuple(levels))

    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """As the codec."""
        return self._codec.encode(audio)

    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """The recordings that the codes name, after the network has decoded them."""
        self._codec.decode(codes)
        size = self.codebook_sizes[0]
        return [self._recordings[int(one.levels[0][0]) + size * int(one.levels[0][1])] for one in codes]


@dataclass(frozen=True)
class Setting:
    """What is scored, and by which models.

    Attributes:
        clips: the recordings; paths are relative to the folder of their table, as in `root`.
        root: folder of the recordings.
        repeats: candidates of every clip.
        whisper: folder of a Whisper checkpoint of transformers.
        ct2: folder of the same weights as CTranslate2 stores them; None: the ways that need them are left out.
        speaker: folder of an ECAPA-TDNN.
        codec: whose network decodes.
        max_new_tokens: longest hypothesis, in tokens.
    """

    clips: tuple[Utterance, ...]
    root: Path
    repeats: int
    whisper: str
    ct2: str | None
    speaker: str
    codec: Codec
    max_new_tokens: int = 220

    @property
    def played(self) -> HeardAsRecorded:
        """The codec of both ways."""
        return HeardAsRecorded(self.codec, tuple(str(self.root / clip.audio) for clip in self.clips))

    def prompts(self) -> list[Prompt]:
        """One per clip; its voice is the speaker's next clip."""
        found = []
        for number, clip in enumerate(self.clips):
            later = [*self.clips[number + 1 :], *self.clips[:number]]
            voice = next((one for one in later if one.speaker == clip.speaker), clip)
            found.append(Prompt(id=clip.id, text=clip.text, language=clip.language, voice=voice))
        return found


@dataclass(frozen=True)
class Totals:
    """What a way found.

    Attributes:
        files: how many it judged.
        errors, words: of all files.
        similarity: mean cosine.
    """

    files: int
    errors: int
    words: int
    similarity: float


def sampled(setting: Setting) -> list[Sampled]:
    """The candidates: those of a prompt follow each other, as the sampler writes them."""
    codec, nothing = setting.played.load(), torch.empty(0, 1, dtype=torch.int64)
    rows = []
    for number, prompt in enumerate(setting.prompts()):
        for index in range(setting.repeats):
            codes = codec.codes(number, seed=number * setting.repeats + index)
            row = Candidate(
                id=f"{prompt.id}#{index}",
                prompt_id=prompt.id,
                index=index,
                seed=0,
                temperature=1.0,
                top_p=1.0,
                top_k=0,
                num_tokens=codes.num_frames,
                num_frames=codes.num_frames,
                finished=True,
            )
            rows.append(Sampled(row, PromptInputs(nothing), torch.zeros(codes.num_frames, 1, dtype=torch.int64), codes))
    return rows


def write_parts(setting: Setting, candidates: Sequence[Sampled], folder: Path, size: int) -> list[Part]:
    """The candidates on the disk, as the score step finds them."""
    prompts = {prompt.id: prompt for prompt in setting.prompts()}
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, start in enumerate(range(0, len(candidates), size)):
        own = candidates[start : start + size]
        write_part(folder, number, own)
        parts.append(Part(part_files(folder, number)[0], {one.row.prompt_id: prompts[one.row.prompt_id] for one in own}))
    return parts


def score_step(setting: Setting, recogniser: Any, parts: Sequence[Part], workers: int) -> Totals:
    """The worker of the score step in processes of its own, which load their models first."""
    metrics: dict[str, Any] = {
        "wer": WordErrorRate(recogniser, NORMALISER),
        "similarity": SpeakerSimilarity(ECAPAEncoder(setting.speaker)),
    }
    worker = ScoreWorker(metrics, setting.played, "cpu", setting.root)
    judged = [found for _, found in Local(workers).map(worker, parts)]
    heard = [one for found in judged for one in found["wer"]]
    voices = [one.value for found in judged for one in found["similarity"] if one.value is not None]
    errors = sum(round((one.value or 0) * (one.weight or 0)) for one in heard)
    return Totals(len(heard), errors, sum(int(one.weight or 0) for one in heard), statistics.fmean(voices))


class OneByOne:
    """One file at a time, in three passes over a folder of wavs; see the caption of this module."""

    def __init__(self, setting: Setting, candidates: Sequence[Sampled], folder: Path) -> None:
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        self._candidates, self._folder, self._root = candidates, folder, setting.root
        self._prompts = {prompt.id: prompt for prompt in setting.prompts()}
        self._codec = setting.played.load()
        self._max_new_tokens = setting.max_new_tokens
        self._processor: Any = WhisperProcessor.from_pretrained(setting.whisper)
        self._whisper: Any = WhisperForConditionalGeneration.from_pretrained(setting.whisper, dtype=torch.float32).eval()
        self._encoder = ECAPAEncoder(setting.speaker).load()
        folder.mkdir(parents=True, exist_ok=True)

    @torch.inference_mode()
    def __call__(self, first: int | None = None) -> Totals:
        """Judges all candidates, or the first few."""
        own = [(one.codes, self._prompts[one.row.prompt_id]) for one in self._candidates[:first]]
        paths = [self._folder / f"{number}.wav" for number in range(len(own))]
        for (codes, _), path in zip(own, paths, strict=True):
            for wave in self._codec.decode([codes] if codes is not None else []):
                audio.write(path, wave, self._codec.sample_rate)
        errors, words = 0, 0
        for (_, prompt), path in zip(own, paths, strict=True):
            reference = normalise(prompt.text, NORMALISER, prompt.language)
            counts = jiwer.process_words(reference, normalise(self._hear(path, prompt.language), NORMALISER, prompt.language))
            errors += counts.substitutions + counts.deletions + counts.insertions
            words += counts.hits + counts.substitutions + counts.deletions
        cosines = [
            float(self._embed(path) @ self._embed(self._root / prompt.voice.audio))
            for (_, prompt), path in zip(own, paths, strict=True)
            if prompt.voice is not None
        ]
        return Totals(len(own), errors, words, statistics.fmean(cosines))

    def _hear(self, path: Path, language: str) -> str:
        inputs = self._processor(_read(path).numpy(), sampling_rate=RATE, return_tensors="pt", return_attention_mask=True)
        multilingual = getattr(self._whisper.generation_config, "is_multilingual", True)
        forced = {"language": language, "task": "transcribe"} if multilingual else {}
        ids = self._whisper.generate(
            inputs.input_features,
            attention_mask=inputs.attention_mask,
            do_sample=False,
            num_beams=1,
            max_new_tokens=self._max_new_tokens,
            **forced,
        )
        return self._processor.batch_decode(ids, skip_special_tokens=True)[0]

    def _embed(self, path: Path) -> Tensor:
        return self._encoder.embed([_read(path)])[0]


def _read(path: Path) -> Tensor:
    """(num_samples,) at 16 kHz, resampled by Fourier transform, as seed-tts-eval does."""
    from scipy.signal import resample

    wave, rate = audio.read(path)
    if rate == RATE:
        return wave
    return torch.from_numpy(resample(wave.numpy(), round(wave.numel() * RATE / rate))).float()


def measure(ways: dict[str, Callable[[], Totals]], rounds: int) -> dict[str, dict[str, float]]:
    """Runs the ways in turns.

    Returns:
        Per way: medians of files per second of the wall clock and per CPU second of this process and its workers, and what
        the last turn found: corpus WER as a fraction, and mean similarity.
    """
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    found: dict[str, Totals] = {}
    for _ in range(rounds):
        for name, run in ways.items():
            wall, busy = time.perf_counter(), _cpu_seconds()
            found[name] = run()
            wall, busy = time.perf_counter() - wall, _cpu_seconds() - busy
            rates[name].append((found[name].files / wall, found[name].files / busy))
            print(f"{name}: {rates[name][-1][0]:.3f} files/s, {rates[name][-1][1]:.3f} per CPU second", flush=True)
    return {
        name: {
            "files_per_second": statistics.median(wall for wall, _ in taken),
            "files_per_cpu_second": statistics.median(busy for _, busy in taken),
            "wer": found[name].errors / found[name].words,
            "similarity": found[name].similarity,
        }
        for name, taken in rates.items()
    }


def _cpu_seconds() -> float:
    """User and system seconds of this process and of those of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def compare(
    setting: Setting, folder: Path, names: Sequence[str], rounds: int, threads: int, workers: int, part_size: int = PART
) -> dict[str, dict[str, float]]:
    """The ways side by side over the same candidates; see `measure`."""
    candidates = sampled(setting)
    parts = write_parts(setting, candidates, folder / "candidates", part_size)
    ways: dict[str, Callable[[], Totals]] = {}
    limit = setting.max_new_tokens
    if "one" in names:
        torch.set_num_threads(threads)
        one = OneByOne(setting, candidates, folder / "wavs")
        one(2)  # not counted: code that is built at its first use
        ways["one"] = one
    if "whisper" in names:
        ways["whisper"] = partial(score_step, setting, WhisperRecogniser(setting.whisper, max_new_tokens=limit), parts, workers)
    for name, padding in (("faster-whisper", None), ("short", PADDING)):
        if name in names and setting.ct2 is not None:
            recogniser = RECOGNISERS.get("faster-whisper")(model=setting.ct2, max_new_tokens=limit, padding=padding)
            ways[name] = partial(score_step, setting, recogniser, parts, workers)
    return measure(ways, rounds)


def table(figures: dict[str, dict[str, float]]) -> str:
    """The ways as Markdown; ratios are to `one`."""
    lines = ["| way | files/s | per CPU second | to one at a time | by CPU seconds | WER, % | similarity |"]
    lines.append("|---|---|---|---|---|---|---|")
    base = figures.get("one")
    for name, found in figures.items():
        ratios = ["", ""]
        if base is not None:
            ratios = [f"{found[key] / base[key]:.2f}x" for key in ("files_per_second", "files_per_cpu_second")]
        rates = f"{found['files_per_second']:.2f} | {found['files_per_cpu_second']:.2f}"
        lines.append(f"| {name} | {rates} | {' | '.join(ratios)} | {100 * found['wer']:.2f} | {found['similarity']:.4f} |")
    return "\n".join(lines)


def random_encodec(folder: Path) -> EncodecCodec:
    """EnCodec at 24 kHz, of the size that is published, with random weights."""
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(0)
    EncodecModel(EncodecConfig()).save_pretrained(folder)
    return EncodecCodec(str(folder))


def read_clips(manifests: Sequence[Path], limit: int | None) -> tuple[Path, tuple[Utterance, ...]]:
    """The recordings of several manifests, in turns of one list, with paths below one folder."""
    root = Path(os.path.commonpath([path.resolve().parent for path in manifests]))
    clips = []
    for path in manifests:
        for row in artefacts.read_rows(path, Utterance):
            values = {**vars(row), "audio": os.path.relpath(path.resolve().parent / row.audio, root)}
            clips.append(Utterance(**values))
    return root, tuple(clips[:limit])


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", nargs="+", type=Path, help="manifest.jsonl of data_prep")
    parser.add_argument("--whisper", required=True, help="folder or hub id of a Whisper checkpoint of transformers")
    parser.add_argument("--ct2", help="the same weights as CTranslate2 stores them; without it two ways are left out")
    parser.add_argument("--codec", help="folder of a mini codec; without it EnCodec's network with random weights")
    parser.add_argument("--speaker", default=SPEAKER, help="folder or hub id of an ECAPA-TDNN")
    parser.add_argument("--clips", type=int, help="so many recordings; else all")
    parser.add_argument("--candidates", type=int, default=4, help="how often each recording is taken")
    parser.add_argument("--ways", nargs="*", default=["one", "whisper", "faster-whisper", "short"])
    parser.add_argument("--threads", type=int, default=2, help="of the way one")
    parser.add_argument("--workers", type=int, default=2, help="processes of the other ways, with one thread each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    root, clips = read_clips(args.manifests, args.clips)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        codec = MiniCodec(args.codec) if args.codec else random_encodec(folder / "encodec")
        setting = Setting(clips, root, args.candidates, args.whisper, args.ct2, args.speaker, codec)
        figures = compare(setting, folder, args.ways, args.rounds, args.threads, args.workers)
    print(table(figures))
    if args.json:
        said = {key: str(value) for key, value in vars(args).items() if key != "json"}
        args.json.write_text(json.dumps({"torch": torch.__version__, "given": said, "ways": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
