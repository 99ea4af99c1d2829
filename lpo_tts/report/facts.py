"""What stands at the end of the page: durations, drop reasons and settings as people read them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote


def total_seconds(steps: Sequence[Mapping[str, Any]]) -> float:
    """Wall-clock of all steps: artefacts that were made in one pass, all timed by it, count once, by the longest."""
    passes: dict[Any, float] = {}
    for k, row in enumerate(steps):
        if row.get("seconds") is not None:
            name = k if row.get("pass") is None else ("pass", row["pass"])
            passes[name] = max(passes.get(name, 0.0), row["seconds"])
    return sum(passes.values())


def step_times(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The wall-clock of each step; of those made in one pass the first has it."""
    passes: set[Any] = set()
    times = []
    for row in steps:
        times.append("in the same pass" if row.get("pass") in passes else clock(row.get("seconds")))
        passes |= {row["pass"]} if row.get("pass") is not None else set()
    return times


def other_keys(rows: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[str]:
    """Keys of rows beside the known ones, in order of appearance."""
    return [key for key in dict.fromkeys(key for row in rows for key in row) if key not in known]


def clock(seconds: float | None) -> str:
    """Seconds as people say them: "41.2 s", "12 min 05 s", "3 h 07 min"."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def cell(value: Any) -> str:
    """A value in a table: "–" for None, four digits of a float."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def p_text(value: float | None) -> str:
    """The p of a test: three decimal places, "< 0.001" for less, "–" for None."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def fact(value: Any) -> str:
    """Any setting as text: JSON, for what is no text itself."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def flat(dropped: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Drop reasons with their counts; "rule: reason" where they are counted by rule."""
    rows: list[tuple[str, Any]] = []
    for reason, count in dropped.items():
        if isinstance(count, Mapping):
            rows += [(f"{reason}: {inner}", number) for inner, number in count.items()]
        else:
            rows.append((reason, count))
    return rows


def audio_url(path: str) -> str:
    """A relative file path as a URL: candidate ids contain "#", which would else cut the address short."""
    return quote(path.replace("\\", "/"), safe="/")  # ":" is quoted too, so no path reads as a scheme
