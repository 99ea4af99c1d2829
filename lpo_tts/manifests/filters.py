"""Filters: why a row is left out that has no fault, each under a name that is counted."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.levels import DEPTH, Levels
from lpo_tts.manifests.options import Options
from lpo_tts.manifests.recordings import Recording
from lpo_tts.manifests.scripts import other_script, primary
from lpo_tts.manifests.sentences import num_characters
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import LoadedMetric, Speech

Found = tuple[str, str]  # name of the filter, reason


def of_text(recording: Recording, options: Options) -> Found | None:
    """What the text alone tells, before any audio is read."""
    if options.languages and not any(_is_of(recording.language, one) for one in options.languages):
        return "language", f"language {recording.language!r} is none of {', '.join(options.languages)}"
    found = other_script(recording.text, recording.language) if options.check_script else None
    return None if found is None else ("script", found)


def _is_of(language: str, wanted: str) -> bool:
    """Whether a row of language "zh-CN" is wanted by "zh" or "zh-cn"; one of "zh" is by "zh" alone."""
    asked, given = (one.strip().lower().replace("_", "-") for one in (wanted, language))
    return given == asked or primary(given) == asked


def of_audio(
    recording: Recording, seconds: float, levels: Levels | None, options: Options, dnsmos: LoadedMetric | None = None
) -> Found | None:
    """What duration and levels tell; the first reason counts.

    Args:
        recording: of the corpus.
        seconds: its duration; more than 0.
        levels: gathered while it was decoded; None where no filter asks for them.
        options: bounds.
        dnsmos: the metric in memory, where `min_dnsmos` is given; used for rows whose corpus says nothing.

    Raises:
        ArtefactError: the tag `dnsmos` is there and is no number.
    """
    return next(_reasons(recording, seconds, levels, options, dnsmos), None)


def of_duration(seconds: float, options: Options) -> Found | None:
    """Whether a recording is too short or too long."""
    if options.min_duration <= seconds <= options.max_duration:
        return None
    bounds = f"{options.min_duration:g} to {options.max_duration:g} s"
    return "duration", f"duration {seconds:.2f} s lies outside {bounds}"


def _reasons(
    recording: Recording, seconds: float, levels: Levels | None, options: Options, dnsmos: LoadedMetric | None
) -> Iterator[Found]:
    slow, fast = options.min_chars_per_second, options.max_chars_per_second
    pace = num_characters(recording.text) / seconds
    if not (slow or 0.0) <= pace <= (fast or math.inf):
        bounds = f"{slow or 0:g} to {fast:g}" if fast is not None else f"{slow:g} and more"
        yield "characters_per_second", f"{pace:.2f} characters per second lie outside {bounds}"
    if levels is None:
        return
    if options.max_clipping is not None and levels.clipping > options.max_clipping:
        yield "clipping", f"{levels.clipping:.3%} of the samples are at full scale, more than {options.max_clipping:.3%}"
    if options.max_silence is not None and levels.silence > options.max_silence:
        shares = f"{levels.silence:.1%} of the frames are {DEPTH:g} dB below the loud ones, more than {options.max_silence:.1%}"
        yield "silence", shares
    if options.min_dnsmos is not None:
        value, why = _dnsmos(recording, levels, dnsmos)
        if value is None:
            yield "dnsmos", f"no DNSMOS: {why}"
        elif value < options.min_dnsmos:
            yield "dnsmos", f"DNSMOS {value:.2f}, less than {options.min_dnsmos:g}"


def _dnsmos(recording: Recording, levels: Levels, metric: LoadedMetric | None) -> tuple[float | None, str]:
    """Overall quality as the corpus says, else measured; None and why where there is none."""
    said = recording.tags.get("dnsmos")
    if said is not None:
        try:
            value = float(said)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ArtefactError(f"the tag dnsmos: expected a number, found {said!r}")
        return value, ""
    if metric is None:
        return None, "it was not measured"
    waveform = torch.from_numpy(np.concatenate(levels.kept))
    (judged,) = metric.judge([Speech(id=recording.id, audio=waveform, sample_rate=levels.sample_rate, text=recording.text)])
    return judged.value, str(judged.detail.get("reason", ""))


def new_levels(recording: Recording, options: Options) -> Levels | None:
    """What is to be gathered while a recording is decoded; None where no filter needs it."""
    measured = options.min_dnsmos is not None and "dnsmos" not in recording.tags
    if options.max_clipping is None and options.max_silence is None and options.min_dnsmos is None:
        return None
    return Levels(keep=options.max_duration if measured else 0.0)


def load_dnsmos(options: Options) -> LoadedMetric | None:
    """DNSMOS where a filter asks for it; raises ComponentError when its package is missing."""
    return REGISTRY.get("dnsmos")().load() if options.min_dnsmos is not None else None
