"""Recordings and waveforms: read, write, resample, measure; whether there is anything to hear.

A recording is an audio file, a member of a tar, or a stretch of either: `lpo_tts.places` says how each is written.
"""

import contextlib
import io
import math
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from lpo_tts import decoding, places, resampling
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.resampling import Resampler

MIN_SAMPLE_RATE = 4_000  # Hz; telephones take 8,000, and half of that holds no speech worth hearing
MAX_SAMPLE_RATE = 768_000  # Hz; the fastest converters for sound, so more is a broken header
MAX_VALUES = 1 << 28  # samples times channels in one file: 1 GiB as float32, 93 minutes of mono at 48 kHz
MAX_PEAK = 32.0  # times full scale; integers that nobody scaled reach 128 and more
SILENCE_DB = -80.0  # below full scale: an rms of 1e-4, three steps of 16-bit audio
CANCELLED_DB = -20.0  # the mix below its channels; two channels without relation lose 3 dB
EachBlock = Callable[[np.ndarray, np.ndarray, int], None]  # takes a mono mix (n,), its channels (n, channels), and Hz
BLOCK = 1 << 18  # values decoded at a time, so that no header decides how much memory is asked for


def read(path: str | os.PathLike, sample_rate: int | None = None) -> tuple[Tensor, int]:
    """Reads a recording as mono: the mean of its channels.

    The length is what the data hold, not what the header says. Silence is read; `fault` and `read_speech` refuse it.

    Args:
        path: a file, a member of a tar, or a stretch of either, in any format libsndfile can read (wav, flac, ogg, mp3).
        sample_rate: Hz to resample to; None keeps the file's own.

    Returns:
        (num_samples,) float32, full scale is [-1, 1], and its sample rate in Hz.

    Raises:
        ArtefactError: the file is missing, no plain file, unreadable or torn, or ends before the stretch does; it holds no
            samples, NaN or infinity, channels that cancel each other, more than MAX_VALUES, or a sample rate or peak that no
            recording has.
    """
    tally, blocks, rate = _decode(path, keep=True)
    broken = tally.broken()
    if broken is not None:
        raise ArtefactError(f"{path}: expected audio, found {broken}; remove the row or record it again")
    audio = torch.from_numpy(np.concatenate(blocks))
    if sample_rate is None:
        return audio, rate
    return resample(audio, rate, sample_rate), sample_rate


def read_speech(path: str | os.PathLike, sample_rate: int | None = None) -> tuple[Tensor, int]:
    """As `read`, for a voice or a target: raises ArtefactError for silence too."""
    audio, rate = read(path, sample_rate)
    found = fault(audio, rate)
    if found is not None:
        raise ArtefactError(f"{path}: expected speech, found {found}; remove the row or record it again")
    return audio, rate


def measure(path: str | os.PathLike, each: EachBlock | None = None) -> tuple[float, str | None]:
    """Seconds of a recording, and why it cannot serve as a recording of speech (None = it can).

    The samples are decoded block by block and not kept, so that a file of any length takes little memory.

    Args:
        path: as in `read`.
        each: is given every block on the way, so that who wants to know more need not decode the file again.

    Raises:
        ArtefactError: as `read`, where the file cannot be decoded to its end.
    """
    tally, _, rate = _decode(path, keep=False, each=each)
    return tally.num_samples / rate, tally.broken() or tally.silent()


def duration(path: str | os.PathLike) -> float:
    """Seconds of audio in a file, counted and not taken from its header; raises ArtefactError as `measure` does."""
    return measure(path)[0]


def fault(audio: Tensor, sample_rate: int) -> str | None:
    """Why a waveform cannot serve as a recording of speech, as "found ..." goes on; None = it can.

    Args:
        audio: (num_samples,) float, full scale is [-1, 1].
        sample_rate: Hz.
    """
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        return _wrong_rate(sample_rate)
    tally = _Tally()
    with np.errstate(invalid="ignore"):
        for block in audio.detach().to("cpu", torch.float32).split(BLOCK):
            tally.add(block.numpy())
    return tally.broken() or tally.silent()


def path_fault(path: str | os.PathLike) -> str | None:
    """Why a path names no recording that can be read, in one line; None = it does. A pipe cannot hang this.

    Raises:
        ArtefactError: as `lpo_tts.places.find`.
    """
    found = places.find(path)
    return found if isinstance(found, str) else None


