"""Examples as tensors: packed into one row without padding, prompts shared, or padded the plain way."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lpo_tts.lm.attention import Layout
from lpo_tts.training.examples import AnswerExample, Example, ListExample, PairExample

SEQUENCE_MULTIPLE = 32  # tokens of a padded row; oneDNN builds its bf16 kernels anew for every shape it has not met
PACK_MULTIPLE = 128  # tokens of a packed row, for the same reason
ROW_MULTIPLE = 64  # answer tokens per batch, for the same reason in the LM head


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


class _Sequences:
    """The sequences of a batch: prompts and answers, each (prompt, answer) once, with who stands where."""

    def __init__(self, examples: Iterable[Example], share: bool) -> None:
        self.prompts: list[Tensor] = []
        self.answers: list[list[Tensor]] = []  # per prompt
        self.index: list[tuple[int, int]] = []  # per answer of the examples: which prompt, which of its answers
        known: dict[bytes, int] = {}
        seen: dict[tuple[int, bytes], int] = {}
        for example in examples:
            for answer in example.answers:
                group = known.get(example.prompt_ids.numpy().tobytes()) if share else None
                if group is None:
                    group = len(self.prompts)
                    known[example.prompt_ids.numpy().tobytes()] = group
                    self.prompts.append(example.prompt_ids)
                    self.answers.append([])
                content = group, answer.numpy().tobytes()
                if content not in seen:
                    seen[content] = len(self.answers[group])
                    self.answers[group].append(answer)
                self.index.append((group, seen[content]))

    @property
    def num_tokens(self) -> int:
        return sum(len(p) + sum(map(len, a)) for p, a in zip(self.prompts, self.answers, strict=True))


def packed_tokens(examples: Iterable[Example], share: bool = True) -> int:
    """How many tokens these examples take when they are packed."""
    return _Sequences(examples, share).num_tokens


def collate(examples: Sequence[Example], *, pack: bool = True, share: bool = True) -> dict[str, Any]:
    """Makes a batch of examples.

    Packed, all sequences stand in one row and `layout` says who sees whom; with `share`, answers to the same prompt
    follow it once, and an answer that several pairs name stands there once. Not packed, every answer is a row of its own
    behind its prompt, padded on the right: under a causal mask no real token sees the padding.

    Args:
        examples: of one kind; pairs may stand among labelled answers.
        pack: one row without padding, or padded rows.
        share: packed only: each prompt and each answer to it once.

    Returns:
        A dict with
        input_ids: (rows, length) int64; rows is 1 when packed.
        position_ids: (1, length) int64 when packed; an answer goes on where its prompt ends.
        layout: the Layout when packed.
        positions: (places,) int64 into the flattened input_ids: where each answer token is predicted, the first one at
            its prompt's last token; places is a multiple of ROW_MULTIPLE, the surplus points to 0.
        targets: (places,) int64, the answer token itself; 0 in the surplus.
        slots: (answer tokens,) int64 into a flattened (distinct answers, longest) grid; surplus places have none.
        num_tokens: (distinct answers,) int64; longest: the largest of them (int).
        index: (answers,) int64: where each answer of the examples, in order, stands among the distinct ones.
        weights, importance: (answers, longest) float32 token weights and token importance, only where an example has
            some; 1 for the tokens of the others, 0 past the end of an answer.
        ids, sizes: per example, its id and how many answers it has.
        num_real_tokens: tokens the model reads, padding apart (int).
        margins, aspects, scores, desirable: what the examples say beside their tokens.
    """
    sequences = _Sequences(examples, share and pack)
    batch = _pack(sequences) if pack else _pad(sequences)
    answers = [answer for example in examples for answer in example.answers]
    for name in ("weights", "importance"):
        factors = [factor for example in examples for factor in getattr(example, name)]
        if any(factor is not None for factor in factors):
            batch[name] = torch.zeros(len(answers), batch["longest"])
            for row, answer, factor in zip(batch[name], answers, factors, strict=True):
                row[: len(answer)] = 1.0 if factor is None else factor
    return {
        **batch,
        "ids": [example.id for example in examples],
        "sizes": tuple(len(example.answers) for example in examples),
        "num_real_tokens": sequences.num_tokens,
        **_facts(examples),
    }


def _facts(examples: Sequence[Example]) -> dict[str, Any]:
    if all(isinstance(example, PairExample) for example in examples):
        metrics = {name: None for example in examples for name in getattr(example, "margins")}  # noqa: B009 (typed)
        found = {
            name: torch.tensor([float(getattr(example, "margins").get(name, "nan")) for example in examples])  # noqa: B009
            for name in metrics
        }
        return {"margins": found, "aspects": [getattr(example, "aspect") for example in examples]}  # noqa: B009
    if any(isinstance(example, AnswerExample) for example in examples):  # a pair among them is two labelled answers
        labels = [[e.desirable] if isinstance(e, AnswerExample) else [True, False] for e in examples]
        return {"desirable": torch.tensor([label for some in labels for label in some])}
    if all(isinstance(example, ListExample) and example.scores for example in examples):
        return {"scores": torch.tensor([score for example in examples for score in getattr(example, "scores")])}  # noqa: B009
    return {}


def _pack(sequences: _Sequences) -> dict[str, Any]:
    parts: list[Tensor] = []
    places: list[Tensor] = []  # position ids
    predicting: list[Tensor] = []
    segments: list[tuple[int, int]] = []
    crossings: list[tuple[int, int, int, int]] = []
    at = 0
    for prompt, answers in zip(sequences.prompts, sequences.answers, strict=True):
        size, start = len(prompt), at
        parts.append(prompt)
        places.append(torch.arange(size))
        at += size
        for number, answer in enumerate(answers):
            # The first answer is one causal segment with its prompt; the others see the prompt by one crossing.
            segments.append((start, size + len(answer)) if number == 0 else (at, len(answer)))
            parts.append(answer)
            places.append(torch.arange(size, size + len(answer)))
            before = torch.arange(at - 1, at - 1 + len(answer))
            before[0] = start + size - 1
            predicting.append(before)
            at += len(answer)
        others = sum(map(len, answers[1:]))
        if others:
            crossings.append((at - others, others, start, size))
    length = _round_up(at, PACK_MULTIPLE)
    parts.append(torch.zeros(length - at, dtype=torch.int64))
    places.append(torch.zeros(length - at, dtype=torch.int64))
    flat = [answer for answers in sequences.answers for answer in answers]
    offsets = [0]
    for answers in sequences.answers:
        offsets.append(offsets[-1] + len(answers))
    return {
        "input_ids": torch.cat(parts).unsqueeze(0),
        "position_ids": torch.cat(places).unsqueeze(0),
        "layout": Layout(length, tuple(segments), tuple(crossings)),
        **_places(flat, predicting),
        "index": torch.tensor([offsets[group] + number for group, number in sequences.index]),
    }


def _pad(sequences: _Sequences) -> dict[str, Any]:
    answers = [answers[0] for answers in sequences.answers]  # not shared: a prompt for every answer
    length = _round_up(max(len(p) + len(a) for p, a in zip(sequences.prompts, answers, strict=True)), SEQUENCE_MULTIPLE)
    input_ids = torch.zeros(len(answers), length, dtype=torch.int64)
    predicting = []
    for row, (prompt, answer) in enumerate(zip(sequences.prompts, answers, strict=True)):
        input_ids[row, : len(prompt)] = prompt
        input_ids[row, len(prompt) : len(prompt) + len(answer)] = answer
        first = row * length + len(prompt) - 1
        predicting.append(torch.arange(first, first + len(answer)))
    return {"input_ids": input_ids, **_places(answers, predicting), "index": torch.arange(len(answers))}


def _places(answers: Sequence[Tensor], predicting: Sequence[Tensor]) -> dict[str, Any]:
    """Where answer tokens are predicted, what they are, and where their log-probs go."""
    num_tokens = torch.tensor([len(answer) for answer in answers])
    longest, rows = int(num_tokens.max()), int(num_tokens.sum())
    positions = torch.zeros(_round_up(rows, ROW_MULTIPLE), dtype=torch.int64)
    targets = torch.zeros_like(positions)
    positions[:rows] = torch.cat(list(predicting))
    targets[:rows] = torch.cat(list(answers))
    slots = torch.cat([torch.arange(i * longest, i * longest + len(answer)) for i, answer in enumerate(answers)])
    return {"positions": positions, "targets": targets, "slots": slots, "num_tokens": num_tokens, "longest": longest}


def split(examples: Sequence[Example], token_budget: int | None, share: bool = True) -> list[list[Example]]:
    """Cuts examples into packs of at most `token_budget` tokens (one example alone may exceed it).

    The examples of a prompt stay together; where they are more than a pack holds, each of their packs is filled.
    """
    if token_budget is None or len(examples) < 2:
        return [list(examples)]
    groups: dict[Any, list[Example]] = {}
    for number, example in enumerate(examples):
        groups.setdefault(example.prompt_ids.numpy().tobytes() if share else number, []).append(example)
    packs: list[list[Example]] = []
    room = 0
    for group in groups.values():
        for part in _filled(group, token_budget, share):
            size = packed_tokens(part, share)
            if size > room:
                packs.append([])
                room = token_budget
            packs[-1] += part
            room -= size
    return packs


def _filled(group: Sequence[Example], token_budget: int, share: bool) -> list[list[Example]]:
    """The examples of one prompt, in as few parts as fit."""
    parts: list[list[Example]] = [[]]
    for example in group:
        if parts[-1] and packed_tokens([*parts[-1], example], share) > token_budget:
            parts.append([])
        parts[-1].append(example)
    return parts
