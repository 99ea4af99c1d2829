"""Numbers as people read them, and the sentences that say what was gained and how far that carries."""

from collections.abc import Mapping
from typing import Any

from lpo_tts.statistics import FEW_CLUSTERS, MIN_CLUSTERS

WER_KEYS = {"corpus": "wer", "utterance": "mean_utterance_wer"}
NO_INTERVAL = "no interval"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as percent, "–" for None."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def interval_text(interval: Mapping[str, Any] | None, as_percent: bool, digits: int = 2, signed: bool = False) -> str:
    """Estimate and interval: "1.23 % [0.98, 1.51]", "1.23 % (no interval)" for too few prompts, "–" for None."""
    if interval is None:
        return "–"
    estimate, spread = interval_parts(interval, as_percent, digits, signed)
    return f"{estimate} {spread}" if has_interval(interval) else f"{estimate} ({spread})"


def interval_parts(interval: Mapping[str, Any], as_percent: bool, digits: int = 2, signed: bool = False) -> tuple[str, str]:
    """The estimate and its interval apart: "1.23 %", and "[0.98, 1.51]" or "no interval"."""
    scale, unit = (100, " %") if as_percent else (1, "")
    sign = "+" if signed else ""

    def shown(value: float) -> str:
        return _minus(f"{scale * value:{sign}.{digits}f}")

    ends = f"[{shown(interval['low'])}, {shown(interval['high'])}]" if has_interval(interval) else NO_INTERVAL
    return f"{shown(interval['estimate'])}{unit}", ends


def has_interval(interval: Mapping[str, Any]) -> bool:
    """Whether there were prompts enough for an interval."""
    return interval["low"] is not None and interval["high"] is not None


def points_parts(interval: Mapping[str, Any]) -> tuple[str, str]:
    """As `interval_parts`, for a difference of two fractions in signed percentage points."""
    ends = f"[{points(interval['low'])}, {points(interval['high'])}]" if has_interval(interval) else NO_INTERVAL
    return points(interval["estimate"]), ends


def caution(interval: Mapping[str, Any]) -> str:
    """What is to be kept in mind of a result on few prompts; "" for enough of them."""
    count = interval["num_clusters"]
    if count >= FEW_CLUSTERS:
        return ""
    if count < MIN_CLUSTERS:
        return f"Caution: {counted(count, 'prompt')}; below {MIN_CLUSTERS} no interval can be given, and chance may decide."
    return f"Caution: only {count} prompts; below {FEW_CLUSTERS} an interval is itself uncertain."


def _minus(number: str) -> str:
    if float(number) == 0:
        return number.lstrip("+-")
    return number.replace("-", "−")


def main_wer(metrics: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The WER judge that the headline speaks of: held out first, then an outside one, then any."""
    for role in ("judge", "outside", "unstated", "training judge", "advisory"):
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
    where = f"{counted(report['num_prompts'], 'prompt')} × {counted(len(report['seeds']), 'seed')}"
    sentences = []
    for system in report["systems"]:
        if system == report["baseline"]:
            continue
        value = report["results"][system]["metrics"][metric["name"]][key]
        if value is None:
            sentences.append(f"{system}: {metric['label']} could judge nothing on {where}.")
        elif report["baseline"] is None:
            sentence = f"{system}: {name} {interval_text(value, True)} by {_who(metric)} on {where}, missing answers counted."
            sentences.append(f"{sentence} {caution(value)}".rstrip())
        else:
            row = next(r for r in report["differences"] if r["system"] == system and r["metric"] == metric["name"])
            if report["average"] == "utterance":
                row = row["utterance"]
            sentences.append(_gain(system, report["baseline"], name, row, _who(metric), where, report["bootstrap"]["confidence"]))
    return sentences


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 prompt", "2 prompts"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _who(metric: dict[str, Any]) -> str:
    kinds = {
        "judge": "held-out judge",
        "outside": "outside judge",
        "training judge": "training judge",
        "advisory": "advisory judge",
    }
    kind = kinds.get(metric["role"])
    return f"{metric['label']} ({kind})" if kind else metric["label"]


def _gain(system: str, baseline: str, name: str, row: dict[str, Any], who: str, where: str, confidence: float) -> str:
    difference, relative = row["difference"], row["relative"]
    spread = f"{points(difference['estimate'])} points"
    if has_interval(difference):
        change = "no certain change in"
        if difference["high"] < 0:
            change = "lower"
        elif difference["low"] > 0:
            change = "higher"
        low, high = (points(difference[end]) for end in ("low", "high"))
        spread += f", {100 * confidence:g} % interval {low} to {high}"
    else:
        change = "too few prompts to tell a change in"
        spread += f", {NO_INTERVAL}"
    ratio = ""
    if relative is not None:
        estimate, ends = interval_parts(relative, True, 1, signed=True)
        ratio = f"; relative {estimate} {ends}" if has_interval(relative) else f"; relative {estimate}"
    amount = f"{percent(row['old'])} → {percent(row['new'])}"
    sentence = (
        f"{system} against {baseline}: {change} {name}, {amount} ({spread}{ratio}), by {who} on {where}, missing answers counted."
    )
    return f"{sentence} {caution(difference)}".rstrip()


def points(value: float) -> str:
    """A difference of two fractions in percentage points, signed: "−1.25"."""
    return _minus(f"{100 * value:+.2f}")