@dataclass
class _Tally:
    """What the faults of a waveform are told by, summed over its blocks."""

    num_samples: int = 0
    total: float = 0.0
    power: float = 0.0
    peak: float = 0.0
    channel_power: float = 0.0  # mean over channels; 0 for mono

    def add(self, mix: np.ndarray, samples: np.ndarray | None = None) -> None:
        """Counts a block: its mono mix (n,) and, where there are several, its channels (n, channels)."""
        if not len(mix):
            return
        wide = mix.astype(np.float64)
        self.num_samples += len(wide)
        self.total += float(wide.sum())
        self.power += float(np.dot(wide, wide))
        self.peak = max(self.peak, float(wide.max()), -float(wide.min()))
        if samples is not None:
            self.channel_power += float(np.square(samples, dtype=np.float64).sum()) / samples.shape[1]

    def broken(self) -> str | None:
        """What makes the samples unusable, whatever they are for."""
        if not self.num_samples:
            return "no samples"
        if not math.isfinite(self.power + self.channel_power):
            return "NaN or infinity"
        if self.peak > MAX_PEAK:
            return f"samples of {self.peak:.6g} times full scale (integers that were not scaled to [-1, 1]?)"
        heard = _decibels(self.channel_power / self.num_samples)
        if heard >= SILENCE_DB and _decibels(self.power / self.num_samples) < heard + CANCELLED_DB:
            return "channels that cancel each other in the mono mix (one is inverted: keep a single channel)"
        return None

    def silent(self) -> str | None:
        """Silence, or a constant, which sounds like it."""
        level = _decibels(self.power / self.num_samples - (self.total / self.num_samples) ** 2)
        return f"silence (a level of {level:.0f} dB, below {SILENCE_DB:.0f} dB)" if level < SILENCE_DB else None


def _decibels(power: float) -> float:
    return 10 * math.log10(power) if power > 0 else -math.inf


def _wrong_rate(sample_rate: int) -> str:
    return f"a sample rate of {sample_rate} Hz, which no recording of speech has ({MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz)"


def _decode(path: str | os.PathLike, *, keep: bool, each: EachBlock | None = None) -> tuple[_Tally, list[np.ndarray], int]:
    """Decodes a recording to its end: its tally, its mono blocks (if they are to be kept) and its sample rate in Hz."""
    place = places.find(path)
    if isinstance(place, str):
        raise ArtefactError(
            f"{path}: expected an audio file, found {place}; check the path (table paths are relative to the table)"
        )
    tally, kept = _Tally(), []
    with decoding.opened(place, path) as file:
        if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
            raise ArtefactError(f"{path}: expected audio, found {_wrong_rate(file.samplerate)}; its header is broken: convert it")
        for samples in decoding.blocks(file, BLOCK, place.stretch, path):
            # Down-mixing comes before resampling: one channel to resample instead of several, same result.
            with np.errstate(invalid="ignore", over="ignore"):  # the tally tells of infinity, in one line
                mix = samples.mean(axis=1, dtype=np.float32)
                tally.add(mix, samples if file.channels > 1 else None)
                if each is not None:
                    each(mix, samples, file.samplerate)
            if keep:
                kept.append(mix)
                if tally.num_samples * file.channels > MAX_VALUES:
                    raise ArtefactError(
                        f"{path}: expected one recording, found more than {MAX_VALUES} samples; cut it into utterances"
                    )
        missing = decoding.missing(file, tally.num_samples) if place.stretch is None else 0
    if missing:
        raise ArtefactError(
            f"{path}: expected the {tally.num_samples + missing} samples its header tells of, found {tally.num_samples}; "
            "the file is torn or its header is wrong: fetch or convert it again"
        )
    return tally, kept, int(file.samplerate)


