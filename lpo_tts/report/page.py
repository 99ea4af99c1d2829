"""The report as one self-contained page: `render(report, path)`; audio is referred to by relative path."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lpo_tts.comparison import wording
from lpo_tts.comparison.results import Report
from lpo_tts.files import write_atomic
from lpo_tts.report import facts, figures
from lpo_tts.report.words import marked
from lpo_tts.statistics import MIN_CLUSTERS

# What the template may call: how numbers are worded, and what is drawn.
NAMES: Mapping[str, Any] = {
    "audio_url": facts.audio_url,
    "cell": facts.cell,
    "clock": facts.clock,
    "counted": wording.counted,
    "curves": lambda rows: list(figures.curves(rows)),
    "difference_parts": wording.difference_parts,
    "fact": facts.fact,
    "FACTOR": wording.FACTOR,
    "flat": facts.flat,
    "gap_words": wording.gap_words,
    "interval_parts": wording.interval_parts,
    "interval_text": wording.interval_text,
    "margins": lambda pairs: list(figures.margins(pairs)),
    "marked": marked,
    "MIN_CLUSTERS": MIN_CLUSTERS,
    "NOT_CONFIRMED": wording.NOT_CONFIRMED,
    "other_keys": facts.other_keys,
    "percent": wording.percent,
    "RATE": wording.RATE,
    "ratios": lambda report: list(figures.ratios(report)),
    "ROLE_NAMES": wording.ROLE_NAMES,
    "step_times": facts.step_times,
    "total_seconds": facts.total_seconds,
    "verdict": wording.verdict,
}


def render(report: Report, out_path: str | Path) -> Path:
    """Writes the page and returns its path; audio paths in the report are relative to its folder."""
    out_path = Path(out_path)
    write_atomic(out_path, page(report).encode())
    return out_path


def page(report: Report) -> str:
    """The page as text; sections without content are left out."""
    return environment(**NAMES).get_template("page.html.jinja").render(report=report, style=style())


def environment(**names: Any) -> Environment:
    """Where the templates of this room are found; `names` is what they may call."""
    made = Environment(
        loader=PackageLoader("lpo_tts.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(names)
    return made


def style() -> Markup:
    """The style sheet of all pages."""
    return Markup(resources.files("lpo_tts.report").joinpath("style.css").read_text(encoding="utf-8"))
