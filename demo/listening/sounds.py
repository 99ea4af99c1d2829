"""The clips of a trial as wav files in memory: spoilt where they should be, of one loudness and one sample rate."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.listening.catches import spoilt
from demo.listening.items import Item, Sound
from demo.listening.loudness import matched
from demo.listening.modes import REFERENCE, ModeName, Side, X
from lpo_tts import audio
from lpo_tts.errors import ArtefactError, LpoTtsError

VOICE = "voice"
LONGEST = 120.0  # seconds of a clip; nobody listens to more, and memory stays bounded
KEPT = 256 * 2**20  # bytes of wav files in memory
Clip = tuple[str, str]  # name and damage


class Unplayable(ArtefactError):
    """A clip of a trial cannot be played; another trial may."""


@dataclass(frozen=True)
class Wav:
    """A clip as it is sent."""

    data: bytes
    seconds: float


class Sounds:
    """Makes the clips of trials, and keeps those that were asked for last.

    Args:
        kept: bytes in memory, beside what is being sent.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._made: OrderedDict[tuple, dict[Clip, Wav]] = OrderedDict()
        self._lock = threading.Lock()  # one trial at a time, so that memory stays bounded however many ask

    def of(self, item: Item, mode: ModeName, sides: Sequence[Side], reference: str, *, anew: bool = False) -> dict[str, Wav]:
        """Everything that a trial plays, by label: the clips, "X" in ABX, "reference" in MUSHRA, "voice" where there is one.

        Args:
            item: of the trial.
            mode: of the test.
            sides: of the trial.
            reference: label of what X is, or "reference" in MUSHRA.
            anew: reads the clips, though they may be in memory.

        Raises:
            Unplayable: a clip cannot be read, is too long, or is the same as the one it is compared with.
        """
        clips = {side.label: (side.name, side.damage) for side in sides}
        wanted = tuple(sorted(set(clips.values()) | ({(REFERENCE, "")} if mode == "mushra" else set())))
        with self._lock:
            key = (id(item), wanted)
            made = self._made.pop(key, None)
            found = made if made is not None and not anew else _make(item, wanted)
            self._made[key] = found
            while len(self._made) > 1 and sum(len(wav.data) for one in self._made.values() for wav in one.values()) > self._kept:
                self._made.popitem(last=False)
        if mode in ("ab", "abx", "cmos") and len(wanted) == 2 and len({found[one].data for one in wanted}) == 1:
            raise Unplayable(f"{item.id}: {wanted[0][0]} and {wanted[1][0]} are the same to the last bit")
        by_label = {label: found[clip] for label, clip in clips.items()}
        if mode == "abx":
            by_label[X] = by_label[reference]
        if mode == "mushra":
            by_label[REFERENCE] = found[REFERENCE, ""]
        if (VOICE, VOICE) in found:
            by_label[VOICE] = found[VOICE, VOICE]
        return by_label


def _make(item: Item, wanted: Sequence[Clip]) -> dict[Clip, Wav]:
    try:
        return _made(item, wanted)
    except LpoTtsError as error:  # of a file, or of the codec that makes the clip
        raise Unplayable(str(error)) from error


def _made(item: Item, wanted: Sequence[Clip]) -> dict[Clip, Wav]:
    read: dict[str, Sound] = {name: _read(item, name) for name in dict.fromkeys(name for name, _ in wanted)}
    sounds: dict[Clip, Sound] = {
        (name, damage): (spoilt(read[name][0], read[name][1], damage) if damage else read[name][0], read[name][1])
        for name, damage in wanted
    }
    # One rate for all: nobody can tell a system by the header of its file.
    rate = max(rate for _, rate in sounds.values())
    if item.voice is not None:
        sounds[VOICE, VOICE] = _checked(audio.read(item.voice), item.voice)
    waves = [audio.resample(wave, own, rate) for wave, own in sounds.values()]
    return {
        clip: Wav(audio.wav_bytes(wave, rate), wave.numel() / rate)
        for clip, wave in zip(sounds, matched(waves, rate), strict=True)
    }


def _read(item: Item, name: str) -> Sound:
    if name == REFERENCE and item.reference is not None:
        return _checked(audio.read(item.reference), item.reference)
    if name not in item.clips:
        raise ArtefactError(f"{item.id}: there is no clip of {name}; the run was changed since the trial was shown")
    return _checked(item.clips[name].read(), f"{item.id} of {name}")


def _checked(sound: Sound, where: Path | str) -> Sound:
    seconds = sound[0].numel() / sound[1]
    if seconds > LONGEST:
        raise ArtefactError(f"{where}: expected at most {LONGEST:.0f} s to listen to, found {seconds:.0f} s; cut it")
    return sound


def seconds_of(wavs: Mapping[str, Wav]) -> dict[str, float]:
    """Label -> seconds, rounded to milliseconds."""
    return {label: round(wav.seconds, 3) for label, wav in wavs.items()}
