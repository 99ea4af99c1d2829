"""Rows of which each may come once, told by their ids."""

from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.hashes import HashTable, fingerprint


class Once:
    """The ids that came so far, as hashes."""

    def __init__(self) -> None:
        self._seen = HashTable()

    def take(self, row_id: str, where: str) -> None:
        """Notes an id; raises ArtefactError when it came before, `where` says in which table."""
        key = fingerprint(row_id)
        if key in self._seen:
            raise ArtefactError(f"{where}: expected every id once, found {row_id!r} twice; remove one of the rows")
        self._seen.put(key, 1)
