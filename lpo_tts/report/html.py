"""The report as one self-contained page: `render(report, path)`; audio is referred to by relative path."""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from lpo_tts.artefacts import write_atomic
from lpo_tts.report import evidence, figures, listening, tables
from lpo_tts.report.style import STYLE

SECTIONS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("Results", tables.results),
    ("Before and after, by every judge", figures.wer_by_judge),
    ("Differences on the same prompts", tables.differences),
    ("Did it please the judge, or get better?", tables.gaps),
    ("What is missing, and what did not end", tables.failures),
    ("Groups", tables.groups),
    ("Seeds", tables.seeds),
    ("How far the judges can be trusted", evidence.floors),
    ("Listen", listening.players),
    ("Training", figures.training),
    ("Preference pairs", figures.pairs),
    ("Provenance", evidence.provenance),
)


def render(report: Mapping[str, Any], out_path: str | Path) -> Path:
    """Writes the page.

    Args:
        report: What `summarise` returns, and optionally
            `title`: str; `note`: str, shown below the headline;
            `floors`: rows of the judges on recordings they should master, {judge, condition, wer | eer, ...}, fractions;
            `training`: rows of `metrics.jsonl`, or {system: rows};
            `pairs`: {system: summary} or a summary {counts: {name: int},
            dropped: {reason: int} or {rule: {reason: int}}, margins: {metric: [float]}};
            `steps`: rows {step, seconds, ...}; rows with the same `pass` (any text) were made together, and the seconds of
            each are those of the whole pass; `provenance`: any nested mapping.
        out_path: The HTML file; audio paths in `report` are relative to its folder.

    Returns:
        The path written.
    """
    out_path = Path(out_path)
    write_atomic(out_path, page(report).encode())
    return out_path


def page(report: Mapping[str, Any]) -> str:
    """The page as text; sections without content are left out."""
    title = escape(str(report.get("title") or "lpo-tts report"))
    lead = "".join(f'<p class="lead">{escape(sentence)}</p>' for sentence in report.get("headline", []))
    note = f'<p class="soft">{escape(str(report["note"]))}</p>' if report.get("note") else ""
    sections = []
    for heading, make in SECTIONS:
        content = make(report)
        if content:
            sections.append(f"<section><h2>{escape(heading)}</h2>{content}</section>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{title}</h1>{lead}{note}</header>{''.join(sections)}</main></body></html>\n"
    )
