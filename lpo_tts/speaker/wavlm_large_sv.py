"""The speaker vectors that seed-tts-eval measures SIM with: WavLM-large fine-tuned under an ECAPA-TDNN head."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_like_length
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.speaker.ecapa_small import EcapaSmall
from lpo_tts.speaker.waveforms import check_waveforms
from lpo_tts.speaker.wavlm_names import HEAD_NAMES, WAVLM_NAMES, Table, new_name, published_name

SAMPLE_RATE = 16000  # Hz
STRIDES = (5, 2, 2, 2, 2, 2, 2)  # of the seven convolutions over samples: no name in the checkpoint tells of them
MAX_DISTANCE = 800  # frames that WavLM's relative positions tell apart; untold likewise
FRONT = "feature_extract.model."  # before each name of WavLM
TRAINING_ONLY = "loss_calculator."  # the classifier of the training speakers
EXPECTED = (
    "wavlm_large_finetune.pth as microsoft/UniSpeech publishes it (downstreams/speaker_verification: WavLM large, not fixed)"
)


@dataclass(frozen=True)
class WavLMLargeSpeakerEncoder:
    """Official WavLM-large speaker verification checkpoint, by which seed-tts-eval reports SIM.

    Its frames are a learnt mean over all layers of WavLM (arXiv 2110.13900), its head ECAPA-TDNN (arXiv 2005.07143) with 512
    channels. The file is read as tensors alone, and each of its names must be one that belongs there.

    Attributes:
        model: the file wavlm_large_finetune.pth, which microsoft/UniSpeech links to (no hub id).
        min_duration: seconds; shorter audio is refused.
        batch_size: waveforms of like length taken at once.
    """

    model: str
    min_duration: float = 0.3
    batch_size: int = 8

    about = {"licence": "CC BY-SA 3.0 by microsoft/UniSpeech (of the file itself not verified)", "sample_rate": 16000}
    bounds = {"min_duration": above(0.05), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedWavLMLargeSpeakerEncoder":
        """Loads the weights; raises ComponentError naming what is missing, does not belong there, or does not fit."""
        names = _read(Path(self.model))
        fronts = {name.removeprefix(FRONT): value for name, value in names.items() if name.startswith(FRONT)}
        heads = {name: value for name, value in names.items() if not name.startswith((FRONT, TRAINING_ONLY))}
        try:
            front = _wavlm(fronts)
            head = _head(heads, len(front.encoder.layers) + 1)
        except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            what = f"no {error.args[0]}" if isinstance(error, KeyError) else hf.one_line(error)
            raise ComponentError(f"{self.model}: expected {EXPECTED}, found {what}") from error
        _fill(front, fronts, WAVLM_NAMES, self.model, FRONT)
        _fill(head, heads, HEAD_NAMES, self.model)
        return LoadedWavLMLargeSpeakerEncoder(front.eval().to(device), head.eval().to(device), self)


class LoadedWavLMLargeSpeakerEncoder:
    """The two networks in memory."""

    sample_rate = SAMPLE_RATE

    def __init__(self, front, head: EcapaSmall, settings: WavLMLargeSpeakerEncoder) -> None:
        self._front, self._head = front, head
        self._batch_size = settings.batch_size
        self.min_duration = settings.min_duration

    @torch.inference_mode()
    def embed(self, audio: Sequence[Tensor]) -> Tensor:
        """Mono waveforms (num_samples,) float32 to (batch, dim) float32 of unit length, on the CPU.

        Waveforms of like length share a batch; both networks leave padding out.

        Raises:
            ComponentError: there is nothing to embed, or a waveform is shorter than `min_duration`.
        """
        check_waveforms(audio, self.min_duration, SAMPLE_RATE)
        batches = of_like_length([waveform.numel() for waveform in audio], self._batch_size)
        vectors = map_batches(batches, lambda batch: self._embed([audio[index] for index in batch]))
        return torch.stack([vectors[index] for index in range(len(audio))])

    def _embed(self, waveforms: list[Tensor]) -> Tensor:
        """(batch, dim) of waveforms, padded to the longest."""
        device = self._head.layer_weights.device
        level = [torch.nn.functional.layer_norm(one.to(device, torch.float32), one.shape) for one in waveforms]
        padded = torch.nn.utils.rnn.pad_sequence(level, batch_first=True)
        lengths = torch.tensor([len(one) for one in waveforms], device=device)
        heard = (torch.arange(padded.shape[1], device=device) < lengths[:, None]).long()
        found = self._front(padded, attention_mask=heard, output_hidden_states=True)
        # The head was trained on the last layer after the final norm; transformers 5 gives it before.
        layers = (*found.hidden_states[:-1], found.last_hidden_state)
        inside = self._front._get_feature_vector_attention_mask(layers[0].shape[1], heard).bool()
        return torch.nn.functional.normalize(self._head(layers, inside).float(), dim=-1).cpu()


def _read(path: Path) -> dict[str, Tensor]:
    """The checkpoint's own names and tensors; no code in it is run."""
    if not path.is_file():
        raise ComponentError(f"{path}: expected the file {EXPECTED}, found none; download it and name it as `model`")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        names = stored["model"]
        return {name: value.float() if value.is_floating_point() else value for name, value in names.items()}
    except (
        *(RuntimeError, OSError, EOFError, LookupError, TypeError, AttributeError, ValueError),
        pickle.UnpicklingError,
    ) as error:
        raise ComponentError(f"{path}: expected {EXPECTED}, cannot read it: {hf.one_line(error)}") from error


