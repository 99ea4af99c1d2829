"""Which checkpoint of a run folder is whole."""

import logging
from pathlib import Path

from lpo_tts.artefacts import read_json
from lpo_tts.errors import ArtefactError

logger = logging.getLogger(__name__)


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of a run; one that an interruption tore has no readable trainer_state.json."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        try:
            read_json(path / "trainer_state.json")
        except ArtefactError:
            logger.warning("%s is torn (no readable trainer_state.json); an older checkpoint is taken", path)
            continue
        return str(path)
    return None
