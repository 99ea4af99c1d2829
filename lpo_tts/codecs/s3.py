"""S3 tokens (25 a second, 6,561 codes): the tokenizer of CosyVoice 2 and 3 and Chatterbox, with a decoder in its own process."""

import importlib
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import Codec, LoadedCodec, check_audio, check_codes
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError

SIZE, RATE, HOP, MEL_HOP = 6561, 16000, 640, 160  # codes; Hz; samples of a token and of a mel frame
WINDOW, STRIDE = 3000, 2600  # mel frames that the network hears at once (30 s), and from one window to the next
MARGIN = (WINDOW - STRIDE) // 2 // 4  # tokens of a window's end that the next window hears better
HEAD_SIZE = 64  # of the attention, in every published size


@dataclass(frozen=True)
class S3Codec:
    """S3 tokenizer v2 (CosyVoice 2, Chatterbox) or v3 (CosyVoice 3): 16 kHz in, 25 tokens a second, 24 kHz out.

    The package `s3tokenizer` encodes. What turns tokens into sound is a flow with a voice, and runs as a codec server.

    Attributes:
        version: of the tokenizer; the tokens of one mean nothing to the other.
        model: weights, `.onnx` as published, or a state dict as `.safetensors` or `.pt`; None: what the package downloads
            from ModelScope and checks by its hash.
        decoder: a codec of S3 tokens whose `decode` is used, such as `{name: process, command: [...]}` with
            recipes/codec_servers/cosyvoice3.py; None: encoding alone.
        batch_size: windows of equal length encoded at once.
    """

    version: Literal["v2", "v3"] = "v2"
    model: str | None = None
    decoder: Codec | None = None
    batch_size: int = 8

    bounds = {"batch_size": at_least(1)}
    about = {"licence": "Apache-2.0", "sample_rate": 24000, "tokens_per_second": 25.0}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedS3Codec":
        """Loads the tokenizer, and starts the decoder if there is one.

        Raises:
            ComponentError: the package or the weights are missing or do not fit, or the decoder has other codes.
        """
        model = _tokenizer(self.version, self.model).to(device).eval()
        decoder = None if self.decoder is None else self.decoder.load(device)
        if decoder is not None and (decoder.codebook_sizes != (SIZE,) or decoder.frame_rate != RATE / HOP):
            raise ComponentError(
                f"decoder: expected one codebook of {SIZE} at {RATE / HOP:g} frames/s, found {decoder.codebook_sizes} "
                f"at {decoder.frame_rate:g}; check its `command`"
            )
        return LoadedS3Codec(model, decoder, self.batch_size)


class LoadedS3Codec:
    """The tokenizer in memory, and its decoder."""

    input_sample_rate = RATE
    frame_rate = RATE / HOP
    codebook_sizes = (SIZE,)

    def __init__(self, model: Any, decoder: LoadedCodec | None, batch_size: int) -> None:
        self._model, self._decoder, self._batch_size = model, decoder, batch_size
        self.sample_rate = 24000 if decoder is None else decoder.sample_rate

    @torch.inference_mode()
    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 to codes, one token per begun 640 samples.

        Recordings of more than 30 s are heard in windows that overlap by 4 s, of which each keeps the middle; the package
        alone loses up to 2 s of tokens where such a recording ends shortly behind a window's start.

        Raises:
            ContractError: as `check_audio`.
        """
        check_audio(audio)
        found = []
        for wave in audio:
            mel = self._mel(wave)
            # No window begins where the one before has reached the end.
            starts = range(0, mel.shape[-1] - WINDOW + STRIDE, STRIDE) if mel.shape[-1] > WINDOW else [0]
            windows = [mel[:, start : start + WINDOW] for start in starts]
            found.append((windows, -(-wave.numel() // HOP)))
        flat = [window for windows, _ in found for window in windows]
        tokens = map_batches(
            of_equal_length([window.shape[-1] for window in flat], self._batch_size),
            lambda batch: self._tokens(torch.stack([flat[index] for index in batch])),
        )
        codes, place = [], 0
        for windows, frames in found:
            codes.append(Codes((_joined([tokens[place + index] for index in range(len(windows))])[:frames].clone(),)))
            place += len(windows)
        return codes

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * sample_rate / 25,) float32, by the decoder.

        Raises:
            ContractError: as `check_codes`.
            ComponentError: there is no decoder, or it fails.
        """
        check_codes(codes, self.codebook_sizes)
        if self._decoder is None:
            raise ComponentError(
                "codec s3: S3 tokens become sound through a flow with a voice, found no `decoder`; give it a codec server, "
                "such as {name: process, command: [..., recipes/codec_servers/cosyvoice3.py, ...], voice: reference.wav}"
            )
        return self._decoder.decode(codes)

    def _mel(self, wave: Tensor) -> Tensor:
        """Log-mel spectrogram (num_mels, num_mel_frames), with frames for every begun token."""
        from s3tokenizer import log_mel_spectrogram

        wave = wave.detach().to(self._model.device, torch.float32)
        # The spectrogram drops a begun mel frame, and with it a token that has no whole one; and it mirrors 200 samples.
        missing = -wave.numel() % MEL_HOP if wave.numel() % HOP < MEL_HOP else 0
        size = max(wave.numel() + missing, 2 * MEL_HOP)
        return log_mel_spectrogram(torch.nn.functional.pad(wave, (0, size - wave.numel())), self._model.config.n_mels)

    def _tokens(self, mel: Tensor) -> Tensor:
        """Tokens (batch, num_tokens) of windows (batch, num_mels, num_mel_frames) of one length, int64 on the CPU."""
        lengths = torch.full((len(mel),), mel.shape[-1], dtype=torch.int32, device=mel.device)
        tokens, _ = self._model.quantize(mel, lengths)
        return tokens.to("cpu", torch.int64)


