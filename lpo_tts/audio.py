"""Audio files and waveforms: read, write, resample, measure."""

import math
import os
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from lpo_tts.errors import ArtefactError


def read(path: str | os.PathLike, sample_rate: int | None = None) -> tuple[Tensor, int]:
    """Reads an audio file as mono.

    Args:
        path: any file libsndfile can read (wav, flac, ogg, mp3).
        sample_rate: Hz to resample to; None keeps the file's own.

    Returns:
        (num_samples,) float32 in [-1, 1], and its sample rate in Hz.

    Raises:
        ArtefactError: the file is missing, unreadable or holds no samples.
    """
    path = Path(path)
    if not path.is_file():
        raise ArtefactError(f"{path}: expected an audio file, found none; check the path (table paths are relative to the table)")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ArtefactError(f"{path}: expected audio libsndfile can read, found another format; convert it ({error})") from error
    if not len(samples):
        raise ArtefactError(f"{path}: expected audio, found no samples; remove the row or record it again")
    # Down-mixing comes before resampling: one channel to resample instead of several, same result.
    audio = torch.from_numpy(np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32)))
    if sample_rate is None:
        return audio, int(rate)
    return resample(audio, int(rate), sample_rate), sample_rate


def write(path: str | os.PathLike, audio: Tensor, sample_rate: int) -> None:
    """Writes (num_samples,) float as 16-bit wav, through `<path>.partial`, so that no torn file is ever seen.

    Samples outside [-1, 1] are clipped.

    Raises:
        ArtefactError: the waveform is not one-dimensional or not finite.
    """
    if audio.dim() != 1:
        raise ArtefactError(f"{path}: expected mono audio of shape (num_samples,), found shape {tuple(audio.shape)}")
    if not bool(torch.isfinite(audio).all()):
        raise ArtefactError(f"{path}: expected finite samples, found NaN or infinity; the model that made them is broken")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    samples = audio.detach().to("cpu", torch.float32).clamp(-1.0, 1.0).numpy()
    soundfile.write(partial, samples, sample_rate, subtype="PCM_16", format="WAV")
    os.replace(partial, path)


def resample(audio: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Resamples (num_samples,) with soxr's high quality; the same tensor when the rates are equal."""
    if from_rate == to_rate or audio.numel() == 0:
        return audio
    samples = soxr.resample(audio.detach().to("cpu", torch.float32).numpy(), from_rate, to_rate, quality="HQ")
    return torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))


def duration(path: str | os.PathLike) -> float:
    """Seconds of audio in a file, from its header alone; raises ArtefactError when it has none."""
    path = Path(path)
    if not path.is_file():
        raise ArtefactError(f"{path}: expected an audio file, found none; check the path (table paths are relative to the table)")
    try:
        return float(soundfile.info(path).duration)
    except soundfile.SoundFileError as error:
        raise ArtefactError(f"{path}: expected audio libsndfile can read, found another format; convert it ({error})") from error


def rms_db(audio: Tensor) -> float:
    """Root mean square in dB relative to full scale (a full-scale square wave is 0); -inf for silence or nothing."""
    if audio.numel() == 0:
        return -math.inf
    power = float(audio.to(torch.float64).square().mean())
    return 10 * math.log10(power) if power > 0 else -math.inf
