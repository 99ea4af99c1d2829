"""Examples as tensors: packed into one row without padding, prompts shared, or padded the plain way."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lpo_tts.lm.layout import Layout
from lpo_tts.training.examples import AnswerExample, Example, ListExample, PairExample

SEQUENCE_MULTIPLE = 32  # tokens of a padded row; oneDNN builds its bf16 kernels anew for every shape it has not met
PACK_MULTIPLE = 128  # tokens of a packed row, for the same reason
ROW_MULTIPLE = 64  # answer tokens per batch, for the same reason in the LM head


# Says which entries of an answer have log-probs, as `SpeechLM.counted` does: (steps, streams) bool, or None for all.
Counted = Callable[[Tensor], Tensor | None]


def every_entry(answer: Tensor) -> None:
    """Counts all entries, as models with one stream do."""


def num_counted(answer: Tensor, counted: Counted = every_entry) -> int:
    """How many entries of an answer have log-probs."""
    mask = counted(answer)
    return answer.numel() if mask is None else int(mask.sum())


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


class _Sequences:
    """The sequences of a batch: prompts and answers, each (prompt, answer) once, with who stands where."""

    def __init__(self, examples: Iterable[Example], share: bool) -> None:
        self.prompts: list[Tensor] = []
        self.features: list[Mapping[str, Tensor]] = []  # of the prompts
        self.answers: list[list[Tensor]] = []  # per prompt
        self.index: list[tuple[int, int]] = []  # per answer of the examples: which prompt, which of its answers
        known: dict[bytes, int] = {}
        seen: dict[tuple[int, bytes], int] = {}
        for example in examples:
            for answer in example.answers:
                group = known.get(example.prompt_key) if share else None
                if group is None:
                    group = len(self.prompts)
                    known[example.prompt_key] = group
                    self.prompts.append(example.prompt_ids)
                    self.features.append(example.features)
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
    """How many steps these examples take when they are packed."""
    return _Sequences(examples, share).num_tokens


def collate(
    examples: Sequence[Example], *, pack: bool = True, share: bool = True, counted: Counted = every_entry
) -> dict[str, Any]:
    """Makes a batch of examples.

    Packed, all sequences stand in one row and `layout` says who sees whom; with `share`, answers to the same prompt
    follow it once, and an answer that several pairs name stands there once. Not packed, every answer is a row of its own
    behind its prompt, padded on the right: under a causal mask no real token sees the padding.

    Args:
        examples: of one kind; pairs may stand among labelled answers.
        pack: one row without padding, or padded rows.
        share: packed only: each prompt and each answer to it once.
        counted: the model's (`SpeechLM.counted`).

    Returns:
        What `lm.logps` describes, which is all that a model sees, and
        importance: (answers, longest) float32 like `weights`: token importance, only where an example has some. Both are
            1 for the tokens of other examples and 0 past the end of an answer.
        ids, sizes: per example, its id and how many answers it has.
        num_real_tokens: steps the model reads, padding apart (int).
        margins, aspects, scores, desirable: what the examples say beside their tokens.
        features, prompt_spans, answer_spans: only where prompts have features: per name a list with one tensor for each
            prompt of the batch; (row, start, length) of each prompt; (prompt, row, start, length) of each answer. The
            spans count steps of `tokens`.
    """
    sequences = _Sequences(examples, share and pack)
    batch = _pack(sequences, counted) if pack else _pad(sequences, counted)
    answers = [answer for example in examples for answer in example.answers]
    for name in ("weights", "importance"):
        factors = [factor for example in examples for factor in getattr(example, name)]
        if any(factor is not None for factor in factors):
            batch[name] = torch.zeros(len(answers), batch["longest"])
            for row, answer, factor in zip(batch[name], answers, factors, strict=True):
                mask = counted(answer)
                if factor is None:
                    row[: num_counted(answer, counted)] = 1.0
                else:
                    own = factor.reshape(-1) if mask is None else factor[mask]
                    row[: len(own)] = own
    return {
        **batch,
        "ids": [example.id for example in examples],
        "sizes": tuple(len(example.answers) for example in examples),
        "num_real_tokens": sequences.num_tokens,
        **_facts(examples),
    }


def moved(batch: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """The batch with its tensors on a device."""
    return {name: _moved(value, device) for name, value in batch.items()}


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, Mapping):
        return moved(value, device)
    if isinstance(value, list):
        return [_moved(one, device) for one in value]
    return value.to(device) if isinstance(value, Tensor) else value


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


def _pack(sequences: _Sequences, counted: Counted) -> dict[str, Any]:
    parts: list[Tensor] = []
    places: list[Tensor] = []  # position ids
    predicting: list[Tensor] = []
    segments: list[tuple[int, int]] = []
    crossings: list[tuple[int, int, int, int]] = []
    prompt_spans: list[tuple[int, int, int]] = []
    answer_spans: list[tuple[int, int, int, int]] = []
    at = 0
    for group, (prompt, answers) in enumerate(zip(sequences.prompts, sequences.answers, strict=True)):
        size, start = len(prompt), at
        parts.append(prompt)
        places.append(torch.arange(size))
        prompt_spans.append((0, start, size))
        at += size
        for number, answer in enumerate(answers):
            # The first answer is one causal segment with its prompt; the others see the prompt by one crossing.
            segments.append((start, size + len(answer)) if number == 0 else (at, len(answer)))
            parts.append(answer)
            places.append(torch.arange(size, size + len(answer)))
            answer_spans.append((group, 0, at, len(answer)))
            before = torch.arange(at - 1, at - 1 + len(answer))
            before[0] = start + size - 1
            predicting.append(before)
            at += len(answer)
        others = sum(map(len, answers[1:]))
        if others:
            crossings.append((at - others, others, start, size))
    length = _round_up(at, PACK_MULTIPLE)
    parts.append(parts[0].new_zeros(length - at, parts[0].shape[1]))
    places.append(torch.zeros(length - at, dtype=torch.int64))
    flat = [answer for answers in sequences.answers for answer in answers]
    offsets = [0]
    for answers in sequences.answers:
        offsets.append(offsets[-1] + len(answers))
    return {
        "tokens": torch.cat(parts).unsqueeze(0),
        "position_ids": torch.cat(places).unsqueeze(0),
        "layout": Layout(length, tuple(segments), tuple(crossings)),
        **_places(flat, predicting, counted),
        "index": torch.tensor([offsets[group] + number for group, number in sequences.index]),
        **_features(sequences.features, prompt_spans, answer_spans),
    }


def _pad(sequences: _Sequences, counted: Counted) -> dict[str, Any]:
    answers = [answers[0] for answers in sequences.answers]  # not shared: a prompt for every answer
    length = _round_up(max(len(p) + len(a) for p, a in zip(sequences.prompts, answers, strict=True)), SEQUENCE_MULTIPLE)
    tokens = torch.zeros(len(answers), length, answers[0].shape[1], dtype=torch.int64)
    predicting = []
    for row, (prompt, answer) in enumerate(zip(sequences.prompts, answers, strict=True)):
        tokens[row, : len(prompt)] = prompt
        tokens[row, len(prompt) : len(prompt) + len(answer)] = answer
        first = row * length + len(prompt) - 1
        predicting.append(torch.arange(first, first + len(answer)))
    sizes = [(len(prompt), len(answer)) for prompt, answer in zip(sequences.prompts, answers, strict=True)]
    return {
        "tokens": tokens,
        **_places(answers, predicting, counted),
        "index": torch.arange(len(answers)),
        **_features(
            sequences.features,
            [(row, 0, prompt) for row, (prompt, _) in enumerate(sizes)],
            [(row, row, prompt, answer) for row, (prompt, answer) in enumerate(sizes)],
        ),
    }


def _features(
    features: Sequence[Mapping[str, Tensor]],
    prompt_spans: Sequence[tuple[int, int, int]],
    answer_spans: Sequence[tuple[int, int, int, int]],
) -> dict[str, Any]:
    """What prompts hold beside tokens, and where prompts and answers stand; nothing where they hold nothing."""
    names = {name: None for one in features for name in one}
    if not names:
        return {}
    return {
        "features": {name: [one[name] for one in features] for name in names},
        "prompt_spans": tuple(prompt_spans),
        "answer_spans": tuple(answer_spans),
    }


def _places(answers: Sequence[Tensor], predicting: Sequence[Tensor], counted: Counted) -> dict[str, Any]:
    """Where answer steps are predicted, what they are, which entries count, and where their log-probs go."""
    streams, steps = answers[0].shape[1], sum(map(len, answers))
    masks = [counted(answer) for answer in answers]
    counts = [answer.numel() if mask is None else int(mask.sum()) for answer, mask in zip(answers, masks, strict=True)]
    longest = max(counts)
    positions = torch.zeros(_round_up(steps, ROW_MULTIPLE), dtype=torch.int64)
    targets = torch.zeros(len(positions), streams, dtype=torch.int64)
    positions[:steps] = torch.cat(list(predicting))
    targets[:steps] = torch.cat(list(answers))
    batch = {
        "positions": positions,
        "targets": targets,
        "cells": torch.cat([torch.arange(i * longest, i * longest + count) for i, count in enumerate(counts)]),
        "num_tokens": torch.tensor(counts),
        "longest": longest,
    }
    if any(mask is not None for mask in masks):
        every = [torch.ones_like(a, dtype=torch.bool) if m is None else m for a, m in zip(answers, masks, strict=True)]
        batch["entries"] = torch.cat(every).reshape(-1).nonzero().squeeze(-1)
    return batch


def split(examples: Sequence[Example], token_budget: int | None, share: bool = True) -> list[list[Example]]:
    """Cuts examples into packs of at most `token_budget` steps (one example alone may exceed it).

    The examples of a prompt stay together; where they are more than a pack holds, each of their packs is filled.
    """
    if token_budget is None or len(examples) < 2:
        return [list(examples)]
    groups: dict[Any, list[Example]] = {}
    for number, example in enumerate(examples):
        groups.setdefault(example.prompt_key if share else number, []).append(example)
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