def _joined(windows: list[Tensor]) -> Tensor:
    """Tokens of overlapping windows as one run: at each overlap the first half is the window's before, the second the next's."""
    last = len(windows) - 1
    kept = [one[MARGIN if index else 0 : len(one) - (MARGIN if index < last else 0)] for index, one in enumerate(windows)]
    return torch.cat(kept)


def _tokenizer(version: str, source: str | None) -> Any:
    """The network with its weights, of the size that they have."""
    expected = f"weights of the S3 tokenizer {version} (.onnx, .safetensors or .pt) and the package s3tokenizer (extra `s3`)"
    where = source or f"speech_tokenizer_{version}_25hz"
    try:
        from s3tokenizer import model_v2, model_v3

        state = _weights(version, source)
        state_size, num_mels, _ = state["encoder.conv1.weight"].shape
        shape = {
            "n_mels": int(num_mels),
            "n_audio_state": int(state_size),
            "n_audio_head": int(state_size) // HEAD_SIZE,
            "n_audio_layer": len({name.split(".")[2] for name in state if name.startswith("encoder.blocks.")}),
        }
        v3 = version == "v3"
        kind, config = (model_v3.S3TokenizerV3, model_v3.ModelConfigV3) if v3 else (model_v2.S3TokenizerV2, model_v2.ModelConfig)
        model = kind(f"speech_tokenizer_{version}_25hz", config(**shape))
        model.load_state_dict(state, strict=True)  # the package itself lets v3 keep random values for what is missing
    except ComponentError:
        raise
    except _faults() as error:
        text = hf.TORCHAUDIO if "_torchaudio" in str(error) else hf.one_line(error)
        raise ComponentError(f"{where}: expected {expected}, cannot load it: {text.rstrip('.')}") from error
    return model


def _faults() -> tuple[type[Exception], ...]:
    """What reading weights raises where they are absent, torn or of another kind, or the network is out of reach."""
    import safetensors

    return (
        *(OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ImportError, EOFError, AssertionError),
        *(pickle.UnpicklingError, safetensors.SafetensorError),
    )


def _weights(version: str, source: str | None) -> dict[str, Tensor]:
    """State dict of the network, from a file or, without one, by the package's download."""
    import s3tokenizer

    if source is None:
        root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "s3tokenizer"  # the package's own place
        source = str(s3tokenizer._download(f"speech_tokenizer_{version}_25hz", str(root)))
    path = Path(source)
    if not path.is_file():
        raise ComponentError(f"no such file: {source!r}; expected weights of the S3 tokenizer {version}, check the path")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix == ".onnx":
        unreadable = importlib.import_module("google.protobuf.message").DecodeError  # onnx brings it along
        try:
            return _from_onnx(version, source)
        except unreadable as error:
            raise ComponentError(f"{source}: expected an ONNX file, cannot read it: {error}") from error
    return torch.load(path, map_location="cpu", weights_only=True)


def _from_onnx(version: str, source: str) -> dict[str, Tensor]:
    import s3tokenizer

    convert = s3tokenizer.onnx2torch_v3 if version == "v3" else s3tokenizer.onnx2torch
    return convert(source)  # type: ignore[return-value]
