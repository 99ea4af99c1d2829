"""The tables of a run folder as data sets have them: where each lies, what its rows are, and to which split they belong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import (
    Candidate,
    Comparison,
    LabelledCandidate,
    PreferencePair,
    Prompt,
    RankedList,
    Score,
    TokenWeights,
    Utterance,
)
from lpo_tts.steps import STEPS, VERBS
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.token_weights import TABLE as WEIGHTS

if TYPE_CHECKING:
    from lpo_tts.recipe import System


@dataclass(frozen=True)
class Table:
    """One table of a run folder.

    Attributes:
        name: under which a data set has it.
        kind: class of its rows; of Candidate there is a folder of parts, with tensors.
        path: where it lies.
        made: the artefact it is a part of: its side-car says how it was made; None: it has none (a manifest).
        what: which of `lpo_tts.steps.WHAT` asks for it.
    """

    name: str
    kind: type
    path: Path
    made: Path | None
    what: str

    @property
    def has_tensors(self) -> bool:
        """Whether it is a folder of parts."""
        return self.kind is Candidate

    def exists(self) -> bool:
        """Whether there is such a table."""
        return self.path.exists()


def tables(run: Run, system: "System") -> list[Table]:
    """Every table that this recipe and system can have, in the order of the pipeline, whether it is there or not."""
    pairs = system.folder / "pairs.jsonl"
    recipe = run.recipe
    return [
        Table("manifest", Utterance, recipe.prompts.manifest, None, "manifest"),
        Table("prompts", Prompt, run.prompts_path, run.prompts_path, "prompts"),
        Table("candidates", Candidate, run.candidates_path, run.candidates_path, "candidates"),
        Table("targets", Candidate, run.targets_path, run.targets_path, "candidates"),
        *(_own(f"scores-{name}", Score, run.scores_path(name), "scores") for name in recipe.score.metrics),
        *(_own(f"comparisons-{name}", Comparison, run.comparisons_path(name), "scores") for name in recipe.score.comparisons),
        Table("pairs", PreferencePair, pairs, pairs, "pairs"),
        Table("labels", LabelledCandidate, pairs.with_name("labels.jsonl"), pairs, "pairs"),
        Table("lists", RankedList, pairs.with_name("lists.jsonl"), pairs, "pairs"),
        _own("weights", TokenWeights, pairs.with_name(WEIGHTS), "pairs"),
    ]


def _own(name: str, kind: type, path: Path, what: str) -> Table:
    return Table(name, kind, path, path, what)


def chosen_system(run: Run, name: str | None) -> "System":
    """The system of this name, or the only one; raises ConfigError where there is none, or are several."""
    systems = run.recipe.systems
    if name is None and len(systems) == 1:
        return next(iter(systems.values()))
    if name is None:
        raise ConfigError(f"the recipe has several systems ({', '.join(systems)}); choose one with --system NAME")
    if name not in systems:
        raise ConfigError(f"--system: no system named {name!r} in this recipe (it has: {', '.join(systems)})")
    return systems[name]


def planned(run: Run) -> dict[Path, Plan]:
    """The artefacts of the steps up to `pair` before they are made, by their paths."""
    return {plan.path: plan for step in STEPS[:4] for plan in VERBS[step].load().plans(run)}


def state_for_import(artefact: Artefact) -> str:
    """The state of an artefact that is about to be brought in; raises ArtefactError where another one lies in its place."""
    try:
        return artefact.state()
    except ArtefactError as error:
        raise ArtefactError(
            f"import: {artefact.path} is there already and is another one; import into another `out`, or remove it with its "
            f"side-car ({' '.join(str(error).splitlines()[1:-1]).strip() or error})"
        ) from error


class Splits:
    """To which split a row belongs: its own, or that of its prompt; "train" where neither is known."""

    def __init__(self, prompts: Path) -> None:
        rows: Iterator[Prompt] = artefacts.iterate_rows(prompts, Prompt) if prompts.exists() else iter(())
        self._of_prompt: Mapping[str, str] = {row.id: row.split for row in rows if row.split != "train"}

    def of(self, row: Any) -> str:
        """train, dev or test."""
        if hasattr(row, "split"):
            return row.split or "train"
        prompt = row.prompt_id if hasattr(row, "prompt_id") else row.candidate_id.rpartition("#")[0]
        return self._of_prompt.get(prompt, "train")
