"""Reference log-probs as they are kept: one safetensors file, keyed by what it was made from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lpo_tts.artefacts import write_tensors
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.logprobs import Logps
from lpo_tts.training.batch import Counted, every_entry, num_counted
from lpo_tts.training.examples import Example


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
