"""Preference pairs as tensors: what a pair must satisfy, how pairs are batched, and in which order they come."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Sampler

from lpo_tts.errors import ConfigError, ContractError

logger = logging.getLogger(__name__)

SEQUENCE_MULTIPLE = 32  # tokens; oneDNN builds its bf16 kernels anew for every shape it has not met
ROW_MULTIPLE = 512  # answer tokens per batch, for the same reason in the LM head


@dataclass(frozen=True, eq=False)
class PairExample:
    """The token ids of one preference pair, exactly as the model emitted them.

    `prompt_ids`, `chosen_ids`, `rejected_ids`: (num_tokens,) int64, or anything that turns into it. An answer that
    did not end by itself has no end token; none is added here.
    """

    id: str
    prompt_ids: Tensor
    chosen_ids: Tensor
    rejected_ids: Tensor

    def __post_init__(self) -> None:
        for name in ("prompt_ids", "chosen_ids", "rejected_ids"):
            ids = torch.as_tensor(getattr(self, name), dtype=torch.int64)
            if ids.dim() != 1:
                raise ContractError(f"pair {self.id}: {name} must be one sequence of token ids, found shape {tuple(ids.shape)}")
            object.__setattr__(self, name, ids)

    @property
    def num_tokens(self) -> int:
        """Length of the longer of the two sequences, prompt included."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))


def same_pair(one: PairExample, other: PairExample) -> bool:
    """Whether two pairs have the same tokens."""
    return one is other or all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    )


def as_pair(item: Any, index: int, name: str = "pair") -> PairExample:
    """Takes a PairExample, or a row of a data set with TRL's columns (`prompt_ids`, `chosen_ids`, `rejected_ids`).

    A row without `id` is called `<name>-<index>`.
    """
    if isinstance(item, PairExample):
        return item
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    if not isinstance(item, Mapping) or not all(column in item for column in columns):
        found = f"columns {', '.join(map(str, item))}" if isinstance(item, Mapping) else type(item).__name__
        raise ContractError(
            f"row {index}: expected a PairExample or the columns {', '.join(columns)} of token ids, found {found}"
        )
    return PairExample(str(item.get("id", f"{name}-{index}")), *(item[column] for column in columns))


def prepare_pairs(
    items: Iterable[Any],
    max_answer_tokens: int | None = None,
    too_long: Literal["drop", "error"] = "drop",
    vocab_size: int | None = None,
    name: str = "pair",
) -> list[PairExample]:
    """Checks every pair; what this returns is what reference and policy alike are to see.

    Args:
        items: PairExamples or rows with TRL's columns.
        max_answer_tokens: longest answer allowed; answers are never cut, since a cut answer has lost its end.
        too_long: whether a pair with a longer answer is left out (counted, logged) or refused.
        vocab_size: the model's; None skips the check of token ids.
        name: of the data, for rows without an id.

    Raises:
        ContractError: naming the pair: empty prompt or answer, chosen equal to rejected, token id outside the
            vocabulary, an id that comes twice, an answer too long with `too_long="error"`.
    """
    pairs: list[PairExample] = []
    seen: set[str] = set()
    dropped: list[str] = []
    for index, item in enumerate(items):
        pair = as_pair(item, index, name)
        if pair.id in seen:
            raise ContractError(f"pair {pair.id} comes twice; give every pair an id of its own")
        seen.add(pair.id)
        _check_pair(pair, vocab_size)
        longest = max(len(pair.chosen_ids), len(pair.rejected_ids))
        if max_answer_tokens is None or longest <= max_answer_tokens:
            pairs.append(pair)
        elif too_long == "error":
            raise ContractError(f"pair {pair.id} has an answer of {longest} tokens, max_answer_tokens is {max_answer_tokens}")
        else:
            dropped.append(pair.id)
    if dropped:
        logger.warning(
            "%d of %d pairs left out: an answer is longer than max_answer_tokens = %d (first: %s)",
            len(dropped),
            len(seen),
            max_answer_tokens,
            dropped[0],
        )
    return pairs


def _check_pair(pair: PairExample, vocab_size: int | None) -> None:
    for name in ("prompt_ids", "chosen_ids", "rejected_ids"):
        ids = getattr(pair, name)
        if not len(ids):
            hint = "; the first answer token needs a token before it" if name == "prompt_ids" else ""
            raise ContractError(f"pair {pair.id}: {name} is empty{hint}")
        if vocab_size is not None and not 0 <= int(ids.min()) <= int(ids.max()) < vocab_size:
            bad = int(ids.max()) if int(ids.max()) >= vocab_size else int(ids.min())
            raise ContractError(f"pair {pair.id}: {name} holds token {bad}, the model's vocabulary has {vocab_size}")
    if torch.equal(pair.chosen_ids, pair.rejected_ids):
        raise ContractError(f"pair {pair.id}: chosen and rejected are the same answer, so nothing is preferred")