def write(path: str | os.PathLike, audio: Tensor, sample_rate: int) -> None:
    """Writes (num_samples,) float as 16-bit wav, through `<path>.partial`, so that no torn file is ever seen.

    Samples outside [-1, 1] are clipped.

    Raises:
        ArtefactError: the waveform is not one-dimensional or not finite, the sample rate is none, or the file cannot be
            written (disk full, no permission, name too long). A file of that name is then what it was before.
    """
    if audio.dim() != 1:
        raise ArtefactError(f"{path}: expected mono audio of shape (num_samples,), found shape {tuple(audio.shape)}")
    if not bool(torch.isfinite(audio).all()):
        raise ArtefactError(f"{path}: expected finite samples, found NaN or infinity; the model that made them is broken")
    if sample_rate < 1:
        raise ArtefactError(f"{path}: expected a sample rate of at least 1 Hz, found {sample_rate}")
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    data = wav_bytes(audio, sample_rate)  # first to memory: libsndfile does not tell when a disk is full
    with os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def wav_bytes(audio: Tensor, sample_rate: int) -> bytes:
    """(num_samples,) finite float as a 16-bit wav file in memory; samples outside [-1, 1] are clipped."""
    data = io.BytesIO()
    samples = audio.detach().to("cpu", torch.float32).clamp(-1.0, 1.0).numpy()
    soundfile.write(data, samples, sample_rate, subtype="PCM_16", format="WAV")
    return data.getvalue()


_RESAMPLED: ContextVar[dict[tuple[int, int, int, str], tuple[Tensor, Tensor]] | None] = ContextVar("resampled", default=None)


@contextlib.contextmanager
def resampled_once() -> Iterator[None]:
    """Within it, what was resampled to a rate is kept and given again for the same tensor: several judges hear one file.

    Nobody may change what `resample` gives. All is forgotten at the end.
    """
    token = _RESAMPLED.set({})
    try:
        yield
    finally:
        _RESAMPLED.reset(token)


def resample(audio: Tensor, from_rate: int, to_rate: int, method: Resampler = "soxr") -> Tensor:
    """Resamples (num_samples,); the same tensor when the rates are equal.

    Args:
        audio: (num_samples,) float.
        from_rate: Hz.
        to_rate: Hz.
        method: "soxr", of high quality; the others are for numbers to be compared with published ones
            (`lpo_tts.resampling`).

    Returns:
        float32, on the CPU.
    """
    if from_rate == to_rate or audio.numel() == 0:
        return audio
    known, key = _RESAMPLED.get(), (id(audio), from_rate, to_rate, method)
    if known is None:
        return _resample(audio, from_rate, to_rate, method)
    if key not in known:
        known[key] = audio, _resample(audio, from_rate, to_rate, method)  # with the tensor, so that its id stays its own
    return known[key][1]


def _resample(audio: Tensor, from_rate: int, to_rate: int, method: Resampler) -> Tensor:
    waveform = audio.detach().to("cpu", torch.float32)
    if method == "sinc":
        return resampling.sinc(waveform, from_rate, to_rate)
    if method == "fourier":
        samples = resampling.fourier(waveform.numpy(), from_rate, to_rate)
    else:
        samples = soxr.resample(waveform.numpy(), from_rate, to_rate, quality="HQ")
    return torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))


def rms_db(audio: Tensor) -> float:
    """Root mean square in dB relative to full scale (a full-scale square wave is 0); -inf for silence or nothing."""
    if audio.numel() == 0:
        return -math.inf
    power = float(audio.to(torch.float64).square().mean())
    return 10 * math.log10(power) if power > 0 else -math.inf


def audible(waveform: Tensor, min_samples: int) -> bool:
    """Whether there is anything to hear: enough samples, all finite, louder than SILENCE_DB.

    Recognisers invent words on what is not.
    """
    return waveform.numel() >= min_samples and SILENCE_DB <= rms_db(waveform) < math.inf


def unmeasurable(waveform: Tensor, sample_rate: int, min_duration: float = 0.0, name: str = "audio") -> str | None:
    """Why a waveform has nothing to be measured; None = it has.

    Args:
        waveform: (num_samples,) float.
        sample_rate: Hz.
        min_duration: seconds that the metric needs.
        name: what the reason calls the waveform.
    """
    seconds = waveform.numel() / sample_rate
    if seconds < min_duration or waveform.numel() == 0:
        return f"the {name} is too short: {seconds:.2f} s, at least {min_duration} s are needed"
    if not bool(torch.isfinite(waveform).all()):
        return f"the {name} holds NaN or infinity"
    if rms_db(waveform) < SILENCE_DB:
        return f"the {name} is silent"
    return None
