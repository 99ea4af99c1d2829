"""The part of the page one listens to: systems side by side, wrong words marked."""

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from lpo_tts.report.tables import metric_label
from lpo_tts.report.wording import percent

GROUPS = {
    "improved": "Fewer word errors than before",
    "worse": "More word errors than before",
    "unchanged": "As many word errors as before",
    "most errors": "Most word errors",
}


def players(report: Mapping[str, Any]) -> str:
    """Audio players with text, hypothesis and values for the prompts that a rule chose."""
    examples = report.get("examples") or {}
    rows = examples.get("rows") or []
    if not rows:
        return ""
    parts = [f'<p class="soft">{escape(examples["rule"])} Marked: wrong or added words; struck out: words not heard.</p>']
    for group, heading in GROUPS.items():
        own = [row for row in rows if row["group"] == group]
        if own:
            parts.append(f"<h3>{heading}</h3>" + "".join(_example(report, row, examples["metric"]) for row in own))
    return "".join(parts)


def _example(report: Mapping[str, Any], row: Mapping[str, Any], metric: str) -> str:
    tags = "".join(f" · {escape(name)}: {escape(value)}" for name, value in row["tags"].items())
    sides = "".join(_side(report, side, metric) for side in row["sides"])
    where = f'<span class="soft">{escape(row["prompt_id"])}, seed {row["seed"]}{tags}</span>'
    return f'<div class="example"><div class="text">{escape(row["text"])}</div>{where}<div class="sides">{sides}</div></div>'


def _side(report: Mapping[str, Any], side: Mapping[str, Any], metric: str) -> str:
    value = side["values"].get(metric)
    wer = "" if value is None else f"WER {percent(value, 0)}"
    head = f'<div class="head"><strong>{escape(side["system"])}</strong><span>{wer}</span></div>'
    if side["missing"]:
        body = '<p class="flag">no decodable audio; counted as all words deleted</p>'
    elif side["audio"] is None:
        body = '<p class="soft">audio not kept</p>'
    else:
        name = escape(f"{side['system']} says the text above", quote=True)
        body = f'<audio controls preload="none" src="{escape(audio_url(side["audio"]), quote=True)}" aria-label="{name}"></audio>'
    heard = f'<div class="heard">{marked(side["alignment"])}</div>' if side["alignment"] is not None else ""
    return f'<div class="side">{head}{body}{heard}<div class="soft">{_values(report, side)}</div></div>'


def _values(report: Mapping[str, Any], side: Mapping[str, Any]) -> str:
    shown = [
        f"{metric_label(report, m['name'])} {side['values'][m['name']]:.3f}"
        for m in report["metrics"]
        if m["kind"] in ("similarity", "quality") and side["values"].get(m["name"]) is not None
    ]
    if side["duration"] is not None:
        shown.append(f"{side['duration']:.2f} s")
    if not side["finished"] and not side["missing"]:
        shown.append('<span class="flag">did not end by itself</span>')
    return " · ".join(shown)


def marked(alignment: list) -> str:
    """The hypothesis with wrong words marked and unheard words struck out."""
    words = []
    for operation, wanted, heard in alignment:
        if operation == "hit":
            words.append(escape(heard))
        elif operation == "deletion":
            words.append(f"<del>{escape(wanted)}</del>")
        elif operation == "substitution":
            words.append(f'<mark title="should be: {escape(wanted, quote=True)}">{escape(heard)}</mark>')
        else:
            words.append(f'<mark title="added">{escape(heard)}</mark>')
    return " ".join(words) or "<em>nothing heard</em>"


def audio_url(path: str) -> str:
    """A relative file path as a URL: candidate ids contain "#", which would else cut the address short."""
    return quote(path.replace("\\", "/"), safe="/")  # ":" is quoted too, so no path reads as a scheme
