"""Results of a listening test as HTML: the verdict, tables and plots; every name in it is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from demo.listening.modes import TITLES
from demo.listening.paired import ListenerShare, PairFinding
from demo.listening.results import Findings, Result
from demo.listening.telling import check_text, headline, number_text, outcome, percent, share_text, told
from lpo_tts.comparison.wording import counted, p_text
from lpo_tts.report.plots import Row, interval_plot, line_plot
from lpo_tts.statistics import Interval

MOST_LISTENERS = 40  # ours: rows of a plot; the table has all of them
STYLE = """<style>
.results { --c0: #6e6d68; --c1: #0f766e; --c2: #b4540a; --c3: #1f6fd0; --c4: #8a4fc4; --c5: #b03a72;
  --line: #d9d8d1; --soft: #5c5b57; --ink: #1a1a19; --card: #fdfdfc; color: var(--ink); line-height: 1.5; }
.dark .results { --c0: #a9a79f; --c1: #2dd4bf; --c2: #e9924f; --c3: #6aabf3; --c4: #bd91e8; --c5: #e57fab;
  --line: #3f3f46; --soft: #b3b1a8; --ink: #f2f1ec; --card: #18181b; }
.results .headline { border-left: 4px solid var(--c1); padding: .25rem 0 .25rem .9rem; font-size: 1.2rem; margin: .25rem 0 1rem; }
.results h2 { font-size: 1.3rem; margin: 1rem 0 .4rem; overflow-wrap: anywhere; }
.results h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; } .results p { margin: .3rem 0; max-width: 75ch; }
.results .aside { color: var(--soft); font-size: .9rem; }
.results .grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem 2rem; }
.results .scroll { overflow-x: auto; }
.results table, .results tr { border: 0 !important; }  /* Gradio draws boxes around tables and cells */
.results table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.results table :is(th, td) { text-align: right; padding: .3rem .6rem; white-space: nowrap;
  border: 0 !important; border-bottom: 1px solid var(--line) !important; }
.results table :is(th, td):first-child, .results table .text {
  text-align: left; white-space: normal; min-width: 6rem; }
