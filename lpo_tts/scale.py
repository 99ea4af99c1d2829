"""What the numbers of a metric mean: unit and direction, how many become one, and what a missing one counts as."""

import math
from dataclasses import dataclass
from typing import Literal, get_args, overload

from lpo_tts.errors import ConfigError

Aggregate = Literal["ratio", "mean"]
PERCENT = "%"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How the values of a metric are read, averaged and printed.

    Attributes:
        higher_is_better: its direction.
        unit: printed behind a value; "%" means that values are fractions, which are multiplied by 100 when printed.
        aggregate: how many values become one. "ratio": sum of value x weight over sum of weights (errors over words); the
            unweighted mean over utterances stands beside it. "mean": the plain mean.
        missing: what a missing or unscorable candidate counts as (1.0 for a word error rate: every word is deleted);
            None = it is counted, and left out of the average.
        worst: value that speech without any use would have, where `missing` is None and there is one: 0 for a similarity, 1
            for an opinion from 1 to 5. It says what one failed prompt can cost, which a test of equivalence needs.
        perfect: value of faultless speech, where there is one. A judge with such a value is tried on real recordings:
            its distance from it there is the judge's own error.
        graded: whether a difference is better or worse; False for what is only different, such as a duration.
        title: what is measured, in words ("word error rate").
        short: the same in tables ("WER").
        counts: what a ratio counts, in the singular ("word").
    """

    higher_is_better: bool
    unit: str = ""
    aggregate: Aggregate = "mean"
    missing: float | None = None
    worst: float | None = None
    perfect: float | None = None
    graded: bool = True
    title: str = ""
    short: str = ""
    counts: str = "unit"

    def __post_init__(self) -> None:
        """Raises ConfigError for what is no direction, no way to average, or no finite number."""
        name = self.short or self.title or "metric"
        if not isinstance(self.higher_is_better, bool):
            raise ConfigError(f"{name}: expected higher_is_better to be true or false, found {self.higher_is_better!r}")
        if self.aggregate not in get_args(Aggregate):
            raise ConfigError(f"{name}: aggregate must be one of {', '.join(get_args(Aggregate))}, found {self.aggregate!r}")
        if self.aggregate == "ratio" and self.missing is None:
            raise ConfigError(f"{name}: a ratio counts missing candidates; say as what (`missing`)")
        for key in ("missing", "worst", "perfect"):
            value = getattr(self, key)
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ConfigError(f"{name}: expected {key} to be a finite number or None, found {value!r}")

    @property
    def is_ratio(self) -> bool:
        """Whether utterances weigh by what they hold, so that there are two averages."""
        return self.aggregate == "ratio"

    @property
    def digits(self) -> int:
        """Decimal places of a printed value."""
        return 2 if self.unit == PERCENT else 3

    @overload
    def scaled(self, value: float) -> float: ...

    @overload
    def scaled(self, value: None) -> None: ...

    def scaled(self, value: float | None) -> float | None:
        """A value in its unit: 12.5 for the fraction 0.125 in percent."""
        return 100 * value if value is not None and self.unit == PERCENT else value

    def number(self, value: float, digits: int | None = None, *, signed: bool = False) -> str:
        """A value without its unit: "12.50", "−0.100"; zero has no sign."""
        text = f"{self.scaled(value):{'+' if signed else ''}.{self.digits if digits is None else digits}f}"
        return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")

    def text(self, value: float | None, digits: int | None = None, *, signed: bool = False) -> str:
        """A value with its unit: "12.50 %", "0.812", "1.250 s"; "–" for None."""
        return "–" if value is None else f"{self.number(value, digits, signed=signed)}{self.suffix}"

    @property
    def suffix(self) -> str:
        """The unit as it follows a number."""
        return f" {self.unit}" if self.unit else ""
