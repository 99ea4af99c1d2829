"""ECAPA-TDNN speaker vectors (arXiv 2005.07143) by SpeechBrain, from the hub or from a local folder."""

import logging
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.speaker import hyperparams
from lpo_tts.speaker.waveforms import check_waveforms, middle

SETTINGS = "hyperparams.yaml"
WEIGHTS = ("embedding_model.safetensors", "embedding_model.ckpt")  # ours first: no pickle
PARTS = {  # what is built of the file, and the only class that each may be
    "compute_features": "speechbrain.lobes.features.Fbank",
    "mean_var_norm": "speechbrain.processing.features.InputNormalization",
    "embedding_model": "speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN",
}
NAMES = {"torch.nn.ReLU": nn.ReLU, "torch.nn.LeakyReLU": nn.LeakyReLU, "torch.nn.GELU": nn.GELU}  # for `activation`
EXPECTED = f"a folder with {SETTINGS} of SpeechBrain and {WEIGHTS[0]} or {WEIGHTS[1]}"


@dataclass(frozen=True)
class ECAPAEncoder:
    """ECAPA-TDNN (arXiv 2005.07143), by SpeechBrain.

    A local folder holds `hyperparams.yaml` in SpeechBrain's form, naming `compute_features`, `mean_var_norm`,
    `embedding_model` and, where it is not 16000 Hz, `sample_rate`; and the weights of the embedding model, as
    `embedding_model.safetensors` (any float type) or `embedding_model.ckpt` (SpeechBrain's). The YAML file is read as
    data: of those three keys their one class is built, with plain values; all else in it is left alone.

    Attributes:
        model: hub id or folder.
        min_duration: seconds; shorter audio is refused.
        max_duration: seconds; of longer audio only the middle is heard. Waveforms of that length share batches, which makes
            many short clips several times faster; None = all of it.
        batch_size: waveforms of equal length taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "speechbrain/spkrec-ecapa-voxceleb"
    min_duration: float = 0.3
    batch_size: int = 16
    max_duration: float | None = None
    revision: str | None = None

    about = {"licence": "Apache-2.0 (not verified)", "sample_rate": 16000, "extra": "speaker"}
    bounds = {"min_duration": above(0), "max_duration": above(0), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if self.max_duration is not None and self.max_duration < self.min_duration:
            raise ConfigError(f"max_duration must be at least min_duration ({self.min_duration} s), found {self.max_duration}")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedECAPAEncoder":
        """Loads the modules; raises ComponentError when SpeechBrain, a file or a module is missing or does not fit."""
        hf.location(self.model, self.revision)  # refuses what can be no source before SpeechBrain is imported
        folder = Path(self.model) if hf.is_local(self.model) else _download(self.model, self.revision)
        (features, normaliser, embedder), sample_rate = _build(folder / SETTINGS)
        _load_weights(embedder, folder)
        return LoadedECAPAEncoder(
            features.to(device).eval(), normaliser.to(device).eval(), embedder.to(device).eval(), sample_rate, self, device
        )


class LoadedECAPAEncoder:
    """The encoder in memory."""

    def __init__(
        self,
        features: torch.nn.Module,
        norm: torch.nn.Module,
        model: torch.nn.Module,
        sample_rate: int,
        settings: ECAPAEncoder,
        device: str,
    ) -> None:
        self._features, self._norm, self._model = features, norm, model
        self.sample_rate = sample_rate
        self.min_duration = settings.min_duration
        self._max_duration = settings.max_duration
        self._batch_size = settings.batch_size
        self._device = device

    @torch.inference_mode()
    def embed(self, audio: Sequence[Tensor]) -> Tensor:
        """Mono waveforms (num_samples,) float32 to (batch, dim) float32 of unit length, on the CPU.

        Only waveforms of equal length share a batch: the model's convolutions mirror the end of what they are given, so a
        padded waveform would get another vector than the same waveform alone.

        Raises:
            ComponentError: there is nothing to embed, or a waveform is shorter than `min_duration`.
        """
        check_waveforms(audio, self.min_duration, self.sample_rate)
        heard = [middle(waveform, self._max_duration, self.sample_rate) for waveform in audio]
        batches = of_equal_length([waveform.numel() for waveform in heard], self._batch_size)
        vectors = map_batches(batches, lambda batch: self._embed([heard[index] for index in batch]))
        return torch.stack([vectors[index] for index in range(len(audio))])

    def _embed(self, parts: Sequence[Tensor]) -> Tensor:
        """(batch, dim) of waveforms of one length."""
        waveforms = torch.stack(list(parts)).to(self._device, torch.float32)
        lengths = torch.ones(len(waveforms), device=waveforms.device)  # relative to the longest of the batch
        features = self._norm(self._features(waveforms), lengths)
        vectors = self._model(features, lengths)  # (batch, 1, dim)
        return torch.nn.functional.normalize(vectors.squeeze(1).float(), dim=-1).cpu()


def _download(model: str, revision: str | None) -> Path:
    """Fetches settings and weights into the Hugging Face cache, and returns their folder there."""
    with hf.loading(model, EXPECTED, revision) as place:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, allow_patterns=[SETTINGS, *WEIGHTS], **place))


def _build(path: Path) -> tuple[tuple[nn.Module, nn.Module, nn.Module], int]:
    """The modules that `hyperparams.yaml` describes, and the sample rate in Hz."""
    tree = hyperparams.read(path)
    missing = next((part for part in PARTS if part not in tree), None)
    if missing is not None:
        raise ComponentError(f"{path}: expected the keys {', '.join(PARTS)}, found no {missing}")
    wanted = {part: hyperparams.arguments(tree, part, name, str(path), NAMES) for part, name in PARTS.items()}
    if wanted["mean_var_norm"].get("norm_type", "global") == "global":
        raise ComponentError(f"{path}: expected mean_var_norm of norm_type sentence or batch, found global")
    sample_rate = hyperparams.value(tree, tree.get("sample_rate", 16000), f"{path}: sample_rate")
    if not isinstance(sample_rate, int) or sample_rate < 1:
        raise ComponentError(f"{path}: expected a sample_rate in Hz, found {sample_rate!r}")
    features, norm, model = _classes()
    try:
        parts = features(**wanted["compute_features"]), norm(**wanted["mean_var_norm"]), model(**wanted["embedding_model"])
    except (
        TypeError,
        ValueError,
        LookupError,
        ArithmeticError,
        AttributeError,
        AssertionError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise ComponentError(f"{path}: cannot build SpeechBrain's modules of these settings: {hf.first_line(error)}") from error
    return parts, sample_rate


def _classes() -> tuple[Callable[..., nn.Module], ...]:
    """The classes of `PARTS`, in its order, by imports that no file has a say in."""
    logging.getLogger("speechbrain").setLevel(logging.ERROR)  # it reports every import and every file
    try:
        from speechbrain.lobes.features import Fbank
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
        from speechbrain.processing.features import InputNormalization
    except OSError as error:
        raise ComponentError(f"ecapa needs torchaudio, which cannot be loaded: {hf.TORCHAUDIO}") from error
    except ImportError as error:
        raise ComponentError(f"ecapa needs speechbrain ({error}); install it: pip install 'lpo-tts[speaker]'") from error
    return Fbank, InputNormalization, ECAPA_TDNN


def _load_weights(model: torch.nn.Module, folder: Path) -> None:
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise ComponentError(f"{folder}: expected {' or '.join(WEIGHTS)}, found neither")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in state.items()})
    except (
        *(RuntimeError, OSError, EOFError, LookupError, TypeError, AttributeError, ValueError),
        *(pickle.UnpicklingError, safetensors.SafetensorError),
    ) as error:
        raise ComponentError(
            f"{path}: expected the weights of the model in {SETTINGS}, they do not fit: {hf.one_line(error)}"
        ) from error
