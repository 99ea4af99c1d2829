"""Triangular filters on the mel scale."""

import math

import torch
from torch import Tensor


def mel_triangles(sample_rate: int, n_fft: int, num_mels: int, lowest: float = 0.0) -> Tensor:
    """(num_mels, n_fft / 2 + 1) float64: triangles of height one, equally spaced on the mel scale of HTK.

    That scale is 2595 log10(1 + f / 700).

    Args:
        sample_rate: Hz; the highest triangle ends at half of it.
        n_fft: samples of the Fourier transform.
        num_mels: number of triangles.
        lowest: Hz at which the first triangle begins.
    """

    def to_mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    edges = torch.linspace(to_mel(lowest), to_mel(sample_rate / 2), num_mels + 2, dtype=torch.float64)[:, None]
    edges = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)
