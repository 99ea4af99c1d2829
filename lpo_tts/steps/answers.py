"""Candidates by their ids, a part at a time: what stands behind the ids of pairs, without all candidates in memory."""

from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate
from lpo_tts.steps.candidates import Sampled, part_paths, read_part

PARTS = 2  # in memory; the candidates of a prompt stand in one part, and its recording in one of targets/


class Answers:
    """Looks candidates up by id; quick where they are asked for in about the order of the parts.

    Args:
        folders: of parts, such as candidates/ and targets/; those that are not there are left out.
        wanted: ids that will be asked for.
    """

    def __init__(self, folders: Collection[Path], wanted: Collection[str]) -> None:
        self._parts: OrderedDict[Path, dict[str, Sampled]] = OrderedDict()
        self._wanted = frozenset(wanted)
        self._place = {
            row.id: path
            for folder in folders
            if folder.exists()
            for path in part_paths(folder)
            for row in artefacts.iterate_rows(path, Candidate)
            if row.id in self._wanted
        }

    def get(self, candidate_id: str, where: str) -> Sampled:
        """One candidate; raises ArtefactError where there is none of this id."""
        path = self._place.get(candidate_id)
        if path is None:
            raise ArtefactError(f"{where}: no candidate {candidate_id!r} in the run folder; run pair again")
        if path not in self._parts:
            self._parts[path] = {one.row.id: one for one in read_part(path) if one.row.id in self._wanted}
            while len(self._parts) > PARTS:
                self._parts.popitem(last=False)
        return self._parts[path][candidate_id]
