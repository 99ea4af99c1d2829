"""Evaluations and trainings to the trackers that a recipe names; one that fails after an evaluation costs a warning alone."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lpo_tts.comparison.results import Report
from lpo_tts.config import Structurer
from lpo_tts.errors import LpoTtsError
from lpo_tts.files import read_object
from lpo_tts.trackers.base import Place
from lpo_tts.trackers.names import made, ready
from lpo_tts.trackers.rows import rows_of

log = logging.getLogger("lpo_tts")


def track(report: Report, names: Sequence[str], folder: Path, run_name: str, *, run_folder: Path | None = None) -> None:
    """Sends the figures, verdict, settings and examples of a report to trackers, once it is written.

    A tracker that cannot be used is warned of in one line, and the others are served.

    Args:
        report: as it was written.
        names: of trackers, such as "tensorboard"; `module:Class` for one of your own.
        folder: of the report, which audio paths are relative to.
        run_name: groups the systems.
        run_folder: where the trackers' files go, beside those of the training; None: the report's folder.
    """
    if not names:
        return
    rows = rows_of(report, folder)
    place = Place(folder if run_folder is None else run_folder, run_name)
    for name in names:
        try:
            log.info("%s: %s", name, ready(name).send(rows, place))
        except LpoTtsError as error:
            log.warning("%s: the report is whole, but was not sent: %s", name, error)


def track_file(path: Path, names: Sequence[str], run_name: str, *, run_folder: Path | None = None) -> None:
    """As `track`, for a report that lies there: what could not be sent when it was made is sent now."""
    if names:
        report = Structurer().structure(read_object(path), Report, str(path))
        track(report, names, path.parent, run_name, run_folder=run_folder)


@contextmanager
def training(names: Sequence[str], place: Place, system: str, step: int, logged: int) -> Iterator[list[Any]]:
    """Callbacks for transformers' trainer, by which a training goes to trackers; see `Tracker.training`.

    Raises:
        ComponentError: a tracker cannot be used; nothing is lost before the training, so this stops it.
    """
    with ExitStack() as stack:
        yield [one for name in names for one in stack.enter_context(made(name).training(place, system, step, logged))]
