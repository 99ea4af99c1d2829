"""Paraformer (arXiv 2206.08317) by funasr: Mandarin, with English words in it, in one pass, with the time of each word."""

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.asr.base import HeardWord, known_language
from lpo_tts.audio import audible
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError

MIN_SAMPLES = 960  # one frame of the encoder: six steps of 10 ms
SAMPLE_RATE = 16000
LANGUAGES = frozenset({"zh"})
EXPECTED = "a Paraformer checkpoint of funasr (config.yaml, model.pt, tokens.json, am.mvn)"
# A space counts where both its neighbours are Latin letters, digits or apostrophes.
SPACE = re.compile(r"(?<![A-Za-z0-9'])\s+|\s+(?![A-Za-z0-9'])")


@dataclass(frozen=True)
class ParaformerRecogniser:
    """Paraformer (arXiv 2206.08317), by funasr: all tokens of an utterance in one pass, as many as its predictor counts.

    It hears Mandarin, and English words within it. Punctuation and voice activity detection, which funasr can add, stay away:
    so a hypothesis depends on the waveform alone.

    Attributes:
        model: hub id of the Hugging Face hub, or folder (of ModelScope's too).
        batch_size: waveforms of equal length taken at once.
        convert: "zh-cn" writes hypotheses in simplified characters by the package zhconv (GPL-2.0-or-later, so in no extra), as
            seed-tts-eval does; None: as they are heard. It is not for hypotheses with times.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "funasr/paraformer-zh"
    batch_size: int = 16
    convert: Literal["zh-cn"] | None = None
    revision: str | None = None

    about = {"licence": "code: MIT; weights: of the checkpoint (not verified)", "sample_rate": 16000}
    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedParaformerRecogniser":
        """Loads the model; on a CPU it computes with as many threads as torch.

        Raises:
            ComponentError: the package or the checkpoint is missing, or it is of another kind.
        """
        try:
            package = importlib.import_module("funasr")
        except ImportError as error:
            raise ComponentError(
                f"the paraformer recogniser needs the package funasr ({error}); install it: pip install 'lpo-tts[paraformer]'"
            ) from error
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            folder = self.model
            if not hf.is_local(folder):
                from huggingface_hub import snapshot_download

                folder = snapshot_download(folder, **place)
            with torch.random.fork_rng():  # funasr sets the seed of torch when it loads
                net = package.AutoModel(
                    model=folder,
                    device=device,
                    ncpu=torch.get_num_threads(),  # else it sets them to 4, for the whole process
                    check_latest=False,
                    disable_update=True,
                    disable_pbar=True,
                    log_level="ERROR",
                )
            # Kaldi's dither would add random noise to the waveform, and a hypothesis would change from call to call.
            net.kwargs["frontend"].dither = 0.0
        return LoadedParaformerRecogniser(self, net, converter(self.convert))


def converter(script: str | None) -> Callable[[str], str]:
    """What writes a hypothesis in the characters of a script; raises ComponentError where zhconv is missing."""
    if script is None:
        return str
    try:
        package = importlib.import_module("zhconv")
    except ImportError as error:
        raise ComponentError(
            f"convert: {script} needs the package zhconv ({error}); install it: pip install zhconv (GPL-2.0-or-later)"
        ) from error
    return lambda text: package.convert(text, script)


class LoadedParaformerRecogniser:
    """The model in memory."""

    sample_rate = SAMPLE_RATE

    def __init__(self, settings: ParaformerRecogniser, net: Any, convert: Callable[[str], str] = str) -> None:
        self._settings, self._net, self._convert = settings, net, convert

    def transcribe(self, audio: Sequence[Tensor], language: str = "zh") -> list[str]:
        """Mono waveforms (num_samples,) to hypotheses: Chinese characters without spaces, English words in lower case.

        Raises:
            LanguageError: the language is not Chinese.
        """
        answers = self._listen(audio, language)
        # Converted with funasr's spaces between characters in it, as seed-tts-eval does: zhconv sees no phrases then.
        return [SPACE.sub("", self._convert(str(answer.get("text", "")).strip())) for answer in answers]

    def transcribe_timed(self, audio: Sequence[Tensor], language: str = "zh") -> list[tuple[HeardWord, ...]]:
        """As `transcribe`, by characters and English words; times are those of funasr, in steps of 0.02 s.

        funasr leaves unknown characters out of the text and not out of the times. Then the two cannot be matched, and words
        are spread evenly from the first time to the last.

        Raises:
            LanguageError: the language is not Chinese.
            ComponentError: the checkpoint gives no times.
        """
        found = []
        for wave, answer in zip(audio, self._listen(audio, language), strict=True):
            texts, times = str(answer.get("text", "")).split(), answer.get("timestamp", [])
            if texts and not times:
                raise ComponentError(
                    f"{self._settings.model}: expected the time of each word, found none; "
                    "choose a checkpoint that gives times, such as funasr/paraformer-zh"
                )
            found.append(_words(texts, times, wave.numel() / self.sample_rate))
        return found

    @torch.inference_mode()
    def _listen(self, audio: Sequence[Tensor], language: str) -> list[dict[str, Any]]:
        """What funasr answers of each waveform; {} where nothing can be heard."""
        known_language(language, LANGUAGES, self._settings.model)
        heard = [index for index, wave in enumerate(audio) if audible(wave, MIN_SAMPLES)]
        batches = of_equal_length([audio[index].numel() for index in heard], self._settings.batch_size)
        answers = map_batches(
            [[heard[place] for place in batch] for batch in batches],
            lambda batch: self._hear([audio[index] for index in batch]),
        )
        return [answers.get(index, {}) for index in range(len(audio))]

    def _hear(self, waves: list[Tensor]) -> list[dict[str, Any]]:
        arrays = [wave.detach().to("cpu", torch.float32).numpy() for wave in waves]
        answers = self._net.generate(input=arrays, batch_size=len(arrays))
        # funasr gives one empty answer, or none, for a batch in which it counts no token at all.
        return answers if len(answers) == len(waves) and "key" in answers[0] else [{} for _ in waves]


def _words(texts: Sequence[str], times: Sequence[Sequence[float]], duration: float) -> tuple[HeardWord, ...]:
    """Words with their times (ms) in order and within the waveform of `duration` seconds."""
    if texts and len(texts) != len(times):
        first, step = times[0][0], (times[-1][1] - times[0][0]) / len(texts)
        times = [(first + number * step, first + (number + 1) * step) for number in range(len(texts))]
    words: list[HeardWord] = []
    last = 0.0
    for text, (begin, stop) in zip(texts, times, strict=False):
        start = min(max(begin / 1000, last), duration)
        last = min(max(stop / 1000, start), duration)
        words.append(HeardWord(text=text, start=start, end=last))
    return tuple(words)
