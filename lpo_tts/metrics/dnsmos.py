"""DNSMOS: a network's guess at how listeners would rate the signal (advisory; no judge of words or voice)."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from lpo_tts import audio
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics.base import Judgement, Speech

SAMPLE_RATE = 16000  # Hz, what the networks were trained on


@dataclass(frozen=True)
class Dnsmos:
    """Settings of DNSMOS P.835 (Reddy et al., arXiv 2110.01763), by the package `speechmos`, on the CPU.

    Args:
        min_duration: seconds; shorter audio gets no value (the network hears 9 s and repeats what is shorter).
        num_threads: CPU threads.
    """

    min_duration: float = 0.3
    num_threads: int = 1

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raises ConfigError when a setting is out of range."""
        if not self.min_duration > 0:
            raise ConfigError(f"min_duration must be above 0 s, found {self.min_duration}")
        if self.num_threads < 1:
            raise ConfigError(f"num_threads must be at least 1, found {self.num_threads}")

    def load(self, device: str = "cpu") -> "LoadedDnsmos":
        """Loads the networks that come with the package; raises ComponentError when it is not installed."""
        try:
            onnxruntime = importlib.import_module("onnxruntime")
            package = importlib.import_module("speechmos.dnsmos")
        except ImportError as error:
            raise ComponentError(
                f"dnsmos needs speechmos, onnxruntime and librosa ({error}); install them: pip install 'lpo-tts[mini]'"
            ) from error
        folder = Path(package.__file__).parent / "dnsmos_models"
        scorer = package.DNSMOS(str(folder / "sig_bak_ovr.onnx"), str(folder / "model_v8.onnx"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = self.num_threads
        providers = ["CPUExecutionProvider"]
        # The package's own sessions take every core of the machine.
        scorer.onnx_sess = onnxruntime.InferenceSession(str(folder / "sig_bak_ovr.onnx"), options, providers=providers)
        scorer.p808_onnx_sess = onnxruntime.InferenceSession(str(folder / "model_v8.onnx"), options, providers=providers)
        return LoadedDnsmos(scorer, self.min_duration)


class LoadedDnsmos:
    """The networks in memory."""

    def __init__(self, scorer: Any, min_duration: float) -> None:
        self._scorer = scorer
        self.min_duration = min_duration

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Overall quality (OVRL, about 1 to 5) per piece of speech; `detail` holds sig, bak and p808."""
        return [self._judge(item) for item in speech]

    def _judge(self, item: Speech) -> Judgement:
        seconds = item.audio.numel() / item.sample_rate
        if seconds < self.min_duration:
            reason = f"the audio is too short: {seconds:.2f} s, at least {self.min_duration} s are needed"
            return Judgement(value=None, detail={"reason": reason})
        if not bool(torch.isfinite(item.audio).all()):
            return Judgement(value=None, detail={"reason": "the audio holds NaN or infinity"})
        # The package refuses samples outside [-1, 1]; clipping is what writing a wav file does too.
        samples = audio.resample(item.audio, item.sample_rate, SAMPLE_RATE).clamp(-1.0, 1.0).numpy()
        result = self._scorer(samples, SAMPLE_RATE, False)
        detail = {name: round(float(result[f"{name}_mos"]), 4) for name in ("sig", "bak", "p808")}
        return Judgement(value=float(result["ovrl_mos"]), detail=detail)
