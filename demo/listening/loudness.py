"""Clips of one loudness, by ITU-R BS.1770; the clips of a trial stay together where a peak forbids the target."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from lpo_tts.errors import ComponentError

TARGET = -23.0  # LUFS, as EBU R 128 has it
PEAK = 0.98  # of full scale: a little below it, so that 16-bit rounding cannot clip
BLOCK = 0.4  # seconds, of BS.1770; a shorter clip is one block of its own length
SHORTEST = 0.02  # seconds; in less than that there is nothing to measure


def prepare() -> None:
    """Imports what measures, which takes seconds the first time; raises ComponentError where it is not installed."""
    try:
        import pyloudnorm  # noqa: F401
    except ImportError as error:
        raise ComponentError("matching loudness needs pyloudnorm; install lpo-tts[demo]") from error


def loudness(wave: Tensor, sample_rate: int) -> float:
    """Integrated loudness in LUFS, gated, so that a silent tail does not count; -inf for silence.

    Args:
        wave: (num_samples,) float, full scale is [-1, 1].
        sample_rate: Hz.

    Raises:
        ComponentError: pyloudnorm is not installed.
    """
    prepare()
    import pyloudnorm

    if wave.numel() < SHORTEST * sample_rate:
        return -math.inf
    # A block a sample shorter than the clip, since seconds times rate may come out a fraction of a sample too long.
    block = min(BLOCK, (wave.numel() - 1) / sample_rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # silence: the mean of no block
        found = float(pyloudnorm.Meter(sample_rate, block_size=block).integrated_loudness(wave.double().numpy()))
    return found if math.isfinite(found) else -math.inf


def matched(waves: Sequence[Tensor], sample_rate: int, target: float = TARGET) -> list[Tensor]:
    """The clips at one loudness: `target`, or as near below it as the peaks of all of them permit. Silence stays as it is.

    Args:
        waves: (num_samples,) float each.
        sample_rate: Hz, of all of them.
        target: LUFS.
    """
    levels = [loudness(wave, sample_rate) for wave in waves]
    for wave, level in zip(waves, levels, strict=True):
        if level > -math.inf:
            headroom = 20 * math.log10(PEAK / max(float(wave.abs().max()), 1e-9))
            target = min(target, level + headroom)
    return [
        wave if level == -math.inf else (wave * 10 ** ((target - level) / 20)).to(torch.float32)
        for wave, level in zip(waves, levels, strict=True)
    ]
