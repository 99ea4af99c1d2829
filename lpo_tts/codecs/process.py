"""A codec that runs in a process, and a Python environment, of its own: codes and audio pass through two pipes."""

import itertools
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpo_tts.batches import consecutive, map_batches
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codecs.child import PROTOCOL, Child
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ConfigError

HELLO = {
    "sample_rate": int,
    "input_sample_rate": int,
    "frame_rate": (int, float),
    "codebook_sizes": list,
    "can_encode": bool,
}


@dataclass(frozen=True)
class ProcessCodec:
    """A codec server: a program of any environment that speaks the codec protocol (docs/extend/codec.md).

    Each process that loads the codec has a server of its own, which starts at `load` and ends with it.

    Attributes:
        command: program and arguments of the server, such as `[envs/distilcodec/bin/python, server.py, --model, folder]`;
            paths start from the working folder. Stand-alone arguments that name files count by the files' contents.
        voice: reference recording that the decoder needs (CosyVoice's flow, Chatterbox's S3Gen): an audio file. All
            speech is decoded with this one voice.
        batch_size: recordings or answers in one request.
        timeout: seconds for one request.
        start_timeout: seconds for the server to load its weights.
        sample_rate: Hz, what the server must return; None: any.
        frame_rate: frames per second that it must have; None: any.
        codebook_sizes: codes of each level that it must have; None: any.
    """

    command: tuple[str, ...]
    voice: str | None = None
    batch_size: int = 8
    timeout: float = 600.0
    start_timeout: float = 900.0
    sample_rate: int | None = None
    frame_rate: float | None = None
    codebook_sizes: tuple[int, ...] | None = None

    bounds = {
        "batch_size": at_least(1),
        "timeout": above(0),
        "start_timeout": above(0),
        "sample_rate": at_least(1),
        "frame_rate": above(0),
        "codebook_sizes": at_least(1),
    }
    programs = ("command",)  # settings from elsewhere may not start one: see SECURITY.md
    about = {"licence": "that of the server's weights", "sample_rate": None, "tokens_per_second": None}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.command or not all(self.command):
            raise ConfigError(
                f"command: expected a program and its arguments, found {list(self.command)}; see docs/extend/codec.md"
            )

    def load(self, device: str = "cpu") -> "LoadedProcessCodec":
        """Starts the server and waits for its hello.

        Raises:
            ComponentError: it does not start, has other rates or codebooks than these settings say, speaks another version
                of the protocol, or there is no such voice.
        """
        if sys.platform == "win32":
            raise ComponentError("the codec `process` needs the pipes of Linux or macOS, found Windows; use WSL")
        if self.voice is not None and not os.path.isfile(self.voice):
            raise ComponentError(f"voice: no such file: {self.voice!r}; expected a reference recording, check the path")
        return LoadedProcessCodec(self, device)


