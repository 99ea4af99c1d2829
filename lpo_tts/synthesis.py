"""Synthesizer: a text, a voice and a seed to sound, with the model, codec and sampling of a recipe."""

import copy
import hashlib
import logging
import os
import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from lpo_tts import recipe as recipes
from lpo_tts.backbones.base import Backbone, PromptInputs, TokenMap
from lpo_tts.backbones.templates import takes_voice
from lpo_tts.bounds import at_least, check_value
from lpo_tts.codecs.base import Codec, LoadedCodec
from lpo_tts.errors import LpoTtsError
from lpo_tts.sampling import default_sampler
from lpo_tts.sampling.base import LoadedSampler, Sampler, SampleRequest
from lpo_tts.speaking import Recording, Voices, decode
from lpo_tts.steps.run import torch_device

log = logging.getLogger(__name__)

MAX_SEED = 2**53 - 1  # that of `candidate_seed`


@dataclass(frozen=True, eq=False)
class Line:
    """One text to speak.

    Attributes:
        text: what is said.
        voice: whose voice says it: an audio file, or samples (num_samples,) with their sample rate in Hz; None for a model
            that needs no voice.
        voice_text: what is said in the recording of the voice, for models whose template has it.
        seed: of the random numbers, from 0.
    """

    text: str
    voice: Recording | None = None
    voice_text: str = ""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Spoken:
    """One line as sound; unpacks into (audio, sample_rate).

    Attributes:
        audio: (num_samples,) float32 in [-1, 1]; no samples when nothing in the candidate can be decoded.
        sample_rate: Hz.
        finished: the model ended the candidate by itself; else it was cut after `max_tokens`.
        status: "ok", or what is wrong with the candidate's tokens.
    """

    audio: Tensor
    sample_rate: int
    finished: bool
    status: str

    def __iter__(self) -> Iterator[Tensor | int]:
        return iter((self.audio, self.sample_rate))


