"""export: the tables of a run folder as a Hugging Face data set (Parquet), or its pairs in TRL's preference format."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError, ConfigError, ContractError
from lpo_tts.exchange.cards import dataset_card
from lpo_tts.exchange.folders import new_folder, refuse_full
from lpo_tts.exchange.parquet import arrow
from lpo_tts.steps import WHAT, token_weights
from lpo_tts.steps.export_note import NOTE, note_of
from lpo_tts.steps.exporter import Writer
from lpo_tts.steps.pair_columns import PairTable
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.tables import chosen_system, tables

if TYPE_CHECKING:
    from lpo_tts.recipe import System

COLUMNS = (
    "`row` is the place of a row in the table that it comes from. Mappings (tags, margins, details) are JSON. Token ids are "
    "those of the model named in `lpo-tts.json`; its prompts are rendered in full, and an answer that ended holds its end token."
)
TRL = """Token ids are those that the model sampled: nothing is tokenized again. TRL's `DPOTrainer` (1.16) tokenizes whatever it
is given, so tell it not to:

```python
from trl import DPOTrainer


class TokenisedDPOTrainer(DPOTrainer):
    def _prepare_dataset(self, dataset, *arguments):
        return dataset
```

Set `max_length=None` in its `DPOConfig`, or long answers are cut. There are no columns of text named `prompt`, `chosen` and
`rejected`, which would be tokenized to other ids."""


def plans(run: Run) -> list[Plan]:
    """Nothing is made in the run folder."""
    return []


def execute(
    run: Run, *, to: str, what: Sequence[str] = (), format: str = "datasets", system: str | None = None, audio: bool = False
) -> None:
    """Writes a data set into a new folder; tells a line for each of its tables.

    Args:
        run: the run folder.
        to: the folder.
        what: which tables (see `WHAT`); none: all that are there, but for the manifest.
        format: "datasets", or "trl" for pairs alone.
        system: whose pairs; None: the recipe's only one.
        audio: whether recordings of the manifest, voices of prompts, and decoded candidates go along.

    Raises:
        ArtefactError: a table that was asked for is not there or not complete, or the folder holds something.
        ContractError: TRL's format is asked for, and the model writes several tokens a step or is given more than tokens.
    """
    arrow()
    chosen, folder = chosen_system(run, system), Path(to)
    refuse_full(folder)
    if format == "trl":
        if set(what) - {"pairs"}:
            raise ConfigError(f"--format trl holds pairs alone, found --what {' '.join(what)}; leave --what out")
        _check_for_trl(run, chosen)
    wanted = ("pairs",) if format == "trl" else tuple(what) or tuple(one for one in WHAT if one != "manifest")
    found = [one for one in tables(run, chosen) if one.what in wanted and one.exists()]
    for name in what or wanted[-1:]:
        if not any(one.what == name for one in found):
            raise ArtefactError(f"export: the run folder {run.show(run.out)} has no {name}; run the step that makes them first")
    with new_folder(folder) as place:
        writer = Writer(run, chosen, place, audio)
        if format == "trl":
            pairs = next(one for one in found if one.name == "pairs")
            described = [writer.pairs(pairs, place / "data")]
            if not sum(described[0].splits.values()):
                raise ArtefactError(f"export: {run.show(pairs.path)} has no pairs, and TRL's format holds nothing else")
            card = dataset_card(f"Preference pairs of {run.recipe.name}", described, writer.languages(), TRL, "data")
        else:
            described = [writer.table(one, place / one.name) for one in found]
            card = dataset_card(f"Tables of {run.recipe.name}", described, writer.languages(), COLUMNS)
        artefacts.write_json(place / NOTE, note_of(run.recipe.name, chosen.name, found, format))
        artefacts.write_atomic(place / "README.md", card.encode())
    if writer.unread:
        name, reason = next(iter(writer.unread.items()))
        run.tell(f"warning: {len(writer.unread)} recordings cannot be read and are left out, first: {name}: {reason}")
    for one in described:
        run.tell(f"{one.name}: {', '.join(f'{count} {split}' for split, count in one.splits.items())}")
    run.tell(f"data set: {folder}")


def _check_for_trl(run: Run, system: "System") -> None:
    streams = run.backbone.token_map().streams
    if streams > 1:
        raise ContractError(
            f"--format trl: {run.backbone.model} writes {streams} tokens a step, and TRL takes models of one token a step; use "
            "--format datasets, whose rows hold lists of lists"
        )
    path = system.folder / "pairs.jsonl"
    features = PairTable(run, path, streams, ()).features() if path.exists() else {}
    if features:
        raise ContractError(
            f"--format trl: {run.backbone.model} is given {', '.join(features)} beside tokens, and TRL gives a model tokens "
            "alone; use --format datasets"
        )
    if token_weights.table_path(system) is not None:
        run.tell("warning: TRL has no token weights; every token of these answers counts there")
