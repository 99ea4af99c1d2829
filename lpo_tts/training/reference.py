"""Log-probs of the frozen reference model, computed once for all examples and kept in one safetensors file."""

import itertools
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lpo_tts.artefacts import write_tensors
from lpo_tts.errors import ArtefactError, ConfigError, ContractError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.causal import speech_lm
from lpo_tts.lm.logps import Head, Wanted
from lpo_tts.lm.models import autocast, frozen
from lpo_tts.logprobs import Logps
from lpo_tts.training.batch import Counted, collate, every_entry, moved, num_counted, split
from lpo_tts.training.examples import Example, data_hash

logger = logging.getLogger(__name__)

SAVE_EVERY = 50  # batches between two saves of what is done so far
TOKEN_BUDGET = 4096  # tokens of a packed forward pass


@dataclass(frozen=True, eq=False)
class ReferenceLogps:
    """What the frozen model gives to the answers of every example, by the example's id.

    `total`, `num_tokens`: (answers,), the answers of the examples one after the other (a pair: chosen, rejected);
    `sizes`: how many answers each example has; `tokens`: (all counted answer tokens,) log-probs token by token, or None;
    model, data and precision say of what and how it was made.
    """

    ids: tuple[str, ...]
    sizes: Tensor  # (examples,) int64
    total: Tensor
    num_tokens: Tensor
    tokens: Tensor | None
    model: str  # SpeechLM.fingerprint
    data: str  # data_hash
    precision: str
    _rows: dict[str, range] = field(init=False, repr=False)
    _ends: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ends = self.sizes.cumsum(0).tolist()
        rows = {one: range(end - size, end) for one, end, size in zip(self.ids, ends, self.sizes.tolist(), strict=True)}
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_ends", self.num_tokens.cumsum(0))

    def take(self, ids: Sequence[str]) -> Logps:
        """Log-probs of all answers of these examples, in order; raises ContractError for an example that is not there."""
        try:
            rows = torch.tensor([row for one in ids for row in self._rows[one]], dtype=torch.int64)
        except KeyError as error:
            raise ContractError(f"no reference log-probs for pair {error.args[0]}; make them anew from these pairs") from error
        tokens = None
        if self.tokens is not None:
            counts, ends = self.num_tokens[rows].tolist(), self._ends[rows].tolist()
            tokens = torch.zeros(len(rows), max(counts))
            for row, (count, end) in enumerate(zip(counts, ends, strict=True)):
                tokens[row, :count] = self.tokens[end - count : end]
        return Logps(self.total[rows], self.num_tokens[rows], tokens)

    def check_covers(self, examples: Sequence[Example], *, tokens: bool = False, counted: Counted = every_entry) -> None:
        """Raises ContractError unless every example is there with as many counted tokens as it has (and `tokens`, if so)."""
        if tokens and self.tokens is None:
            raise ContractError(
                "the loss or the pairs' token weights need reference log-probs token by token, and these are sums; make them anew"
            )
        for example in examples:
            found = self.take([example.id]).num_tokens.tolist() if example.id in self._rows else self.take([example.id])
            expected = [num_counted(answer, counted) for answer in example.answers]
            if found != expected:
                raise ContractError(
                    f"pair {example.id} has answers of {_and(expected)} tokens, the reference log-probs are of "
                    f"{_and(found)}; make them anew from these pairs"
                )

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        tensors = {"sizes": self.sizes, "total": self.total, "num_tokens": self.num_tokens}
        if self.tokens is not None:
            tensors["tokens"] = self.tokens
        # one entry: safetensors does not keep the order of several, and equal contents are to give equal bytes
        made_of = {"ids": self.ids, "model": self.model, "data": self.data, "precision": self.precision}
        write_tensors(path, tensors, {"reference": json.dumps(made_of)})

    @classmethod
    def load(
        cls, path: Path, *, model: str | None = None, data: str | None = None, precision: str | None = None
    ) -> "ReferenceLogps":
        """Reads a file and compares what it was made from with what is expected (None: not compared).

        Raises:
            ArtefactError: missing or torn file, or another model, data or precision: the message says which.
        """
        if not path.is_file():
            raise ArtefactError(f"{path}: no reference log-probs there; run the reference step first")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = json.loads((file.metadata() or {})["reference"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            found = cls(
                tuple(metadata["ids"]),
                tensors["sizes"],
                tensors["total"],
                tensors["num_tokens"],
                tensors.get("tokens"),
                metadata["model"],
                metadata["data"],
                metadata["precision"],
            )
        except (SafetensorError, KeyError, ValueError) as error:
            raise ArtefactError(f"{path}: not a file of reference log-probs ({error}); delete it and make it anew") from error
        for name, expected in (("model", model), ("data", data), ("precision", precision)):
            actual = getattr(found, name)
            if expected is not None and actual != expected:
                raise ArtefactError(
                    f"{path}: the reference log-probs were made with another {name}: expected {expected[:12]}, "
                    f"found {actual[:12]}; delete the file and make it anew"
                )
        return found


def _and(numbers: Any) -> str:
    return " and ".join(map(str, numbers))


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
) -> ReferenceLogps:
    """Scores all examples with a model, or reads them from `path` where the same model, data and precision made it.

    What is done so far is saved to `<path>.unfinished` now and then, and taken up again after an interruption; the
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

    Raises:
        ArtefactError: `path` holds log-probs of something else.
    """
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision = {precision!r} is none of fp32, bf16")
    lm = speech_lm(model)
    key = {"model": hashed or lm.fingerprint(), "data": data_hash(examples), "precision": precision}
    if path is not None and path.exists():
        found = ReferenceLogps.load(path, **key)
        if found.tokens is not None or not tokens:
            return found
        logger.info("%s holds sums alone, token by token is needed: computing it anew", path)
    if head == "fused" and lm.why_not_fused() is not None:
        head = "answers"
    pack = lm.takes_packs
    packs = _plan(examples, batch_size, pack, share)
    order = [example for part in packs for example in part]
    ends = list(itertools.accumulate(map(len, packs)))
    unfinished = None if path is None else path.with_name(f"{path.name}.unfinished-{batch_size}")
    done, ready = _take_up(unfinished, key, order, ends, tokens)
    device = next(lm.module.parameters()).device
    with frozen(lm.module):
        for number, part in enumerate(packs):
            if number < done:
                continue
            batch = collate(part, pack=pack, share=share, counted=lm.counted)
            batch.pop("weights", None)  # kept unweighted; the trainer weighs policy and reference alike
            with autocast(lm.module, precision):
                logps = lm.logps(moved(batch, device), Wanted(tokens=tokens, head=head))
            ready.append(_on_cpu(logps))
            if progress is not None:
                progress(ends[number], len(order))
            if unfinished is not None and (number + 1) % SAVE_EVERY == 0:
                unfinished.parent.mkdir(parents=True, exist_ok=True)
                _bundle(order[: ends[number]], ready, key).save(unfinished)
    result = _bundle(order, ready, key)
    if not bool(torch.isfinite(result.total).all()):
        bad = [one for one in result.ids if not bool(torch.isfinite(result.take([one]).total).all())]
        raise ContractError(f"the reference model gives non-finite log-probs to {len(bad)} pairs (first: {bad[0]})")
    if path is not None and unfinished is not None:
        result.save(path)
        unfinished.unlink(missing_ok=True)
    return result


def _plan(examples: Sequence[Example], batch_size: int, pack: bool, share: bool) -> list[list[Example]]:
    """Batches of similar length, answers to one prompt together."""
    groups: dict[bytes, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.prompt_key, []).append(example)
    ordered = sorted(groups.values(), key=lambda group: (max(e.num_tokens for e in group), min(e.id for e in group)))
    flat = [example for group in ordered for example in sorted(group, key=lambda e: (e.num_tokens, e.id))]
    batches = [flat[start : start + batch_size] for start in range(0, len(flat), batch_size)]
    return [part for batch in batches for part in (split(batch, TOKEN_BUDGET, share) if pack else [batch])]


def _on_cpu(logps: Logps) -> tuple[Tensor, Tensor, Tensor | None]:
    tokens = None
    if logps.tokens is not None:
        rows = zip(logps.tokens, logps.num_tokens.tolist(), strict=True)
        tokens = torch.cat([row[:count] for row, count in rows]).float().cpu()
    return logps.total.float().cpu(), logps.num_tokens.cpu(), tokens


def _bundle(
    order: Sequence[Example], ready: Sequence[tuple[Tensor, Tensor, Tensor | None]], key: dict[str, str]
) -> ReferenceLogps:
    kept = [part[2] for part in ready if part[2] is not None]
    return ReferenceLogps(
        tuple(example.id for example in order),
        torch.tensor([len(example.answers) for example in order], dtype=torch.int64),
        torch.cat([part[0] for part in ready]) if ready else torch.empty(0),
        torch.cat([part[1] for part in ready]) if ready else torch.empty(0, dtype=torch.int64),
        torch.cat(kept) if kept else None,
        **key,
    )


def _take_up(
    path: Path | None, key: dict[str, str], order: Sequence[Example], ends: list[int], tokens: bool
) -> tuple[int, list[tuple[Tensor, Tensor, Tensor | None]]]:
    """What an interrupted computation left: how many batches are done, and their results."""
    if path is None or not path.exists():
        return 0, []
    try:
        part = ReferenceLogps.load(path, **key)
    except ArtefactError as error:
        logger.warning("starting anew: %s", error)
        return 0, []
    if part.ids != tuple(example.id for example in order[: len(part.ids)]) or len(part.ids) not in ends:
        return 0, []
    if (part.tokens is not None) != tokens:
        return 0, []
    return ends.index(len(part.ids)) + 1, [(part.total, part.num_tokens, part.tokens)]
