"""A logits processor of vLLM: whole frames, no early end, and several ends as one outcome.

vLLM's own `allowed_token_ids` knows no places and takes 1,024 ids at most, its `min_tokens` 128 stop tokens at most; codecs
have up to 65,536 codes and some models 200 ends. Interface: `vllm.v1.worker.gpu.sample.logits_processor` (model runner V2,
the default of vLLM 0.33), which gives raw logits after penalties and before temperature, min_p, top_k and top_p.
"""

import json
from typing import Any

import torch
from torch import Tensor
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor

KEY = "lpo_tts"  # in `extra_args` of a request's sampling parameters


class CodesOnly(LogitsProcessor):
    """Masks logits by the place of the token that is drawn.

    A request says in `extra_args[KEY]`:
        places: per place of a frame, runs [first, stop] of the ids that may stand there; empty: any id anywhere.
        ends: ids that end an answer.
        merge_ends: whether the first end takes the probability of all of them.
        min_tokens: no end before this many tokens.

    Args:
        vllm_config: of the engine; not used.
        req_states: what vLLM keeps per request slot: number of slots, device, vocabulary size, and lengths of prompts.
    """

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        self.states = req_states
        self.tables: dict[str, _Table] = {}
        self.names: list[str | None] = [None] * req_states.max_num_reqs  # per slot: which table
        self.least = torch.zeros(req_states.max_num_reqs, dtype=torch.int64)  # per slot: min_tokens
        self.least_there = self.least.to(req_states.device, copy=True)
        self.changed = False

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raises ValueError for a request of ours without ends."""
        wanted = (sampling_params.extra_args or {}).get(KEY)
        if wanted is not None and not wanted["ends"]:
            raise ValueError(f"{KEY}: expected at least one end, found none")

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Takes a slot for a new request; returns whether its logits are changed."""
        wanted = dict((sampling_params.extra_args or {}).get(KEY) or {})
        self.least[req_idx], self.changed = wanted.pop("min_tokens", 0), True
        self.names[req_idx] = None
        if not wanted or not (wanted["places"] or wanted["merge_ends"] or self.least[req_idx]):
            return False
        name = json.dumps(wanted)
        if name not in self.tables:
            self.tables[name] = _Table(wanted, self.states.vocab_size, self.states.device)
        self.names[req_idx] = name
        return True

    def apply_staged_writes(self) -> None:
        """Brings what `add_request` noted onto the device, once per step."""
        if self.changed:
            self.least_there = self.least.to(self.states.device, copy=True)
            self.changed = False

    def apply(self, logits: Tensor, ctx: Any) -> Tensor:
        """Masks (rows, vocabulary) logits in place, row by row as the request of its slot wants."""
        names = [self.names[slot] for slot in ctx.idx_mapping_np.tolist()]
        slots = ctx.expanded_idx_mapping.long()
        # A row's position is that of the token before the one it draws: the last of the prompt for an answer's first.
        steps = (ctx.pos.long() + 1 - self.states.prompt_len.gpu[slots].long()).clamp(min=0)
        early = steps < self.least_there[slots]
        for name in dict.fromkeys(names):
            if name is None:
                continue
            rows = None
            if any(other != name for other in names):
                wanted = [slot for slot in range(len(self.names)) if self.names[slot] == name]
                rows = torch.isin(slots, torch.tensor(wanted, device=slots.device)).nonzero()[:, 0]
            self.tables[name].mask(logits, steps, early, rows)
        return logits


class _Table:
    """What one kind of request allows, on the device.

    Args:
        wanted: see `CodesOnly`.
        vocabulary: number of logits per row.
        device: where the logits are.
    """

    def __init__(self, wanted: dict[str, Any], vocabulary: int, device: Any) -> None:
        forbidden = torch.ones(len(wanted["places"]), vocabulary, dtype=torch.bool)
        for place, runs in enumerate(wanted["places"]):
            for first, stop in runs:
                forbidden[place, first:stop] = False
        self.forbidden = forbidden.to(device)
        self.ends = torch.tensor(wanted["ends"], device=device)
        self.merge = wanted["merge_ends"] and len(wanted["ends"]) > 1

    def mask(self, logits: Tensor, steps: Tensor, early: Tensor, rows: Tensor | None) -> None:
        """Changes logits in place: all rows, or those given."""
        if rows is not None:
            part = logits[rows]
            self.mask(part, steps[rows], early[rows], None)
            logits[rows] = part
            return
        if len(self.forbidden):
            logits.masked_fill_(self.forbidden[steps % len(self.forbidden)], -torch.inf)
        ends = logits[:, self.ends].masked_fill(early[:, None], -torch.inf)
        if self.merge:
            first = ends.logsumexp(-1, keepdim=True)
            ends = torch.cat([first, torch.full_like(ends[:, 1:], -torch.inf)], 1)
        logits[:, self.ends] = ends
