"""Token weights that training reads: a table of what the tokens of candidates weigh, laid over their token ids."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from lpo_tts import artefacts
from lpo_tts.backbones.base import END, FIXED, Places
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.losses.base import Loss
from lpo_tts.records import TokenWeights
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.run import Run

if TYPE_CHECKING:
    from lpo_tts.recipe import System

TABLE = "weights.jsonl"
Kind = Literal["weights", "importance"]


class WeightTable:
    """Rows of TokenWeights by candidate, for the examples of a system.

    Args:
        path: the table.
        kind: which columns of an example it fills.
        places: where each entry of an answer belongs, as `TokenMap.places` says it.
    """

    def __init__(self, path: Path, kind: Kind, places: Callable[[Tensor], Places]) -> None:
        self.path = path
        self.kind: Kind = kind
        self._places = places
        self._rows: dict[tuple[str, str], TokenWeights] = {}
        for row in artefacts.iterate_rows(path, TokenWeights, unique=False):
            key = (row.preference, row.candidate_id)
            if key in self._rows:
                where = f" in {row.preference!r}" if row.preference else ""
                raise ArtefactError(f"{path}: candidate {row.candidate_id!r}{where} stands twice; give each one row")
            self._rows[key] = row

    def check(self, known: Container[str]) -> None:
        """Raises ArtefactError when the table names a candidate that is none of `known`, or no candidate at all."""
        unknown = next((row.candidate_id for row in self._rows.values() if row.candidate_id not in known), None)
        if unknown is not None:
            raise ArtefactError(f"{self.path}: no candidate {unknown!r} in this run; give weights of its own candidates")
        if not self._rows:
            raise ArtefactError(f"{self.path}: no rows; give the weights of at least one candidate, or leave the table out")

    def of(self, preference: str, candidate_id: str, answer: Tensor) -> Tensor | None:
        """(steps, streams) weights of an answer's tokens; None where the table has no row for it, so that all weigh 1.

        Raises:
            ArtefactError: the row has frames that the answer has not, or leaves it no token.
        """
        row = self._rows.get((preference, candidate_id)) or self._rows.get(("", candidate_id))
        if row is None:
            return None
        try:
            return laid_over(row, self._places(answer))
        except ValueError as error:
            raise ArtefactError(f"{self.path}: candidate {candidate_id!r}: {error}") from error

    def columns(self, preference: str, answers: Sequence[tuple[str, str, Tensor]]) -> dict[str, Tensor | None]:
        """Arguments of an example.

        Args:
            preference: id of the pair or labelled candidate.
            answers: (what the example calls it, candidate id, token ids) each.
        """
        return {f"{name}_{self.kind}": self.of(preference, candidate_id, answer) for name, candidate_id, answer in answers}


def laid_over(row: TokenWeights, places: Places) -> Tensor:
    """(steps, streams) float32 weights of an answer's tokens; 0 where the model's pattern fixes an entry.

    Raises:
        ValueError: the row has frames that the answer has not, or leaves no token with a weight.
    """
    frames = int(places.frame.max()) + 1 if bool((places.frame >= 0).any()) else 0
    frame = torch.where(places.slot == END, frames, places.frame)
    weights = torch.full(frame.shape, row.rest, dtype=torch.float32)
    for first, end, weight in row.spans:
        if first > frames or (end is not None and end > frames):
            raise ValueError(f"the span [{first}, {end}) reaches beyond the answer's {frames} frames")
        weights[(frame >= first) & (frame < (frames + 1 if end is None else end))] = weight
    weights[places.slot == FIXED] = 0
    if not bool(weights.any()):
        raise ValueError("no token of the answer has a weight above 0")
    return weights


def kind_of(loss: Loss) -> Kind:
    """What a loss reads: importance where it has a cost for every token (TKTO), else weights."""
    return "importance" if getattr(loss, "takes_importance", False) else "weights"


def table_path(system: "System") -> Path | None:
    """The table that a system's training reads, made or the user's own; None for none."""
    if system.train.token_weights is not None:
        return system.train.token_weights
    return system.folder / TABLE if system.pair.weights is not None else None


def weighs(system: "System") -> bool:
    """Whether log-probs are weighed token by token, so that those of the reference are needed token by token."""
    return bool(system.train.segments) or (table_path(system) is not None and kind_of(system.train.loss) == "weights")


def inputs_of(system: "System") -> dict[str, str]:
    """Hash of the table that a system's training reads, as an input of what is made from it."""
    path = table_path(system)
    return {} if path is None else {"weights": artefacts.digest_of(path)}


def read_table(run: Run, system: "System") -> WeightTable | None:
    """The table that a system's training reads; raises ArtefactError for one that is not of this run's candidates."""
    path = table_path(system)
    if path is None:
        return None
    table = WeightTable(path, kind_of(system.train.loss), run.backbone.token_map().places)
    known = {row.id for row in iterate_candidates(run.candidates_path)}
    if run.targets_path.exists():
        known |= {row.id for row in iterate_candidates(run.targets_path)}
    table.check(known)
    return table


def check(system: "System", metrics: Mapping[str, Any]) -> None:
    """Raises ConfigError when a system's weights do not go with its loss, or no score gives what they are made from."""
    loss, settings = system.train.loss, system.pair.weights
    if settings is None and system.train.token_weights is None:
        return
    where = "pair.weights" if settings is not None else "train.token_weights"
    if settings is not None and system.train.token_weights is not None:
        raise ConfigError("pair.weights and train.token_weights both say what tokens weigh; choose one")
    if system.train.token_weights is not None and not system.train.token_weights.is_file():
        raise ConfigError(f"train.token_weights: no file {system.train.token_weights}; give the table, or leave the key out")
    if getattr(loss, "data", "pair") == "list":
        raise ConfigError(f"{where}: {type(loss).__name__} learns from lists, whose tokens have no weights; leave it out")
    if not getattr(loss, "takes_weights", True) and kind_of(loss) == "weights":
        raise ConfigError(
            f"{where}: {type(loss).__name__} counts on the places of tokens and takes no weights per token; leave it out, or "
            "choose another loss"
        )
    if settings is not None:
        _check_metric(settings.metric, metrics)


def _check_metric(name: str, metrics: Mapping[str, Any]) -> None:
    if name not in metrics:
        raise ConfigError(
            f"pair.weights.metric: {name!r} is not scored by this recipe; `score.metrics` has: {', '.join(metrics)}"
        )
    if not getattr(metrics[name], "times", False):
        raise ConfigError(
            f"pair.weights.metric: {name} does not say when each word was heard; set score.metrics.{name}.times to true "
            "(it needs a metric, and a recogniser, that give times)"
        )
