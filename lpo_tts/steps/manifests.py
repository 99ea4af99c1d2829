"""The manifest of an exported data set, with its recordings, to the place that the recipe names."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpo_tts import artefacts
from lpo_tts.exchange.columns import fields_of, from_columns
from lpo_tts.exchange.parquet import batches, parquet_files, schema_of
from lpo_tts.manifests.once import Once
from lpo_tts.records import Utterance, file_name
from lpo_tts.steps.run import Run
from lpo_tts.steps.tables import Table


def import_manifest(run: Run, table: Table, folder: Path) -> None:
    """Writes the manifest that the recipe names, and the recordings beside it; one that is there stays."""
    if table.path.exists():
        run.tell(f"manifest: {table.path} is there already and stays")
        return
    count, once = 0, Once()
    with artefacts.table_writer(table.path) as write:
        for paths in parquet_files(folder).values():
            for path in paths:
                names = [*(field.name for field in fields_of(Utterance)), "recording"]
                has = [name for name in names if name in schema_of(path).names]
                for batch in batches(path, has, 16):
                    for row in batch.to_pylist():
                        one = from_columns(row, Utterance, f"{path}")
                        once.take(one.id, f"import: {folder}")
                        write(_with_audio(one, row.get("recording"), table.path.parent))
                        count += 1
    run.tell(f"manifest: {count} rows ({run.show(table.path)})")


def _with_audio(one: Utterance, recording: Mapping[str, Any] | None, folder: Path) -> Utterance:
    """An utterance whose recording lies beside the manifest, in recordings/, where the data set holds it."""
    if recording is None or recording.get("bytes") is None:
        return one
    suffix = Path(str(recording.get("path") or "")).suffix
    name = f"recordings/{file_name(one.id)}{suffix if suffix[1:].isalnum() else '.wav'}"
    artefacts.write_atomic(folder / name, recording["bytes"])
    return dataclasses.replace(one, audio=name)
