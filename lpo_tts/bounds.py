"""Which values a setting may have: ranges, declared in a table on a class of settings and checked in one place."""

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from lpo_tts.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Range:
    """Which numbers a setting may be: finite, and between the two bounds where there are any.

    Written by its words: `above(0)`, `at_least(0).below(1)`, `above(0.5).at_most(1)`.

    Attributes:
        low, high: the bounds; None: none.
        open_low, open_high: whether the bound itself is refused.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def at_most(self, high: float) -> "Range":
        """The same, up to `high`."""
        return dataclasses.replace(self, high=high, open_high=False)

    def below(self, high: float) -> "Range":
        """The same, up to but without `high`."""
        return dataclasses.replace(self, high=high, open_high=True)

    def __contains__(self, value: float) -> bool:
        too_low = self.low is not None and (value <= self.low if self.open_low else value < self.low)
        too_high = self.high is not None and (value >= self.high if self.open_high else value > self.high)
        return math.isfinite(value) and not too_low and not too_high

    def __str__(self) -> str:
        low = None if self.low is None else f"{'above' if self.open_low else 'at least'} {self.low}"
        high = None if self.high is None else f"{'below' if self.open_high else 'at most'} {self.high}"
        return " and ".join(one for one in (low, high) if one is not None) or "finite"


def above(low: float) -> Range:
    """Greater than `low`."""
    return Range(low, open_low=True)


def at_least(low: float) -> Range:
    """`low` or greater."""
    return Range(low)


Numbers: typing.TypeAlias = "float | Sequence[Numbers] | Mapping[str, Numbers] | None"


def check_value(name: str, value: Numbers, allowed: Range) -> None:
    """Raises ConfigError when a value, or one within a list or mapping, lies outside its range; None passes."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            check_value(f"{name}.{key}", one, allowed)
        return
    if isinstance(value, Sequence):
        for index, one in enumerate(value):
            check_value(f"{name}[{index}]", one, allowed)
        return
    if value is None or value in allowed:
        return
    endless = math.isinf(value) and (allowed.high if value > 0 else allowed.low) is None and allowed != Range()
    raise ConfigError(f"{name} must be {allowed}{' and finite' if endless else ''}, found {value}")


def check_settings(settings: object, where: str) -> None:
    """Raises ConfigError unless every setting is what its class declares, naming the setting, its range and what was found.

    Args:
        settings: a dataclass instance. The table `bounds` of its class (field -> Range), together with those of the classes
            above it, says which numbers are allowed, in lists and mappings too; None passes. A field annotated as a
            Literal takes its choices alone.
        where: stands before the field's name in messages, with a dot; may be empty.
    """
    for name, allowed in bounds_of(type(settings)).items():
        check_value(_named(where, name), getattr(settings, name), allowed)
    for name, choices in _choices(type(settings)).items():
        value = getattr(settings, name)
        if value not in choices:
            raise ConfigError(f"{_named(where, name)} = {value!r} is none of {', '.join(map(str, choices))}")


@functools.cache
def bounds_of(cls: type) -> dict[str, Range]:
    """Setting -> its range, by the tables `bounds` of a class and of those above it."""
    tables = (vars(one).get("bounds", {}) for one in reversed(cls.__mro__))
    return {name: allowed for table in tables for name, allowed in table.items()}


@functools.cache
def _choices(cls: type) -> dict[str, tuple[Any, ...]]:
    """The choices of every field annotated as a Literal."""
    kinds = annotations(cls)
    found: dict[str, tuple[Any, ...]] = {}
    for name in (field.name for field in dataclasses.fields(cls) if field.init):
        kind = kinds.get(name)
        if typing.get_origin(kind) is typing.Literal:
            found[name] = typing.get_args(kind)
    return found


def _named(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def annotations(cls: type) -> dict[str, Any]:
    """Annotations of a class by field; none where they name what cannot be looked up."""
    try:
        return _hints(cls)
    except (NameError, TypeError):
        return {}


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Looked up once: every row of every table asks for those of its record. What cannot be looked up is tried again."""
    return typing.get_type_hints(cls)
