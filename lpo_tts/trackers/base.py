"""What a tracker is given of an evaluation: per system its figures, texts, settings and audio; where its files go."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

STATE = "trackers.json"  # in the folder of a place: what trackers must remember between training and evaluation


@dataclass(frozen=True)
class Place:
    """Where the files of trackers go, and what the run is called there.

    Attributes:
        folder: the run folder; a report's folder where there is no run. Everything lies below it.
        run_name: groups the systems of one run.
    """

    folder: Path
    run_name: str

    @property
    def events(self) -> Path:
        """Folder of TensorBoard's event files, one folder per system."""
        return self.folder / "tensorboard"

    @property
    def state(self) -> Path:
        """File of what trackers remember."""
        return self.folder / STATE


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A candidate to listen to.

    Attributes:
        name: group, prompt and seed: the same for all systems, so that a tracker shows them side by side.
        path: of the audio; None where it was not kept.
        text: to be spoken.
        heard: by the recogniser that chose the example; None where it heard nothing.
        caption: value and duration, as people read them.
    """

    name: str
    path: Path | None
    text: str
    heard: str | None
    caption: str


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """One system of an evaluation, as a tracker keeps it.

    Attributes:
        system: its name.
        step: optimizer steps of its training; 0 for a base.
        scalars: name -> number; `evaluation/<metric>/<figure>` and the ends of its interval, differences, p-values, counts.
        texts: name -> Markdown: the verdict and headline of the report, and what every tested difference shows.
        config: settings of the run, of this system.
        clips: the examples of the report, in its order.
    """

    system: str
    step: int
    scalars: Mapping[str, float]
    texts: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    clips: Sequence[Clip] = ()


class Tracker(Protocol):
    """Somewhere figures go. A member is a frozen dataclass; its library is imported in `load` alone.

    Every error of the library, of the network or of a login is raised as ComponentError, in one line.
    """

    def load(self) -> None:
        """Imports the library; raises ComponentError where it is not installed."""
        ...

    def send(self, rows: Sequence[Tracked], place: Place) -> str:
        """Writes an evaluation, in place of what was sent of the same systems before; returns where it is, in words."""
        ...

    def training(self, place: Place, system: str, step: int, logged: int) -> AbstractContextManager[Sequence[Any]]:
        """While this lasts, a system is trained from optimizer step `step` on; gives callbacks for transformers' trainer.

        `logged` is the last step that a sitting before logged; its rows after `step` come again and are not kept twice. At step 0
        what is there of an earlier training of this system is replaced.
        """
        ...
