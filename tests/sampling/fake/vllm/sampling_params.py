"""SamplingParams with the fields, defaults and checks of vLLM 0.33 (those that a request of token ids can meet)."""

import math
from dataclasses import dataclass, field
from typing import Any

from vllm.exceptions import VLLMValidationError


@dataclass
class SamplingParams:
    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    include_stop_str_in_output: bool = False
    logit_bias: dict[int, float] | None = None
    allowed_token_ids: list[int] | None = None
    extra_args: dict[str, Any] | None = None
    bad_words: list[str] | None = None
    all_stop_token_ids: set[int] = field(default_factory=set)

    def __post_init__(self):
        if 0 < self.temperature < 1e-2:
            self.temperature = 1e-2
        if self.seed == -1:
            self.seed = None
        self.stop_token_ids = list(dict.fromkeys(self.stop_token_ids or []))
        for name, good in {
            "n": isinstance(self.n, int) and self.n >= 1,
            "presence_penalty": -2 <= self.presence_penalty <= 2,
            "frequency_penalty": -2 <= self.frequency_penalty <= 2,
            "repetition_penalty": math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0,
            "temperature": math.isfinite(self.temperature) and 0 <= self.temperature <= 2,
            "top_p": 0 < self.top_p <= 1,
            "top_k": isinstance(self.top_k, int) and self.top_k >= -1,
            "min_p": 0 <= self.min_p <= 1,
            "max_tokens": self.max_tokens is None or self.max_tokens >= 1,
            "min_tokens": 0 <= self.min_tokens <= (self.max_tokens or math.inf),
            "stop_token_ids": all(isinstance(one, int) for one in self.stop_token_ids),
            "allowed_token_ids": self.allowed_token_ids is None or len(self.allowed_token_ids) > 0,
            "seed": self.seed is None or -(2**63) <= self.seed < 2**63,
            "stop": not (self.stop and not self.detokenize),
        }.items():
            if not good:
                raise VLLMValidationError(f"{name} out of range, got {getattr(self, name)}.")
        if self.temperature < 1e-5:
            self.top_p, self.top_k, self.min_p = 1.0, 0, 0.0
            if self.n > 1:
                raise VLLMValidationError(f"n must be 1 when using greedy sampling, got {self.n}.")
        self.all_stop_token_ids |= set(self.stop_token_ids)
