"""Short recordings for miniatures of corpora: wav, flac, mp3 and opus, as the name of the file says."""

import numpy as np
import soundfile

FORMATS = {".opus": {"format": "OGG", "subtype": "OPUS"}}


def tone(path, seconds=1.0, rate=16000):
    """Writes a tone of so many seconds, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(seconds * rate)) / 5), rate, **FORMATS.get(path.suffix, {}))
    return path
