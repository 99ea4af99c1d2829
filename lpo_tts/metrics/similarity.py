"""Speaker similarity: the cosine between the speech and the voice it should have, as recorded or as the codec gives it back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, cast

from torch import Tensor

from lpo_tts import audio
from lpo_tts.batches import map_batches, of_like_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.resampling import Resampler
from lpo_tts.speaker.base import LoadedSpeakerEncoder, SpeakerEncoder

MAX_VECTORS = 1 << 14  # ours: vectors of voices kept in memory, 32 MiB of 512 numbers each
To: TypeAlias = Literal["original", "codec_copy"]


@dataclass(frozen=True)
class SpeakerSimilarity:
    """Cosine between the speaker vectors of the speech and of the voice it should have.

    To the original recording it is SIM-o, which is what papers print. To that recording's copy through the codec it is
    SIM-r (measured in VALL-E, arXiv 2301.02111; named by Voicebox, arXiv 2306.15687). A codec takes some of the voice away
    from every system, and SIM-r leaves this out, so it compares no systems with different codecs.

    Attributes:
        encoder: what turns a voice into a vector.
        batch_size: waveforms given to the encoder at once.
        to: what the speech is compared with: `original`, or `codec_copy`, which an evaluation makes of every voice.
        resampler: how both come to the sample rate of the encoder. `soxr` is good; `sinc` is the filter of torchaudio, by
            which seed-tts-eval reports SIM.
    """

    encoder: SpeakerEncoder
    batch_size: int = 32
    to: To = "original"
    resampler: Resampler = "soxr"

    higher_is_better: ClassVar[bool] = True
    worst: ClassVar[float] = 0.0  # of a voice that has nothing to do with the wanted one
    perfect: ClassVar[float] = 1.0
    title: ClassVar[str] = "speaker similarity"
    short: ClassVar[str] = "SIM-o"
    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if self.needs_voice_copy:  # another figure, so it has names of its own in reports
            object.__setattr__(self, "title", "speaker similarity to the codec copy")
            object.__setattr__(self, "short", "SIM-r")

    @property
    def needs_voice_copy(self) -> bool:
        """Whether it compares with the voice as the codec gives it back."""
        return self.to == "codec_copy"

    def load(self, device: str = "cpu") -> "LoadedSpeakerSimilarity":
        """Loads the encoder."""
        return LoadedSpeakerSimilarity(self.encoder.load(device), self.batch_size, self.to, self.resampler)


class LoadedSpeakerSimilarity:
    """A speaker encoder in memory, and the voices it has already listened to (by `voice_id`)."""

    def __init__(
        self, encoder: LoadedSpeakerEncoder, batch_size: int = 32, to: To = "original", resampler: Resampler = "soxr"
    ) -> None:
        self.encoder = encoder
        self.batch_size = batch_size
        self.to: To = to
        self.resampler: Resampler = resampler
        self._voices: dict[str, Tensor] = {}  # voice_id -> (dim,) unit vector

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Cosine in [-1, 1] per piece of speech; no value without a voice or when either side is too short or silent."""
        reasons = [self._unscorable(item) for item in speech]
        kept = [index for index, reason in enumerate(reasons) if reason is None]
        voices = self._embed_voices([speech[index] for index in kept])
        vectors = self._embed([(speech[index].audio, speech[index].sample_rate) for index in kept])
        judgements = [Judgement(value=None, detail={"reason": reason}) for reason in reasons]
        for index, vector, voice in zip(kept, vectors, voices, strict=True):
            cosine = float(vector @ voice)
            if not math.isfinite(cosine):  # min and max would make 1.0 of it
                judgements[index] = Judgement(value=None, detail={"reason": "the encoder gave a vector with NaN or infinity"})
                continue
            cosine = max(-1.0, min(1.0, cosine))
            judgements[index] = Judgement(value=cosine, detail={"voice_id": speech[index].voice_id})
        return judgements

    def _voice(self, item: Speech) -> tuple[Tensor | None, int | None]:
        """What the speech is compared with, and its sample rate."""
        if self.to == "codec_copy":
            return item.voice_copy, item.voice_copy_sample_rate
        return item.voice, item.voice_sample_rate

    def _unscorable(self, item: Speech) -> str | None:
        voice, voice_rate = self._voice(item)
        if voice is None or voice_rate is None:
            return f"there is no {'codec copy' if self.to == 'codec_copy' else 'recording'} of the voice"
        for name, waveform, rate in (("audio", item.audio, item.sample_rate), ("voice", voice, voice_rate)):
            reason = audio.unmeasurable(waveform, rate, self.encoder.min_duration, name)
            if reason is not None:
                return reason
        return None

    def _embed_voices(self, speech: Sequence[Speech]) -> list[Tensor]:
        """One vector per piece of speech; each voice_id is embedded once, and remembered.

        Voices are embedded one by one: the last bits depend on who shares a batch, and which voices are new here depends on
        what this process was given before.
        """
        keys = [(item.voice_id, index if item.voice_id is None else 0) for index, item in enumerate(speech)]
        wanted = {}
        for key, item in zip(keys, speech, strict=True):
            if key[0] not in self._voices and key not in wanted:
                wanted[key] = self._voice(item)
        fresh = {key: self._embed([cast("tuple[Tensor, int]", voice)])[0] for key, voice in wanted.items()}
        found = [fresh[key] if key in fresh else self._voices[cast("str", key[0])] for key in keys]
        self._voices.update({key[0]: vector for key, vector in fresh.items() if key[0] is not None})
        while len(self._voices) > MAX_VECTORS:
            del self._voices[next(iter(self._voices))]
        return found

    def _embed(self, waveforms: Sequence[tuple[Tensor, int]]) -> list[Tensor]:
        resampled = [audio.resample(one, rate, self.encoder.sample_rate, self.resampler) for one, rate in waveforms]
        batches = of_like_length([waveform.numel() for waveform in resampled], self.batch_size)
        vectors = map_batches(batches, lambda batch: self.encoder.embed([resampled[index] for index in batch]))
        return [vectors[index] for index in range(len(resampled))]
