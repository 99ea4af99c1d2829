"""How fast a system spoke: seconds of synthesis for a second of audio, from what the side-cars of its parts state."""

from collections.abc import Mapping
from dataclasses import dataclass

from lpo_tts import artefacts
from lpo_tts.steps.run import Run

WAVS = "wavs of "  # the part with the wavs of a part of candidates is named so


@dataclass(frozen=True)
class RealTime:
    """Seconds of work per second of audio, apart for the model and for its codec.

    Attributes:
        model: of sampling the tokens.
        codec: of decoding them to waveforms.
    """

    model: float
    codec: float

    @property
    def both(self) -> float:
        """The real-time factor: below 1 is faster than the speech lasts."""
        return self.model + self.codec


def real_time(run: Run, system: str) -> RealTime | None:
    """How fast a system of this run folder spoke; None where nobody timed it, as before there were timings.

    The time is that of sampling and decoding alone, added up over all workers: it tells what a second of audio costs, not how
    long somebody waited. Two workers that share a machine slow each other down, so compare systems that were spoken with the
    same engine on the same machine. Candidates are sampled in batches, so one alone takes longer than its share. Loading is
    left out. So is the first part of every worker, which holds what happens at first use, as long as there are others.
    Candidates without decodable audio cost time and add no audio.

    Args:
        run: the run folder.
        system: its name.
    """
    folder = run.synthesized_path(system)
    meta_path = folder.with_name(f"{folder.name}.meta.json")
    if not meta_path.exists():
        return None
    parts = artefacts.stated_parts(folder, artefacts.read_object(meta_path))
    wavs = {name.removeprefix(WAVS): part.timing for name, part in parts.items() if name.startswith(WAVS)}
    audio = {name: timing["audio"] for name, timing in wavs.items() if "audio" in timing}
    model = _factor({name: parts[name].timing for name in audio if name in parts}, audio)
    codec = _factor({name: wavs[name] for name in audio}, audio)
    return None if model is None or codec is None else RealTime(model, codec)


def real_time_factor(run: Run, system: str) -> float | None:
    """Seconds of synthesis per second of audio; see `real_time`."""
    found = real_time(run, system)
    return None if found is None else found.both


def _factor(timings: Mapping[str, Mapping[str, float]], audio: Mapping[str, float]) -> float | None:
    """Seconds over seconds of audio; of parts that were not a worker's first, where those hold any audio."""
    if not timings or any("seconds" not in timing for timing in timings.values()):
        return None
    warm = {name for name, timing in timings.items() if not timing.get("first")}
    for chosen in (warm, set(timings)):
        total = sum(audio[name] for name in chosen)
        if total:
            return sum(timings[name]["seconds"] for name in chosen) / total
    return None
