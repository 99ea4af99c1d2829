"""How often somebody may ask: buckets of tokens, one for each name, in bounded memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_NAMES = 10_000  # ours: the names that were heard of longest ago are forgotten


class Rate:
    """So many requests at once, and so many per second after that, for each name.

    Args:
        burst: requests at once.
        per_second: requests that are given back each second.
        clock: seconds, never backwards.
    """

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst, self.per_second = burst, per_second
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> requests left, and when that was so
        self._lock = threading.Lock()

    def has_left(self, name: str = "") -> bool:
        """Whether a name has a request left; none is taken."""
        with self._lock:
            return self._of(name, self._clock()) >= 1

    def take(self, name: str = "") -> bool:
        """Takes one request of a name; False when it has none left, and then nothing is taken."""
        with self._lock:
            now = self._clock()
            left = self._of(name, now)
            allowed = left >= 1
            self._left.pop(name, None)  # so that it stands last
            self._left[name] = (left - 1 if allowed else left), now
            if len(self._left) > MOST_NAMES:
                self._left.popitem(last=False)
            return allowed

    def _of(self, name: str, now: float) -> float:
        left, since = self._left.get(name, (float(self.burst), now))
        return min(float(self.burst), left + (now - since) * self.per_second)
