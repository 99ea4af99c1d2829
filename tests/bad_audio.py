"""Files that are no recording of speech, each with the words its refusal must hold: for every door that reads audio."""

import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000
TONE = (0.3 * np.sin(np.arange(RATE) / 5)).astype(np.float32)
LONG = "n" * 300 + ".wav"


def flac(path: Path, total: int) -> None:
    """One second whose header tells of so many samples."""
    soundfile.write(path, TONE, RATE, format="FLAC")
    data = bytearray(path.read_bytes())
    packed = int.from_bytes(data[18:26], "big")  # rate, channels, bits and, in 36 bits, the number of samples
    data[18:26] = ((packed >> 36 << 36) | total).to_bytes(8, "big")
    path.write_bytes(data)


def wav_header(path: Path, at: int, value: int) -> None:
    """One second with four bytes of its header changed."""
    soundfile.write(path, TONE, RATE)
    data = bytearray(path.read_bytes())
    data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)


def _floats(*values: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        samples = TONE.copy()
        samples[100 : 100 + len(values)] = values
        soundfile.write(path, samples, RATE, subtype="FLOAT")

    return make


def _cut(path: Path) -> None:
    soundfile.write(path, TONE, RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def _bytes(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def _wave(samples: np.ndarray, rate: int = RATE) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples, rate)


def _late_nan(path: Path) -> None:
    samples = np.resize(TONE, 300_000)
    samples[-1] = math.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {  # `read` refuses them
    "missing.wav": (lambda path: None, "none"),
    "text.wav": (_bytes(b"this is no audio"), "another format or torn data"),
    "nothing.wav": (_bytes(b""), "another format or torn data"),
    "riff.wav": (_bytes(b"RIFF"), "another format or torn data"),
    "noise.ogg": (_bytes(np.random.default_rng(0).bytes(4096)), "another format or torn data"),
    "noise.mp3": (_bytes(np.random.default_rng(1).bytes(4096)), "another format or torn data"),
    "picture.flac": (_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200)), "another format or torn data"),
    "no-samples.wav": (_wave(TONE[:0]), "no samples"),
    "unfinished.wav": (lambda path: wav_header(path, 40, 0), "no samples"),
    "nan.wav": (_floats(math.nan), "NaN or infinity"),
    "late-nan.wav": (_late_nan, "NaN or infinity"),
    "infinity.wav": (_floats(math.inf), "NaN or infinity"),
    "both-infinities.wav": (_floats(math.inf, -math.inf), "NaN or infinity"),
    "unscaled.wav": (_floats(30000.0), "samples of 30000 times full scale"),
    "huge.wav": (_floats(-3e38), "samples of 3e+38 times full scale"),
    "one-hertz.wav": (lambda path: wav_header(path, 24, 1), "a sample rate of 1 Hz"),
    "gigahertz.wav": (lambda path: wav_header(path, 24, 10**9), "a sample rate of 1000000000 Hz"),
    "antiphase.wav": (_wave(np.stack([TONE, -TONE], 1)), "channels that cancel each other"),
    "nearly-antiphase.flac": (_wave(np.stack([TONE, -0.9 * TONE], 1)), "channels that cancel each other"),
    "torn.wav": (_cut, "found 5326; the file is torn"),
    "torn.aiff": (_cut, "the file is torn"),
    "torn.au": (_cut, "the file is torn"),
    "torn.flac": (_cut, "torn"),
    "torn.mp3": (_cut, "the file is torn"),
    "largest.flac": (lambda path: flac(path, 2**36 - 1), "expected the 68719476735 samples its header tells of, found 8000"),
    "more.flac": (lambda path: flac(path, 9000), "expected the 9000 samples its header tells of, found 8000"),
    "pipe.wav": (os.mkfifo, "a named pipe"),
    "folder.wav": (os.mkdir, "a folder"),
    "device.wav": (lambda path: path.symlink_to("/dev/zero"), "a device or socket"),
    "dangling.wav": (lambda path: path.symlink_to("nowhere.wav"), "a link that leads nowhere"),
    "circle.wav": (lambda path: path.symlink_to(path.name), "links lead in a circle"),
}
SILENT: dict[str, tuple[Callable[[Path], object], str]] = {  # `read` takes them, as a voice or in a corpus they are refused
    "zeros.wav": (_wave(np.zeros(RATE)), "silence (a level of -inf dB, below -80 dB)"),
    "dither.wav": (_wave(np.where(np.arange(RATE) % 2, 1, -1).astype(np.int16)), "silence (a level of -90 dB"),
    "constant.wav": (_wave(np.full(RATE, 0.5)), "silence"),
    "silent-stereo.flac": (_wave(np.zeros((RATE, 2))), "silence"),
}
NAMES = {  # paths that no file can have
    "long": (LONG, "File name too long; give it a shorter name"),
    "nul": ("a\0b.wav", "no file can have this name"),
    "surrogate": ("a\ud800.wav", "no file can have this name"),
}
