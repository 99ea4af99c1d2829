"""A fast decoder for Llama-, Qwen2-, Qwen3- and GPT-2-type models: static cache, fused weights, a prompt read once for all."""

from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.lm.fast_cache import RowCache
from lpo_tts.lm.fast_weights import Layer, Weights, normalise, read_weights, root_mean_square_norm

_SHRINK = 0.75  # ours: prompts are dropped from the shared cache when no more than this share is still in use


class FastDecoder:
    """Decodes many candidates of many prompts with one model.

    It holds its own fused copy of the weights (a second copy in memory), so it does not follow a model in training.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights, self.shape, self.layers = weights, weights.shape, weights.layers
        self.device = weights.embedding.device
        self._angles: Tensor | None = None

    @classmethod
    def from_model(cls, model: Any, allowed: Sequence[Tensor] | None = None) -> Self | None:
        """Reads the weights of a transformers model; None when it is of a kind this decoder does not know.

        Args:
            model: a LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM or GPT2LMHeadModel.
            allowed: per place of a frame, (num_allowed,) token ids the head is restricted to; None = all, at every place.
        """
        weights = read_weights(model, allowed)
        return None if weights is None else cls(weights)

    def angles(self, length: int) -> Tensor | None:
        """Rotations of positions 0 .. length-1: (length, 1, head_dim / 2) complex64; None where positions are learned."""
        if self.weights.rotary is None:
            return None
        angles = self._angles
        if angles is None or angles.shape[0] < length:
            positions = torch.arange(max(length, 256), device=self.device)[None]
            cos, sin = self.weights.rotary(torch.empty(1, device=self.device, dtype=torch.float32), positions)
            half = self.shape.head_dim // 2
            angles = torch.complex(cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous())[:, None]
            self._angles = angles
        return angles[:length]

    def begin(self, prompts: Sequence[Tensor], counts: Sequence[int], max_tokens: int) -> tuple["Decoding", Tensor]:
        """Reads the prompts and opens `counts[i]` rows for prompt i, in order.

        Returns:
            The decoding, and the logits of every row's first token: (num_rows, num_allowed) float32.
        """
        longest = max(prompt.numel() for prompt in prompts)
        limit = self.weights.max_positions
        if longest + max_tokens > limit:
            raise ContractError(
                f"a prompt of {longest} tokens and {max_tokens} sampled ones exceed the model's {limit} positions; "
                "lower max_tokens or shorten the text"
            )
        return Decoding.open(self, prompts, counts, max_tokens)

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """(rows, hidden) of (rows,) token ids and their positions."""
        hidden = F.embedding(ids, self.weights.embedding)
        return hidden if self.weights.positions is None else hidden + self.weights.positions[positions]

    def qkv(self, layer: Layer, hidden: Tensor, angles: Tensor | None) -> tuple[Tensor, Tensor]:
        """Queries (rows, heads, head_dim), and keys and values (rows, 2, kv_heads, head_dim), of hidden (rows, hidden)."""
        shape = self.shape
        both = shape.heads + shape.kv_heads
        mixed = layer.qkv(normalise(hidden, self.weights)).view(-1, both + shape.kv_heads, shape.head_dim)
        turned = mixed[:, :both]
        if layer.head_norms is not None:
            turned.copy_(root_mean_square_norm(turned, shape.eps) * layer.head_norms)
        if angles is not None and mixed.dtype == torch.float32:
            torch.view_as_complex(turned.unflatten(-1, (-1, 2))).mul_(angles)  # in place: q and k stay where they are
        elif angles is not None:
            pairs = torch.view_as_complex(turned.float().unflatten(-1, (-1, 2)))
            turned.copy_(torch.view_as_real(pairs.mul_(angles)).flatten(-2))
        return mixed[:, : shape.heads], mixed[:, shape.heads :].unflatten(1, (2, shape.kv_heads))

    def finish_layer(self, layer: Layer, hidden: Tensor, attended: Tensor) -> Tensor:
        """Output projection and feed-forward part, added to `hidden`; `attended` is (rows, heads * head_dim)."""
        hidden = layer.out.plus(attended, hidden)
        inner, activation = normalise(hidden, self.weights), self.weights.activation
        inner = layer.up(inner, activation) if layer.gate is None else layer.up.times(inner, layer.gate(inner, activation))
        return layer.down.plus(inner, hidden)

    def logits(self, hidden: Tensor, step: int) -> Tensor:
        """Logits of answer step `step`, from 0: (rows, num_allowed at its place) float32."""
        heads = self.weights.heads
        return heads[step % len(heads)](normalise(hidden, self.weights)).float()


class Decoding:
    """The state of one block: keys and values of the prompts (once each) and of what every row has written.

    Rows keep their order but for `drop`, which moves the last rows into the places of dropped ones.
    """

    def __init__(self, decoder: FastDecoder, prefix: Tensor, lengths: Tensor, counts: Sequence[int], max_tokens: int) -> None:
        shape, device = decoder.shape, prefix.device
        self.decoder = decoder
        self.prefix = prefix  # (layers, 2, prompts, kv_heads, longest, head_dim)
        self.lengths = lengths  # (prompts,)
        self.rows = RowCache(len(decoder.layers), shape.kv_heads, shape.head_dim, sum(counts), max_tokens, like=prefix)
        self.prompt = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(device)  # prompt of each row
        self._set_places()

    @classmethod
    def open(
        cls, decoder: FastDecoder, prompts: Sequence[Tensor], counts: Sequence[int], max_tokens: int
    ) -> tuple["Decoding", Tensor]:
        """Runs the prompts, padded on the right (causal attention never looks there)."""
        device, shape = decoder.device, decoder.shape
        lengths = torch.tensor([prompt.numel() for prompt in prompts], device=device)
        ids = torch.nn.utils.rnn.pad_sequence([prompt.to(device) for prompt in prompts], batch_first=True)
        num, longest = ids.shape
        positions = torch.arange(longest, device=device).repeat(num)
        angles = decoder.angles(longest + max_tokens)
        angles = None if angles is None else angles[positions]
        hidden = decoder.embed(ids.view(-1), positions)
        kept = torch.empty(
            len(decoder.layers), 2, num, shape.kv_heads, longest, shape.head_dim, dtype=hidden.dtype, device=device
        )
        for index, layer in enumerate(decoder.layers):
            query, pair = decoder.qkv(layer, hidden, angles)
            kept[index] = pair.reshape(num, longest, 2, shape.kv_heads, -1).permute(2, 0, 3, 1, 4)
            query, (key, value) = query.unflatten(0, (num, longest)).transpose(1, 2), kept[index]
            attended = F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=1.0, enable_gqa=shape.heads != shape.kv_heads
            )
            hidden = decoder.finish_layer(layer, hidden, attended.transpose(1, 2).reshape(num * longest, -1))
        last = hidden.view(num, longest, -1)[torch.arange(num, device=device), lengths - 1]
        state = cls(decoder, kept, lengths, counts, max_tokens)
        return state, decoder.logits(last, 0)[state.prompt]

    def step(self, token_ids: Tensor) -> Tensor:
        """Feeds one token per row (rows,) and returns the logits of the next: (rows, num_allowed) float32."""
        decoder = self.decoder
        positions = self.lengths[self.prompt] + self.rows.written
        angles = decoder.angles(self.prefix.shape[4] + self.rows.written + 1)
        angles = None if angles is None else angles[positions]
        hidden = decoder.embed(token_ids, positions)
        self.rows.advance(len(token_ids))
        for index, layer in enumerate(decoder.layers):
            query, pair = decoder.qkv(layer, hidden, angles)
            self.rows.write(index, pair)
            hidden = decoder.finish_layer(layer, hidden, self._attend(index, query))
        return decoder.logits(hidden, self.rows.written)

    def _attend(self, index: int, query: Tensor) -> Tensor:
        """Attention of (rows, heads, head_dim) over the shared prompts and the rows' own suffixes: (rows, heads * head_dim)."""
        shape, rows = self.decoder.shape, query.shape[0]
        group, longest = shape.heads // shape.kv_heads, self.prefix.shape[4]
        num = self.prefix.shape[2]
        prefix = self.prefix[index].flatten(1, 2)  # (2, prompts * kv_heads, longest, head_dim)
        keys, values = self.rows.read(index, rows)
        shared = torch.bmm(self._to_places(query, shape.head_dim), prefix[0].transpose(1, 2))
        shared = self._to_rows(shared).reshape(rows * shape.kv_heads, group, longest)
        own = torch.bmm(query.reshape(rows * shape.kv_heads, group, shape.head_dim), keys)
        own[..., self.rows.written :] = -torch.inf  # room that nobody has written to
        scores = torch.cat([shared, own], 2)
        if self._mask is not None:
            scores[..., :longest].view(rows, -1, longest).add_(self._mask)
        weights = scores.softmax(-1)  # its sums are float32, whatever the scores are
        attended = torch.bmm(weights[..., longest:], values)
        shared = self._to_places(weights[..., :longest].reshape(rows, shape.heads, longest), longest)
        shared = self._to_rows(torch.bmm(shared, prefix[1]).view(num * shape.kv_heads, -1, shape.head_dim))
        return attended.view(rows, -1).add_(shared.reshape(rows, -1))

    def _to_places(self, values: Tensor, width: int) -> Tensor:
        """(rows, heads, width) to (prompts * kv_heads, places * group, width), whatever in empty places."""
        shape, num = self.decoder.shape, self.prefix.shape[2]
        if self._places is not None:
            values = self._spread(width, values).index_copy_(0, self._places, values)
        if shape.kv_heads > 1:
            values = values.reshape(num, self._per_prompt, shape.kv_heads, -1, width).transpose(1, 2)
        return values.reshape(num * shape.kv_heads, -1, width)

    def _spread(self, width: int, like: Tensor) -> Tensor:
        """A buffer for every place; what stands in an empty place is finite and read by nobody."""
        buffer = self._buffers.get(width)
        if buffer is None:
            size = (self.prefix.shape[2] * self._per_prompt, self.decoder.shape.heads, width)
            buffer = self._buffers[width] = like.new_zeros(size)
        return buffer

    def _to_rows(self, values: Tensor) -> Tensor:
        """The inverse of `_to_places`: (rows, heads, width)."""
        shape, num, width = self.decoder.shape, self.prefix.shape[2], values.shape[-1]
        if shape.kv_heads > 1:
            values = values.view(num, shape.kv_heads, self._per_prompt, -1, width).transpose(1, 2)
        values = values.reshape(num * self._per_prompt, shape.heads, width)
        return values if self._places is None else values.index_select(0, self._places)

    def drop(self, finished: Tensor) -> Tensor:
        """Drops the rows where `finished` (rows,) is true; the last rows move into the gaps.

        Returns:
            (rows left,) for each row left, which row it was.
        """
        order = torch.arange(finished.shape[0], device=finished.device)
        left = int((~finished).sum())
        gaps = finished[:left].nonzero().view(-1)
        movers = order[left:][~finished[left:]]
        order[gaps] = movers
        order = order[:left]
        self.rows.move(movers, gaps)
        self.prompt = self.prompt[order]
        used = self.prompt.unique()
        if used.numel() <= _SHRINK * self.prefix.shape[2]:
            self.prefix = self.prefix[:, :, used]
            self.lengths = self.lengths[used]
            self.prompt = torch.searchsorted(used, self.prompt)
        self._set_places()
        return order

    def _set_places(self) -> None:
        """Gives each row a place beside the other rows of its prompt, and masks the padding of the prompts."""
        num, longest = self.prefix.shape[2], self.prefix.shape[4]
        rows = self.prompt.numel()
        counts = torch.bincount(self.prompt, minlength=num)
        self._per_prompt = int(counts.max()) if rows else 0
        by_prompt = torch.argsort(self.prompt, stable=True)
        starts = (counts.cumsum(0) - counts)[self.prompt[by_prompt]]
        rank = torch.empty_like(by_prompt)
        rank[by_prompt] = torch.arange(rows, device=rank.device) - starts
        places = self.prompt * self._per_prompt + rank
        full = rows == num * self._per_prompt and bool((places == torch.arange(rows, device=places.device)).all())
        self._places = None if full else places
        self._buffers: dict[int, Tensor] = {}
        padded = torch.arange(longest, device=places.device) >= self.lengths[:, None]
        self._mask = None
        if bool(padded.any()):
            self._mask = torch.zeros_like(padded, dtype=self.prefix.dtype).masked_fill_(padded, -torch.inf)[self.prompt][:, None]
