"""The tables of the page: results, differences, gaps between judges, failures, groups, seeds."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lpo_tts.report.wording import WER_KEYS, counted, has_interval, interval_parts, interval_text, percent, points_parts
from lpo_tts.statistics import MIN_CLUSTERS

ROLE_NAMES = {
    "judge": "held out",
    "training judge": "chose the pairs",
    "outside": "outside",
    "advisory": "advisory",
    "unstated": "",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table from cells that are HTML already; the first column is left-aligned."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    name = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{name}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def metric_label(report: Mapping[str, Any], name: str) -> str:
    """A metric's label, escaped."""
    return escape(next((m["label"] for m in report["metrics"] if m["name"] == name), name))


def stacked(interval: Mapping[str, Any] | None, as_percent: bool, digits: int = 2) -> str:
    """The estimate, its interval in small print below."""
    return "–" if interval is None else _stack(interval_parts(interval, as_percent, digits))


def _stack(parts: tuple[str, str]) -> str:
    return f"{parts[0]}<small>{parts[1]}</small>"


def value_of(report: Mapping[str, Any], metric: Mapping[str, Any], row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The interval that stands for a metric in the results: the headline WER, or the mean."""
    return row[WER_KEYS[report["average"]]] if metric["kind"] == "wer" else row["mean"]


def results(report: Mapping[str, Any]) -> str:
    """Systems by metrics."""
    if not report.get("systems"):
        return ""
    head = ["System"] + [f"{escape(m['label'])}<br><small>{ROLE_NAMES[m['role']]}</small>" for m in report["metrics"]]
    rows = []
    for system in report["systems"]:
        found = report["results"][system]["metrics"]
        cells = [
            stacked(value_of(report, m, found[m["name"]]), m["kind"] == "wer", 2 if m["kind"] == "wer" else 3)
            + _part_asked(found[m["name"]])
            for m in report["metrics"]
        ]
        rows.append([f"<strong>{escape(system)}</strong>", *cells])
    average = "errors / words over the corpus" if report["average"] == "corpus" else "mean over utterances"
    confidence = f"{100 * report['bootstrap']['confidence']:g} %"
    note = (
        f"WER is the {average}; an answer without decodable audio has all its words deleted. Below each number its {confidence} "
        f"bootstrap interval, prompts drawn with all their seeds together; below {MIN_CLUSTERS} prompts there is none."
    )
    return table(head, rows) + f'<p class="soft">{escape(note)}</p>' + _details(report)


def _part_asked(row: Mapping[str, Any]) -> str:
    """Says of how many answers a metric was asked, where that is not all."""
    if not row.get("not_asked"):
        return ""
    return f"<small>asked of {row['evaluated'] + row['unscorable']} of {row['asked']} answers</small>"


def _details(report: Mapping[str, Any]) -> str:
    head = [
        "System, judge",
        "corpus WER",
        "only judged",
        "utterance mean",
        "only judged",
        "S",
        "D",
        "I",
        "inserted",
        "repeated",
        "WER > 50 %",
        "no error",
    ]
    rows = []
    for metric in report["metrics"]:
        for system in report["systems"] if metric["kind"] == "wer" else ():
            row = report["results"][system]["metrics"][metric["name"]]
            means = [
                stacked(row[key], True) for key in ("wer", "wer_evaluated", "mean_utterance_wer", "mean_utterance_wer_evaluated")
            ]
            edits = [str(row[key]) for key in ("substitutions", "deletions", "insertions")]
            rates = [percent(row[key]) for key in ("inserted_rate", "repeated_rate", "runaway_rate", "perfect_rate")]
            rows.append([f"{escape(system)}<small>{escape(metric['label'])}</small>", *means, *edits, *rates])
    if not rows:
        return ""
    note = (
        "Inserted and repeated: words per reference word in judged answers; repeated: a word of the text heard more often "
        "than it is there."
    )
    return f'<details><summary>All word error numbers</summary>{table(head, rows)}<p class="soft">{note}</p></details>'


def differences(report: Mapping[str, Any]) -> str:
    """Every system less the baseline, metric by metric."""
    head = ["Metric", "before", "after", "difference", "relative", "prompts better / equal / worse", "sign test p"]
    rows = []
    for row in report.get("differences", []):
        metric = next(m for m in report["metrics"] if m["name"] == row["metric"])
        wer = metric["kind"] == "wer"
        shown = row["utterance"] if wer and report["average"] == "utterance" else row
        show = percent if wer else _plain
        counts = (
            f"{row['prompts_better']} / {row['prompts_equal']} / {row['prompts_worse']}"
            if wer
            else counted(row["num_prompts"], "prompt")
        )
        relative = "–" if shown["relative"] is None else stacked(shown["relative"], True, 1)
        p_value = f"{row['sign_test_p']:.2g}" if wer else "–"
        name = f"{escape(metric['label'])}<small>{escape(row['system'])} − {escape(row['baseline'])}</small>"
        rows.append(
            [name, show(shown["old"]), show(shown["new"]), _verdict(shown["difference"], metric, wer), relative, counts, p_value]
        )
    for row in report.get("durations", []):
        ratio = f"× {interval_text(row['ratio'], False)}"
        rows.append(
            [
                f"duration ratio<small>{escape(row['system'])} / {escape(row['baseline'])}</small>",
                "",
                "",
                ratio,
                "",
                counted(row["num_prompts"], "prompt"),
                "–",
            ]
        )
    if not rows:
        return ""
    note = (
        f"Green or red: the interval excludes 0 (below {MIN_CLUSTERS} prompts there is no interval and no colour). "
        "WER differences are in percentage points."
    )
    return table(head, rows) + f'<p class="soft">{note}</p>'


def _plain(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _verdict(difference: Mapping[str, Any], metric: Mapping[str, Any], wer: bool) -> str:
    text = _stack(points_parts(difference) if wer else interval_parts(difference, False, 3, signed=True))
    if metric["kind"] == "duration" or not has_interval(difference) or difference["low"] <= 0 <= difference["high"]:
        return text
    better = (difference["low"] > 0) == metric["higher_is_better"]
    return f'<span class="{"better" if better else "worse"}">{text}</span>'


def gaps(report: Mapping[str, Any]) -> str:
    """Gain by the judge that chose the pairs against gain by the others."""
    rows = []
    for gap in report.get("gaps", []):
        cells = [_stack(points_parts(gap[key])) for key in ("gain_by_training_judge", "gain_by_judge", "gap")]
        trained, other = metric_label(report, gap["training_judge"]), metric_label(report, gap["judge"])
        names = f"{trained} against {other}<small>{escape(gap['system'])}</small>"
        rows.append([names, *cells, _gap_words(gap)])
    if not rows:
        return ""
    note = (
        "Gains in percentage points of corpus WER, positive is better. A gap whose interval lies above 0 means that part of the "
        "gain exists only in the ears of the judge that chose the pairs."
    )
    return table(["Judges", "gain by the training judge", "gain by the other", "gap", ""], rows) + f'<p class="soft">{note}</p>'


def _gap_words(gap: Mapping[str, Any]) -> str:
    if not has_interval(gap["gap"]) or not has_interval(gap["gain_by_judge"]):
        return "too few prompts to tell"
    if gap["gap"]["low"] <= 0:
        return "no sign of it"
    if gap["gain_by_judge"]["low"] > 0:
        return "part of the gain does not transfer"
    return '<span class="worse">gain not confirmed by the other judge</span>'


def failures(report: Mapping[str, Any]) -> str:
    """Counts of answers that are missing, did not end, or could not be scored."""
    rows = []
    skipped = any(_counts(report, system, "not_asked") for system in report.get("systems", []))
    for system in report.get("systems", []):
        row = report["results"][system]
        duration = "–" if row["mean_duration"] is None else f"{row['mean_duration']:.2f} s"
        unfinished = f"{row['unfinished']}<small>{percent(row['unfinished_share'], 1)}</small>"
        names = ("unscorable", "not_asked") if skipped else ("unscorable",)
        counts = [_counts(report, system, name) or "0" for name in names]
        rows.append([escape(system), str(row["asked"]), str(row["missing"]), unfinished, *counts, duration])
    if not rows:
        return ""
    head = ["System", "asked", "missing audio", "did not end by itself", "unscorable"]
    head += ["not asked (max_answers)"] if skipped else []
    return table([*head, "mean duration"], rows)


def _counts(report: Mapping[str, Any], system: str, name: str) -> str:
    """One count of a system by every metric that has any: "3 by DNSMOS"."""
    found = report["results"][system]["metrics"]
    counts = [(found[m["name"]].get(name), escape(m["label"])) for m in report["metrics"]]
    return ", ".join(f"{count} by {label}" for count, label in counts if count)


def groups(report: Mapping[str, Any]) -> str:
    """Every tag's groups, systems by metrics, with the difference."""
    head = ["Group", "System"] + [escape(m["label"]) for m in report.get("metrics", [])]
    rows = []
    for group in report.get("groups", []):
        name = f"{escape(group['tag'])}: {escape(group['value'])}<small>{counted(group['num_prompts'], 'prompt')}</small>"
        for k, (system, cells) in enumerate(group["systems"].items()):
            rows.append(
                [name if k == 0 else "", escape(system), *[_cell(report, m, cells[m["name"]]) for m in report["metrics"]]]
            )
        for system in dict.fromkeys(row["system"] for row in group["differences"]):
            found = {row["metric"]: row for row in group["differences"] if row["system"] == system}
            cells = [_group_difference(report, m, found.get(m["name"])) for m in report["metrics"]]
            rows.append(["", f"<em>{escape(system)} − {escape(str(report['baseline']))}</em>", *cells])
    return table(head, rows) if rows else ""


def _group_difference(report: Mapping[str, Any], metric: Mapping[str, Any], row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    wer = metric["kind"] == "wer"
    shown = row["utterance"] if wer and report["average"] == "utterance" else row
    return _verdict(shown["difference"], metric, wer)


def seeds(report: Mapping[str, Any]) -> str:
    """Every seed on its own: how much luck there is in one draw."""
    rows = []
    for row in report.get("per_seed", []) if len(report.get("seeds", [])) > 1 else ():
        for k, (system, cells) in enumerate(row["systems"].items()):
            rows.append(
                [
                    str(row["seed"]) if k == 0 else "",
                    escape(system),
                    *[_cell(report, m, cells[m["name"]]) for m in report["metrics"]],
                ]
            )
    return table(["Seed", "System"] + [escape(m["label"]) for m in report["metrics"]], rows) if rows else ""


def _cell(report: Mapping[str, Any], metric: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    wer = metric["kind"] == "wer"
    interval = cell["utterance"] if wer and report["average"] == "utterance" else cell["value"]
    return stacked(interval, wer, 2 if wer else 3)
