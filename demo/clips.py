"""Clips that the page plays: in memory, of one loudness, under addresses that nobody can guess."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from fastapi import APIRouter, HTTPException, Request, Response
from torch import Tensor

from demo.listening.loudness import matched
from lpo_tts import audio

PATH = "clips/"  # beside the page
KEPT = 512 * 2**20  # bytes of samples in memory; 16 candidates of 30 s at 24 kHz take 46 MB
LONGEST = 120.0  # seconds that are played; what is longer is cut there
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes"}


@dataclass(frozen=True)
class Clip:
    """A clip as the page knows it.

    Attributes:
        token: names it in its address.
        seconds: of it.
        sample_rate: Hz.
        wave: (num_samples,) as it is played, at the common loudness.
        original: (num_samples,) as it was made, for the download.
    """

    token: str
    seconds: float
    sample_rate: int
    wave: Tensor
    original: Tensor

    @property
    def played(self) -> str:
        """Address of the clip to be played."""
        return f"{PATH}{self.token}.wav"

    @property
    def saved(self) -> str:
        """Address of the clip as it was made."""
        return f"{PATH}{self.token}.wav?original=1"


class Clips:
    """The clips that were made last; safe for any number of threads.

    Args:
        kept: bytes of samples in memory.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept, self._size = kept, 0
        self._clips: OrderedDict[str, Clip] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, wave: Tensor, sample_rate: int) -> Clip:
        """Takes a clip, and forgets the oldest ones where there are too many.

        Args:
            wave: (num_samples,) float, at least one sample.
            sample_rate: Hz.
        """
        original = wave[: int(LONGEST * sample_rate)].float()
        (played,) = matched([original], sample_rate)
        clip = Clip(secrets.token_urlsafe(16), original.numel() / sample_rate, sample_rate, played, original)
        with self._lock:
            self._clips[clip.token] = clip
            self._size += _size(clip)
            while len(self._clips) > 1 and self._size > self._kept:
                self._size -= _size(self._clips.popitem(last=False)[1])
        return clip

    def get(self, token: str) -> Clip | None:
        """The clip of a token; None where there is none, or it was forgotten."""
        with self._lock:
            return self._clips.get(token)


def _size(clip: Clip) -> int:
    return 4 * (clip.wave.numel() + clip.original.numel())


def router(clips: Clips) -> APIRouter:
    """Serves the clips."""
    routes = APIRouter(prefix=f"/{PATH.rstrip('/')}")

    @routes.get("/{token}.wav", include_in_schema=False)
    def wav(token: str, request: Request, original: bool = False) -> Response:
        clip = clips.get(token)
        if clip is None:
            raise HTTPException(404, "this clip is no longer kept; speak it again")
        data = audio.wav_bytes(clip.original if original else clip.wave, clip.sample_rate)
        return ranged(data, request.headers.get("range"))

    return routes


def ranged(data: bytes, wanted: str | None) -> Response:
    """A wav file, or the one range of it that is asked for, which players need to jump."""
    start, end = 0, len(data) - 1
    if wanted and wanted.startswith("bytes=") and "," not in wanted:
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if not (first + last).isascii() or not (first + last).isdigit():
            return Response(data, media_type="audio/wav", headers=HEADERS)
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last), end) if first and last else end
        if start > end:
            return Response(status_code=416, headers={**HEADERS, "Content-Range": f"bytes */{len(data)}"})
        headers = {**HEADERS, "Content-Range": f"bytes {start}-{end}/{len(data)}"}
        return Response(data[start : end + 1], status_code=206, media_type="audio/wav", headers=headers)
    return Response(data, media_type="audio/wav", headers=HEADERS)
