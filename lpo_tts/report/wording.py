"""Numbers as people read them, and the one sentence that says what was gained."""

from collections.abc import Mapping
from typing import Any

WER_KEYS = {"corpus": "wer", "utterance": "mean_utterance_wer"}


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as percent, "–" for None."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def interval_text(interval: Mapping[str, Any] | None, as_percent: bool, digits: int = 2, signed: bool = False) -> str:
    """Estimate and interval: "1.23 % [0.98, 1.51]", "–" for None."""
    if interval is None:
        return "–"
    scale, unit = (100, " %") if as_percent else (1, "")
    sign = "+" if signed else ""
    estimate, low, high = (f"{scale * interval[key]:{sign}.{digits}f}" for key in ("estimate", "low", "high"))
    return f"{_minus(estimate)}{unit} [{_minus(low)}, {_minus(high)}]"


def _minus(number: str) -> str:
    if float(number) == 0:
        return number.lstrip("+-")
    return number.replace("-", "−")


def main_wer(metrics: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The WER judge that the headline speaks of: held out first, then an outside one, then any."""
    for role in ("judge", "outside", "training judge", "advisory"):
        for metric in metrics:
            if metric["kind"] == "wer" and metric["role"] == role:
                return metric
    return None


def headline(report: dict[str, Any]) -> list[str]:
    """One sentence per system that is not the baseline (or per system, without one)."""
    metric = main_wer(report["metrics"])
    if metric is None:
        return []
    key = WER_KEYS[report["average"]]
    name = "word error rate" if report["average"] == "corpus" else "mean utterance WER"
    where = f"{_count(report['num_prompts'], 'prompt')} × {_count(len(report['seeds']), 'seed')}"
    sentences = []
    for system in report["systems"]:
        if system == report["baseline"]:
            continue
        value = report["results"][system]["metrics"][metric["name"]][key]
        if value is None:
            sentences.append(f"{system}: {metric['label']} could judge nothing on {where}.")
        elif report["baseline"] is None:
            sentences.append(
                f"{system}: {name} {interval_text(value, True)} by {_who(metric)} on {where}, missing answers counted."
            )
        else:
            row = next(r for r in report["differences"] if r["system"] == system and r["metric"] == metric["name"])
            if report["average"] == "utterance":
                row = row["utterance"]
            sentences.append(_gain(system, report["baseline"], name, row, _who(metric), where, report["bootstrap"]["confidence"]))
    return sentences


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _who(metric: dict[str, Any]) -> str:
    kinds = {
        "judge": "held-out judge",
        "outside": "outside judge",
        "training judge": "training judge",
        "advisory": "advisory judge",
    }
    return f"{metric['label']} ({kinds[metric['role']]})"


def _gain(system: str, baseline: str, name: str, row: dict[str, Any], who: str, where: str, confidence: float) -> str:
    difference, relative = row["difference"], row["relative"]
    change = "no certain change in"
    if difference["high"] < 0:
        change = "lower"
    elif difference["low"] > 0:
        change = "higher"
    low, high = (points(difference[end]) for end in ("low", "high"))
    spread = f"{points(difference['estimate'])} points, {100 * confidence:g} % interval {low} to {high}"
    ratio = "" if relative is None else f"; relative {interval_text(relative, True, 1, signed=True)}"
    amount = f"{percent(row['old'])} → {percent(row['new'])}"
    return (
        f"{system} against {baseline}: {change} {name}, {amount} ({spread}{ratio}), by {who} on {where}, missing answers counted."
    )


def points(value: float) -> str:
    """A difference of two fractions in percentage points, signed: "−1.25"."""
    return _minus(f"{100 * value:+.2f}")
