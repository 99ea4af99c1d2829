"""DNSMOS: a network's guess at how listeners would rate the signal (advisory; no judge of words or voice)."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lpo_tts import audio
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.metrics.base import Judgement, Speech

SAMPLE_RATE = 16000  # Hz, what the network was trained on
WINDOW_DURATION = 9.01  # seconds, all that the network takes
WINDOW = 144160  # the same in samples
# From the network's output to the scale of the listeners, for signal, background and overall: the polynomials that the
# package speechmos applies (its `get_polyfit_val`), highest power first.
CURVES = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


@dataclass(frozen=True)
class DNSMOS:
    """Settings of DNSMOS P.835 (Reddy et al., arXiv 2110.01763), on the CPU.

    The network comes inside the package `speechmos`; its second one (P.808) is left out. The values are those of the
    package's `dnsmos.run`, to float32's last digits.

    Attributes:
        min_duration: seconds; shorter audio gets no value (the network hears 9 s and repeats what is shorter).
        num_threads: CPU threads.
    """

    min_duration: float = 0.3
    num_threads: int = 1

    higher_is_better: ClassVar[bool] = True
    advisory: ClassVar[bool] = True
    worst: ClassVar[float] = 1.0
    title: ClassVar[str] = "DNSMOS overall quality"
    short: ClassVar[str] = "DNSMOS"
    about = {"licence": "MIT by the package speechmos", "sample_rate": 16000}
    bounds = {"min_duration": above(0), "num_threads": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedDNSMOS":
        """Loads the network that comes with the package; raises ComponentError when it is not installed."""
        try:
            onnxruntime = importlib.import_module("onnxruntime")
            package = importlib.import_module("speechmos")
        except ImportError as error:
            raise ComponentError(
                f"dnsmos needs speechmos and onnxruntime ({error}); install them: pip install 'lpo-tts[mini]'"
            ) from error
        folder = Path(package.__path__[0]) / "dnsmos_models"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = self.num_threads
        session = onnxruntime.InferenceSession(str(folder / "sig_bak_ovr.onnx"), options, providers=["CPUExecutionProvider"])
        return LoadedDNSMOS(session, self.min_duration)


class LoadedDNSMOS:
    """The network in memory."""

    def __init__(self, session: Any, min_duration: float) -> None:
        self._session = session
        self.min_duration = min_duration

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Overall quality (OVRL, about 1 to 5) per piece of speech; `detail` holds sig and bak.

        Audio that is silent, too short or holds NaN has no value.
        """
        return [self._judge(item) for item in speech]

    def _judge(self, item: Speech) -> Judgement:
        reason = audio.unmeasurable(item.audio, item.sample_rate, self.min_duration)
        if reason is not None:
            return Judgement(value=None, detail={"reason": reason})
        # The network knows samples in [-1, 1]; clipping is what writing a wav file does too.
        samples = audio.resample(item.audio, item.sample_rate, SAMPLE_RATE).clamp(-1.0, 1.0).cpu().numpy()
        if not len(samples):
            return Judgement(value=None, detail={"reason": "the audio is too short: no sample is left at 16 kHz"})
        raw = np.mean([self._ratings(window) for window in _windows(samples)], axis=0)
        detail = {"sig": round(float(raw[0]), 4), "bak": round(float(raw[1]), 4)}
        return Judgement(value=float(raw[2]), detail=detail)

    def _ratings(self, window: np.ndarray) -> np.ndarray:
        """Signal, background and overall rating of one window."""
        raw = self._session.run(None, {"input_1": window[None].astype(np.float32)})[0][0]
        return np.array([np.polyval(curve, value) for curve, value in zip(CURVES, raw, strict=True)])


def _windows(samples: np.ndarray) -> list[np.ndarray]:
    """Windows of 9.01 s, one every second; what is shorter is doubled until it fills one.

    Their number and their ends are the package's, rounding included: it counts whole seconds, after doubling, and drops a
    window whose end falls one sample short.
    """
    while len(samples) < WINDOW:
        samples = np.concatenate([samples, samples])
    count = int(len(samples) // SAMPLE_RATE - WINDOW_DURATION) + 1
    ends = (int((start + WINDOW_DURATION) * SAMPLE_RATE) for start in range(count))
    windows = [samples[start * SAMPLE_RATE : end] for start, end in enumerate(ends)]
    return [window for window in windows if len(window) == WINDOW]
