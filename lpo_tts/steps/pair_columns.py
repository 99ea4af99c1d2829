"""Preference pairs as columns: the very token ids that are learnt from, and what the pairs rest on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lpo_tts import artefacts
from lpo_tts.exchange.columns import fields_of, to_columns
from lpo_tts.exchange.parquet import arrow
from lpo_tts.records import PreferencePair, Prompt, Score
from lpo_tts.steps.answers import Answers
from lpo_tts.steps.candidate_columns import ids
from lpo_tts.steps.candidates import Sampled
from lpo_tts.steps.run import Run

# `chosen` and `rejected` of a pair are ids of candidates. TRL would take columns of these names for text, and train on it.
RENAMED = {"chosen": "chosen_candidate", "rejected": "rejected_candidate"}
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class PairTable:
    """The pairs of a folder with everything that their rows tell.

    Attributes:
        run: the run folder.
        path: pairs.jsonl.
        streams: of the model: with one, ids are lists; with more, lists of steps.
        metrics: names of the scores that there are tables of.
    """

    run: Run
    path: Path
    streams: int
    metrics: Sequence[str]

    @classmethod
    def of(cls, run: Run, path: Path, streams: int) -> "PairTable":
        """With the scores that the run folder has."""
        return cls(run, path, streams, [name for name in run.recipe.score.metrics if run.scores_path(name).exists()])

    def fields(self) -> list[Any]:
        """Arrow fields of a row."""
        pa = arrow()
        own = [field.with_name(RENAMED.get(field.name, field.name)) for field in fields_of(PreferencePair)]
        tokens = pa.list_(pa.int32()) if self.streams == 1 else pa.list_(pa.list_(pa.int32()))
        margins = [pa.field(f"margin_{name}", pa.float64()) for name in self._margins()]
        scores = [pa.field(f"{side}_score_{name}", pa.float64()) for name in self.metrics for side in SIDES]
        beside = [pa.field("text", pa.string()), pa.field("language", pa.string())]
        seeds = [pa.field(f"{side}_seed", pa.int64()) for side in SIDES]
        return [*own, *beside, *seeds, *margins, *scores, *(pa.field(f"{name}_ids", tokens) for name in ("prompt", *SIDES))]

    def _margins(self) -> list[str]:
        found = (name for pair in artefacts.iterate_rows(self.path, PreferencePair) for name in pair.margins)
        return sorted(dict.fromkeys(found))

    def features(self) -> Mapping[str, Tensor]:
        """What the model was given beside tokens, for the first pair; {} where it was given nothing, or there is no pair."""
        for _, one, _ in self._rows():
            return one.prompt.features
        return {}

    def rows(self, speech: Callable[[Sampled], Any] | None = None) -> Iterator[tuple[PreferencePair, dict[str, Any]]]:
        """Pairs in their order, each as columns; `speech` makes recordings of candidates.

        Raises:
            ArtefactError: a pair names a candidate, or a prompt, that there is none of.
        """
        texts = {row.id: (row.text, row.language) for row in artefacts.iterate_rows(self.run.prompts_path, Prompt)}
        wanted = self._wanted()
        scores = {name: _values(self.run.scores_path(name), wanted) for name in self.metrics}
        for pair, chosen, rejected in self._rows():
            row = {RENAMED.get(name, name): value for name, value in to_columns(pair).items()}
            row["text"], row["language"] = texts.get(pair.prompt_id, (None, None))
            row |= {f"margin_{name}": value for name, value in pair.margins.items()}
            row["prompt_ids"] = ids(chosen.prompt.tokens)
            for side, one in zip(SIDES, (chosen, rejected), strict=True):
                row[f"{side}_seed"], row[f"{side}_ids"] = one.row.seed, ids(one.tokens)
                row |= {f"{side}_score_{name}": values.get(one.row.id) for name, values in scores.items()}
                if speech is not None:
                    row[f"{side}_speech"] = speech(one)
            yield pair, row

    def _wanted(self) -> set[str]:
        pairs = artefacts.iterate_rows(self.path, PreferencePair)
        return {name for pair in pairs for name in (pair.chosen, pair.rejected)}

    def _rows(self) -> Iterator[tuple[PreferencePair, Sampled, Sampled]]:
        answers = Answers((self.run.candidates_path, self.run.targets_path), self._wanted())
        for number, pair in enumerate(artefacts.iterate_rows(self.path, PreferencePair), 1):
            chosen, rejected = (answers.get(name, f"{self.path}:{number}") for name in (pair.chosen, pair.rejected))
            yield pair, chosen, rejected


def _values(path: Path, wanted: set[str]) -> dict[str, float | None]:
    rows = artefacts.iterate_rows(path, Score, unique=False)
    return {row.candidate_id: row.value for row in rows if row.candidate_id in wanted}
