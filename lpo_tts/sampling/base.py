"""What every sampler offers: requests in, answers out, in order; and how a candidate gets its seed."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

from torch import Tensor

from lpo_tts.backbones.base import Backbone, PromptInputs
from lpo_tts.bounds import above, at_least, check_settings


@dataclass(frozen=True)
class SampleRequest:
    """One prompt and the seeds of its candidates: candidate k is drawn with seeds[k]."""

    prompt_id: str
    prompt: PromptInputs
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class SampledAnswer:
    """One sampled answer."""

    prompt_id: str
    index: int
    seed: int
    tokens: Tensor  # (steps, streams) int64 on the CPU, the end included when there is one
    finished: bool  # the model ended it by itself


@dataclass(frozen=True)
class Drawing:
    """How tokens are drawn, whoever decodes; the settings that every sampler has.

    Attributes:
        temperature: divides the logits; 0 takes the most probable token.
        top_p: keeps the fewest most probable tokens that reach this probability; 1 = all.
        top_k: keeps this many most probable tokens (before top_p); 0 = all.
        max_tokens: a candidate is cut after this many steps (of one token per stream), and then is not finished.
        restrict: whether to draw among codes and end tokens only. Faster (a smaller head) and a trained model puts next to no
            probability elsewhere; training takes log-probabilities of the unmasked model all the same.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 2048
    restrict: bool = True

    bounds = {
        "temperature": at_least(0.0).at_most(100.0),
        "top_p": above(0.0).at_most(1.0),
        "top_k": at_least(0),
        "max_tokens": at_least(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")


class LoadedSampler(Protocol):
    """A model ready to be sampled from."""

    def sample(self, requests: Iterable[SampleRequest]) -> Iterator[SampledAnswer]:
        """Yields the answers in the order of requests and seeds; requests are taken as they are needed.

        A candidate's tokens depend on its prompt and seed, not on the other requests, but for rounding.

        Raises:
            ContractError: a prompt is empty or too long for the model, or the model's logits are not finite.
        """
        ...

    def changed(self, **changes: Any) -> Self:
        """The same model drawn otherwise: other values of temperature, top_p, top_k, max_tokens."""
        ...


class Sampler(Protocol):
    """Settings of a sampler (a frozen dataclass, with the fields of `Drawing`)."""

    @property
    def temperature(self) -> float:
        """See `Drawing`."""
        ...

    @property
    def top_p(self) -> float:
        """See `Drawing`."""
        ...

    @property
    def top_k(self) -> int:
        """See `Drawing`."""
        ...

    @property
    def part_size(self) -> int:
        """Candidates that this sampler likes to get at once: the unit of resuming, where a recipe names none."""
        ...

    def load(self, backbone: Backbone, device: str = "cpu", model: str | None = None) -> LoadedSampler:
        """Loads the model of a backbone; `model` names another checkpoint of the same kind (an aligned one).

        Raises:
            ComponentError: the model cannot be loaded, or not be decoded as these settings say.
        """
        ...


def candidate_seed(base_seed: int, candidate_id: str) -> int:
    """A seed from a candidate's id, the same on every machine; below 2**53 so that any JSON reader keeps it exact."""
    digest = hashlib.sha256(f"{base_seed}\n{candidate_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11
