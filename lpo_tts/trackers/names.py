"""Names of trackers in a recipe: refused where there is none, without importing what they need."""

from collections.abc import Sequence
from typing import cast

from lpo_tts.errors import ConfigError
from lpo_tts.trackers import REGISTRY
from lpo_tts.trackers.base import Tracker


def check_trackers(names: Sequence[str]) -> None:
    """Raises ConfigError for a name that no tracker has, or that stands twice."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"trackers: {name!r} stands twice; name each tracker once")
        made(name)


def made(name: str) -> Tracker:
    """A tracker by its name, or by `module:Class`."""
    return cast("Tracker", REGISTRY.get(name)())


def ready(name: str) -> Tracker:
    """As `made`, with its library imported; raises ComponentError where that is not installed."""
    tracker = made(name)
    tracker.load()
    return tracker
