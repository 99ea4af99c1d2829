"""import: a data set in Parquet to tables of the run folder: those of `export`, or preference pairs with token ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.exchange.parquet import arrow, parquet_files
from lpo_tts.steps.export_note import Note
from lpo_tts.steps.foreign import import_preferences
from lpo_tts.steps.importer import Importer
from lpo_tts.steps.run import Plan, Run, exclusive
from lpo_tts.steps.tables import chosen_system, tables

if TYPE_CHECKING:
    pass


def plans(run: Run) -> list[Plan]:
    """Nothing but what other steps plan."""
    return []


def execute(run: Run, *, source: str, what: Sequence[str] = (), system: str | None = None, max_failed: float = 0.01) -> None:
    """Brings the tables of a data set into the run folder; tells a line for each.

    Tables that are there already stay. Interrupted, the same command goes on where it was.

    Args:
        run: the run folder.
        source: folder of the data set.
        what: which of its tables; none: all.
        system: whose pairs; None: the recipe's only one.
        max_failed: share of the rows of a foreign data set that may be unusable.

    Raises:
        ArtefactError: a shard is torn, or its columns are not those of its table; the run folder has other tables; or too
            many rows are unusable.
        ConfigError: the recipe has rounds.
    """
    arrow()
    folder = Path(source)
    if run.recipe.rounds > 1:
        raise ConfigError(f"import: expected a recipe of one round, found rounds: {run.recipe.rounds}; import into rounds=1")
    if not 0 <= max_failed <= 1:
        raise ConfigError(f"--max-failed: expected a share from 0 to 1, found {max_failed:g}")
    if not folder.is_dir():
        raise ArtefactError(f"import: no such folder: {folder}; fetch the data set first, as by `hf download`")
    chosen, note = chosen_system(run, system), Note.read(folder)
    with exclusive(run.out):
        known = [one for one in tables(run, chosen) if (folder / one.name).is_dir() and parquet_files(folder / one.name)]
        pairs_alone = {one.name for one in known} <= {"pairs"} and (note is None or not run.candidates_path.exists())
        if pairs_alone or (note is not None and note.format == "trl"):  # then the candidates are in their rows
            import_preferences(run, chosen, folder, max_failed)
            return
        wanted = [one for one in known if not what or one.what in what]
        if not wanted:
            raise ArtefactError(f"import: {folder} has no {' and no '.join(what)}; it has {', '.join(one.name for one in known)}")
        Importer(run, chosen, folder, note).tables(wanted)
