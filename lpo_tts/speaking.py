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
        codes: what was encoded and is kept, by the key it was given under.
    """

    def __init__(self, codec: LoadedCodec, most: int | None = None) -> None:
        """`most`: how many recordings are kept beside those that were asked for last; None = all."""
        self.codec, self.most = codec, most
        self.codes: dict[Hashable, Codes] = {}

    def add(self, recordings: Mapping[Hashable, Recording]) -> dict[Hashable, ArtefactError | ContractError]:
        """Encodes, as one batch, the recordings whose keys are not known yet; returns those that hold no voice, and why."""
        waves, failed = {}, {}
        for key, recording in recordings.items():
            if key not in self.codes:
                try:
                    waves[key] = self._read(recording)
                except (ArtefactError, ContractError) as error:
                    failed[key] = error
        if waves:
            self.codes.update(zip(waves, self.codec.encode(list(waves.values())), strict=True))
        if self.most is not None:
            for key in [key for key in self.codes if key not in recordings][: max(0, len(self.codes) - self.most)]:
                del self.codes[key]
        return failed

    def _read(self, recording: Recording) -> Tensor:
        """As `read_voice`; ContractError too for less than a frame, which the codec would fill up with what nobody said."""
        rate = self.codec.input_sample_rate
        wave, frame = read_voice(recording, rate), int(rate / self.codec.frame_rate)
        if len(wave) < frame:
            name = "voice" if isinstance(recording, tuple) else recording
            raise ContractError(
                f"{name}: expected a voice of at least one frame of the codec ({frame} samples at {rate} Hz), found {len(wave)} "
                "samples; take a recording of some seconds"
            )
        return wave


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


def decode(codes: Sequence[Codes | None], codec: LoadedCodec) -> list[Tensor | None]:
    """Waveforms (num_samples,) of answers, decoded as one batch; None where an answer holds no codes."""
    whole = [one for one in codes if one is not None]
    waves = iter(codec.decode(whole) if whole else [])
    return [next(waves) if one is not None else None for one in codes]
