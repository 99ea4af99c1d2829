"""A codec server for tests: the mean of each frame as one code, with rate and number of codes from the command line."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "recipes" / "codec_servers"))

from serve import serve

SAMPLE_RATE, FRAME_RATE, SIZE = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
HOP = round(SAMPLE_RATE / FRAME_RATE)


class Means:
    """Linear steps from -1 to 1."""

    sample_rate = SAMPLE_RATE
    frame_rate = FRAME_RATE
    codebook_sizes = (SIZE,)

    def encode(self, audio):
        """Waveforms to codes; a last frame that is not whole is filled up with silence."""
        frames = [np.pad(wave, (0, -len(wave) % HOP)).reshape(-1, HOP).mean(1) for wave in audio]
        return [[np.rint((np.clip(mean, -1, 1) + 1) / 2 * (SIZE - 1)).astype(np.int64)] for mean in frames]

    def decode(self, codes):
        """Codes to waveforms of steps."""
        return [np.repeat(levels[0] / (SIZE - 1) * 2 - 1, HOP).astype(np.float32) for levels in codes]


if __name__ == "__main__":
    serve(lambda device, voice: Means())
