"""What the numbers rest on: the judges' own floors, settings, versions, hashes and wall-clock."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lpo_tts.report.tables import table
from lpo_tts.report.wording import percent

RATES = ("wer", "cer", "eer")


def floors(report: Mapping[str, Any]) -> str:
    """Each judge on recordings it should master: below this no difference means anything."""
    rows = report.get("floors") or []
    if not rows:
        return ""
    extra = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in ("judge", "condition", *RATES)]
    rates = [key for key in RATES if any(row.get(key) is not None for row in rows)]
    body = [
        [escape(str(row.get("judge", ""))), escape(str(row.get("condition", "")))]
        + [percent(row.get(key)) for key in rates]
        + [_plain(row.get(key)) for key in extra]
        for row in rows
    ]
    note = (
        "Errors the judges make themselves, on speech known to be right (for EER: on pairs known to be of one speaker or of two)."
    )
    head = ["Judge", "condition", *[key.upper() for key in rates], *[escape(key.replace("_", " ")) for key in extra]]
    return table(head, body) + f'<p class="soft">{note}</p>'


def provenance(report: Mapping[str, Any]) -> str:
    """Time per step, and settings, versions and hashes as they were."""
    parts = []
    steps = report.get("steps") or []
    if steps:
        extra = [key for key in dict.fromkeys(key for row in steps for key in row) if key not in ("step", "seconds", "pass")]
        body: list[list[str]] = []
        passes: set[Any] = set()
        for row in steps:
            time = "in the same pass" if row.get("pass") in passes else clock(row.get("seconds"))
            passes |= {row["pass"]} if row.get("pass") is not None else set()
            body.append([escape(str(row.get("step", ""))), time, *[_plain(row.get(key)) for key in extra]])
        total = clock(total_seconds(steps))
        body.append(["<strong>all</strong>", f"<strong>{total}</strong>", *["" for _ in extra]])
        parts.append(table(["Step", "wall-clock", *[escape(key.replace("_", " ")) for key in extra]], body))
    for name, value in (report.get("provenance") or {}).items():
        if isinstance(value, Mapping):
            rows = [[escape(str(key)), _fact(inner)] for key, inner in value.items()]
            parts.append(f"<details><summary>{escape(str(name))}</summary>{_facts(rows)}</details>")
        else:
            parts.append(_facts([[escape(str(name)), _fact(value)]]))
    if "bootstrap" in report:
        made = report["bootstrap"]
        share = f"{100 * made['confidence']:g} %"
        text = f"Intervals: {share}, {made['num_resamples']} bootstrap resamples of prompts, seed {made['seed']}."
        parts.append(f'<p class="soft">{text}</p>')
    return "".join(parts)


def total_seconds(steps: Sequence[Mapping[str, Any]]) -> float:
    """Wall-clock of all steps: artefacts that were made in one pass, all timed by it, count once, by the longest."""
    passes: dict[Any, float] = {}
    for k, row in enumerate(steps):
        if row.get("seconds") is not None:
            name = k if row.get("pass") is None else ("pass", row["pass"])
            passes[name] = max(passes.get(name, 0.0), row["seconds"])
    return sum(passes.values())


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


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def _fact(value: Any) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _facts(rows: list[list[str]]) -> str:
    body = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows)
    return f'<div class="scroll"><table class="facts"><tbody>{body}</tbody></table></div>'