.results table .text { min-width: 14rem; }
.results table thead th { color: var(--soft); font-weight: 600; font-size: .85rem; vertical-align: bottom; white-space: normal; }
.results svg { width: 100%; max-width: 44rem; height: auto; display: block; }
@media (max-width: 40rem) { .results .scroll svg { min-width: 27rem; } }
.results svg text { fill: var(--ink); font-size: 15px; font-family: inherit; }
.results svg .tick { fill: var(--soft); font-size: 14px; } .results svg .group, .results svg .name { font-weight: 600; }
.results svg .grid { stroke: var(--line); } .results svg .axis { stroke: var(--soft); }
.results svg .curve { fill: none; stroke-width: 2; } .results svg .whisker { stroke-width: 3; stroke-linecap: round; }
.results svg .dot { stroke: var(--card); stroke-width: 2; }
.results svg .c0 { stroke: var(--c0); } .results svg .c1 { stroke: var(--c1); } .results svg .c2 { stroke: var(--c2); }
.results svg .c3 { stroke: var(--c3); } .results svg .c4 { stroke: var(--c4); } .results svg .c5 { stroke: var(--c5); }
.results svg .dot.c0, .results svg .t0 { fill: var(--c0); } .results svg .dot.c1, .results svg .t1 { fill: var(--c1); }
.results svg .dot.c2, .results svg .t2 { fill: var(--c2); } .results svg .dot.c3, .results svg .t3 { fill: var(--c3); }
.results svg .dot.c4, .results svg .t4 { fill: var(--c4); } .results svg .dot.c5, .results svg .t5 { fill: var(--c5); }
</style>"""
Cells = Sequence[str]


def result_html(result: Result, *, everybody: bool = False, codes: Mapping[str, str] | None = None) -> str:
    """All of one test.

    Args:
        result: of the test.
        everybody: numbers of all listeners, flagged ones too.
        codes: listener -> completion code of those who have finished; None: not shown, as on a page for others.
    """
    found = result.everybody if everybody else result.main
    parts = [f'<h2>{escape(result.test)}</h2><p class="headline" role="status">{escape(headline(result))}</p>']
    title = f"{TITLES.get(result.mode, result.mode)}, question: {result.question}"  # type: ignore[call-overload]
    parts.append(f'<p class="aside">{escape(title)}. {escape(_base(result))}</p>')
    parts += [_pair_html(pair, result, len(found.pairs) == 1) for pair in found.pairs]
    parts += [_ranks_html(found), _ratings_html(found, result), _both_html(result), _checks_html(result, codes)]
    return f'{STYLE}<div class="results">{"".join(parts)}</div>'


def page_html(results: Sequence[Result], *, everybody: bool = False) -> str:
    """A page of its own with all tests; `everybody` as for `result_html`."""
    body = "".join(f"<section>{result_html(result, everybody=everybody)}</section>" for result in results)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Listening test: results</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>body { font-family: system-ui, sans-serif; '
        "max-width: 70rem; margin: 2rem auto; padding: 0 1rem; background: #fdfdfc; } h1, h2 { line-height: 1.2; }</style></head>"
        f"<body><main><h1>Listening test: results</h1>{body or '<p>No answers yet.</p>'}</main></body></html>"
    )


def _base(result: Result) -> str:
    found = result.everybody
    line = f"{counted(found.answers, 'answer')} of {counted(found.listeners, 'listener')} on {counted(found.items, 'text')}"
    if result.trials is not None:
        line += f"; {result.finished} answered all of their {f'{result.trials} ' if result.trials else ''}trials"
    if result.flagged:
        line += f"; {len(result.flagged)} flagged as careless"
    return f"{line}."


def _pair_html(pair: PairFinding, result: Result, alone: bool) -> str:
    """Sentences and plots of two systems; `alone`: the headline has said the first two already."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in told(pair, result)[2 * alone :])
    title = f"{pair.b} against {pair.a}"
    what = "right answers" if result.mode == "abx" else f"votes for {pair.b}"
    shares: list[Row] = [_row("all, interval", pair.share, share_text(pair.share))]
    advice = pair.advice
    middle = pair.looks[-1].mean if pair.looks else 0.5
    shares.append(
        ("at every look", 100 * middle, 100 * advice.low, 100 * advice.high, f"{percent(advice.low)} to {percent(advice.high)}")
    )
    own: list[Row] = [
        (one.listener, 100 * one.share, None, None, _votes(one, result.mode)) for one in pair.listeners[:MOST_LISTENERS]
    ]
    curves = [
        ("upper", [(look.listeners, 100 * look.high) for look in pair.looks]),
        ("mean", [(look.listeners, 100 * look.mean) for look in pair.looks]),
        ("lower", [(look.listeners, 100 * look.low) for look in pair.looks]),
        ("even", [(look.listeners, 50.0) for look in pair.looks]),
    ]
    overview = _intervals(f"Share of {what}", shares, f"Share of {what} with interval", " %")
    bounds = "Bounds that hold at every look"
    looks = _scrolled(line_plot(curves, bounds, "listeners who finished", y_label=f"{what}, %"), bounds)
    listeners = _intervals("Listener by listener", own, f"Share of {what}, listener by listener", " %")
    return (
        f'<h3>{escape(title)}</h3><div class="grid"><div>{lines}</div><div>{overview}{looks}</div></div>'
        f"<details><summary>Listener by listener</summary>{listeners}{_listeners_html(pair, result)}</details>"
    )


def _row(name: str, interval: Interval, text: str, factor: float = 100) -> Row:
    low, high = (None if end is None else factor * end for end in (interval.low, interval.high))
    return name, factor * interval.estimate, low, high, text


def _intervals(title: str, rows: Sequence[Row], label: str, unit: str = "") -> str:
    return _scrolled(interval_plot([(title, rows)], label, unit), label)


