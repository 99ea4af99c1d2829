"""A decoder of S3 tokens that needs no weights: each token is 40 ms of one level; run by tests/codecs/test_s3.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "recipes" / "codec_servers"))
import numpy as np
from serve import serve


class Levels:
    sample_rate, frame_rate, codebook_sizes = 24000, float(sys.argv[1]), (int(sys.argv[2]),)

    def decode(self, codes):
        return [np.repeat(levels[0] / self.codebook_sizes[0], 960) for levels in codes]


serve(lambda device, voice: Levels())
