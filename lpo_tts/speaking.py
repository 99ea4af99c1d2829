"""Between sound and codes: recordings of voices encoded once each, and answers decoded. Steps and `Synthesizer` share this."""

from collections.abc import Hashable, Mapping, Sequence
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from lpo_tts import audio
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError, ContractError

# An audio file; or samples as (num_samples,) float in [-1, 1] and their sample rate in Hz.
Recording = str | PathLike[str] | tuple[Tensor | np.ndarray, int]


class Voices:
    """Recordings of voices as codes, each encoded once.

    Attributes:
        codes: what was encoded so far, by the key it was given under.
    """

    def __init__(self, codec: LoadedCodec) -> None:
        self.codec = codec
        self.codes: dict[Hashable, Codes] = {}

    def add(self, recordings: Mapping[Hashable, Recording]) -> dict[Hashable, ArtefactError | ContractError]:
        """Encodes, as one batch, the recordings whose keys are not known yet; returns those that hold no voice, and why."""
        waves, failed = {}, {}
        for key, recording in recordings.items():
            if key not in self.codes:
                try:
                    waves[key] = _long_enough(read_voice(recording, self.codec.input_sample_rate), self.codec)
                except (ArtefactError, ContractError) as error:
                    failed[key] = error
        if waves:
            self.codes.update(zip(waves, self.codec.encode(list(waves.values())), strict=True))
        return failed


def read_voice(recording: Recording, sample_rate: int) -> Tensor:
    """A recording of a voice at some sample rate, (num_samples,) float32.

    Raises:
        ArtefactError: the file cannot be read, or holds silence.
        ContractError: the waveform is no mono one, or holds silence, NaN or infinity.
    """
    if not isinstance(recording, tuple):
        return audio.read_speech(recording, sample_rate)[0]
    wave, rate = torch.as_tensor(recording[0]), recording[1]
    if wave.dim() != 1 or not wave.is_floating_point():
        raise ContractError(
            "voice: expected a mono waveform of shape (num_samples,) with floats in [-1, 1], "
            f"found {tuple(wave.shape)} of {wave.dtype}"
        )
    found = audio.fault(wave, rate)
    if found is not None:
        raise ContractError(f"voice: expected a recording of speech, found {found}; record it again or choose another one")
    return audio.resample(wave.detach().to("cpu").float(), rate, sample_rate)


def _long_enough(wave: Tensor, codec: LoadedCodec) -> Tensor:
    """The wave; raises ContractError where it is shorter than a frame, which codecs would fill up with silence."""
    frame = codec.input_sample_rate / codec.frame_rate
    if wave.numel() < frame:
        raise ContractError(
            f"voice: expected at least a frame of the codec ({1000 / codec.frame_rate:.3g} ms, {frame:.0f} samples), found "
            f"{wave.numel()} samples at {codec.input_sample_rate} Hz; choose a longer recording"
        )
    return wave


def decode(codes: Sequence[Codes | None], codec: LoadedCodec) -> list[Tensor | None]:
    """Waveforms (num_samples,) of answers, decoded as one batch; None where an answer holds no codes."""
    whole = [one for one in codes if one is not None]
    waves = iter(codec.decode(whole) if whole else [])
    return [next(waves) if one is not None else None for one in codes]
