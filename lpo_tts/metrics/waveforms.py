"""What quality predictors do to speech before they hear it: tell what cannot be measured, resample the rest."""

import math
from collections.abc import Sequence

from torch import Tensor

from lpo_tts import audio
from lpo_tts.metrics.base import Judgement, Speech


def measurable(
    speech: Sequence[Speech], min_duration: float, sample_rate: int | None
) -> tuple[dict[int, Judgement], dict[int, Tensor]]:
    """Parts speech into what cannot be measured and what can.

    Args:
        speech: what is to be judged.
        min_duration: seconds that the metric needs.
        sample_rate: Hz that the metric hears; None: each piece at its own.

    Returns:
        By index: judgements without a value, with their reason; and waveforms (num_samples,) float32 on the CPU, within
        [-1, 1], as a wav file would have them.
    """
    without: dict[int, Judgement] = {}
    waves: dict[int, Tensor] = {}
    for index, item in enumerate(speech):
        reason = audio.unmeasurable(item.audio, item.sample_rate, min_duration)
        if reason is None:
            wave = audio.resample(item.audio, item.sample_rate, sample_rate or item.sample_rate)
            waves[index] = wave.detach().float().clamp(-1.0, 1.0).cpu()
            if waves[index].numel():
                continue
            del waves[index]
            reason = f"the audio is too short: no sample is left at {sample_rate} Hz"
        without[index] = Judgement(value=None, detail={"reason": reason})
    return without, waves


def in_order(found: dict[int, Judgement]) -> list[Judgement]:
    """Judgements by index, in their order."""
    return [found[index] for index in sorted(found)]


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Numbers of a `detail`, which are read and not computed with."""
    return {name: round(float(value), 4) for name, value in values.items()}


def not_finite(value: float) -> bool:
    """Whether a predictor gave no number."""
    return not math.isfinite(value)
