"""Clipping and silence of one recording, counted block by block while it is decoded."""

import numpy as np

FULL_SCALE = 1 - 2**-15  # what the largest positive sample of 16 bits is
FRAME = 0.025  # seconds
LOUD = 95  # percentile of the frames' levels that stands for speech
DEPTH = 30.0  # dB below it a frame is silent: read speech then has 5 to 45 % of silence, LJSpeech 15 % and LibriSpeech 27 %


class Levels:
    """Takes the blocks of a recording in order (see `lpo_tts.audio.measure`), and holds no samples but those of `keep`.

    Args:
        keep: seconds from the start whose mono mix is kept, for a measure that needs all samples.
    """

    def __init__(self, keep: float = 0.0) -> None:
        self.keep = keep
        self.kept: list[np.ndarray] = []
        self.sample_rate = 0  # Hz; 0 before the first block
        self._num_kept = 0
        self._num_values = self._num_clipped = 0
        self._rest = np.empty(0, np.float32)
        self._powers: list[np.ndarray] = []

    def add(self, mix: np.ndarray, samples: np.ndarray, sample_rate: int) -> None:
        """Takes one block: its mix (n,), its channels (n, channels), full scale is [-1, 1], and Hz."""
        self.sample_rate = sample_rate
        self._num_values += samples.size
        self._num_clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        if self._num_kept < self.keep * sample_rate:
            self.kept.append(mix)
            self._num_kept += len(mix)
        joined = np.concatenate([self._rest, mix]) if len(self._rest) else mix
        size = max(1, round(FRAME * sample_rate))
        whole = len(joined) // size * size
        frames = joined[:whole].reshape(-1, size)
        # The mean is taken off: a constant offset is no sound.
        self._powers.append(np.square(frames).mean(1, dtype=np.float64) - np.square(frames.mean(1, dtype=np.float64)))
        self._rest = joined[whole:].copy()

    @property
    def clipping(self) -> float:
        """Share of the samples, of all channels, at full scale."""
        return self._num_clipped / max(1, self._num_values)

    @property
    def silence(self) -> float:
        """Share of the frames whose level is DEPTH below that of the loud ones; 0 for less than a frame."""
        powers = np.concatenate(self._powers) if self._powers else np.empty(0)
        if not len(powers):
            return 0.0
        return float(np.mean(powers < np.percentile(powers, LOUD) * 10 ** (-DEPTH / 10)))