class LoadedProcessCodec:
    """The server of one process; a process forked from it, or a call after a fault, starts another."""

    def __init__(self, settings: ProcessCodec, device: str) -> None:
        self._settings, self._device = settings, device
        self._ids = itertools.count(1)
        self._child, hello = self._start()
        self._hello = hello
        self.sample_rate: int = hello["sample_rate"]
        self.input_sample_rate: int = hello["input_sample_rate"]
        self.frame_rate = float(hello["frame_rate"])
        self.codebook_sizes = tuple(hello["codebook_sizes"])

    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 to codes, a frame for each one begun.

        Raises:
            ContractError: as `check_audio`.
            ComponentError: the server cannot encode, fails, or returns other than whole frames of codes.
        """
        check_audio(audio)
        if audio and not self._hello["can_encode"]:
            raise ComponentError(f"{self._name}: this codec server cannot encode; use it for prompts without a voice")

        def encoded(batch: list[int]) -> Iterator[Codes]:
            waves = [audio[index].detach().to("cpu", torch.float32).contiguous().numpy() for index in batch]
            frames = [math.ceil(wave.size * self.frame_rate / self.input_sample_rate - 1e-6) for wave in waves]
            wanted = [[count] * len(self.codebook_sizes) for count in frames]
            values = self._ask("encode", [wave.size for wave in waves], waves, wanted, "<i4")
            levels = iter(np.split(values, np.cumsum([count for item in wanted for count in item])[:-1]))
            for number, item in zip(batch, wanted, strict=True):
                one = Codes(tuple(torch.from_numpy(next(levels).astype(np.int64)) for _ in item))
                self._check_range(number, one)
                yield one

        found = map_batches(consecutive(range(len(audio)), self._settings.batch_size), encoded)
        return [found[index] for index in range(len(audio))]

    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * sample_rate / frame_rate,) float32, on the CPU.

        Raises:
            ContractError: as `check_codes`.
            ComponentError: the server fails, or returns another number of samples, NaN or infinity.
        """
        check_codes(codes, self.codebook_sizes)

        def decoded(batch: list[int]) -> Iterator[Tensor]:
            items = [[level.to("cpu").numpy().astype("<i4") for level in codes[index].levels] for index in batch]
            lengths = [[level.size for level in item] for item in items]
            wanted = [round(codes[index].num_frames * self.sample_rate / self.frame_rate) for index in batch]
            values = self._ask("decode", lengths, [level for item in items for level in item], wanted, "<f4")
            for number, wave in zip(batch, np.split(values, np.cumsum(wanted)[:-1]), strict=True):
                if not np.isfinite(wave).all():
                    raise ComponentError(
                        f"{self._name}: codes {number}: expected finite samples, found NaN or infinity; avoid half precision"
                    )
                yield torch.from_numpy(wave.astype(np.float32))

        found = map_batches(consecutive(range(len(codes)), self._settings.batch_size), decoded)
        return [found[index] for index in range(len(codes))]

    def close(self) -> None:
        """Ends the server now; a later call would start another."""
        self._child.close()

    @property
    def _name(self) -> str:
        return f"codec server {self._child.name!r}"

    def _start(self) -> tuple[Child, dict[str, Any]]:
        settings = self._settings
        child = Child(settings.command)
        start = {
            "protocol": PROTOCOL,
            "device": self._device,
            "voice": None if settings.voice is None else os.path.abspath(settings.voice),
        }
        hello, _ = child.ask(start, [], settings.start_timeout, limit=0)
        try:
            _check_hello(f"codec server {child.name!r}", settings, hello)
        except ComponentError:
            child.close()
            raise
        return child, hello

    def _ask(self, do: str, lengths: list, arrays: Sequence[np.ndarray], wanted: list, dtype: str) -> np.ndarray:
        """One request; the values of the answer, whose lengths are the wanted ones."""
        if not self._child.alive:
            self._child.close()
            self._child, hello = self._start()
            if hello != self._hello:
                raise ComponentError(f"{self._name}: expected the hello of before, {self._hello}, found {hello}")
        number = next(self._ids)
        data = [array.astype(array.dtype.newbyteorder("<"), copy=False).data.cast("B") for array in arrays]
        # Twice the size, so that an answer of another length is told as that.
        limit = 2 * 4 * int(np.sum(wanted)) + 2**16
        header = {"id": number, "do": do, "lengths": lengths}
        answer, values = self._child.ask(header, data, self._settings.timeout, limit)
        if answer.get("id") != number:
            self._child.close()
            raise ComponentError(f"{self._name}: expected the answer to request {number}, found that to {answer.get('id')!r}")
        if "error" in answer:
            raise ComponentError(f"{self._name}: cannot {do}: {' '.join(str(answer['error']).split())}")
        found = answer.get("lengths")
        if found != wanted or len(values) != 4 * int(np.sum(wanted)):
            unit = "frames" if do == "encode" else "samples"
            told = f"{found} in {len(values)} bytes"
            self._child.close()
            raise ComponentError(
                f"{self._name}: expected {wanted} {unit} ({self.frame_rate:g} frames/s), found {told}; the server must fit them"
            )
        return np.frombuffer(values, dtype)

    def _check_range(self, number: int, codes: Codes) -> None:
        for level, (found, size) in enumerate(zip(codes.levels, self.codebook_sizes, strict=True)):
            wrong = found[(found < 0) | (found >= size)]
            if wrong.numel():
                raise ComponentError(
                    f"{self._name}: audio {number}: code {int(wrong[0])} lies outside codebook {level} (size {size})"
                )


def _check_hello(name: str, settings: ProcessCodec, hello: Mapping[str, Any]) -> None:
    """Raises ComponentError unless a hello is whole, and says what the settings expect."""
    if "error" in hello:
        raise ComponentError(f"{name}: cannot load: {' '.join(str(hello['error']).split())}")
    if hello.get("protocol") != PROTOCOL:
        raise ComponentError(
            f"{name}: expected version {PROTOCOL} of the codec protocol, found {hello.get('protocol')!r}; "
            "take serve.py of the same release"
        )
    for key, kind in HELLO.items():
        if not isinstance(hello.get(key), kind):
            raise ComponentError(f"{name}: hello: expected {key}, found {hello.get(key)!r}")
    sizes = hello["codebook_sizes"]
    numbers = [hello["sample_rate"], hello["input_sample_rate"], hello["frame_rate"], *sizes]
    if not sizes or not all(isinstance(one, int | float) and math.isfinite(one) and one > 0 for one in numbers):
        raise ComponentError(f"{name}: hello: expected rates and codebook sizes above 0, found {dict(hello)}")
    if not all(isinstance(size, int) and size < 2**31 for size in sizes):
        raise ComponentError(f"{name}: hello: expected codebook sizes that are integers of 32 bits, found {sizes}")
    for key in ("sample_rate", "frame_rate", "codebook_sizes"):
        expected = getattr(settings, key)
        found = tuple(sizes) if key == "codebook_sizes" else hello[key]
        if expected is not None and found != expected:
            raise ComponentError(f"{name}: expected {key} {expected}, found {found}; check `command`, or the setting")
