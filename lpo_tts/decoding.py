"""Samples of a recording, block by block: a file, a member of a tar, or a stretch of either, by libsndfile."""

import contextlib
import io
import os
import re
from collections.abc import Iterator

import numpy as np
import soundfile

from lpo_tts import places
from lpo_tts.errors import ArtefactError
from lpo_tts.places import Place

MP3_GUESS = 0.01  # by how much the guessed length of an mp3 may be wrong
END_TOLERANCE = 0.025  # s; by how much a stretch may end behind its recording: lengths in tables are rounded
# Seconds decoded before a stretch. It then has the samples of decoding from the start, but for Opus, whose decoder never quite
# forgets: what is left after two seconds lies 45 dB below the signal. What is not named here cannot be sought exactly: it is
# decoded from its start and skipped. docs/places.md has the measured differences.
LEAD = dict.fromkeys(("WAV", "WAVEX", "W64", "RF64", "AIFF", "AU", "FLAC", "VORBIS"), 0.0) | {"OPUS": 2.0}
_UNKNOWN_LENGTH = 1 << 62  # samples; a flac that was written into a pipe


class _Sequential(soundfile.SoundFile):
    """Decodes from where it stands to the end.

    The base class seeks after every block, which alters mp3 samples and fails where a header does not know the length.
    """

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def opened(place: Place, name: str | os.PathLike) -> Iterator[soundfile.SoundFile]:
    """The decoder of a place at its first sample; raises ArtefactError, with `name`, for what libsndfile cannot read."""
    with places.opened(place) as handle:
        # By descriptor: a path would let the suffix decide that text is headerless audio (.raw, .vox, .gsm).
        source = handle.fileno() if isinstance(handle, io.FileIO) else handle
        try:
            with _Sequential(source, closefd=False) as file:
                yield file
        except soundfile.LibsndfileError as error:
            raise ArtefactError(
                f"{name}: expected audio libsndfile can read, found another format or torn data; convert it "
                f"({error.error_string})"
            ) from error


def blocks(file: soundfile.SoundFile, values: int, stretch: tuple[float, float] | None, name: str | os.PathLike) -> Iterator:
    """Yields (n, channels) float32 until the end of the file or stretch.

    Args:
        file: at its first sample.
        values: samples times channels in a block, at most.
        stretch: its first and last second; None = all.
        name: of the place, for messages.

    Raises:
        ArtefactError: the recording ends before the stretch does.
    """
    if soundfile.SoundFile.seekable(file):
        file.seek(0)  # resets the mp3 decoder, as soundfile.read does; samples differ in the last bit without
    size = max(1, values // file.channels)
    if stretch is None:
        while len(samples := _read(file, size)):
            yield samples
        return
    start, stop = (round(second * file.samplerate) for second in stretch)
    at = _sought(file, start)
    while at < start and len(samples := _read(file, min(size, start - at))):
        at += len(samples)
    while start <= at < stop and len(samples := _read(file, min(size, stop - at))):
        at += len(samples)
        yield samples
    if at < max(stop - END_TOLERANCE * file.samplerate, min(start + 1, stop)):
        raise ArtefactError(
            f"{name}: expected a stretch up to {stretch[1]:g} s, found a recording of {at / file.samplerate:.2f} s; "
            "check the times, or fetch the recording again"
        )


def _read(file: soundfile.SoundFile, size: int) -> np.ndarray:
    return file.read(size, dtype="float32", always_2d=True)


def kind_of(file: soundfile.SoundFile) -> str:
    """The key of LEAD: the format, in an Ogg what it holds."""
    return file.subtype if file.format == "OGG" else file.format


def _sought(file: soundfile.SoundFile, start: int) -> int:
    """Moves towards a sample as far as can be done exactly; returns where the decoder stands."""
    lead = LEAD.get(kind_of(file))
    if lead is None or file.frames >= _UNKNOWN_LENGTH or not soundfile.SoundFile.seekable(file):
        return 0
    return file.seek(min(max(0, start - round(lead * file.samplerate)), file.frames))


_CUT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_SIZE = (1 << 31) - (1 << 16)  # bytes; who writes wav into a pipe gives the largest size there is, 2 or 4 GiB


def missing(file: soundfile.SoundFile, num_samples: int) -> int:
    """Samples that the header tells of and the data, read to the end, do not hold; 0 where the header does not know."""
    cut = _CUT.search(file.extra_info)  # libsndfile mends the size of a torn wav, aiff or au, and says so only here
    if cut is not None and num_samples:
        told, held = int(cut[1]), int(cut[2])
        return 0 if told >= _UNKNOWN_SIZE else (told - held) * num_samples // max(held, 1)
    if file.frames >= _UNKNOWN_LENGTH:
        return 0
    absent = max(0, file.frames - num_samples)
    # An mp3 may have no count, and libsndfile then guesses it from the bit rate.
    return 0 if file.format == "MP3" and absent <= max(MP3_GUESS * file.frames, 2 * 1152) else absent
