"""What fills the words in braces of hard sentences: numbers, dates, letters, lists; by language, from a seeded generator."""

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

from lpo_tts.errors import ConfigError

Slot = Callable[[Random], str]
_BRACES = re.compile(r"\{(\w*)\}")

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NAMES = ("Okafor", "Lindqvist", "Marsh", "Petrov", "Hughes", "Nakamura", "Delgado", "Weber", "Quigley", "Stone")
_THINGS = (
    *("nails", "lemons", "two candles", "a ladder", "string", "blue ink", "salt", "an umbrella", "stamps", "old maps"),
    *("a kettle", "green paint", "batteries", "rope", "flour", "a torch", "soap", "buttons", "three cups", "a whistle"),
)
_COLOURS = ("red", "green", "violet", "black", "orange", "grey", "white", "brown", "yellow", "pink")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_COUNT = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_FOREIGN = (
    *("buenos días", "hasta mañana", "muchas gracias", "bonne chance", "tout de suite", "je ne sais quoi"),
    *("guten Abend", "auf Wiedersehen", "das weiß ich nicht", "buona notte", "piano piano", "até logo"),
)
_THINGS_ZH = ("苹果", "钉子", "蜡烛", "雨伞", "邮票", "旧地图", "水壶", "绿油漆", "电池", "绳子", "面粉", "肥皂")
_COUNT_ZH = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _one(rng: Random, some: Sequence[str]) -> str:
    return some[rng.randrange(len(some))]


def _several(rng: Random, some: Sequence[str], low: int, high: int) -> list[str]:
    left = list(some)
    return [left.pop(rng.randrange(len(left))) for _ in range(low + rng.randrange(high - low + 1))]


def _letters(rng: Random, low: int, high: int) -> list[str]:
    return [_one(rng, _LETTERS) for _ in range(low + rng.randrange(high - low + 1))]


def _digits(rng: Random, count: int) -> str:
    return "".join(str(rng.randrange(10)) for _ in range(count))


def _integer(rng: Random) -> str:
    return f"{rng.randrange(10 ** (2 + rng.randrange(5))) + 21:,}"


def _money(rng: Random) -> str:
    cents = f".{rng.randrange(1, 100):02d}" if rng.randrange(2) else ""
    return f"{_one(rng, '$€£')}{rng.randrange(2, 10 ** (2 + rng.randrange(3))):,}{cents}"


def _ordinal(rng: Random) -> str:
    number = rng.randrange(2, 60)
    end = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{end}"


def _time(rng: Random) -> str:
    return f"{rng.randrange(1, 13)}:{rng.randrange(60):02d} {_one(rng, ('a.m.', 'p.m.'))}"


def _date(rng: Random) -> str:
    return f"{_one(rng, _MONTHS)} {rng.randrange(1, 29)}, {rng.randrange(1890, 2031)}"


def _code(rng: Random) -> str:
    return f"{''.join(_letters(rng, 1, 3))}{rng.randrange(10)}-{_digits(rng, 2)}{_one(rng, _LETTERS)}"


def _run(rng: Random, some: Sequence[str]) -> list[str]:
    """Some that follow each other."""
    length = 5 + rng.randrange(len(some) - 5)
    start = rng.randrange(len(some) - length + 1)
    return list(some[start : start + length])


def _listed(some: Sequence[str]) -> str:
    return f"{', '.join(some[:-1])} and {some[-1]}"


_COMMON: Mapping[str, Slot] = {
    "small": lambda rng: str(rng.randrange(2, 10)),
    "decimal": lambda rng: f"{rng.randrange(1, 100)}.{_digits(rng, 1 + rng.randrange(2))}",
    "percent": lambda rng: f"{rng.randrange(1, 100)}.{rng.randrange(1, 10)}%",
    "year": lambda rng: str(rng.randrange(1890, 2031)),
    "digits": lambda rng: _digits(rng, 6),
    "letters": lambda rng: "".join(_letters(rng, 2, 4)),
    "code": _code,
}
_ENGLISH: Mapping[str, Slot] = {
    "integer": _integer,
    "money": _money,
    "ordinal": _ordinal,
    "time": _time,
    "date": _date,
    "phone": lambda rng: f"555-{_digits(rng, 4)}",
    "spelled": lambda rng: ", ".join(_letters(rng, 3, 6)),
    "name": lambda rng: _one(rng, _NAMES),
    "foreign": lambda rng: f"“{_one(rng, _FOREIGN)}”",
    "list": lambda rng: _listed(_several(rng, _THINGS, 4, 8)),
    "colours": lambda rng: _listed(_several(rng, _COLOURS, 4, 7)),
    "days": lambda rng: _listed(sorted(_several(rng, _DAYS, 3, 5), key=_DAYS.index)),
    "count": lambda rng: ", ".join(_run(rng, _COUNT)),
}
_CHINESE: Mapping[str, Slot] = {
    "integer": lambda rng: str(rng.randrange(21, 10 ** (3 + rng.randrange(4)))),
    "money": lambda rng: f"{rng.randrange(2, 10 ** (2 + rng.randrange(3)))}元",
    "time": lambda rng: f"{rng.randrange(1, 13)}点{rng.randrange(1, 60)}分",
    "date": lambda rng: f"{rng.randrange(1980, 2031)}年{rng.randrange(1, 13)}月{rng.randrange(1, 29)}日",
    "list": lambda rng: "、".join(_several(rng, _THINGS_ZH, 4, 7)),
    "count": lambda rng: "，".join(_run(rng, _COUNT_ZH)),
    "days": lambda rng: "、".join(sorted(_several(rng, _COUNT_ZH[:6], 3, 5), key=_COUNT_ZH.index)),
}


def slots(language: str) -> Mapping[str, Slot]:
    """What may stand in braces in a sentence of this language: the common ones, and those of English or Chinese."""
    return {**_COMMON, **{"en": _ENGLISH, "zh": _CHINESE}.get(language, {})}


def check_sentence(sentence: str, language: str, where: str) -> None:
    """Raises ConfigError for a sentence with a word in braces that nothing fills."""
    known = slots(language)
    for name in _BRACES.findall(sentence):
        if name not in known:
            raise ConfigError(
                f"{where}: {sentence!r} has {{{name}}}, which nothing fills in language {language!r} "
                f"(there are: {', '.join(known)})"
            )


def fill(sentence: str, language: str, rng: Random) -> str:
    """The sentence with every word in braces filled in; one without any comes back as it is."""
    known = slots(language)
    return _BRACES.sub(lambda found: known[found[1]](rng), sentence)
