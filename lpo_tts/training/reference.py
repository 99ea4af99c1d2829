"""Log-probs of the frozen reference model, computed once for all examples, in batches and resumable parts."""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from lpo_tts.errors import ArtefactError, ConfigError, ContractError, os_errors
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.causal import speech_lm
from lpo_tts.lm.logps import Head
from lpo_tts.training.batch import split
from lpo_tts.training.examples import Example, data_hash
from lpo_tts.training.reference_logps import ReferenceLogps
from lpo_tts.training.scored import BatchLogps, Scorer

logger = logging.getLogger(__name__)

SAVE_EVERY = 16  # batches of a part
TOKEN_BUDGET = 4096  # tokens of a packed forward pass
Elsewhere: TypeAlias = Callable[[Iterable[list[Example]]], Iterator[BatchLogps]]  # results of batches, in order


def compute_reference(
    model: nn.Module | SpeechLM,
    examples: Sequence[Example],
    path: Path | None = None,
    batch_size: int = 32,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
    *,
    tokens: bool = False,
    head: Head = "fused",
    share: bool = True,
    hashed: str | None = None,
    elsewhere: Elsewhere | None = None,
) -> ReferenceLogps:
    """Scores all examples with a model, or reads them from `path` where the same model, data and precision made it.

    What is done so far is kept in parts in `<path>.unfinished-<batch_size>/`, and taken up again after an interruption; the
    batches are the same either way, and so is the file, byte for byte.

    Args:
        model: the frozen model, a causal LM or any `SpeechLM`; it is put into evaluation mode while it scores, the adapters
            of a peft model off. Where it takes packs, batches are packed.
        examples: from `prepare_examples`.
        path: where the result is kept; None keeps it in memory.
        batch_size: examples per forward (fewer when packed ones exceed TOKEN_BUDGET tokens).
        precision: "fp32" or "bf16" (autocast); training is to use the same.
        progress: called with (examples done, examples in all) after every batch.
        tokens: keep log-probs token by token as well.
        head: see `Wanted`.
        share: see `collate`.
        hashed: the model's `fingerprint`, where it is known already.
        elsewhere: scores batches by the same model in other processes, results in order; `model` then only says what it is.

    Raises:
        ArtefactError: `path` holds log-probs of something else.
    """
    work = ReferenceWork.plan(model, examples, path, batch_size, precision, tokens=tokens, share=share, hashed=hashed)
    if path is not None and path.exists():
        found = ReferenceLogps.load(path, **work.key)
        if found.tokens is not None or not tokens:
            return found
        logger.info("%s holds sums alone, token by token is needed: computing it anew", path)
    scorer = Scorer(speech_lm(model), precision, tokens, head, share)
    ready = work.fill(elsewhere or (lambda batches: map(scorer, batches)), progress)
    result = work.bundle(work.batches, [one for part in ready for one in part])
    if not bool(torch.isfinite(result.total).all()):
        bad = [one for one in result.ids if not bool(torch.isfinite(result.take([one]).total).all())]
        raise ContractError(f"the reference model gives non-finite log-probs to {len(bad)} pairs (first: {bad[0]})")
    if path is not None:
        result.save(path)
        work.clear()
    return result


