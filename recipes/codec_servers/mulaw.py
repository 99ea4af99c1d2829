"""The smallest codec server: 8-bit mu-law telephony at 8 kHz, one code per sample, by numpy alone.

Run by lpo-tts: `codec: {name: process, command: [python, recipes/codec_servers/mulaw.py]}`. Anything that has Python and
numpy is its environment.
"""

import numpy as np
from serve import serve

MU = 255.0


class MuLaw:
    """Logarithmic steps: 256 codes for the amplitudes from -1 to 1 (ITU-T G.711, without its bit order)."""

    sample_rate = 8000
    frame_rate = 8000.0
    codebook_sizes = (256,)

    def encode(self, audio):
        """Waveforms (num_samples,) to codes of one level."""
        folded = [np.sign(wave) * np.log1p(MU * np.minimum(np.abs(wave), 1)) / np.log1p(MU) for wave in audio]
        return [[np.rint((wave + 1) / 2 * MU).astype(np.int64)] for wave in folded]

    def decode(self, codes):
        """Codes of one level to waveforms (num_frames,)."""
        flat = [levels[0] / MU * 2 - 1 for levels in codes]
        return [np.sign(wave) * ((1 + MU) ** np.abs(wave) - 1) / MU for wave in flat]


if __name__ == "__main__":
    serve(lambda device, voice: MuLaw())
