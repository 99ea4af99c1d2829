"""Tables of an exported data set back to the run folder: rows in their order, parts of candidates, and where they came from."""

import dataclasses
import functools
import heapq
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.audio import path_fault
from lpo_tts.config import differences
from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.columns import fields_of, from_columns
from lpo_tts.exchange.parquet import arrow, batches, check_columns, parquet_files, schema_of
from lpo_tts.manifests.once import Once
from lpo_tts.records import PreferencePair, Prompt, Utterance
from lpo_tts.steps.candidate_columns import candidates_of
from lpo_tts.steps.candidates import Sampled, part_files, part_name, write_part
from lpo_tts.steps.export_note import Note
from lpo_tts.steps.manifests import import_manifest
from lpo_tts.steps.pair_columns import RENAMED
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.tables import Table, planned, state_for_import, tables

if TYPE_CHECKING:
    from lpo_tts.recipe import System

PART = 256  # candidates of a part, where the data set does not say which part each belongs to


class Importer:
    """Brings tables of `export` back.

    Args:
        run: the run folder.
        system: whose pairs.
        folder: the data set.
        note: how its tables were made; None where it does not say.
    """

    def __init__(self, run: Run, system: "System", folder: Path, note: Note | None) -> None:
        self.run, self.system, self.folder, self.note = run, system, folder, note
        self.plans = planned(run)
        self.present = {one.name: one.path for one in tables(run, system)}
        self.streams = run.backbone.token_map().streams
        self.moved = 0  # recordings that were found by the manifest

    def tables(self, wanted: Sequence[Table]) -> None:
        """All of them; what lies beside pairs goes with the pairs."""
        for table in wanted:
            self._check_columns(table)
        for made, group in itertools.groupby(wanted, key=lambda one: one.made):
            together = list(group)
            if made is None:
                import_manifest(self.run, together[0], self.folder / together[0].name)
            elif made not in self.plans:
                self.run.tell(f"{together[0].name}: left out: the recipe has no use for it")
            else:
                self._artefact(together, self.plans[made])

    def _artefact(self, together: Sequence[Table], plan: Plan) -> None:
        first = together[0]
        entry = self.note.tables.get(first.name, {}) if self.note is not None else {}
        self._check_settings(first, entry, plan)
        artefact = Artefact(plan.path, Provenance(plan.verb, plan.settings, self._inputs(first, entry)))
        if state_for_import(artefact) == "complete":
            self.run.tell(f"{first.name}: up to date ({self.run.show(plan.path)})")
            return
        hashes = {one.name: artefacts.content_hash(self.folder / one.name) for one in together}
        artefact.imported = {
            "from": str(self.folder.resolve()),
            "format": "datasets",
            "sha256": hashes,
            "settings": "as the data set states them" if entry else "those of this recipe; the data set states none",
            **{name: entry[name] for name in ("inputs", "versions") if entry.get(name)},
        }
        artefact.begin()
        if first.has_tensors:
            rows = self._candidates(first, artefact, entry)
        else:
            rows = 0
            for one in together:
                count = self._rows_into(one)
                rows += count
                if len(together) > 1 or one.kind is PreferencePair:
                    artefact.add(one.path.name, count, [one.path])
        artefact.finish(**(dict(entry.get("counts") or {}) | {"rows": rows}))
        self.run.tell(f"{first.name}: {rows} rows ({self.run.show(plan.path)})")
        if first.kind is Prompt and self.moved:
            self.run.tell(f"prompts: {self.moved} recordings are those of {self.run.recipe.prompts.manifest}")
        elif entry.get("sha256") not in (None, artefacts.digest_of(plan.path)):
            self.run.tell(f"warning: {first.name} is not what was exported: its rows were changed since")

    def _check_columns(self, table: Table) -> None:
        """Every shard has the columns of its table, in their types."""
        wanted = {RENAMED.get(name, name) if table.name == "pairs" else name: kind for name, kind in _kinds(table.kind).items()}
        if table.has_tensors:
            wanted |= dict.fromkeys(("prompt_tokens", "tokens", "codes"), "lists of whole numbers")
        more = {"row": "whole numbers", "part": "whole numbers", "recording": "recordings"}
        for paths in parquet_files(self.folder / table.name).values():
            for path in paths:
                schema = schema_of(path)
                check_columns(path, schema, wanted | {name: kind for name, kind in more.items() if name in schema.names})

    def _check_settings(self, table: Table, entry: Mapping[str, Any], plan: Plan) -> None:
        if not entry.get("settings"):
            return
        here = Provenance(plan.verb, plan.settings, {}).identity["settings"]
        changed = differences({"settings": entry["settings"]}, {"settings": here})
        if changed:
            raise ArtefactError(
                f"import: {self.folder / table.name} was made with other settings than those of the recipe:\n  "
                + "\n  ".join(changed[:8])
                + "\nGive the recipe the old values, or import with --what only what it shares"
            )

    def _inputs(self, table: Table, entry: Mapping[str, Any]) -> dict[str, str]:
        """Hashes of what it was made from: of the tables here where there are any, else those that the data set states."""
        stated = dict(entry.get("inputs") or {})
        least = {"candidates": ("prompts",), "targets": ("prompts",), "pairs": ("prompts", "candidates")}
        names = stated or least.get(table.name, ("prompts", "candidates") if table.what == "scores" else ())
        found = {}
        for name in names:
            path = self.present.get(name)
            found[name] = artefacts.digest_of(path) if path is not None and path.exists() else stated.get(name)
            if name == "manifest":  # it need not be here, nor be the one that is
                found[name] = stated.get(name)
            if found[name] is None:
                raise ArtefactError(f"import: {table.name} needs the table {name}, which is not in {self.run.out}; import it too")
        return found

    def _rows_into(self, table: Table) -> int:
        """Writes a table of rows; returns how many."""
        count, once = 0, Once()
        with artefacts.table_writer(table.path) as write:
            for where, row in self._in_order(table):
                record = _record(table, row, where)
                once.take(getattr(record, "id", None) or record.candidate_id, f"import: {self.folder / table.name}")
                write(self._with_recordings(record) if isinstance(record, Prompt) else record)
                count += 1
        return count

    def _with_recordings(self, prompt: Prompt) -> Prompt:
        """The prompt with the recordings of the recipe's manifest, where there are none at the paths that it brings."""
        found = {}
        for name in ("voice", "target"):
            one: Utterance | None = getattr(prompt, name)
            if one is not None and one.id in self._recordings and not _is_there(self.run.out / one.audio):
                found[name] = dataclasses.replace(one, audio=self._recordings[one.id])
        self.moved += len(found)
        return dataclasses.replace(prompt, **found)

    @functools.cached_property
    def _recordings(self) -> dict[str, str]:
        """Recordings of the manifest by id, relative to the run folder; none where there is no manifest."""
        path = self.run.recipe.prompts.manifest
        rows = artefacts.iterate_rows(path, Utterance) if path.exists() else ()
        out = self.run.out.resolve()
        return {row.id: os.path.relpath((path.parent / row.audio).absolute(), out) for row in rows}

    def _in_order(self, table: Table) -> Iterator[tuple[str, dict[str, Any]]]:
        """Rows of all splits in the order of the table that was exported, a batch of each split in memory."""
        renamed = RENAMED if table.name == "pairs" else {}
        own = [str(field.name) for field in fields_of(table.kind)]
        names = [renamed.get(name, name) for name in own]

        def rows(paths: Sequence[Path]) -> Iterator[tuple[int, str, dict[str, Any]]]:
            for path in paths:
                ordered = "row" in schema_of(path).names
                number = 0
                for batch in batches(path, [*names, *(["row"] if ordered else [])]):
                    for row in batch.to_pylist():
                        number += 1
                        yield row.get("row") or 0, f"{path}: row {number}", row

        splits = parquet_files(self.folder / table.name).values()
        for _, where, row in heapq.merge(*(rows(paths) for paths in splits), key=lambda one: one[0]):
            yield where, row

    def _candidates(self, table: Table, artefact: Artefact, entry: Mapping[str, Any]) -> int:
        """Writes parts that are not there yet; returns how many rows there are."""
        failed = entry.get("failed") or {}
        rows = last = 0
        for number, sampled in self._parts(table):
            name, rows, last = part_name(number), rows + len(sampled), number
            if name not in artefact.parts:
                write_part(artefact.path, number, sampled)
                artefact.add(name, len(sampled), part_files(artefact.path, number), failed.get(name))
        for name in sorted(set(failed) - set(artefact.parts)):  # parts of which no prompt worked
            number = int(name.rpartition("-")[2])
            write_part(artefact.path, number, [])
            artefact.add(name, 0, part_files(artefact.path, number), failed[name])
        if not last and not rows:
            raise ArtefactError(f"import: {self.folder / table.name} holds no candidates")
        return rows

    def _parts(self, table: Table) -> Iterator[tuple[int, list[Sampled]]]:
        """Candidates part by part."""
        tokenizer = self.run.backbone.token_map().tokenizer
        size = len(tokenizer) if tokenizer is not None and self.streams == 1 else None
        before, once = -1, Once()
        for number, group in itertools.groupby(self._sampled(table), key=lambda one: one[1]):
            if number <= before:
                raise ArtefactError(
                    f"import: {self.folder / table.name}: expected the rows in the order of their parts, found part {number} "
                    f"after part {before}; sort them by `row`"
                )
            before, sampled = number, [one for one, _ in group]
            for one in sampled:
                once.take(one.row.id, f"import: {self.folder / table.name}")
                _check_ids(one, size, self.folder / table.name)
            yield number, sampled

    def _sampled(self, table: Table) -> Iterator[tuple[Sampled, int]]:
        def ordered(paths: Sequence[Path]) -> Iterator[tuple[int, Sampled, int | None]]:
            for path in paths:
                schema = schema_of(path)
                names = [name for name in schema.names if name != "speech"]
                has_rows, has_parts = "row" in names, "part" in names
                for batch in batches(path, names):
                    places = batch.column("row").to_pylist() if has_rows else [0] * batch.num_rows
                    for place, (one, part) in zip(places, candidates_of(batch, self.streams, str(path)), strict=True):
                        yield place, one, part if has_parts else None

        splits = parquet_files(self.folder / table.name).values()
        before, size, number = None, 0, 0
        for _, one, part in heapq.merge(*(ordered(paths) for paths in splits), key=lambda one: one[0]):
            if part is None:
                if size >= PART and one.row.prompt_id != before:
                    size, number = 0, number + 1
                size, before = size + 1, one.row.prompt_id
            yield one, number if part is None else part


