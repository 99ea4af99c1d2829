"""Speaker vectors of Resemblyzer's GE2E network (arXiv 1710.10467), whose weights come in its package."""

import importlib.util
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lpo_tts import hf
from lpo_tts.batches import consecutive
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.mel import slaney_triangles
from lpo_tts.speaker.waveforms import check_waveforms

SAMPLE_RATE = 16000  # Hz
WINDOW, HOP, NUM_MELS = 400, 160, 40  # samples, samples, bands of the mel spectrogram
PARTIAL = 160  # frames that the network hears at once: 1.6 s
STEP = 77  # frames from one partial utterance to the next: 1.3 of them a second, rounded
COVERAGE = 0.75  # of a last partial utterance must be audio, else it is dropped
LOUDNESS = -30.0  # dB relative to full scale; what is quieter is made as loud
SIZE, LAYERS = 256, 3
INSTALL = "pip install --no-deps resemblyzer (without its dependency webrtcvad, which must be compiled and is not used here)"


@dataclass(frozen=True)
class ResemblyzerEncoder:
    """GE2E network of Resemblyzer (arXiv 1710.10467), weights in its package.

    Vectors are those of the package's `embed_utterance` of the audio at its `normalize_volume`. Pauses are kept: the package's
    `preprocess_wav` would shorten them by a voice detector. The package itself is not imported.

    Attributes:
        min_duration: seconds; shorter audio is refused. The network hears 1.6 s at once, and less would be filled with
            silence.
        batch_size: stretches of 1.6 s, of whatever waveforms, taken at once.
    """

    min_duration: float = 1.6
    batch_size: int = 64

    about = {"licence": "Apache-2.0 by the package resemblyzer", "sample_rate": 16000}
    bounds = {"min_duration": at_least(1.6), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedResemblyzerEncoder":
        """Loads the weights of the package; raises ComponentError when it is not installed or they do not fit."""
        net = _Network()
        path = _weights()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
            kept = {name: value for name, value in state.items() if name.startswith(("lstm.", "linear."))}
            net.load_state_dict(kept)  # what is left out scaled the cosines of the training
        except (
            *(RuntimeError, OSError, EOFError, LookupError, TypeError, AttributeError, ValueError),
            pickle.UnpicklingError,
        ) as error:
            raise ComponentError(
                f"{path}: expected the weights of resemblyzer 0.1.4, they do not fit: {hf.one_line(error)}; install it again"
            ) from error
        return LoadedResemblyzerEncoder(net.eval().to(device), self)


class LoadedResemblyzerEncoder:
    """The network in memory."""

    sample_rate = SAMPLE_RATE

    def __init__(self, net: "_Network", settings: ResemblyzerEncoder) -> None:
        self._net = net
        self._batch_size = settings.batch_size
        self.min_duration = settings.min_duration
        device = net.linear.weight.device
        self._window = torch.hann_window(WINDOW, device=device)
        self._filters = slaney_triangles(SAMPLE_RATE, WINDOW, NUM_MELS).to(device, torch.float32)

    @torch.inference_mode()
    def embed(self, audio: Sequence[Tensor]) -> Tensor:
        """Mono waveforms (num_samples,) float32 to (batch, 256) float32 of unit length, on the CPU.

        Raises:
            ComponentError: there is nothing to embed, or a waveform is shorter than `min_duration`.
        """
        check_waveforms(audio, self.min_duration, SAMPLE_RATE)
        partials = [self._partials(waveform) for waveform in audio]
        together = torch.cat(partials)
        batches = consecutive(range(len(together)), self._batch_size)
        vectors = torch.cat([self._net(together[batch]) for batch in batches]).cpu()
        means = [part.mean(0) for part in vectors.split([len(part) for part in partials])]
        return _unit(torch.stack(means))

    def _partials(self, waveform: Tensor) -> Tensor:
        """(partial utterances, frames, bands) of a waveform: power mel spectrograms of 1.6 s each."""
        waveform = waveform.to(self._window.device, torch.float32)
        level = float(waveform.square().mean().sqrt())
        if level > 0:
            waveform = waveform * max(1.0, 10 ** (LOUDNESS / 20) / level)
        starts = partial_starts(len(waveform))
        short = (starts[-1] + PARTIAL) * HOP - len(waveform)
        waveform = torch.nn.functional.pad(waveform, (WINDOW // 2, WINDOW // 2 + max(0, short)))
        spectrum = torch.stft(waveform, WINDOW, HOP, window=self._window, center=False, return_complex=True)
        mel = (self._filters @ spectrum.abs().square()).T
        return torch.stack([mel[start : start + PARTIAL] for start in starts])


def _unit(vectors: Tensor) -> Tensor:
    """(batch, dim) of unit length; NaN where ReLU left nothing of a vector, which the metric reports."""
    return vectors / vectors.norm(dim=-1, keepdim=True)


def partial_starts(num_samples: int) -> list[int]:
    """First frame of each partial utterance, as the package's `compute_partial_slices` has them at its default rate."""
    frames = math.ceil((num_samples + 1) / HOP)
    starts = list(range(0, max(1, frames - PARTIAL + STEP + 1), STEP))
    covered = (num_samples - starts[-1] * HOP) / (PARTIAL * HOP)
    return starts[:-1] if covered < COVERAGE and len(starts) > 1 else starts


class _Network(nn.Module):
    """Three LSTM layers, and the last state through a linear layer and ReLU to a vector of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(NUM_MELS, SIZE, LAYERS, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)

    def forward(self, mels: Tensor) -> Tensor:
        """(batch, frames, bands) to (batch, 256) of unit length."""
        _, (states, _) = self.lstm(mels)
        return _unit(torch.relu(self.linear(states[-1])))


def _weights() -> Path:
    """The file in the package, whose code is not run."""
    spec = importlib.util.find_spec("resemblyzer")
    if spec is None or not spec.submodule_search_locations:
        raise ComponentError(f"resemblyzer needs the package of this name, which is not installed: {INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / "pretrained.pt"
    if not path.is_file():
        raise ComponentError(f"{path}: expected the weights of the package resemblyzer, found no such file: {INSTALL}")
    return path
