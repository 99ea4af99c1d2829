"""Waveform and spectrogram of a recording as one small picture; the sides of an example share time axis and scale."""

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

Samples = NDArray[np.float32]

WIDTH = 320  # columns of the longest side, and user units of the picture
WAVE, BANDS, AXIS = 40, 72, 16  # heights of waveform, spectrogram and time axis
WINDOW, HOP = 0.025, 0.005  # s
TOP = 8000.0  # Hz up to which bands are drawn, or half the highest sample rate where that is less
FLOOR_DB = 70.0  # below the loudest place of all sides, which is black
LEVELS = 32  # of the colour map: steps of about 2 dB, which nobody sees and which halve the file
COLOURS = ("000004", "180f3d", "440f76", "721f81", "9e2f7f", "cd4071", "f1605d", "fd9668", "feca8d", "fcfdbf")  # magma


@dataclass(frozen=True)
class Sound:
    """What is drawn: (num_samples,) mono in [-1, 1] and its sample rate in Hz."""

    samples: Samples
    sample_rate: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate


def pictures(sounds: Sequence[Sound | None], names: Sequence[str]) -> list[Markup]:
    """One SVG per sound, "" for None: waveform above, spectrogram in bands of the mel scale below, seconds at the bottom.

    Args:
        sounds: sides of one example. The longest gives the time axis of all, the loudest the height and the colours.
        names: what each is called for readers who cannot see it.
    """
    heard = [one for one in sounds if one is not None and len(one.samples)]
    if not heard:
        return [Markup()] * len(sounds)
    longest = max(one.duration for one in heard)
    peak = max(0.02, max(float(np.abs(one.samples).max()) for one in heard))
    top = min(TOP, max(one.sample_rate for one in heard) / 2)
    columns = [None if one is None or not len(one.samples) else max(1, round(WIDTH * one.duration / longest)) for one in sounds]
    decibels = [
        _decibels(one, count, top) if one is not None and count is not None else None
        for one, count in zip(sounds, columns, strict=True)
    ]
    loudest = max(float(some.max()) for some in decibels if some is not None)
    result = []
    for sound, count, some, name in zip(sounds, columns, decibels, names, strict=True):
        if sound is None or count is None or some is None:
            result.append(Markup())
            continue
        levels = np.clip((some - loudest + FLOOR_DB) / FLOOR_DB * (LEVELS - 1), 0, LEVELS - 1).round().astype(np.uint8)
        title = f"{name}: waveform, and spectrogram from 0 to {top / 1000:g} kHz, over {sound.duration:.2f} s"
        result.append(_picture(_wave(sound.samples, count, peak), png(levels, _palette()), count, longest, title))
    return result


def _picture(wave: str, image: bytes, count: int, longest: float, title: str) -> Markup:
    height = WAVE + BANDS + AXIS
    data = base64.b64encode(image).decode()
    step = next(one for one in (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, math.inf) if longest / one <= 8)
    marks = "".join(
        f'<line class="second" x1="{x:.1f}" x2="{x:.1f}" y1="{WAVE + BANDS}" y2="{WAVE + BANDS + 3}"/>'
        f'<text class="tick" x="{x:.1f}" y="{height - 2}" text-anchor="{"start" if k == 0 else "middle"}">{k * step:g}'
        f"{' s' if k == 0 else ''}</text>"
        for k, x in enumerate(np.arange(0, WIDTH - 4, WIDTH * step / longest) if math.isfinite(step) else [0.0])
    )
    name = escape(title)
    return Markup(
        f'<svg class="sound" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}" data-width="{count}">'
        f'<title>{name}</title><path class="wave" d="{wave}"/>'
        f'<rect class="dark" y="{WAVE}" width="{WIDTH}" height="{BANDS}"/>'
        f'<image y="{WAVE}" width="{count}" height="{BANDS}" preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
        f'{marks}<line class="playhead" x1="0" x2="0" y1="0" y2="{WAVE + BANDS}"/></svg>'
    )


def _wave(samples: Samples, count: int, peak: float) -> str:
    """A path of one vertical stroke per column, from the lowest to the highest sample in it."""
    edges = np.linspace(0, len(samples), count + 1).astype(int)[:-1]
    edges = np.minimum(edges, len(samples) - 1)
    lows, highs = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    middle = WAVE / 2
    tops, bottoms = middle - highs / peak * (middle - 1), middle - lows / peak * (middle - 1)
    return "".join(f"M{x + 0.5:g} {a:.1f}V{max(b, a + 0.5):.1f}" for x, (a, b) in enumerate(zip(tops, bottoms, strict=True)))


def _decibels(sound: Sound, columns: int, top: float) -> NDArray[np.float64]:
    """(BANDS, columns) power in dB, the highest band first; bands above half the sample rate hold nothing."""
    size = 1 << max(5, math.ceil(math.log2(WINDOW * sound.sample_rate)))
    hop = max(1, round(HOP * sound.sample_rate))
    padded = np.pad(sound.samples, (size // 2, size // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    window = np.hanning(size).astype(np.float32)
    # In portions, so that the spectrum of a long recording is never held whole.
    power = np.concatenate(
        [np.square(np.abs(np.fft.rfft(frames[k : k + 512] * window, axis=1))) for k in range(0, len(frames), 512)]
    )
    mels = np.linspace(0, 2595 * math.log10(1 + top / 700), BANDS + 1)
    hertz = 700 * (10 ** (mels / 2595) - 1)
    banded = _pooled(power, hertz / sound.sample_rate * size, axis=1)
    return 10 * np.log10(_pooled(banded, np.linspace(0, len(banded), columns + 1), axis=0) + 1e-12).T[::-1]


def _pooled(values: NDArray, edges: NDArray, axis: int) -> NDArray:
    """Means between edges (places along an axis), each over one value at least; 0 beyond the end."""
    size = values.shape[axis]
    low = np.floor(edges[:-1]).astype(int)
    high = np.maximum(np.ceil(edges[1:]).astype(int), low + 1)
    beyond = low >= size
    low, high = np.minimum(low, size - 1), np.minimum(np.maximum(high, 1), size)
    sums = np.concatenate([np.zeros_like(np.take(values, [0], axis)), np.cumsum(values, axis=axis)], axis=axis)
    counts = np.maximum(high - low, 1)
    shape = [1, 1]
    shape[axis] = -1
    means = (np.take(sums, high, axis) - np.take(sums, low, axis)) / counts.reshape(shape)
    return np.where(beyond.reshape(shape), 0.0, np.maximum(means, 0.0))


def _palette() -> NDArray[np.uint8]:
    """(LEVELS, 3) colours between the anchors."""
    anchors = np.array([[int(one[k : k + 2], 16) for k in (0, 2, 4)] for one in COLOURS], dtype=np.float64)
    places = np.linspace(0, len(anchors) - 1, LEVELS)
    return np.stack([np.interp(places, range(len(anchors)), anchors[:, k]) for k in range(3)], axis=1).round().astype(np.uint8)


def png(levels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """(height, width) places in a palette of (n, 3) colours as a PNG file (indexed, 8 bits)."""
    height, width = levels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in levels)  # each line begins with its filter: none
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    ]
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
