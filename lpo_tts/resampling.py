"""Changes of the sample rate that published evaluations make, so that their numbers can be reproduced."""

import functools
import math
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

Resampler: TypeAlias = Literal["soxr", "fourier", "sinc"]
ZERO_CROSSINGS = 6  # of the sinc on each side, and
ROLL_OFF = 0.99  # its cutoff over the lower of the two Nyquist frequencies: the defaults of torchaudio


def fourier(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """The whole waveform (num_samples,) through one Fourier transform, as `scipy.signal.resample` does.

    Frequencies above the new Nyquist frequency are cut off at once, and the waveform is taken for one period of a sound that
    goes on for ever: its end rings into its beginning.

    Returns:
        (int(num_samples * to_rate / from_rate),) float64, as seed-tts-eval asks for.
    """
    before = len(samples)
    after = int(before * to_rate / from_rate)
    if not after:
        return np.zeros(0)
    spectrum = np.fft.rfft(samples.astype(np.float64))
    common = min(before, after)
    kept = np.zeros(after // 2 + 1, dtype=complex)
    kept[: common // 2 + 1] = spectrum[: common // 2 + 1]
    if common % 2 == 0 and after != before:  # the component at the Nyquist frequency stands for two
        kept[common // 2] *= 2.0 if after < before else 0.5
    return np.fft.irfft(kept, after) * (after / before)


def sinc(waveform: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """(num_samples,) through a sinc under a Hann window, as `torchaudio.transforms.Resample` does with its defaults.

    Returns:
        (ceil(num_samples * to_rate / from_rate),) float32.
    """
    common = math.gcd(from_rate, to_rate)
    step, phases = from_rate // common, to_rate // common
    kernels, width = _kernels(step, phases)
    padded = torch.nn.functional.pad(waveform.to(torch.float32), (width, width + step))
    found = torch.nn.functional.conv1d(padded[None, None], kernels, stride=step)  # (1, phases, blocks)
    return found[0].T.reshape(-1)[: math.ceil(phases * waveform.numel() / step)].contiguous()


@functools.lru_cache(maxsize=8)
def _kernels(step: int, phases: int) -> tuple[Tensor, int]:
    """Filters (phases, 1, taps) that make `phases` new samples of every `step` old ones, and how far they reach back."""
    cutoff = min(step, phases) * ROLL_OFF
    width = math.ceil(ZERO_CROSSINGS * step / cutoff)
    places = torch.arange(-width, width + step, dtype=torch.float64) / step
    # In float32, as torchaudio has it: in float64 the results differ by 2e-6.
    times = places - (torch.arange(phases) / phases)[:, None]
    times = (times * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(times * math.pi / ZERO_CROSSINGS / 2).square()
    return (torch.sinc(times) * window * (cutoff / step)).to(torch.float32)[:, None], width
