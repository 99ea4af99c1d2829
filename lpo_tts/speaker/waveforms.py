"""What speaker encoders do to waveforms before they hear them: refuse scraps, take the middle of what is long."""

from collections.abc import Sequence

from torch import Tensor

from lpo_tts.errors import ComponentError


def check_waveforms(audio: Sequence[Tensor], min_duration: float, sample_rate: int) -> None:
    """Refuses what has no voice to be embedded.

    Args:
        audio: mono waveforms (num_samples,).
        min_duration: seconds.
        sample_rate: Hz.

    Raises:
        ComponentError: there is no waveform, or one is shorter than `min_duration`.
    """
    if not len(audio):
        raise ComponentError("expected at least one waveform to embed, found none")
    for index, waveform in enumerate(audio):
        if waveform.numel() < min_duration * sample_rate:
            seconds = waveform.numel() / sample_rate
            raise ComponentError(f"waveform {index}: expected at least {min_duration} s, found {seconds:.3f} s; leave it out")


def middle(waveform: Tensor, max_duration: float | None, sample_rate: int) -> Tensor:
    """The middle `max_duration` seconds of a waveform (num_samples,), or all of it where that is None or longer."""
    if max_duration is None or waveform.numel() <= (longest := round(max_duration * sample_rate)):
        return waveform
    start = (waveform.numel() - longest) // 2
    return waveform[start : start + longest]
