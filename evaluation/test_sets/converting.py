"""A local copy of a test set becomes a manifest of its recordings, each decoded once, and the table of its prompts."""

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.test_sets import REGISTRY
from evaluation.test_sets.base import Dropped, Recording, TestSet
from lpo_tts.artefacts import Artefact, Provenance, file_hash, read_object, read_rows, write_rows
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.options import Options
from lpo_tts.manifests.writing import write
from lpo_tts.records import Prompt, Utterance

# A voice that is too short or too long is a matter of the benchmark: only what cannot be a recording of speech is left out.
SHORTEST, LONGEST = 0.05, 600.0  # seconds
VERB = "evaluation/suites"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a local copy.

    Attributes:
        path: the table of prompts.
        num_prompts: how many it holds.
        lost: rows of the set that became no prompt, with the reason.
        notes: what else is to be told.
    """

    path: Path
    num_prompts: int
    lost: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self, expected: int | None = None) -> Iterator[str]:
        """For people."""
        yield f"{self.path}: {self.num_prompts:,} prompts"
        if self.lost:
            first = f"{self.lost[0].id}: {self.lost[0].reason}"
            yield f"{len(self.lost):,} rows became none and stand in {failed_path(self.path).name}, first: {first}"
        if expected is not None and expected != self.num_prompts:
            yield f"warning: {expected:,} prompts were expected, so figures are not those of the whole set"
        yield from (f"warning: {note}" for note in self.notes)


def failed_path(path: Path) -> Path:
    """Where the rows stand that became no prompt."""
    return path.with_name("prompts.failed.jsonl")


def convert(name: str, data: TestSet, local: Path, out: Path, *, workers: int = 0) -> Done:
    """Writes manifest.jsonl, prompts.jsonl and what was lost; the same call goes on where an earlier one was stopped.

    Args:
        name: of the suite, for the side-car.
        data: the test set.
        local: the local copy.
        out: folder of the tables.
        workers: processes that decode; the tables do not depend on it.

    Raises:
        ArtefactError: a table of the set is missing, nothing can be used, or `out` holds another suite.
    """
    manifest, path = out / "manifest.jsonl", out / "prompts.jsonl"
    inputs = {group: _hash(files) for group, files in data.tables(local).items()}
    tree = Structurer({TestSet: REGISTRY}).unstructure(data, TestSet)
    settings = {"suite": name, "data": tree}
    _check_owner(manifest, name)
    recordings = _Recordings(data, local)
    made = Artefact(manifest, Provenance(VERB, settings, inputs))
    with_recordings = any(isinstance(one, Recording) for one in recordings)  # a list may name no voice at all
    # Where recordings could not be used, another look may find them mended.
    if with_recordings and (not made.is_complete() or made.meta()["counts"].get("failed")):
        options = Options(out=manifest, min_duration=SHORTEST, max_duration=LONGEST, max_failed=1.0, workers=workers)
        print(write(recordings, options, made.provenance), file=sys.stderr)
    measured = {one.id: one for one in read_rows(manifest, Utterance)} if with_recordings else {}
    found = list(data.prompts(local, measured))
    prompts = [one for one in found if isinstance(one, Prompt)]
    lost = [*recordings.broken(), *(one for one in found if isinstance(one, Dropped))]
    if not prompts:
        first = f", first: {lost[0].id}: {lost[0].reason}" if lost else ""
        raise ArtefactError(f"{path}: no prompt to write{first}; check --from")
    write_rows(failed_path(path), [{"id": one.id, "reason": one.reason} for one in lost])
    if not lost:
        failed_path(path).unlink()
    artefact = Artefact(path, Provenance(VERB, settings, {"manifest": file_hash(manifest)} if with_recordings else inputs))
    artefact.begin()
    write_rows(path, prompts)
    artefact.finish(rows=len(prompts), failed=len(lost))
    notes = getattr(data, "notes", None)
    return Done(path=path, num_prompts=len(prompts), lost=tuple(lost), notes=tuple(notes(local)) if notes is not None else ())


class _Recordings:
    """What a set's `recordings` yield, from the start at every `iter`."""

    def __init__(self, data: TestSet, local: Path) -> None:
        self._data, self._local = data, local

    def __iter__(self) -> Iterator[Recording | Dropped]:
        return iter(self._data.recordings(self._local))

    def broken(self) -> list[Dropped]:
        """Rows of the set that name no recording at all; recordings that cannot be read cost prompts, which tell it."""
        return [one for one in self if isinstance(one, Dropped)]


def _check_owner(manifest: Path, name: str) -> None:
    """Raises ArtefactError where the folder holds the tables of another suite, or a manifest of another program."""
    side_car = manifest.with_name(manifest.name + ".meta.json")
    if not side_car.exists():
        if manifest.exists():
            raise ArtefactError(f"{manifest}: is there, and not {side_car.name}, which says whose it is; choose another --out")
        return
    settings = read_object(side_car).get("settings")
    owner = settings.get("suite") if isinstance(settings, dict) else None
    if owner != name:
        whose = f"of the suite {owner}" if owner else "that no suite has made"
        raise ArtefactError(f"{manifest}: expected a folder of the suite {name}, found tables {whose}; choose another --out")


def _hash(paths: Sequence[Path]) -> str:
    """sha-256 of a file, or over the contents and names of several."""
    if len(paths) == 1:
        return file_hash(paths[0])
    lines = (f"{os.path.relpath(path, paths[0].parent)}:{file_hash(path)}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