def data_hash(pairs: Sequence[PairExample]) -> str:
    """sha-256 over ids and token ids of the pairs, whatever their order."""
    digest = hashlib.sha256()
    for pair in sorted(pairs, key=lambda pair: pair.id):
        for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids):
            digest.update(f"{pair.id}\0{len(ids)}\0".encode() + ids.numpy().tobytes())
    return digest.hexdigest()


def collate(pairs: Sequence[PairExample]) -> dict[str, Any]:
    """Batches pairs: 2 * len(pairs) sequences, all the chosen ones first, padded on the right.

    No attention mask is needed: under a causal mask no real token sees the padding behind it. Lengths are rounded
    up so that few different shapes occur.

    Returns:
        A dict with
        input_ids: (2 * pairs, length) int64, length a multiple of SEQUENCE_MULTIPLE.
        positions: (rows,) int64 into the flattened input_ids: where each answer token is predicted, one before it
            stands; rows is a multiple of ROW_MULTIPLE, the surplus points to 0.
        targets: (rows,) int64, the answer token itself; 0 in the surplus.
        slots: (answer tokens,) int64 into a flattened (2 * pairs, longest answer) grid; as many as there are answer
            tokens, so surplus rows have none.
        num_tokens: (2 * pairs,) int64, answer tokens of each sequence.
        longest: the longest answer (int).
        ids: the pairs' ids.
        num_real_tokens: prompt and answer tokens without padding (int).
    """
    prompts = [pair.prompt_ids for pair in pairs] * 2
    answers = [pair.chosen_ids for pair in pairs] + [pair.rejected_ids for pair in pairs]
    lengths = [len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    length = _round_up(max(lengths), SEQUENCE_MULTIPLE)
    input_ids = torch.zeros(len(answers), length, dtype=torch.int64)
    num_tokens = torch.tensor([len(answer) for answer in answers])
    longest = int(num_tokens.max())
    rows = int(num_tokens.sum())
    positions = torch.zeros(_round_up(rows, ROW_MULTIPLE), dtype=torch.int64)
    targets = torch.zeros_like(positions)
    slots = torch.empty(rows, dtype=torch.int64)
    at = 0
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        end = at + len(answer)
        input_ids[row, : len(prompt)] = prompt
        input_ids[row, len(prompt) : len(prompt) + len(answer)] = answer
        first = row * length + len(prompt) - 1
        positions[at:end] = torch.arange(first, first + len(answer))
        targets[at:end] = answer
        slots[at:end] = torch.arange(row * longest, row * longest + len(answer))
        at = end
    return {
        "input_ids": input_ids,
        "positions": positions,
        "targets": targets,
        "slots": slots,
        "num_tokens": num_tokens,
        "longest": longest,
        "ids": [pair.id for pair in pairs],
        "num_real_tokens": sum(lengths),
    }


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


class LengthSampler(Sampler[int]):
    """Order of pairs in which every `batch_size` neighbours have similar lengths, so that little is padded.

    Pairs are shuffled, sorted by length within windows of `window` batches, and the batches shuffled. The order of
    an epoch depends on `seed` and the epoch alone, so a resumed run sees what the uninterrupted one saw.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, window: int = 8) -> None:
        if batch_size < 1 or window < 1:
            raise ConfigError(f"batch_size and window must be at least 1, found {batch_size} and {window}")
        self.lengths = list(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.window = window
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order `iter` gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        # The short batch, if any, comes last whatever its length: the trainer cuts the order into equal pieces.
        full = len(order) // self.batch_size * self.batch_size
        order, rest = order[:full], order[full:]
        batches: list[list[int]] = []
        span = self.batch_size * self.window
        for start in range(0, full, span):
            part = sorted(order[start : start + span], key=self.lengths.__getitem__)
            batches += [part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size)]
        for i in torch.randperm(len(batches), generator=generator).tolist():
            yield from batches[i]
        yield from rest


def shapes(pairs: Sequence[PairExample], sampler: LengthSampler) -> Counter[tuple[int, int]]:
    """How often each (sequences, length) shape of `input_ids` occurs in the sampler's epoch."""
    order = list(sampler)
    count: Counter[tuple[int, int]] = Counter()
    for start in range(0, len(order), sampler.batch_size):
        part = [pairs[i].num_tokens for i in order[start : start + sampler.batch_size]]
        count[2 * len(part), _round_up(max(part), SEQUENCE_MULTIPLE)] += 1
    return count