def _wavlm(state: Mapping[str, Tensor]):
    """WavLM of transformers with the sizes of the tensors, not yet filled."""
    from transformers import WavLMConfig, WavLMModel

    convs = [state[f"feature_extractor.conv_layers.{index}.0.weight"].shape for index in range(len(STRIDES))]
    hidden, per_group, positions = state["encoder.pos_conv.0.weight_v"].shape
    config = WavLMConfig(
        hidden_size=hidden,
        num_hidden_layers=sum(name.endswith(".fc1.weight") for name in state),
        num_attention_heads=state["encoder.layers.0.self_attn.grep_a"].shape[1],
        intermediate_size=state["encoder.layers.0.fc1.weight"].shape[0],
        conv_dim=tuple(shape[0] for shape in convs),
        conv_kernel=tuple(shape[2] for shape in convs),
        conv_stride=STRIDES,
        conv_bias="feature_extractor.conv_layers.0.0.bias" in state,
        num_conv_pos_embeddings=positions,
        num_conv_pos_embedding_groups=hidden // per_group,
        num_buckets=state["encoder.layers.0.self_attn.relative_attention_bias.weight"].shape[0],
        max_bucket_distance=MAX_DISTANCE,
        feat_extract_norm="layer",  # as in WavLM large: frames and waveforms are normalised one by one
        do_stable_layer_norm=True,
        layerdrop=0.0,
    )
    return WavLMModel(config)


def _head(state: Mapping[str, Tensor], num_layers: int) -> EcapaSmall:
    """The head with the sizes of the tensors, not yet filled."""
    channels, features, _ = state["layer1.conv.weight"].shape
    return EcapaSmall(
        num_layers=num_layers,
        features=features,
        channels=channels,
        squeezed=state["layer2.SE_Connect.linear1.weight"].shape[0],
        joint=state["conv.weight"].shape[0],
        attention=state["pooling.linear1.weight"].shape[0],
        dim=state["linear.weight"].shape[0],
    )


def _fill(net: torch.nn.Module, state: Mapping[str, Tensor], table: Table, path: str, front: str = "") -> None:
    """Loads tensors by their new names, every one of which must be wanted and there."""
    wanted = net.state_dict()
    renamed = {new_name(name, table): name for name in state}
    extra = sorted(front + name for new, name in renamed.items() if new not in wanted)
    absent = sorted(front + published_name(new, table) for new in wanted if new not in renamed)
    if extra or absent:
        found = [f"no {_few(absent)}"] if absent else []
        found += [f"{_few(extra)}, which it does not have"] if extra else []
        raise ComponentError(f"{path}: expected {EXPECTED}, found {' and '.join(found)}")
    try:
        net.load_state_dict({new: state[name] for new, name in renamed.items()})
    except RuntimeError as error:
        raise ComponentError(f"{path}: expected {EXPECTED}, tensors do not fit: {hf.one_line(error)}") from error


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
