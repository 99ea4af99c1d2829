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

    edges = torch.linspace(to_mel(lowest), to_mel(sample_rate / 2), num_mels + 2, dtype=torch.float64)
    return _triangles(700.0 * (10.0 ** (edges / 2595.0) - 1.0), sample_rate, n_fft)


def slaney_triangles(sample_rate: int, n_fft: int, num_mels: int) -> Tensor:
    """(num_mels, n_fft / 2 + 1) float64: triangles of area one, equally spaced on the mel scale of Slaney (librosa's default).

    That scale is 3 f / 200 up to 1000 Hz, where it is 15, and 15 + 27 log(f / 1000) / log(6.4) above.

    Args:
        sample_rate: Hz; the highest triangle ends at half of it, above 1000 Hz.
        n_fft: samples of the Fourier transform.
        num_mels: number of triangles.
    """
    highest = 15.0 + 27.0 * math.log(sample_rate / 2000.0) / math.log(6.4)
    mels = torch.linspace(0.0, highest, num_mels + 2, dtype=torch.float64)
    edges = torch.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * torch.exp((mels - 15.0) * (math.log(6.4) / 27.0)))
    return _triangles(edges, sample_rate, n_fft) * (2.0 / (edges[2:] - edges[:-2]))[:, None]


def _triangles(edges: Tensor, sample_rate: int, n_fft: int) -> Tensor:
    """Triangles of height one between edges in Hz, each from one edge over the next to the one after."""
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    edges = edges[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)
