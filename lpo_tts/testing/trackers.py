"""The contract of trackers: `check_tracker`."""

from pathlib import Path

from lpo_tts.testing.base import check_settings, expect
from lpo_tts.trackers.base import Clip, Place, Tracked, Tracker


def check_tracker(tracker: Tracker, folder: Path) -> None:
    """Checks a tracker on an evaluation of two systems, and on a training that is cut off and goes on.

    Args:
        tracker: an instance, whose service is at hand.
        folder: an empty one, for what it keeps on this machine.

    Raises:
        AssertionError: it is no frozen dataclass, does not say where an evaluation is, or gives no callbacks for a training.
    """
    name = type(tracker).__name__
    check_settings(tracker)
    tracker.load()
    place = Place(folder, "contract")
    clip = Clip(name="worse/p#0", path=None, text="two words", heard=None, caption="no decodable audio")
    rows = [
        Tracked(
            system=system, step=step, scalars={"evaluation/judge/corpus": 0.5}, texts={"evaluation/verdict": "-"}, clips=[clip]
        )
        for system, step in (("base", 0), ("aligned", 4))
    ]
    for time in ("first", "second"):
        where = tracker.send(rows, place)
        expect(
            where and isinstance(where, str), f"{name}.send: expected words that say where it is, found {where!r} ({time} time)"
        )
    for step, logged in ((0, 0), (2, 4)):
        with tracker.training(place, "aligned", step, logged) as callbacks:
            expect(callbacks, f"{name}.training: expected callbacks for a trainer at step {step}, found {callbacks!r}")
            for one in callbacks:
                expect(callable(getattr(one, "on_log", None)), f"{name}.training: expected a method on_log, found {one!r}")
    try:
        with tracker.training(place, "aligned", 0, 0):
            raise FileNotFoundError("an error of the training")
    except FileNotFoundError:
        return
    expect(False, f"{name}.training: expected an error of the training to pass, but it was lost")
