"""How many listeners an A/B test will take until it says stop: simulated, before anybody is asked."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if not __package__:  # run as a file: the repository's root takes the place of its folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from lpo_tts.bounds import above, at_least, check_value
from lpo_tts.errors import ConfigError, exit_code
from lpo_tts.statistics import MARGIN, Evidence

RUNS = 400  # ours: the median is then exact to a few per cent
MOST = 400  # ours: listeners that a run has at most


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What became of the simulated tests.

    Attributes:
        decided, equivalent: share of tests that stopped so.
        median, most_of: listeners at the stop in half of the tests, and in nine of ten; None where fewer stopped.
        wrong: share of tests that stopped wrongly: for the wrong system, for any where there is no preference, or as
            equivalent of a preference beyond the margin.
    """

    decided: float
    equivalent: float
    median: int | None
    most_of: int | None
    wrong: float


def forecast(
    share: float, trials: int, spread: float, *, margin: float = MARGIN, alpha: float = 0.05, runs: int = RUNS, seed: int = 0
) -> Forecast:
    """Simulated tests that are looked at after each listener.

    Args:
        share: true preference, in (0, 1).
        trials: of each listener.
        spread: standard deviation of the listeners' true shares, which have a beta distribution.
        margin: of the advice.
        alpha: of the advice.
        runs: simulated tests.
        seed: of the simulation.

    Raises:
        ConfigError: shares cannot spread so far.
    """
    if spread**2 >= share * (1 - share):
        raise ConfigError(
            f"--spread: expected less than {math.sqrt(share * (1 - share)):.2f} at a share of {share}, found {spread}"
        )
    rng, limit = np.random.default_rng(seed), -math.log(alpha)
    size = share * (1 - share) / spread**2 - 1 if spread else 0.0
    stops, decided, wrong = [], 0, 0
    for _ in range(runs):
        true = rng.beta(share * size, (1 - share) * size, size=MOST) if spread else np.full(MOST, share)
        shares = rng.binomial(trials, true) / trials
        low, half, high = (Evidence(shares).path(mean) >= limit for mean in (0.5 - margin, 0.5, 0.5 + margin))
        means = shares.cumsum() / np.arange(1, MOST + 1)
        alike = low & high & (np.abs(means - 0.5) < margin)
        if not (half | alike).any():
            continue
        stop = int(np.argmax(half | alike))
        stops.append(stop + 1)
        decided += bool(half[stop])
        wrong += (means[stop] - 0.5) * (share - 0.5) <= 0 if half[stop] else abs(share - 0.5) > margin
    found = sorted(stops)

    def reached(part: float) -> int | None:
        place = math.ceil(part * runs)
        return found[place - 1] if len(found) >= place else None

    return Forecast(
        decided=decided / runs,
        equivalent=(len(stops) - decided) / runs,
        median=reached(0.5),
        most_of=reached(0.9),
        wrong=wrong / runs,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo/plan.py", description=__doc__)
    parser.add_argument("--share", type=float, nargs="+", default=[0.5, 0.55, 0.6, 0.65, 0.7], help="true preferences")
    parser.add_argument("--trials", type=int, default=20, help="of each listener (default: %(default)s)")
    parser.add_argument(
        "--spread", type=float, default=0.15, help="standard deviation of the listeners' true shares (default: %(default)s)"
    )
    parser.add_argument("--margin", type=float, default=MARGIN, help="around one half (default: %(default)s)")
    parser.add_argument("--confidence", type=float, default=0.95, help="default: %(default)s")
    options = parser.parse_args(arguments)
    return exit_code("demo/plan.py", lambda: work(options))


def work(options: argparse.Namespace) -> None:
    """Prints a row for each preference."""
    check_value("--share", options.share, above(0).below(1))
    check_value("--trials", options.trials, at_least(1).at_most(1000))
    check_value("--spread", options.spread, at_least(0).below(0.5))
    check_value("--margin", options.margin, above(0).below(0.5))
    check_value("--confidence", options.confidence, above(0).below(1))
    print("| true preference | listeners, half of the tests | nine of ten | decided | equivalent | wrong |")
    print("|---|---|---|---|---|---|")
    for share in options.share:
        found = forecast(share, options.trials, options.spread, margin=options.margin, alpha=1 - options.confidence)
        counts = [f"> {MOST}" if one is None else str(one) for one in (found.median, found.most_of)]
        parts = [f"{100 * one:.0f} %" for one in (found.decided, found.equivalent, found.wrong)]
        print("| " + " | ".join([f"{100 * share:.0f} %", *counts, *parts]) + " |")


if __name__ == "__main__":
    sys.exit(main())
