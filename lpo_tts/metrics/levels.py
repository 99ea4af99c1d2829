"""How loud speech is over time: levels of short frames, and the level above which a frame is sound and not background."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

HOP = 0.01  # seconds between frames
WINDOW = 0.02  # seconds of a frame: one period of the lowest voices
LOWEST = -120.0  # dB, the level of digital silence
PAUSE = 0.15  # seconds; a pause of this length shows the background
CLEAR = 20.0  # dB that a background lies below the speech, at least
STEADY = 10.0  # dB between the loudest and the quietest frame of a background


def frame_levels(audio: Tensor, sample_rate: int) -> np.ndarray:
    """Levels of frames of 20 ms, one every 10 ms, in dB below full scale; frame k is centred on (k + 0.5) * 10 ms.

    The level of a frame is that of its deviation from its own mean, so that a constant offset is no sound. At both ends a
    frame holds only what is there.

    Args:
        audio: (num_samples,) finite float, mono.
        sample_rate: Hz.

    Returns:
        (num_frames,) float64; the last frame may begin up to 10 ms before the end.
    """
    samples = audio.detach().to("cpu").double().numpy()
    centres = (np.arange(math.ceil(len(samples) / sample_rate / HOP - 1e-9)) + 0.5) * HOP * sample_rate
    first = np.clip(np.round(centres - WINDOW / 2 * sample_rate), 0, len(samples)).astype(int)
    last = np.clip(np.round(centres + WINDOW / 2 * sample_rate), 0, len(samples)).astype(int)

    def means(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(values)])
        return (total[last] - total[first]) / np.maximum(last - first, 1)

    power = means(samples**2) - means(samples) ** 2
    return 10 * np.log10(np.maximum(power, 10 ** (LOWEST / 10)))


def speech_level(levels: np.ndarray, spans: Sequence[tuple[float, float]]) -> float:
    """The level that the louder fifth of the frames within words reach, in dB; of all frames where no word has one."""
    inside = np.zeros(len(levels), dtype=bool)
    for start, end in spans:
        inside[frame_at(start) : frame_at(end) + 1] = True
    chosen = levels[inside] if inside.any() else levels
    return float(np.percentile(chosen, 80)) if len(chosen) else LOWEST


def sound_threshold(levels: np.ndarray, speech: float, depth: float, margin: float) -> float:
    """The level above which a frame is sound, in dB.

    It lies `depth` dB below the speech, or `margin` dB above the background where that is louder. What is less than 20 dB
    below the speech is taken for a long vowel and not for a background.

    Args:
        levels: of the part in which the text is spoken, (num_frames,), dB.
        speech: level of the speech, dB.
        depth: dB below the speech.
        margin: dB above the background.
    """
    found = background(levels)
    known = found if found <= speech - CLEAR else LOWEST
    return max(speech - depth, min(known + margin, speech - margin))


def background(levels: np.ndarray) -> float:
    """The level of a recording's background in dB: what its quietest 0.15 s do not exceed, if they are steady.

    Speech without a pause has no such place, since consonants are shorter or change; then the background is unknown, and
    counts as digital silence.
    """
    size = round(PAUSE / HOP)
    if len(levels) < size:
        return LOWEST
    windows = np.lib.stride_tricks.sliding_window_view(levels, size)
    loudest = windows.max(1)
    quietest = int(loudest.argmin())
    steady = loudest[quietest] - windows[quietest].min() <= STEADY
    return float(loudest[quietest]) if steady else LOWEST


def sounding_part(levels: np.ndarray, depth: float) -> tuple[int, int]:
    """The first frame that is less than `depth` dB below the loud ones, and the one after the last; (0, 0) without frames.

    The loud ones are the loudest tenth of those that are not digital silence.
    """
    there = levels[levels > LOWEST + 20]
    if not len(there):
        return 0, len(levels)
    inside = np.flatnonzero(levels > np.percentile(there, 90) - depth)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, len(levels))


def frame_at(seconds: float) -> int:
    """The frame that holds a moment; the first one for what lies before it."""
    return max(0, int(seconds / HOP + 1e-6))


def quiet_runs(loud: np.ndarray, start: float, end: float) -> list[tuple[float, float]]:
    """Where nothing sounds between two moments: start and end in seconds, of runs with sound on both sides.

    Args:
        loud: (num_frames,) bool, whether a frame is sound.
        start: seconds, of the first word.
        end: seconds, of the last word.
    """
    first, last = frame_at(start), min(frame_at(end) + 1, len(loud))
    inside = np.flatnonzero(loud[first:last]) + first
    steps = np.flatnonzero(np.diff(inside) > 1)
    return [(float(inside[step] + 1) * HOP, float(inside[step + 1]) * HOP) for step in steps]
