"""The part of vLLM 0.33's interface that samples token ids, over a model of transformers on the CPU.

It really decodes: slots that are taken and given back, rows in an order that changes from step to step, requests that wait,
a request that is set back and read anew in the middle, raw logits through penalties and custom processors before
temperature, min_p, top_k and top_p, and noise that hangs on seed and position alone.
"""

import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import SamplingParams
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcessor, LogitsProcRequestState

__version__ = "0.33.0"
__all__ = ["LLM", "SamplingParams"]

SLOTS = 6
MAX_ALLOWED = 1024  # of `allowed_token_ids`, in model runner V2


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: list[int]
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class RequestOutput:
    request_id: str
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool = True


@dataclass
class _Request:
    number: int
    prompt: list[int]
    params: SamplingParams
    answer: list[int] = field(default_factory=list)
    finish: tuple[str, int | None] | None = None


class _Lengths:
    """As vLLM's `UvaBackedTensor`: what the host writes is on the device once it was copied there."""

    def __init__(self, size):
        self.np = np.zeros(size, dtype=np.int32)
        self.gpu = torch.zeros(size, dtype=torch.int32)

    def copy_to_uva(self):
        self.gpu = torch.from_numpy(self.np.copy())


class LLM:
    def __init__(
        self,
        model,
        *,
        skip_tokenizer_init=False,
        dtype="auto",
        revision=None,
        seed=0,
        gpu_memory_utilization=0.92,
        tensor_parallel_size=1,
        enforce_eager=False,
        logits_processors=None,
        max_model_len=None,
        generation_config="auto",
    ):
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        if not Path(model, "config.json").exists():
            raise OSError(f"{model} is no checkpoint\nof any kind")
        if tensor_parallel_size > 1:
            raise ValueError(f"World size ({tensor_parallel_size}) is larger than the number of available GPUs (0) in this node.")
        self.lm = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
        config = self.lm.config
        longest = config.max_position_embeddings
        if (max_model_len or 0) > longest:
            raise ValueError(f"User-specified max_model_len ({max_model_len}) is greater than the derived {longest}")
        self.model_config = SimpleNamespace(max_model_len=max_model_len or longest, get_vocab_size=lambda: config.vocab_size)
        self.eos = set()
        if generation_config == "auto" and Path(model, "generation_config.json").exists():
            found = json.loads(Path(model, "generation_config.json").read_text()).get("eos_token_id")
            self.eos = set() if found is None else set(np.atleast_1d(found).tolist())
        self.prompt_len = _Lengths(SLOTS)
        states = LogitsProcRequestState(torch.device("cpu"), SLOTS, config.vocab_size, None, self.prompt_len, None, None)
        self.processors = [self._class(name)(None, states) for name in logits_processors or ()]
        self.order = np.random.default_rng(5)

    @staticmethod
    def _class(name):
        module, _, attribute = name.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not issubclass(found, LogitsProcessor):
            raise ValueError(f"{name} is not a subclass of LogitsProcessor")
        return found

    def generate(self, prompts, sampling_params, *, use_tqdm=True):
        if len(prompts) != len(sampling_params):
            raise ValueError("The lengths of prompts and params must be the same.")
        requests = []
        for number, (prompt, params) in enumerate(zip(prompts, sampling_params, strict=True)):
            self._validate(prompt["prompt_token_ids"], params)
            requests.append(_Request(number, list(prompt["prompt_token_ids"]), params))
        self._run(requests)
        outputs = []
        for one in requests:
            completion = CompletionOutput(0, "", one.answer, *one.finish)
            outputs.append(RequestOutput(str(one.number), one.prompt, [completion]))
        return outputs

    def _validate(self, prompt, params):
        if not prompt:
            raise VLLMValidationError("The decoder prompt cannot be empty")
        if len(prompt) >= self.model_config.max_model_len:
            raise VLLMValidationError(f"The decoder prompt (length {len(prompt)}) is longer than the maximum model length")
        vocabulary = self.model_config.get_vocab_size()
        for token in [*prompt, *params.stop_token_ids, *(params.allowed_token_ids or ())]:
            if not 0 <= token < vocabulary:
                raise VLLMValidationError(f"Token id {token} is out of vocabulary")
        if len(params.allowed_token_ids or ()) > MAX_ALLOWED:
            raise ValueError(f"Too many allowed token IDs: {len(params.allowed_token_ids)}. The max size is {MAX_ALLOWED}.")
        for one in self.processors:
            type(one).validate_params(params)

    @torch.inference_mode()
    def _run(self, requests):
        waiting, running, step = list(requests), {}, 0
        while waiting or running:
            for slot in range(SLOTS):
                if slot not in running and waiting:
                    running[slot] = waiting.pop(0)
                    self._admit(slot, running[slot])
            step += 1
            if step % 7 == 0 and len(running) > 1:  # one is set back, and comes again with what it has written
                waiting.insert(0, running.pop(min(running)))
                continue
            self.prompt_len.copy_to_uva()
            for one in self.processors:
                one.apply_staged_writes()
            slots = self.order.permutation(sorted(running))
            for slot, token in zip(slots.tolist(), self._draw(slots, running), strict=True):
                self._append(running[slot], token)
                if running[slot].finish:
                    running.pop(slot)

    def _admit(self, slot, request):
        self.prompt_len.np[slot] = len(request.prompt)
        for one in self.processors:
            one.add_request(slot, request.params)

    def _draw(self, slots, running):
        sequences = [running[slot].prompt + running[slot].answer for slot in slots.tolist()]
        longest = max(map(len, sequences))
        ids = torch.tensor([one + [0] * (longest - len(one)) for one in sequences])
        last = torch.tensor([len(one) - 1 for one in sequences])
        logits = self.lm(input_ids=ids, use_cache=False).logits[torch.arange(len(ids)), last].float()
        for row, one in enumerate(sequences):
            self._penalise(logits[row], one, running[slots[row]].params)
        mapping = torch.from_numpy(slots.astype(np.int32))
        context = LogitsContext(mapping, mapping, slots, torch.zeros_like(mapping), ids[:, -1], last, last.numpy() + 1)
        for one in self.processors:
            logits = one.apply(logits, context)
        return [self._pick(logits[row], running[slot].params, int(last[row])) for row, slot in enumerate(slots.tolist())]

    @staticmethod
    def _penalise(logits, seen, params):
        if params.allowed_token_ids:
            keep = torch.zeros_like(logits, dtype=torch.bool)
            keep[params.allowed_token_ids] = True
            logits.masked_fill_(~keep, -torch.inf)
        seen = torch.tensor(sorted(set(seen)))
        values = logits[seen]
        logits[seen] = torch.where(values > 0, values / params.repetition_penalty, values * params.repetition_penalty)

    @staticmethod
    def _pick(logits, params, position):
        if params.temperature == 0:
            return int(logits.argmax())
        logits = logits / params.temperature
        probabilities = logits.softmax(-1)
        logits = logits.masked_fill(probabilities < params.min_p * probabilities.max(), -torch.inf)
        values, order = logits.sort(descending=True, stable=True)
        if params.top_k > 0:
            values[params.top_k :] = -torch.inf
        kept = values.softmax(-1)
        values[(kept.cumsum(-1) - kept) >= params.top_p] = -torch.inf
        noise = np.random.Generator(np.random.Philox(key=[params.seed, position])).gumbel(size=len(values))
        noisy = torch.full_like(values, -torch.inf).scatter(0, order, values).double() + torch.from_numpy(noise)
        return int(noisy.argmax())

    def _append(self, request, token):
        request.answer.append(token)
        params = request.params
        if token in params.stop_token_ids:
            request.finish = ("stop", token)
        elif token in self.eos and not params.ignore_eos:
            request.finish = ("stop", None)
        elif len(request.answer) >= params.max_tokens or len(request.prompt + request.answer) >= self.model_config.max_model_len:
            request.finish = ("length", None)