def _scrolled(plot: str, label: str) -> str:
    """A plot that keeps its size where the window is narrow, and is moved there."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}">{plot}</div>' if plot else ""


def _votes(one: ListenerShare, mode: str) -> str:
    votes = (one.wins, one.losses) if mode == "abx" else (one.wins, one.ties, one.losses)
    return f"{percent(one.share)} ({' : '.join(map(str, votes))})"


def _listeners_html(pair: PairFinding, result: Result) -> str:
    abx = result.mode == "abx"
    head = (
        ["listener", "right", "wrong", "share", "p (Holm)"] if abx else ["listener", pair.b, "ties", pair.a, "share", "drawn in"]
    )
    rows = []
    for one in pair.listeners:
        shrunk = "–" if one.shrunk is None else percent(one.shrunk)
        counts = [str(one.wins), str(one.losses)] if abx else [str(one.wins), str(one.ties), str(one.losses)]
        rows.append([one.listener, *counts, percent(one.share), p_text(one.p) if one.p is not None else shrunk])
    note = "" if abx else '<p class="aside">Drawn in: the share with what chance explains taken off (random effects).</p>'
    return _table(head, rows) + note


def _ranks_html(found: Findings) -> str:
    if not found.ranks:
        return ""
    rows = [
        [one.system, number_text(one.strength, signed=True), share_text(one.preferred), percent(one.best)] for one in found.ranks
    ]
    shares = [_row(one.system, one.preferred, share_text(one.preferred)) for one in found.ranks]
    plot = _intervals("Preferred to the average system", shares, "Ranking by Bradley-Terry", " %")
    head = ["system", "strength (log odds)", "preferred to the average", "strongest in resamples"]
    note = '<p class="aside">Bradley-Terry; a tie is half a win for each side. Intervals by the two-way bootstrap.</p>'
    return f"<h3>Ranking</h3>{plot}{_table(head, rows)}{note}"


def _ratings_html(found: Findings, result: Result) -> str:
    if not found.ratings:
        return ""
    plot = _intervals(
        "Mean rating", [_row(one.system, one.mean, number_text(one.mean), 1) for one in found.ratings], "Mean ratings"
    )
    means = _table(["clip", "ratings", "mean"], [[one.system, str(one.ratings), number_text(one.mean)] for one in found.ratings])
    differences = _table(
        ["difference", "mean", "outcome"],
        [
            [
                f"{one.b} − {one.a}",
                number_text(one.difference, signed=True),
                "shown" if one.difference.excludes_zero else "no difference shown",
            ]
            for one in found.differences
        ],
    )
    note = (
        f'<p class="aside">Intervals of {100 * result.confidence:.0f} % over listeners and texts. They hold for a number of '
        "listeners that was fixed before: unlike A/B, ratings have no bounds that allow to look again and again.</p>"
    )
    return f"<h3>Ratings</h3>{plot}{means}{differences if found.differences else ''}{note}"


def _both_html(result: Result) -> str:
    """The same outcome with and without flagged listeners."""
    if not result.flagged or result.attentive is None:
        return ""
    rows = []
    for name, found in (("all listeners", result.everybody), ("without flagged ones", result.attentive)):
        told_of = [outcome(pair, result) for pair in found.pairs]
        told_of += [f"{one.system} {number_text(one.mean)}" for one in found.ratings]
        rows.append([name, str(found.listeners), str(found.answers), "; ".join(told_of)])
    table = _table(["who counts", "listeners", "answers", "outcome"], rows, prose=True)
    return f"<h3>With and without flagged listeners</h3>{table}"


def _checks_html(result: Result, codes: Mapping[str, str] | None) -> str:
    rows = []
    for one in result.checks:
        seconds = "–" if one.median_seconds is None else f"{one.median_seconds:.0f} s"
        catches = f"{one.worse - one.failed} of {one.worse}" if one.worse else "–"
        alike = f"{one.differed} of {one.same}" if one.same else "–"
        code = [] if codes is None else [codes.get(one.listener, "–")]
        rows.append([one.listener, str(one.answers), catches, alike, seconds, *code, check_text(one) or "–"])
    code = [] if codes is None else ["completion code"]
    head = [
        "listener",
        "answers",
        "catch trials passed",
        "preferred one of two equal clips",
        "time per trial (median)",
        *code,
        "flags",
    ]
    return f"<details><summary>Checks of the listeners</summary>{_table(head, rows, prose=True)}</details>"


def _table(head: Cells, rows: Iterable[Cells], prose: bool = False) -> str:
    """A table; `prose`: its last column holds sentences."""
    last = len(head) - 1 if prose else -1
    text = [' class="text"' if k == last else "" for k in range(len(head))]
    top = "".join(f'<th scope="col"{kind}>{escape(cell)}</th>' for kind, cell in zip(text, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(text, row, strict=True)) + "</tr>" for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
