"""vLLM: candidates from an engine of its own, in a process and Python environment of its own, for models of one stream."""

import copy
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.backbones.base import Backbone
from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.bounds import above, at_least
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.lm.choices import Choices
from lpo_tts.sampling.base import Drawing, SampledAnswer, SampleRequest
from lpo_tts.sampling.local import cut_blocks
from lpo_tts.sampling.vllm_process import VllmProcess, check_installed

PROCESSOR, KEY = "vllm_codes:CodesOnly", "lpo_tts"  # see `sampling.apart.vllm_codes`
LOWEST = 0.01  # vLLM raises temperatures between 0 and this one to it
WITHOUT = {
    "repetition_window": "vLLM's repetition_penalty looks at all of prompt and answer",
    "ras_window": "vLLM cannot draw a token again",
}
FIXED = ("restrict", "gpu_memory_utilization", "max_model_len", "tensor_parallel_size", "enforce_eager")


@runtime_checkable
class Causal(Protocol):
    """What of a backbone's settings the engine is told."""

    model: str
    dtype: hf.Dtype
    revision: str | None
    adapter: str | None

    def load(self, device: str = "cpu", model: str | None = None) -> Any:
        """The model, an adapter merged into its weights."""
        ...


@dataclass(frozen=True)
class VllmSampler(Drawing):
    """Decodes with vLLM, on a GPU, models of one stream whose architecture vLLM knows (Llama, Qwen2, Qwen3, ...).

    vLLM runs in a process of its own, in the environment whose interpreter the variable LPO_TTS_VLLM_PYTHON names; without
    the variable in this one. vLLM 0.33 wants another transformers than this package, so they rarely share one.

    Every candidate is a request of its own with its own seed. Its tokens are others than those `local` draws for that seed,
    from the same distribution: vLLM has its own random numbers, and applies min_p before top_k and top_p. What is drawn
    depends on the seed, not on the batch, but for rounding, and vLLM's batches change from run to run. `restrict`,
    min_tokens and a backbone's merged ends are done by a logits processor. repetition_window and ras_window are refused,
    and so are temperatures above 2 and between 0 and 0.01. See docs/sampling.md.

    Attributes:
        part_size: candidates handed to the engine at once; their answers are in memory together. Also the unit of resuming.
        gpu_memory_utilization: share of the GPU's memory that the engine takes; the codec and other models need the rest.
        max_model_len: the longest prompt and answer together, in tokens, for which the engine keeps room; None = what the
            checkpoint's configuration says.
        tensor_parallel_size: over how many GPUs the weights are divided, from `device` on.
        enforce_eager: without compilation and CUDA graphs: starts sooner, decodes more slowly.
    """

    part_size: int = 1024  # pyright: ignore[reportIncompatibleVariableOverride]
    gpu_memory_utilization: float = 0.8
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
    enforce_eager: bool = False

    bounds = {
        "temperature": at_least(0.0).at_most(2.0),
        "part_size": at_least(1),
        "gpu_memory_utilization": above(0.0).at_most(1.0),
        "max_model_len": at_least(2),
        "tensor_parallel_size": at_least(1).at_most(64),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.temperature < LOWEST:
            raise ConfigError(f"temperature: expected 0, or at least {LOWEST}, to which vLLM raises it, found {self.temperature}")
        for name, reason in WITHOUT.items():
            if getattr(self, name):
                raise ConfigError(f"{name}: expected 0, found {getattr(self, name)}: {reason}; use `sampling: {{name: local}}`")

    def check(self, backbone: Backbone) -> None:
        """As `Drawing.check`; ComponentError too where the model is none for vLLM, or there is no vLLM."""
        _causal(backbone)
        check_installed()

    def load(self, backbone: Backbone, device: str = "cpu", model: str | None = None) -> "LoadedVllmSampler":
        """Starts the process, which loads the weights.

        Args:
            backbone: of one stream.
            device: the first GPU; `cpu` leaves the choice to vLLM, whose builds have one kind of device each.
            model: another checkpoint of the same kind, which has no revision and no adapter. With an adapter of the backbone,
                merged weights are written to a temporary folder until the engine has read them.

        Raises:
            ComponentError: the model has several streams, is none of transformers, or vLLM is missing or cannot load it.
        """
        causal, choices = _causal(backbone)
        source = model or causal.model
        hf.refuse_adapter(source)
        if causal.adapter is None or source != causal.model:
            return self._load(source, causal, choices, device)
        with tempfile.TemporaryDirectory(prefix="lpo-tts-merged-") as folder:
            causal.load("cpu").module.save_pretrained(folder)
            return self._load(folder, causal, choices, device)

    def _load(self, source: str, backbone: Causal, choices: Choices, device: str) -> "LoadedVllmSampler":
        place = hf.location(source, backbone.revision if source == backbone.model else None)
        settings: dict[str, Any] = {
            "model": source,
            **place,
            "dtype": backbone.dtype,
            "skip_tokenizer_init": True,  # ids go in, ids come out
            "generation_config": "vllm",  # the checkpoint's own would add ends
            "logits_processors": [PROCESSOR],
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "tensor_parallel_size": self.tensor_parallel_size,
            "enforce_eager": self.enforce_eager,
        }
        if self.max_model_len is not None:
            settings["max_model_len"] = self.max_model_len
        process = VllmProcess(device, self.tensor_parallel_size)
        facts = process.ask(settings, f"{source}: vLLM cannot load it")
        highest = max(stop for ranges in choices.ranges for _, stop in ranges) - 1
        if highest >= facts["vocabulary"]:
            process.close()
            raise ComponentError(
                f"{source}: expected a row of the vocabulary for token {highest}, found {facts['vocabulary']}; "
                "tokenizer and weights do not belong together"
            )
        return LoadedVllmSampler(process, choices, facts["max_model_len"], self)


def _causal(backbone: Backbone) -> tuple[Causal, Choices]:
    """The backbone and among what it chooses; raises ComponentError for one of several streams, or none of transformers."""
    token_map = backbone.token_map()
    if not isinstance(token_map, FlatAnswers) or not isinstance(backbone, Causal):
        raise ComponentError(
            f"{backbone.model}: vLLM decodes causal models of one stream, found {type(backbone).__name__} "
            f"({token_map.streams} streams); use `sampling: {{name: local}}`"
        )
    return backbone, token_map.choices


class LoadedVllmSampler:
    """Samples with one engine; its process ends when no copy of this object is left.

    Args:
        process: the engine's.
        choices: what may stand at each place of a frame, and the ends.
        max_model_len: the longest prompt and answer together, in tokens.
        settings: how tokens are drawn.
    """

    def __init__(self, process: VllmProcess, choices: Choices, max_model_len: int, settings: VllmSampler) -> None:
        self.process, self.choices, self.max_model_len, self.settings = process, choices, max_model_len, settings

    def changed(self, **changes: Any) -> Self:
        """The same engine drawn from otherwise; raises ConfigError for a setting that the engine depends on."""
        fixed = [name for name in changes if name in FIXED]
        if fixed:
            raise ConfigError(f"{fixed[0]} cannot be changed once the model is loaded; load it anew")
        other = copy.copy(self)
        other.settings = replace(self.settings, **changes)
        return other

    def sample(self, requests: Iterable[SampleRequest]) -> Iterator[SampledAnswer]:
        """Decodes part after part; answers in the order of requests and seeds."""
        for part in cut_blocks((request for request in requests if request.seeds), self.settings.part_size):
            yield from self._sample(part)

    def _sample(self, part: Sequence[SampleRequest]) -> Iterator[SampledAnswer]:
        for request in part:
            self._check(request)
        asked = {
            "prompts": [request.prompt.tokens.reshape(-1).tolist() for request in part],
            "rows": [[number, seed] for number, request in enumerate(part) for seed in request.seeds],
            "sampling": self.parameters(),
        }
        found = iter(self.process.ask(asked, "vLLM cannot decode a part")["answers"])
        for request in part:
            for index, seed in enumerate(request.seeds):
                ids, reason, stop = next(found)
                where = f"prompt {request.prompt_id}, candidate {index}"
                yield SampledAnswer(request.prompt_id, index, seed, *self._answer(where, ids, reason, stop))

    def parameters(self) -> dict[str, Any]:
        """What every request of a part shares, in the words of vLLM's `SamplingParams`; the seed comes to it."""
        settings = self.settings
        return {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "min_p": settings.min_p,
            "repetition_penalty": settings.repetition_penalty,
            "max_tokens": settings.max_tokens,
            "stop_token_ids": list(self.choices.ends),
            "ignore_eos": True,  # the ends are those of the backbone alone
            "detokenize": False,
            "extra_args": {
                KEY: {
                    "places": [list(map(list, one)) for one in self.choices.ranges] if settings.restrict else [],
                    "ends": list(self.choices.ends),
                    "merge_ends": self.choices.merged,
                    "min_tokens": settings.min_tokens,
                }
            },
        }

    def _check(self, request: SampleRequest) -> None:
        """Raises ContractError for a prompt the engine cannot take; vLLM would cut a long one's answer without a word."""
        length, limit = len(request.prompt.tokens), self.settings.max_tokens
        if not length:
            raise ContractError(f"prompt {request.prompt_id}: expected at least one token, found none")
        if request.prompt.features:
            raise ContractError(
                f"prompt {request.prompt_id}: vLLM takes token ids alone, found {', '.join(request.prompt.features)}; "
                "use `sampling: {name: local}`"
            )
        if length + limit > self.max_model_len:
            raise ContractError(
                f"prompt {request.prompt_id}: {length} tokens and {limit} sampled ones exceed the engine's {self.max_model_len} "
                "positions; lower max_tokens, shorten the text or raise max_model_len"
            )

    def _answer(self, where: str, ids: list[int], reason: str | None, stop: int | str | None) -> tuple[Tensor, bool]:
        """(steps, 1) ids with their end, and whether the model ended them."""
        if reason not in ("stop", "length"):
            raise ContractError(f"{where}: expected vLLM to finish by stop or length, found {reason}; run the step again")
        ends = self.choices.ends[:1] if self.choices.merged else self.choices.ends
        if reason == "stop" and stop in ends and (not ids or ids[-1] not in ends):
            ids = [*ids, int(stop)]  # where a version leaves the stop token out
        tokens = torch.tensor(ids, dtype=torch.int64).unsqueeze(-1)
        stray = self._stray(tokens)
        if stray is not None:
            raise ContractError(
                f"{where}: token {ids[stray]} at step {stray} cannot stand there; the model's logits are not finite (a damaged "
                "checkpoint, or a dtype too narrow), or this vLLM ignores logits processors (0.33 is known to heed them)"
            )
        if (reason == "stop") != (bool(ids) and ids[-1] in ends):
            raise ContractError(f"{where}: vLLM says {reason}, its last token is {ids[-1] if ids else None}, the ends are {ends}")
        return tokens, reason == "stop"

    def _stray(self, tokens: Tensor) -> int | None:
        """The first step that `restrict` rules out; None: all is well, or nothing is restricted."""
        width = len(self.choices.slots) if self.settings.restrict else 0
        wrong = torch.zeros(len(tokens), dtype=torch.bool)
        for place in range(width):
            ids = tokens[place::width, 0]
            inside = torch.zeros(len(ids), dtype=torch.bool)
            for start, stop in self.choices.ranges[place]:
                inside |= (ids >= start) & (ids < stop)
            wrong[place::width] = ~inside
        return int(wrong.nonzero()[0]) if bool(wrong.any()) else None