@dataclass(frozen=True)
class ReferenceWork:
    """What there is to score, in batches, and parts of SAVE_EVERY batches, the unit of resuming.

    Attributes:
        batches: all of them, in order.
        key: what the log-probs are made from: model, data, precision.
        folder: where finished parts are kept; None: nowhere.
        tokens: whether they are kept token by token.
    """

    batches: Sequence[list[Example]]
    key: dict[str, str]
    folder: Path | None
    tokens: bool

    @classmethod
    def plan(
        cls,
        model: nn.Module | SpeechLM,
        examples: Sequence[Example],
        path: Path | None,
        batch_size: int,
        precision: str,
        *,
        tokens: bool = False,
        share: bool = True,
        hashed: str | None = None,
    ) -> "ReferenceWork":
        """See `compute_reference`; the batches depend on nothing but these arguments, whoever scores them."""
        if precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision = {precision!r} is none of fp32, bf16")
        lm = speech_lm(model)
        key = {"model": hashed or lm.fingerprint(), "data": data_hash(examples), "precision": precision}
        folder = None if path is None else path.with_name(f"{path.name}.unfinished-{batch_size}")
        return cls(_plan(examples, batch_size, lm.takes_packs, share), key, folder, tokens)

    @property
    def parts(self) -> list[Sequence[list[Example]]]:
        """The batches of every part."""
        return [self.batches[start : start + SAVE_EVERY] for start in range(0, len(self.batches), SAVE_EVERY)]

    def fill(
        self,
        score: Elsewhere,
        progress: Callable[[int, int], None] | None = None,
        takes: Callable[[int], bool] = lambda number: True,
    ) -> list[list[BatchLogps]]:
        """Scores what no part holds yet; returns the results of all parts that `takes`, and keeps each as it is done.

        Args:
            score: results of batches, in order.
            progress: called with (examples done, examples in all) after every batch.
            takes: whether a part, by its number, is to be done here; the others are left alone.
        """
        found = {number: self._load(number, part) for number, part in enumerate(self.parts) if takes(number)}
        todo = [number for number, kept in found.items() if kept is None]
        total = sum(map(len, self.batches))
        done = sum(len(batch) for number, kept in found.items() if kept is not None for batch in self.parts[number])
        results = score(batch for number in todo for batch in self.parts[number])
        for number in todo:
            ready: list[BatchLogps] = []
            for batch in self.parts[number]:
                ready.append(next(results))
                done += len(batch)
                if progress is not None:
                    progress(done, total)
            if self.folder is not None:
                self.bundle(self.parts[number], ready).save(self._path(number))
            found[number] = ready
        return [kept for kept in found.values() if kept is not None]

    def bundle(self, batches: Sequence[list[Example]], ready: Sequence[BatchLogps]) -> ReferenceLogps:
        """Results of batches as one object."""
        order = [example for batch in batches for example in batch]
        kept = [one.tokens for one in ready if one.tokens is not None]
        return ReferenceLogps(
            tuple(example.id for example in order),
            torch.tensor([len(example.answers) for example in order], dtype=torch.int64),
            torch.cat([one.total for one in ready]) if ready else torch.empty(0),
            torch.cat([one.num_tokens for one in ready]) if ready else torch.empty(0, dtype=torch.int64),
            torch.cat(kept) if kept else None,
            **self.key,
        )

    def clear(self) -> None:
        """Removes the parts."""
        if self.folder is not None and self.folder.exists():
            with os_errors("remove", self.folder):
                shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return (self.folder or Path()) / f"part-{number:05d}.safetensors"

    def _load(self, number: int, batches: Sequence[list[Example]]) -> list[BatchLogps] | None:
        """A part that was finished before, as one result; None where there is none of these batches."""
        if self.folder is None or not self._path(number).exists():
            return None
        try:
            part = ReferenceLogps.load(self._path(number), **self.key)
        except ArtefactError as error:
            logger.warning("making this part anew: %s", error)
            return None
        if part.ids != tuple(example.id for batch in batches for example in batch) or (part.tokens is not None) != self.tokens:
            return None
        return [BatchLogps(part.total, part.num_tokens, part.tokens)]


def _plan(examples: Sequence[Example], batch_size: int, pack: bool, share: bool) -> list[list[Example]]:
    """Batches of similar length, answers to one prompt together."""
    groups: dict[bytes, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.prompt_key, []).append(example)
    ordered = sorted(groups.values(), key=lambda group: (max(e.num_tokens for e in group), min(e.id for e in group)))
    flat = [example for group in ordered for example in sorted(group, key=lambda e: (e.num_tokens, e.id))]
    batches = [flat[start : start + batch_size] for start in range(0, len(flat), batch_size)]
    return [part for batch in batches for part in (split(batch, TOKEN_BUDGET, share) if pack else [batch])]
