"""What every sampler offers: requests in, answers out, in order; and how a candidate gets its seed."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

from torch import Tensor

from lpo_tts.backbones.base import Backbone, PromptInputs
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ConfigError


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

    Logits are changed in this order: repetition_penalty, min_tokens, temperature, top_k, top_p, min_p. Preference losses
    compare log-probs of the model's own distribution; see `departures`.

    Attributes:
        temperature: divides the logits; 0 takes the most probable token.
        top_p: keeps the fewest most probable tokens that reach this probability; 1 = all.
        top_k: keeps this many most probable tokens (before top_p); 0 = all.
        max_tokens: a candidate is cut after this many steps (of one token per stream), and then is not finished.
        restrict: whether to draw, at each place of a frame, among the codes of that place only, and among the ends where a
            frame begins: frames are whole. Faster (a smaller head), and a trained model puts next to no probability
            elsewhere. Log-probs in training are those of the unmasked model, unless the backbone says `restrict_logps`.
        min_p: keeps tokens at least this probable, as a share of the most probable one's probability; 0 = all.
        min_tokens: an end is not drawn before this many tokens (models of one stream).
        repetition_penalty: logits of tokens that prompt or answer hold already are divided by it where positive and multiplied
            where negative, as transformers and vLLM do; 1 = off.
        repetition_window: the penalty looks at this many last tokens of prompt and answer; 0 = at all of them.
        ras_window: repetition-aware sampling (VALL-E 2, arXiv 2406.05370): a token that fills at least `ras_share` of this
            many last tokens of the answer is drawn again, without top_k, top_p and min_p; 0 = off.
        ras_share: share of the last `ras_window` tokens at which a token is drawn again.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 2048
    restrict: bool = True
    min_p: float = 0.0
    min_tokens: int = 0
    repetition_penalty: float = 1.0
    repetition_window: int = 0
    ras_window: int = 0
    ras_share: float = 0.1

    bounds = {
        "temperature": at_least(0.0).at_most(100.0),
        "top_p": above(0.0).at_most(1.0),
        "top_k": at_least(0),
        "max_tokens": at_least(1),
        "min_p": at_least(0.0).below(1.0),
        "min_tokens": at_least(0),
        "repetition_penalty": above(0.0).at_most(100.0),
        "repetition_window": at_least(0),
        "ras_window": at_least(0),
        "ras_share": above(0.0).at_most(1.0),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        if self.min_tokens >= self.max_tokens:
            raise ConfigError(f"min_tokens must be below max_tokens ({self.max_tokens}), found {self.min_tokens}")

    def check(self, backbone: Backbone) -> None:
        """Raises ConfigError or ComponentError for what this backbone cannot be sampled with, as far as its token map tells.

        The steps ask before the first of them works, so that nothing is sampled or trained in vain.
        """
        self.check_streams(backbone.token_map().streams)

    def check_streams(self, streams: int) -> None:
        """Raises ConfigError for settings that a model of so many streams cannot be sampled with."""
        if self.min_tokens and streams > 1:
            raise ConfigError(
                f"min_tokens: expected 0 for a model of {streams} streams, whose end is no single token, found "
                f"{self.min_tokens}; leave the setting out"
            )

    @property
    def departures(self) -> tuple[str, ...]:
        """Settings under which candidates are not drawn from the model's own distribution, as `name=value`; () = they are.

        `restrict` is none of them: a trained model puts next to no probability on what it leaves out.
        """
        plain = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "min_tokens": 0, "repetition_penalty": 1.0}
        plain["ras_window"] = 0
        return tuple(f"{name}={getattr(self, name):g}" for name, value in plain.items() if getattr(self, name) != value)


Settings = TypeVar("Settings", bound=Drawing)


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
        """The same model drawn otherwise: other values of `Drawing`'s settings, but for `restrict`."""
        ...


class Sampler(Protocol):
    """Settings of a sampler (a frozen dataclass, with the fields of `Drawing`); it may have a method `check` as `Drawing` has."""

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
    def departures(self) -> tuple[str, ...]:
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


def changed_settings(settings: Settings, changes: Mapping[str, Any], fixed: Collection[str]) -> Settings:
    """Settings with other values; raises ConfigError for one of those that a loaded model depends on."""
    name = next((name for name in changes if name in fixed), None)
    if name is not None:
        raise ConfigError(f"{name} cannot be changed once the model is loaded; load it anew")
    return replace(settings, **changes)


def candidate_seed(base_seed: int, candidate_id: str) -> int:
    """A seed from a candidate's id, the same on every machine; below 2**53 so that any JSON reader keeps it exact."""
    digest = hashlib.sha256(f"{base_seed}\n{candidate_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11
