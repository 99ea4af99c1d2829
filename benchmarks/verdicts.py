"""How often the statistics of a report are wrong, on simulated systems whose true difference is known.

`python -m benchmarks.verdicts` prints the three tables of docs/evaluation.md: how often "not worse" is said of a system that is
worse by exactly the margin, how often it is said of one that is as good, and how often intervals hold the true value.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpo_tts.statistics import Draws, equivalence_test, percentile_interval

ALPHA = 0.05
RESAMPLES = 2000
Values = NDArray[np.float64]
Tables = tuple[Values, Values]  # (num_prompts, 2) of the old system and of the new one: numerator, denominator


@dataclass(frozen=True)
class World:
    """Systems that can be drawn.

    Attributes:
        name: what they are.
        draw: random numbers, number of prompts and true difference (new - old, above 0 is worse) to tables of both.
        bound: what one prompt can lose.
    """

    name: str
    draw: Callable[[np.random.Generator, int, float], Tables]
    bound: float


def mean(values: Values) -> Values:
    """Values as the table of a plain mean."""
    return np.stack([values, np.ones_like(values)], axis=1)


def failures(rng: np.random.Generator, size: int, worse: float) -> Tables:
    """Prompts that are all right, and fail wholly with the chance `worse` in the new system."""
    return mean(np.zeros(size)), mean((rng.random(size) < worse).astype(np.float64))


def normal(rng: np.random.Generator, size: int, worse: float) -> Tables:
    """A loss of similarity that varies from prompt to prompt with a standard deviation of 0.07."""
    return mean(np.zeros(size)), mean(worse + 0.07 * rng.standard_normal(size))


def heavy(rng: np.random.Generator, size: int, worse: float) -> Tables:
    """Little changes, and a loss of 0.6 with the chance that makes the mean."""
    lost = rng.random(size) < worse / 0.6
    return mean(np.zeros(size)), mean(0.03 * rng.standard_normal(size) + 0.6 * lost)


def words(rng: np.random.Generator, size: int, worse: float) -> Tables:
    """Errors over words: 5 % in both systems, in clusters, and texts of 3 to 30 words that the new one loses wholly."""
    counts = rng.integers(3, 31, size=size)
    hard = rng.gamma(0.5, 2.0, size=size)
    old, new = (np.minimum(counts, rng.poisson(0.05 * hard * counts)) for _ in range(2))
    lost = rng.random(size) < worse / (1 - LOST)
    return tuple(np.stack([errors, counts], axis=1).astype(np.float64) for errors in (old, np.where(lost, counts, new)))  # type: ignore[return-value]


def _rate() -> float:
    """The error rate of `words`, by many prompts: its cap takes a little off 5 %."""
    rng = np.random.default_rng(0)
    counts, hard = rng.integers(3, 31, size=1_000_000), rng.gamma(0.5, 2.0, size=1_000_000)
    return float(np.minimum(counts, rng.poisson(0.05 * hard * counts)).sum() / counts.sum())


LOST = _rate()
FAILURES = World("prompts that fail wholly", failures, 1.0)
NORMAL = World("similarity, normal", normal, 0.7)
HEAVY = World("similarity, rare losses of 0.6", heavy, 0.7)
WORDS = World("word errors, texts lost", words, 1.0)
AT_MARGIN: Sequence[tuple[World, float, int]] = (
    *((FAILURES, margin, size) for margin, size in ((0.02, 20), (0.02, 40), (0.01, 180), (0.02, 180), (0.01, 500))),
    *((NORMAL, 0.02, size) for size in (10, 20, 180)),
    *((HEAVY, 0.02, size) for size in (20, 180, 500)),
    *((WORDS, margin, size) for margin, size in ((0.02, 40), (0.01, 180), (0.02, 180), (0.01, 500))),
)
AS_GOOD: Sequence[tuple[World, float, int]] = (
    *((FAILURES, margin, size) for margin, size in ((0.005, 500), (0.005, 700), (0.01, 180), (0.01, 320), (0.02, 180))),
    *((NORMAL, margin, size) for margin, size in ((0.02, 40), (0.02, 100), (0.02, 180), (0.02, 320), (0.05, 40))),
    *((WORDS, margin, size) for margin, size in ((0.01, 500), (0.01, 1000), (0.02, 180), (0.02, 500))),
)
COVERED = ((40, 0.02), (100, 0.02), (180, 0.02), (1088, 0.01))  # prompts, and the share of them that fails


def said(world: World, margin: float, size: int, true: float, trials: int, seed: int = 0) -> tuple[float, float]:
    """How often "not worse" is said of a true difference: by the bootstrap's interval alone, and by the test."""
    rng, draws = np.random.default_rng([seed, size]), Draws(size, RESAMPLES, seed)
    bootstrap = tested = 0
    for trial in range(trials):
        old, new = world.draw(rng, size, true)
        sums = draws.sums(np.concatenate([old, new], axis=1))
        resamples = sums[:, 2] / sums[:, 3] - sums[:, 0] / sums[:, 1]
        interval = percentile_interval(0.0, resamples, 1 - 2 * ALPHA, num_clusters=size)
        # Where all prompts are the same, the bootstrap would say that the difference is certain.
        bootstrap += (interval.high if interval.high is not None else resamples[0]) < margin
        largest = float(np.abs(new[:, 0] / new[:, 1] - old[:, 0] / old[:, 1]).max())
        settings = {"alpha": ALPHA, "num_resamples": RESAMPLES, "seed": trial}
        found = equivalence_test(old, new, margin, max(world.bound, largest), **settings)  # type: ignore[arg-type]
        tested += found is not None and found.below_p < ALPHA
    return bootstrap / trials, tested / trials


def covered(size: int, share: float, trials: int, seed: int = 0) -> tuple[float, float, float]:
    """Of a rate of failures: coverage if equal prompts gave [0, 0], coverage of the intervals given, and share without one."""
    rng, draws = np.random.default_rng([seed, size]), Draws(size, RESAMPLES, seed)
    hits = given = 0
    for _ in range(trials):
        values = (rng.random(size) < share).astype(np.float64)
        found = percentile_interval(values.mean(), draws.sums(values[:, None])[:, 0] / size, num_clusters=size)
        if found.low is not None and found.high is not None:
            given += 1
            hits += found.low <= share <= found.high
    return hits / trials, hits / given if given else float("nan"), 1 - given / trials


def lines(trials: int) -> Iterator[str]:
    """The tables, in Markdown."""
    for title, cases, worse in (("worse by the margin", AT_MARGIN, True), ("as good", AS_GOOD, False)):
        yield f'| {title}: how often "not worse" is said | margin | prompts | by the bootstrap | by the test |'
        yield "|---|---:|---:|---:|---:|"
        for world, margin, size in cases:
            bootstrap, tested = said(world, margin, size, margin if worse else 0.0, trials)
            yield f"| {world.name} | {margin:g} | {size} | {100 * bootstrap:.1f} % | {100 * tested:.1f} % |"
        yield ""
    yield "| prompts | fail | 95 % intervals that hold it, with [0, 0] | without | no interval |"
    yield "|---:|---:|---:|---:|---:|"
    for size, share in COVERED:
        every, given, none = covered(size, share, trials)
        yield f"| {size} | {100 * share:g} % | {100 * every:.1f} % | {100 * given:.1f} % | {100 * none:.1f} % |"


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000, help="of each line (default 2000: a standard error of half a point)")
    for line in lines(parser.parse_args(argv).trials):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
