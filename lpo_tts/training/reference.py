"""Log-probs of the frozen reference model, computed once for all pairs and kept in one safetensors file."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lpo_tts.artefacts import write_tensors
from lpo_tts.errors import ArtefactError, ConfigError, ContractError
from lpo_tts.losses.base import Logps, PairLogps
from lpo_tts.training.batch import PairExample, collate, data_hash
from lpo_tts.training.logps import answer_logps, autocast

logger = logging.getLogger(__name__)

SAVE_EVERY = 50  # batches between two saves of what is done so far


@dataclass(frozen=True, eq=False)
class ReferenceLogps:
    """What the frozen model gives to the answers of every pair, by pair id.

    `logps` is over all pairs in the order of `ids`; model, data and precision say of what and how it was made.
    """

    ids: tuple[str, ...]
    logps: PairLogps
    model: str  # model_hash
    data: str  # data_hash
    precision: str
    _rows: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", {pair_id: row for row, pair_id in enumerate(self.ids)})

    def take(self, ids: Sequence[str]) -> PairLogps:
        """The log-probs of these pairs, in this order; raises ContractError for a pair that is not there."""
        try:
            rows = torch.tensor([self._rows[pair_id] for pair_id in ids], dtype=torch.int64)
        except KeyError as error:
            raise ContractError(f"no reference log-probs for pair {error.args[0]}; make them anew from these pairs") from error
        chosen, rejected = self.logps.chosen, self.logps.rejected
        return PairLogps(
            Logps(chosen.total[rows], chosen.num_tokens[rows]), Logps(rejected.total[rows], rejected.num_tokens[rows])
        )

    def check_covers(self, pairs: Sequence[PairExample]) -> None:
        """Raises ContractError unless every pair is there with as many answer tokens as it has."""
        counts = self.take([pair.id for pair in pairs])
        for pair, chosen, rejected in zip(
            pairs, counts.chosen.num_tokens.tolist(), counts.rejected.num_tokens.tolist(), strict=True
        ):
            if (chosen, rejected) != (len(pair.chosen_ids), len(pair.rejected_ids)):
                raise ContractError(
                    f"pair {pair.id} has answers of {len(pair.chosen_ids)} and {len(pair.rejected_ids)} tokens, the reference "
                    f"log-probs are of {chosen} and {rejected}; make them anew from these pairs"
                )

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        tensors = {
            "chosen_total": self.logps.chosen.total,
            "chosen_num_tokens": self.logps.chosen.num_tokens,
            "rejected_total": self.logps.rejected.total,
            "rejected_num_tokens": self.logps.rejected.num_tokens,
        }
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
                PairLogps(
                    Logps(tensors["chosen_total"], tensors["chosen_num_tokens"]),
                    Logps(tensors["rejected_total"], tensors["rejected_num_tokens"]),
                ),
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


def model_hash(model: nn.Module) -> str:
    """sha-256 over names, types and values of a model's weights (tied ones once)."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        data = weight.detach().cpu().contiguous()
        digest.update(f"{name}\0{data.dtype}\0{tuple(data.shape)}\0".encode())
        digest.update(data.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


@torch.no_grad()
def compute_reference(
    model: nn.Module,
    pairs: Sequence[PairExample],
    path: Path | None = None,
    batch_size: int = 32,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> ReferenceLogps:
    """Scores all pairs with a model, or reads them from `path` where the same model, data and precision made it.

    What is done so far is saved to `<path>.unfinished` now and then, and taken up again after an interruption; the
    batches are the same either way, and so is the file, byte for byte.

    Args:
        model: the frozen model; it is put into evaluation mode while it scores.
        pairs: from `prepare_pairs`.
        path: where the result is kept; None keeps it in memory.
        batch_size: pairs per forward.
        precision: "fp32" or "bf16" (autocast); training is to use the same.
        progress: called with (pairs done, pairs in all) after every batch.

    Raises:
        ArtefactError: `path` holds log-probs of something else.
    """
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision = {precision!r} is none of fp32, bf16")
    key = {"model": model_hash(model), "data": data_hash(pairs), "precision": precision}
    if path is not None and path.exists():
        return ReferenceLogps.load(path, **key)
    order = sorted(range(len(pairs)), key=lambda i: (pairs[i].num_tokens, pairs[i].id))
    totals, counts = torch.zeros(2, len(pairs)), torch.zeros(2, len(pairs), dtype=torch.int64)
    done = _take_up(path, key, pairs, order, totals, counts, batch_size)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        for number, start in enumerate(range(0, len(order), batch_size)):
            rows = order[start : start + batch_size]
            if start < done:
                continue
            batch = collate([pairs[i] for i in rows])
            with autocast(model, precision):
                moved = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
                logps = answer_logps(model, moved)
            totals[:, rows] = logps.total.float().cpu().view(2, -1)
            counts[:, rows] = batch["num_tokens"].view(2, -1)
            done = start + len(rows)
            if progress is not None:
                progress(done, len(pairs))
            if path is not None and (number + 1) % SAVE_EVERY == 0:
                _unfinished(path, batch_size).parent.mkdir(parents=True, exist_ok=True)
                _bundle(pairs, order[:done], totals, counts, key).save(_unfinished(path, batch_size))
    finally:
        model.train(was_training)
    result = _bundle(pairs, range(len(pairs)), totals, counts, key)
    if not bool(torch.isfinite(totals).all()):
        bad = [pairs[i].id for i in (~torch.isfinite(totals).all(0)).nonzero().flatten().tolist()]
        raise ContractError(f"the reference model gives non-finite log-probs to {len(bad)} pairs (first: {bad[0]})")
    if path is not None:
        result.save(path)
        _unfinished(path, batch_size).unlink(missing_ok=True)
    return result


def _unfinished(path: Path, batch_size: int) -> Path:
    return path.with_name(f"{path.name}.unfinished-{batch_size}")


def _bundle(
    pairs: Sequence[PairExample], rows: Sequence[int] | range, totals: Tensor, counts: Tensor, key: dict[str, str]
) -> ReferenceLogps:
    rows = list(rows)
    chosen, rejected = (Logps(totals[side, rows], counts[side, rows]) for side in (0, 1))
    return ReferenceLogps(tuple(pairs[i].id for i in rows), PairLogps(chosen, rejected), **key)


def _take_up(
    path: Path | None,
    key: dict[str, str],
    pairs: Sequence[PairExample],
    order: Sequence[int],
    totals: Tensor,
    counts: Tensor,
    batch_size: int,
) -> int:
    """Fills in what an interrupted computation left; returns how many pairs of `order` are done."""
    if path is None or not _unfinished(path, batch_size).exists():
        return 0
    try:
        part = ReferenceLogps.load(_unfinished(path, batch_size), **key)
    except ArtefactError as error:
        logger.warning("starting anew: %s", error)
        return 0
    rows = list(order[: len(part.ids)])
    if tuple(pairs[i].id for i in rows) != part.ids:
        return 0
    for side, logps in enumerate((part.logps.chosen, part.logps.rejected)):
        totals[side, rows], counts[side, rows] = logps.total, logps.num_tokens
    return len(rows)