class Synthesizer:
    """Speaks texts with one model; model and codec are loaded at the first line.

    May be used from several threads, which then wait for each other.

    Args:
        backbone: settings of the model.
        codec: settings of its audio codec.
        sampling: who samples, and how tokens are drawn; None: the default sampler with its default settings.
        model: another checkpoint of the same kind, such as an aligned one; None: the backbone's own.
        device: "auto", "cpu", "cuda", "cuda:1", ...

    Raises:
        ConfigError: there is no such device.
        ComponentError: when model or codec are first needed and cannot be loaded.
        ContractError: then too, when the model writes other codes than the codec's.
    """

    def __init__(
        self,
        backbone: Backbone,
        codec: Codec,
        sampling: Sampler | None = None,
        *,
        model: str | os.PathLike[str] | None = None,
        device: str = "auto",
    ) -> None:
        self.backbone, self.sampling = backbone, default_sampler() if sampling is None else sampling
        self.model = None if model is None else os.fspath(model)
        self.device = torch_device(device)
        self._shared = _Shared(backbone, codec, self.device)
        self._sampler: LoadedSampler | None = None

    @classmethod
    def from_recipe(
        cls,
        path: str | os.PathLike[str],
        overrides: Sequence[str] = (),
        *,
        model: str | os.PathLike[str] | None = None,
        device: str | None = None,
    ) -> Self:
        """Takes model, codec, device and `synthesize.sampling` from a recipe file.

        Args:
            path: the recipe; its own paths are relative to the working directory, as for `lpo-tts`.
            overrides: changes to it, each key=value, such as "synthesize.sampling.temperature=0.7".
            model: another checkpoint than the recipe's backbone, such as `build/mini/run/final`.
            device: instead of the recipe's.

        Raises:
            ConfigError: the recipe is missing or wrong.
        """
        recipe = recipes.load(os.fspath(path), overrides)
        sampling = recipe.synthesize.sampling
        return cls(recipe.backbone, recipe.codec, sampling, model=model, device=device or recipe.device)

    def with_model(self, model: str | os.PathLike[str] | None) -> Self:
        """One that speaks with another checkpoint (None: the backbone's own); codec and voices in memory serve both."""
        other = copy.copy(self)
        other.model, other._sampler = None if model is None else os.fspath(model), None
        return other

    @property
    def codec(self) -> LoadedCodec:
        """The codec in memory."""
        with self._shared.lock:
            return self._shared.codec

    def say(
        self,
        text: str,
        voice: Recording | None = None,
        *,
        voice_text: str = "",
        seed: int = 0,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        max_tokens: int | None = None,
    ) -> Spoken:
        """Speaks one text; arguments and errors are those of `Line` and `say_all`."""
        line = Line(text, voice, voice_text, seed)
        return self.say_all([line], temperature=temperature, top_p=top_p, top_k=top_k, max_tokens=max_tokens)[0]

    def say_all(
        self,
        lines: Sequence[Line],
        *,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        max_tokens: int | None = None,
    ) -> list[Spoken]:
        """Speaks lines as one batch, or as several where the sampler's batches are smaller.

        A line sounds the same whatever else is in the batch, but for rounding: see `LoadedSampler.sample`.

        Args:
            lines: each with its own voice and seed.
            temperature: divides the logits; this and the following None: as in the sampling settings (see `Drawing`).
            top_p: keeps the most probable tokens that reach this probability.
            top_k: keeps this many most probable tokens.
            max_tokens: a line is cut after this many steps.

        Returns:
            One per line, in order.

        Raises:
            ContractError: a text is empty, too long for the model or has words the model does not know, or samples given
                as a voice are silent or broken; of several lines the message names the one, unless it is too long.
            ArtefactError: the file of a voice cannot be read, or is silent.
            ConfigError: a seed or a setting lies outside its range.
        """
        for line in lines:
            check_value("seed", line.seed, at_least(0).at_most(MAX_SEED))
        given = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "max_tokens": max_tokens}
        changes = {name: value for name, value in given.items() if value is not None}
        with self._shared.lock:
            prompts = self._prompts(lines)
            sampler = self._loaded()
            if changes:
                sampler = sampler.changed(**changes)
            requests = [
                SampleRequest(f"line {number}", prompt, (line.seed,))
                for number, (line, prompt) in enumerate(zip(lines, prompts, strict=True), 1)
            ]
            answers = [self._shared.token_map.parse(answer.tokens) for answer in sampler.sample(requests)]
            waves = decode([answer.codes for answer in answers], self.codec)
        nothing = torch.zeros(0)
        return [
            Spoken(nothing if wave is None else wave, self.codec.sample_rate, answer.finished, answer.status)
            for wave, answer in zip(waves, answers, strict=True)
        ]

    def _prompts(self, lines: Sequence[Line]) -> list[PromptInputs]:
        token_map, voices = self._shared.token_map, self._shared.voices
        keys = [None if line.voice is None else _key(line.voice) for line in lines]
        if any(key is not None for key in keys) and not takes_voice(self.backbone):
            log.warning("%s: the model does not hear the voice: its template has no {voice}", self.backbone.model)
        failed = voices.add({key: line.voice for key, line in zip(keys, lines, strict=True) if line.voice is not None})
        prompts = []
        for number, (key, line) in enumerate(zip(keys, lines, strict=True), 1):
            try:
                if key in failed:
                    raise failed[key]
                prompts.append(token_map.prompt(line.text, voices.codes[key] if key is not None else None, line.voice_text))
            except LpoTtsError as error:
                if len(lines) == 1:
                    raise
                raise type(error)(f"line {number}: {error}") from error
        return prompts

    def _loaded(self) -> LoadedSampler:
        if self._sampler is None:
            self._sampler = self.sampling.load(self.backbone, self.device, self.model)
        return self._sampler


class _Shared:
    """What synthesizers of several checkpoints share: token map, codec, voices that were encoded, and whose turn it is."""

    def __init__(self, backbone: Backbone, codec: Codec, device: str) -> None:
        self._backbone, self._codec, self._device = backbone, codec, device
        self.lock = threading.RLock()

    @cached_property
    def token_map(self) -> TokenMap:
        made = self._backbone.token_map()
        made.check(self.codec)
        return made

    @cached_property
    def codec(self) -> LoadedCodec:
        return self._codec.load(self._device)

    @cached_property
    def voices(self) -> Voices:
        return Voices(self.codec)


def _key(recording: Recording) -> Hashable:
    """Tells recordings apart; a file that was written anew is another one."""
    if isinstance(recording, tuple):
        wave = torch.as_tensor(recording[0]).detach().cpu()
        samples = wave.double().numpy()  # numpy has not all of torch's types
        return wave.dtype, samples.shape, recording[1], hashlib.sha256(samples.tobytes()).digest()
    path = os.path.abspath(recording)
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return path  # reading it says what is wrong
    return path, status.st_mtime_ns, status.st_size
