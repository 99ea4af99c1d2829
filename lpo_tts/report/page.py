"""The report as one self-contained page, `render(report, path)`, and with Markdown and LaTeX beside it, `write_beside`."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpo_tts.comparison import figures as named
from lpo_tts.comparison import wording
from lpo_tts.comparison.results import Report
from lpo_tts.files import write_atomic
from lpo_tts.report import facts, figures, layout, per_prompt
from lpo_tts.report.latex import latex
from lpo_tts.report.listening import BUDGET, Clip, Clips, anchors, gather, placed
from lpo_tts.report.markdown import markdown
from lpo_tts.report.prompt_table import prompt_table
from lpo_tts.report.templates import environment, package_text, style
from lpo_tts.report.words import legend, spelled
from lpo_tts.statistics import MIN_CLUSTERS

# What the templates may call: how numbers are worded, and what is drawn.
NAMES: Mapping[str, Any] = {
    "audio_url": facts.audio_url,
    "by_length": lambda report, metric: list(per_prompt.by_length(report, metric)),
    "capital": figures.capital,
    "cell": facts.cell,
    "clock": facts.clock,
    "counted": wording.counted,
    "curves": lambda rows: list(figures.curves(rows)),
    "difference_parts": wording.difference_parts,
    "drawn_metrics": per_prompt.drawn_metrics,
    "fact": facts.fact,
    "FACTOR": wording.FACTOR,
    "figure_label": named.figure_label,
    "figure_scale": named.figure_scale,
    "flat": facts.flat,
    "gap_words": wording.gap_words,
    "intervals": lambda report: list(figures.intervals(report)),
    "interval_parts": wording.interval_parts,
    "interval_text": wording.interval_text,
    "layout": layout,
    "legend": legend,
    "margins": lambda pairs: list(figures.margins(pairs)),
    "MIN_CLUSTERS": MIN_CLUSTERS,
    "NOT_CONFIRMED": wording.NOT_CONFIRMED,
    "other_keys": facts.other_keys,
    "p_text": facts.p_text,
    "percent": wording.percent,
    "seeds_of": wording.seeds_of,
    "where_text": wording.where_text,
    "prompt_differences": lambda report, metric: list(per_prompt.differences(report, metric)),
    "RATE": wording.RATE,
    "ROLE_NAMES": wording.ROLE_NAMES,
    "spelled": spelled,
    "spread": lambda report, metric: list(per_prompt.spread(report, metric)),
    "step_times": facts.step_times,
    "total_seconds": facts.total_seconds,
    "verdict": wording.verdict,
}


def render(report: Report, out_path: str | Path, embed: bool = True, *, budget: int = BUDGET) -> Path:
    """Writes the page and returns its path.

    Args:
        report: its audio paths are relative to the folder of the page.
        out_path: of the page.
        embed: whether recordings go into the page, as lossless FLAC.
        budget: bytes that they may take there; what is beyond is linked, and the page says so.
    """
    out_path = Path(out_path)
    clips = gather(report.examples.rows, out_path.parent, embed=embed, budget=budget)
    write_atomic(out_path, page(report, clips).encode())
    return out_path


def write_beside(report: Report, folder: str | Path, embed: bool = True, *, budget: int = BUDGET) -> list[Path]:
    """Writes report.html, report.md and report.tex into a folder and returns their paths; arguments as of `render`."""
    folder = Path(folder)
    paths = [render(report, folder / "report.html", embed, budget=budget)]
    for name, text in (("report.md", markdown(report)), ("report.tex", latex(report))):
        write_atomic(folder / name, text.encode())
        paths.append(folder / name)
    return paths


def page(report: Report, clips: Clips | None = None) -> str:
    """The page as text; sections without content are left out. Without clips, players link to the recordings."""
    clips = clips or _linked(report)
    styles, script = style("style.css", "page.css"), package_text("page.js")
    return (
        environment(**NAMES)
        .get_template("page.html.jinja")
        .render(
            report=report,
            clips=clips,
            examples=list(placed(report.examples.rows, clips)),
            prompts=prompt_table(report, anchors(report.examples.rows)),
            style=styles,
            style_hash=_hash(styles),
            script=script,
            script_hash=_hash(script),
        )
    )


def _linked(report: Report) -> Clips:
    rows = report.examples.rows
    return Clips(rows=tuple(tuple(Clip(source=facts.audio_url(s.audio) if s.audio else "") for s in row.sides) for row in rows))


def _hash(text: str) -> str:
    """What a content security policy calls a text by, so that no other script or style can run in the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
