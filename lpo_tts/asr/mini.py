"""A small recogniser of our own: log-mel, convolutions, one bidirectional GRU, CTC over characters."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lpo_tts.asr import greedy
from lpo_tts.asr.base import HeardWord, LanguageError, primary_language
from lpo_tts.audio import audible
from lpo_tts.batches import map_batches, of_like_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.mel import mel_triangles

FORMAT = "lpo-tts mini ctc 1"
LOWEST = 20.0  # Hz; below it lies no speech
BLANK = 0  # id of CTC's blank; symbol k of `Shape.symbols` has id k + 1


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; stored in its folder's config.json."""

    sample_rate: int = 16000  # Hz
    num_mels: int = 64
    window: int = 512  # samples, also the FFT's size
    hop: int = 160  # samples
    channels: int = 176
    hidden: int = 176  # of each direction of the GRU
    symbols: str = " abcdefghijklmnopqrstuvwxyz'"
    language: str = "en"  # ISO 639-1 code of what it was trained on


class MiniRecogniserNetwork(nn.Module):
    """Log-mel at 100 frames/s, three convolutions (the second with stride 2), a bidirectional GRU, CTC at 50 frames/s.

    The result for one waveform does not depend on what it is batched with: frames lie inside the waveform (none is
    padded), masks zero what lies past the end before each convolution, and the backward GRU runs over the sequence
    reversed within its own length.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("window", torch.hann_window(shape.window), persistent=False)
        triangles = mel_triangles(shape.sample_rate, shape.window, shape.num_mels, LOWEST)
        self.register_buffer("filters", triangles.T.contiguous().float(), persistent=False)  # (window / 2 + 1, num_mels)
        width = shape.channels
        self.convolutions = nn.ModuleList(
            [
                nn.Conv1d(shape.num_mels, width, 5, padding=2),
                nn.Conv1d(width, width, 5, stride=2, padding=2),
                nn.Conv1d(width, width, 5, padding=2),
            ]
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in self.convolutions])
        self.dropout = nn.Dropout(0.1)
        self.forward_gru = nn.GRU(width, shape.hidden, batch_first=True)
        self.backward_gru = nn.GRU(width, shape.hidden, batch_first=True)
        self.head = nn.Linear(2 * shape.hidden, len(shape.symbols) + 1)

    def num_feature_frames(self, num_samples: Tensor) -> Tensor:
        """Feature frames (100 per second) of waveforms; 0 for one shorter than the analysis window."""
        return ((num_samples - self.shape.window) // self.shape.hop + 1).clamp(min=0)

    def features(self, audio: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Audio (batch, num_samples) to log-mels (batch, num_mels, frames), each waveform normalised, and frame counts.

        Loudness is taken out before the logarithm (so that its floor lies at the same depth below any speech), the mean
        of each band after it (so that a fixed filter, a microphone or a codec, changes little).
        """
        inside = torch.arange(audio.shape[1], device=audio.device) < num_samples[:, None]
        audio = audio * inside
        power = audio.square().sum(1) / num_samples.clamp(min=1)
        audio = audio * (0.1 / power.sqrt().clamp(min=1e-5))[:, None]
        frames = audio.unfold(1, self.shape.window, self.shape.hop) * self.window
        spectrum = torch.fft.rfft(frames)
        spectrum = spectrum.real.square() + spectrum.imag.square()  # far faster than a sum over an axis of two
        mels = (spectrum @ self.filters).clamp(min=1e-4).log().transpose(1, 2)
        lengths = self.num_feature_frames(num_samples)
        mask = self.mask(lengths, mels.shape[2])
        mean = (mels * mask).sum(2, keepdim=True) / lengths.clamp(min=1)[:, None, None]
        return (mels - mean) * mask / 3.0, lengths  # log-mels of speech have a standard deviation of about 3

    @staticmethod
    def mask(lengths: Tensor, size: int) -> Tensor:
        """(batch,) lengths to (batch, 1, size) float, 1 inside and 0 past the end."""
        return (torch.arange(size, device=lengths.device) < lengths[:, None]).float()[:, None]

    def forward(self, mels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mels (batch, num_mels, frames) to log-probabilities (batch, frames / 2, symbols + blank) and their counts."""
        hidden = mels
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = convolution(hidden)
            lengths = (lengths - 1) // convolution.stride[0] + 1
            hidden = self.dropout(nn.functional.gelu(norm(hidden.transpose(1, 2)).transpose(1, 2)))
            hidden = hidden * self.mask(lengths, hidden.shape[2])
        hidden = hidden.transpose(1, 2).float()
        positions = torch.arange(hidden.shape[1], device=hidden.device)[None]
        # Reverses each row within its own length; what lies past the end stays where it is.
        mirrored = torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)
        onward, _ = self.forward_gru(hidden)
        back, _ = self.backward_gru(_pick(hidden, mirrored))
        hidden = self.dropout(torch.cat([onward, _pick(back, mirrored)], -1))
        return self.head(hidden).float().log_softmax(-1), lengths

    def best(self, logps: Tensor, lengths: Tensor) -> list[list[int]]:
        """Greedy CTC: the best symbol of every frame inside each waveform, as ids."""
        found = logps.argmax(-1).cpu()
        return [row[: int(length)].tolist() for row, length in zip(found, lengths.tolist(), strict=True)]

    def spell(self, frames: Sequence[int]) -> str:
        """The text of the best symbols: repeats merged, blanks dropped, spaces tidied."""
        return " ".join("".join(self.shape.symbols[run.id - 1] for run in greedy.runs(frames, BLANK)).split())

    def words(self, frames: Sequence[int]) -> tuple[HeardWord, ...]:
        """The same word by word; a frame lasts two hops around the middle of its window."""
        frame = 2 * self.shape.hop / self.shape.sample_rate
        offset = self.shape.window / 2 / self.shape.sample_rate - frame / 2
        pieces = [(self.shape.symbols[run.id - 1], run) for run in greedy.runs(frames, BLANK)]
        return greedy.words(pieces, " ", frame, offset)

    def save(self, folder: str | os.PathLike) -> None:
        """Writes config.json and model.safetensors (float16), each by rename."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors.partial")
        os.replace(folder / "model.safetensors.partial", folder / "model.safetensors")
        partial = folder / "config.json.partial"
        partial.write_text(json.dumps({"format": FORMAT, **asdict(self.shape)}, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, folder / "config.json")


@dataclass(frozen=True)
class MiniRecogniser:
    """The small recogniser of the mini world: CTC over characters.

    Attributes:
        model: folder of a trained `MiniRecogniserNetwork` (config.json, model.safetensors).
        batch_size: waveforms of like length taken at once.
    """

    model: str
    batch_size: int = 64

    about = {"licence": "Apache-2.0", "sample_rate": 16000}
    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedMiniRecogniser":
        """Loads the weights, in float32; raises ComponentError when they are missing or do not fit."""
        return LoadedMiniRecogniser(load_net(self.model).eval().to(device), self.batch_size)


class LoadedMiniRecogniser:
    """The small recogniser in memory."""

    def __init__(self, net: MiniRecogniserNetwork, batch_size: int = 64) -> None:
        self.net = net
        self.batch_size = batch_size
        self.sample_rate = net.shape.sample_rate

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) to hypotheses, lower case; "" for silence and for less than one window.

        Raises:
            LanguageError: the network was trained on another language.
        """
        return [self.net.spell(frames) for frames in self._best(audio, language)]

    def transcribe_timed(self, audio: Sequence[Tensor], language: str = "en") -> list[tuple[HeardWord, ...]]:
        """Mono waveforms (num_samples,) to words with their times, in multiples of 20 ms; () for silence.

        Raises:
            LanguageError: the network was trained on another language.
        """
        return [self.net.words(frames) for frames in self._best(audio, language)]

    @torch.inference_mode()
    def _best(self, audio: Sequence[Tensor], language: str) -> list[list[int]]:
        if primary_language(language) != self.net.shape.language:
            raise LanguageError(f"asr mini: expected language {self.net.shape.language!r}, found {language!r}")
        heard = [index for index, wave in enumerate(audio) if audible(wave, self.net.shape.window)]
        batches = of_like_length([wave.numel() for wave in audio], self.batch_size, heard)
        found = map_batches(batches, lambda batch: self._hear([audio[index] for index in batch]))
        return [found.get(index, []) for index in range(len(audio))]

    def _hear(self, waves: Sequence[Tensor]) -> list[list[int]]:
        device = self.net.filters.device
        num_samples = torch.tensor([wave.numel() for wave in waves])
        padded = torch.zeros(len(waves), int(num_samples.max()))
        for row, wave in enumerate(waves):
            padded[row, : wave.numel()] = wave.detach().to("cpu", torch.float32)
        mels, lengths = self.net.features(padded.to(device), num_samples.to(device))
        return self.net.best(*self.net(mels, lengths))


def load_net(folder: str | os.PathLike) -> MiniRecogniserNetwork:
    """Reads a folder written by `MiniRecogniserNetwork.save`; raises ComponentError when it is missing or of another kind."""
    config_path, weights_path = Path(folder) / "config.json", Path(folder) / "model.safetensors"
    for path in (config_path, weights_path):
        if not path.is_file():
            raise ComponentError(
                f"{path}: expected a recogniser made by recipes/mini/pretrain/recognisers.py, found no such file"
            )
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ComponentError(f"{config_path}: expected JSON ({error})") from error
    found = config.pop("format", None) if isinstance(config, dict) else None
    if found != FORMAT:
        raise ComponentError(
            f'{config_path}: expected format "{FORMAT}", found {found!r}; a Hugging Face folder goes to asr "ctc"'
        )
    try:
        net = MiniRecogniserNetwork(Shape(**config))
        net.load_state_dict({name: value.float() for name, value in load_file(weights_path).items()})
    except (TypeError, RuntimeError, SafetensorError) as error:
        raise ComponentError(f"{folder}: the weights do not fit config.json: {error}") from error
    return net


def _pick(sequence: Tensor, positions: Tensor) -> Tensor:
    """Takes of sequence (batch, frames, width) the positions (batch, frames), per row."""
    return sequence.gather(1, positions[..., None].expand(-1, -1, sequence.shape[2]))
