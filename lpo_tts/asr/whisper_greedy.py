"""Greedy decoding of Whisper on a CPU: the tokens that transformers' `generate` gives, for less time.

Nearly all of a window of 30 s is silence for a short clip, and every step of the decoder reads the keys and values of the
whole window. Three things are done otherwise than in `generate`. A window is encoded alone, since a batch of windows does not
fit the caches of a CPU, and encoding is bound by arithmetic. Rows that have ended take no part in further steps. The
attention to a window reads its keys and values once, row by row, without copying them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# What `generate` would do beside greedy decoding with suppressed tokens, and the value with which it does not.
PLAIN = {
    "forced_decoder_ids": None,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "sequence_bias": None,
    "min_length": 0,
    "min_new_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "guidance_scale": None,
    "renormalize_logits": False,
    "remove_invalid_values": False,
}


def fits(model: Any, is_multilingual: bool) -> bool:
    """Whether greedy decoding here is what `generate` would do with this model: nothing unusual in its settings, on a CPU.

    Args:
        model: a `WhisperForConditionalGeneration`.
        is_multilingual: whether it is told the language; one of a single language that names several would detect it.
    """
    config = model.generation_config
    plain = all(getattr(config, name, None) in (None, value) for name, value in PLAIN.items())
    usual = model.config.activation_function == "gelu" and not model.config.scale_embedding
    known = isinstance(config.eos_token_id, int) and isinstance(config.max_length, int)
    told = is_multilingual or not getattr(config, "lang_to_id", None)
    return plain and usual and known and told and model.device.type == "cpu"


def start_tokens(config: Any, language: str | None) -> list[int]:
    """What an answer without time stamps begins with; `language` is None for a checkpoint of one language."""
    if language is None:
        return [config.decoder_start_token_id, config.no_timestamps_token_id]
    spoken = [config.lang_to_id[f"<|{language}|>"], config.task_to_id["transcribe"]]
    return [config.decoder_start_token_id, *spoken, config.no_timestamps_token_id]


class GreedyDecoder:
    """A Whisper of transformers, decoded greedily.

    Args:
        model: a `WhisperForConditionalGeneration` that `fits`.
    """

    def __init__(self, model: Any) -> None:
        config = model.generation_config
        self._model, self._decoder, self._end = model, model.model.decoder, config.eos_token_id
        self._suppressed = torch.tensor(config.suppress_tokens or [], dtype=torch.int64)
        self._suppressed_first = torch.tensor(config.begin_suppress_tokens or [], dtype=torch.int64)
        self._heads = model.config.decoder_attention_heads

    @torch.inference_mode()
    def decode(self, features: Tensor, start: Sequence[int], limit: int | None) -> list[list[int]]:
        """Tokens of every window, without start and end.

        Args:
            features: (windows, bands, frames) log-mel spectrograms of 30 s, in the model's dtype.
            start: tokens that every answer begins with.
            limit: tokens of an answer, at most; None: as many as the checkpoint says.
        """
        longest = self._decoder.embed_positions.num_embeddings - len(start)
        allowed = min(longest, self._model.generation_config.max_length if limit is None else limit)
        count = len(features)
        crosses = [self._cross(self._model.model.encoder(one[None]).last_hidden_state[0]) for one in features]
        answers: list[list[int]] = [[] for _ in range(count)]
        alive = list(range(count))
        tokens = torch.tensor([list(start)] * count)
        past: list[tuple[Tensor, Tensor]] | None = None
        at = 0
        for step in range(allowed):
            hidden, past = self._step(tokens, at, past, [crosses[row] for row in alive])
            at += tokens.shape[1]
            logits = self._model.proj_out(hidden[:, -1]).float()
            logits[:, self._suppressed] = -torch.inf
            if step == 0:
                logits[:, self._suppressed_first] = -torch.inf
            chosen = logits.argmax(-1)
            going = [place for place, token in enumerate(chosen.tolist()) if token != self._end]
            for place in going:
                answers[alive[place]].append(int(chosen[place]))
            if not going:
                break
            if len(going) < len(alive):
                alive = [alive[place] for place in going]
                past = [(keys[going], values[going]) for keys, values in past]
                chosen = chosen[going]
            tokens = chosen[:, None]
        return answers

    def _cross(self, encoded: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values (heads, frames, size) of one window, (frames, width), for each layer."""
        found = []
        for layer in self._decoder.layers:
            attention = layer.encoder_attn
            keys, values = attention.k_proj(encoded), attention.v_proj(encoded)
            found.append(tuple(one.view(len(encoded), self._heads, -1).transpose(0, 1).contiguous() for one in (keys, values)))
        return found

    def _step(
        self,
        tokens: Tensor,
        at: int,
        past: list[tuple[Tensor, Tensor]] | None,
        crosses: Sequence[list[tuple[Tensor, Tensor]]],
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The last hidden states (rows, steps, width) of new tokens (rows, steps), and keys and values of all so far."""
        decoder = self._decoder
        positions = decoder.embed_positions.weight[at : at + tokens.shape[1]]
        hidden = decoder.embed_tokens(tokens) + positions
        kept = []
        for number, layer in enumerate(decoder.layers):
            normed = layer.self_attn_layer_norm(hidden)
            attention = layer.self_attn
            query, keys, values = (self._divided(one(normed)) for one in (attention.q_proj, attention.k_proj, attention.v_proj))
            if past is not None:
                keys, values = (torch.cat(pair, dim=2) for pair in zip(past[number], (keys, values), strict=True))
            kept.append((keys, values))
            # The start tokens come together, and each sees those before it alone; a later token sees all.
            mixed = functional.scaled_dot_product_attention(query, keys, values, is_causal=past is None)
            hidden = hidden + attention.out_proj(self._joined(mixed))
            normed = layer.encoder_attn_layer_norm(hidden)
            query = self._divided(layer.encoder_attn.q_proj(normed)) * (query.shape[-1] ** -0.5)
            heard = [_attend(row, *cross[number]) for row, cross in zip(query, crosses, strict=True)]
            hidden = hidden + layer.encoder_attn.out_proj(self._joined(torch.stack(heard)))
            normed = layer.final_layer_norm(hidden)
            hidden = hidden + layer.fc2(functional.gelu(layer.fc1(normed)))
        return decoder.layer_norm(hidden), kept

    def _divided(self, states: Tensor) -> Tensor:
        """(rows, steps, width) to (rows, heads, steps, size)."""
        return states.view(*states.shape[:2], self._heads, -1).transpose(1, 2)

    def _joined(self, states: Tensor) -> Tensor:
        """(rows, heads, steps, size) to (rows, steps, width)."""
        return states.transpose(1, 2).flatten(2)


def _attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(heads, steps, size) of one row to what it attends to in its window."""
    return torch.bmm(torch.softmax(torch.bmm(query, keys.transpose(1, 2)), dim=-1), values)
