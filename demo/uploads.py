"""Recordings that somebody uploads: decoded once, no further than they may go, and kept as plain wav."""

import contextlib
import os
import time
from pathlib import Path

import numpy as np
import torch

from demo.studio import Voice
from lpo_tts import audio
from lpo_tts.errors import ArtefactError, ContractError

SHORTEST, LONGEST = 0.8, 30.0  # seconds of a recording that is to serve as a voice
MAX_SAMPLE_RATE = 192_000  # Hz
MAX_CHANNELS = 8
PLAIN, KEPT = ".plain.wav", 3600  # end of a copy's name, and seconds that it is kept


class _TooLong(Exception):
    """Decoding has gone far enough."""


def uploaded(path: str, text: str = "") -> Voice:
    """A recording somebody brings as a voice; a plain copy of what can be heard in it takes its place.

    The samples are counted as they are decoded, and decoding ends a moment after the longest that is taken: no header and no
    compression decides how much time or memory it takes.

    Args:
        path: of the uploaded file.
        text: what is said in it, where that is known.

    Raises:
        ContractError: it cannot be decoded, is too short or too long, or holds nothing to imitate.
    """
    blocks: list[np.ndarray] = []
    rate, count = 0, 0

    def keep(mix: np.ndarray, samples: np.ndarray, sample_rate: int) -> None:
        nonlocal rate, count
        if sample_rate > MAX_SAMPLE_RATE or samples.shape[1] > MAX_CHANNELS:
            raise ContractError(
                f"expected at most {MAX_CHANNELS} channels and {MAX_SAMPLE_RATE} Hz, found {samples.shape[1]} and {sample_rate}; "
                "convert the recording"
            )
        rate, count = sample_rate, count + len(mix)
        if count > LONGEST * sample_rate:
            raise _TooLong
        blocks.append(mix.copy())

    try:
        seconds, fault = audio.measure(path, keep)
    except _TooLong:
        raise ContractError(f"expected {SHORTEST} to {LONGEST:.0f} s of one voice, found more; cut the recording") from None
    except ArtefactError as error:  # without the path, which is none of the sender's
        reason = str(error).removeprefix(f"{path}: ").removeprefix(f"cannot read {path}: ").replace(path, "the file")
        raise ContractError(f"the recording cannot be read: {reason}") from error
    if seconds < SHORTEST:
        raise ContractError(f"expected {SHORTEST} to {LONGEST:.0f} s of one voice, found {seconds:.1f} s; record more")
    if fault is not None:
        raise ContractError(f"expected a recording of a voice, found {fault}; record it again or choose another one")
    _forget(Path(path).parent.parent)
    plain = Path(path).with_name(f"{Path(path).stem[:60]}{PLAIN}")
    audio.write(plain, torch.from_numpy(np.concatenate(blocks)), rate)
    return Voice(id=path, label="your recording", path=plain, text=text)


def _forget(folder: Path) -> None:
    """Removes plain copies that are older than an hour; Gradio removes the uploads themselves, but knows nothing of copies."""
    if folder != Path(os.environ.get("GRADIO_TEMP_DIR", "")):
        return  # a path of somebody's own, and no upload
    for old in folder.glob(f"*/*{PLAIN}"):
        with contextlib.suppress(FileNotFoundError):  # another thread was quicker
            if time.time() - old.stat().st_mtime > KEPT:
                old.unlink()