def _is_there(path: Path) -> bool:
    """Whether a path names a recording: a file, a member of a tar, or a stretch of either."""
    try:
        return path_fault(path) is None
    except ArtefactError:
        return False


def _check_ids(one: Sampled, size: int | None, where: Path) -> None:
    """Raises ArtefactError for token ids that the model has not."""
    ids = torch.cat([one.prompt.tokens, one.tokens]).reshape(-1)
    if size is not None and len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise ArtefactError(
            f"import: {where}: {one.row.id}: expected token ids from 0 to {size - 1}, those of the recipe's backbone, found "
            f"{int(ids.min())} to {int(ids.max())}; these are another model's candidates"
        )


def _record(table: Table, row: dict[str, Any], where: str) -> Any:
    if table.name == "pairs":
        row = {**row, **{name: row[other] for name, other in RENAMED.items()}}
    return from_columns(row, table.kind, where)


def _kinds(kind: type) -> dict[str, str]:
    """What `check_columns` asks of the columns of a record."""
    types = arrow().types
    found = {}
    for field in fields_of(kind):
        simple = {
            "text": types.is_string(field.type),
            "whole numbers": types.is_integer(field.type),
            "numbers": types.is_floating(field.type),
            "truth values": types.is_boolean(field.type),
        }
        found[field.name] = next((name for name, fits in simple.items() if fits), "anything")
    return found
