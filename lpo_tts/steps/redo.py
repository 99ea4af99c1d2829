"""--redo: which artefacts are made again though they exist, remembered so that an interrupted one goes on."""

import logging
from collections.abc import Iterable
from pathlib import Path

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError

log = logging.getLogger("lpo_tts")


class Redo:
    """Artefacts to make again, each once; `redo.json` in the run folder names them until all are made.

    Without it an interrupted `--redo` would begin anew each time it is started.
    """

    def __init__(self, out: Path, asked: Iterable[str] = ()) -> None:
        self.out = out
        self.path = out / "redo.json"
        self.verbs = list(asked)
        self.begun: set[str] = set()
        pending, begun = _pending(self.path)
        if pending and set(self.verbs) <= set(pending):
            log.info("--redo %s was interrupted and goes on", pending[0])
            self.verbs, self.begun = pending, set(begun)

    def covers(self, verb: str) -> bool:
        """Whether artefacts of this verb are made again."""
        return verb in self.verbs

    def start(self, path: Path, verb: str) -> None:
        """Removes an artefact that is to be made again, unless that was done already."""
        name = path.absolute().relative_to(self.out.absolute()).as_posix()
        if verb not in self.verbs or name in self.begun:
            return
        artefacts.remove(path)
        self.begun.add(name)
        artefacts.write_json(self.path, {"verbs": self.verbs, "begun": sorted(self.begun)})

    def finish(self, verbs: Iterable[str]) -> None:
        """Forgets what was asked for, once these verbs are done and none is left."""
        left = [verb for verb in self.verbs if verb not in set(verbs)]
        if not left and self.path.exists():  # a finished run may lie where nothing can be written
            self.path.unlink()
        elif left and self.begun:
            artefacts.write_json(self.path, {"verbs": left, "begun": sorted(self.begun)})


def _pending(path: Path) -> tuple[list[str], list[str]]:
    """What an interrupted run left to do; nothing where there is no readable note of it."""
    if not path.exists():
        return [], []
    try:
        note = artefacts.read_object(path)
        return [str(one) for one in note["verbs"]], [str(one) for one in note["begun"]]
    except (ArtefactError, KeyError, TypeError):
        log.warning("%s cannot be read; if a --redo was interrupted, give it again", path)
        return [], []
