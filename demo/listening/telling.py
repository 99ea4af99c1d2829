"""Results in sentences that a person can quote."""

from dataclasses import replace

from demo.listening.checks import Check
from demo.listening.paired import PairFinding
from demo.listening.results import Result
from lpo_tts.comparison.wording import counted, p_text
from lpo_tts.statistics import MIN_CLUSTERS, Interval
from lpo_tts.statistics.anytime import MOST


def percent(value: float) -> str:
    """A share in whole per cents, with a decimal where that would hide that it is not 0, 50 or 100 %."""
    digits = 1 if value not in (0, 0.5, 1) and round(100 * value) in (0, 50, 100) else 0
    return f"{100 * value:.{digits}f} %"


def share_text(interval: Interval) -> str:
    """A share and its interval: "62 % [54, 70]"."""
    if interval.low is None or interval.high is None:
        return f"{percent(interval.estimate)} (no interval)"
    low, high = (percent(end).removesuffix(" %") for end in (interval.low, interval.high))
    return f"{percent(interval.estimate)} [{low}, {high}]"


def number_text(interval: Interval, signed: bool = False) -> str:
    """A mean and its interval: "3.9 [3.6, 4.2]"."""
    form = "+.2f" if signed else ".2f"
    estimate = _minus(format(interval.estimate, form))
    if interval.low is None or interval.high is None:
        return f"{estimate} (no interval)"
    return f"{estimate} [{_minus(format(interval.low, form))}, {_minus(format(interval.high, form))}]"


def _minus(text: str) -> str:
    return text.replace("-", "−")


def headline(result: Result) -> str:
    """The one line of a test."""
    found = result.main
    base = f"{counted(found.listeners, 'listener')}, {counted(found.answers, 'answer')}"
    if result.flagged and result.attentive is not None:
        base += f", {len(result.flagged)} flagged and left out"
    if found.candidates is not None:
        pairs = found.candidates
        agreed = "" if pairs.agreement is None else f"; two listeners agree in {percent(pairs.agreement)}"
        return (
            f"{counted(pairs.votes, 'vote')} on {counted(pairs.compared, 'pair')} of candidates "
            f"({counted(found.listeners, 'listener')}){agreed}."
        )
    if result.mode in ("mos", "mushra"):
        best = max((one for one in found.differences), key=lambda one: abs(one.difference.estimate), default=None)
        means = ", ".join(f"{one.system} {number_text(one.mean)}" for one in found.ratings)
        if best is None:
            return f"{means} ({base})." if means else f"Nothing to tell yet ({base})."
        shown = "" if best.difference.excludes_zero else "; no difference shown"
        return f"{means}; {best.b} against {best.a}: {number_text(best.difference, signed=True)}{shown} ({base})."
    if found.ranks:
        names = ", ".join(f"{one.system} {share_text(one.preferred)}" for one in found.ranks)
        ready = sum(pair.advice.kind != "go on" for pair in found.pairs)
        return (
            f"By Bradley-Terry, preferred to the average system: {names} ({base}). "
            f"{'STOP' if ready == len(found.pairs) else 'GO ON'}: {ready} of {len(found.pairs)} comparisons are decided."
        )
    if not found.pairs:
        return f"Nothing to tell yet ({base})."
    (pair,) = found.pairs[:1]
    return f"{outcome(pair, result)} ({base}). {advice_text(pair, result)}"


def outcome(pair: PairFinding, result: Result) -> str:
    """What was found of two systems: "aligned is preferred to base in 62 % [54, 70] of the votes, ties as halves"."""
    if result.mode == "abx":
        return f"{pair.b} and {pair.a} are told apart in {share_text(pair.share)} of the trials, where guessing gives 50 %"
    share, ahead, behind = pair.share, pair.b, pair.a
    if share.estimate < 0.5:  # said of the one that is ahead
        low, high = (None if end is None else 1 - end for end in (share.high, share.low))
        share, ahead, behind = replace(share, estimate=1 - share.estimate, low=low, high=high), pair.a, pair.b
    line = f"{ahead} is preferred to {behind} in {share_text(share)} of the votes, ties as halves"
    if not _shown(pair):
        line = f"No preference shown: {line}"
    return line if pair.score is None else f"{line}; mean score of {pair.b} {number_text(pair.score, signed=True)}"


def _shown(pair: PairFinding) -> bool:
    """One half is excluded, by the interval or by the bounds that hold at every look."""
    low, high = pair.share.low, pair.share.high
    return pair.advice.kind == "decided" or (low is not None and high is not None and not low <= 0.5 <= high)


def advice_text(pair: PairFinding, result: Result) -> str:
    """Stop or go on, and why."""
    advice = pair.advice
    span = f"{percent(advice.low).removesuffix(' %')} to {percent(advice.high)}"
    limits = f"{percent(0.5 - advice.margin).removesuffix(' %')} to {percent(0.5 + advice.margin)}"
    who = (
        f"{counted(advice.num_listeners, 'listener')} who finished"
        if result.trials is not None
        else f"{advice.num_listeners} listeners"
    )
    if advice.kind == "decided":
        ahead = pair.share.estimate > 0.5
        abx = "they can be told apart" if ahead else "X is mistaken for the other clip more often than not"
        what = abx if result.mode == "abx" else f"{pair.b if ahead else pair.a} is preferred"
        small = f", though by less than matters ({limits})" if advice.negligible else ""
        return f"STOP (decided): {what}{small}; the bounds that hold at every look are {span} ({who})."
    if advice.kind == "equivalent":
        return f"STOP (equivalent): the bounds that hold at every look, {span}, lie within {limits} ({who})."
    if not advice.num_listeners:
        return f"GO ON: nobody has answered all {counted(result.trials, 'trial') if result.trials else 'trials'} yet."
    if advice.more is None:
        return f"GO ON, but no end is in sight: bounds {span} ({who}); more than {MOST} would be needed at this rate."
    end = "decide it" if advice.toward == "decided" else f"show that it lies within {limits}"
    return f"GO ON: bounds {span} ({who}); about {counted(advice.more, 'more listener')} like these would {end}."


def told(pair: PairFinding, result: Result) -> list[str]:
    """All there is to say of two systems, sentence by sentence."""
    abx = result.mode == "abx"
    for_b, against = ("right", "wrong") if abx else (f"for {pair.b}", f"for {pair.a}")
    ties = "" if abx else f"{counted(pair.ties, 'tie')}, "
    lines = [
        f"{outcome(pair, result)}.",
        advice_text(pair, result),
        f"Votes: {pair.wins} {for_b}, {ties}{pair.losses} {against}. "
        f"Listeners: {pair.listeners_for} mostly {for_b}, {pair.listeners_against} mostly {against}.",
    ]
    if pair.share.low is None:
        lines.append(f"An interval needs {MIN_CLUSTERS} listeners and {MIN_CLUSTERS} texts at least.")
    if abx:
        lines.append(f"Exact binomial test: {p_text(pair.sign_p)}. X is drawn by lot, so it holds however listeners differ.")
    else:
        lines.append(
            f"Tests: by listeners (each one's votes change sides together), {p_text(pair.permutation_p)}; sign test of the "
            f"listeners, {p_text(pair.listeners_p)}; sign test of the votes, {p_text(pair.sign_p)}, which takes every "
            "vote as independent and is too small where listeners or texts differ."
        )
    enough = len(pair.listeners) >= MIN_CLUSTERS
    if enough and pair.between is not None:
        lines.append(
            f"Listeners' true shares differ by {100 * pair.between:.0f} points (standard deviation); "
            f"the {pair.votes} votes tell as much as about {pair.votes_worth:.0f} independent ones."
        )
    if enough and pair.needed:
        costs = ", ".join(f"{share}: {count}" for share, count in pair.needed.items())
        lines.append(f"Listeners that a test of a fixed number needs, at a power of 80 %, to show a true share of {costs}.")
    low, high = pair.share.low, pair.share.high
    if pair.advice.kind == "decided" and low is not None and high is not None and low <= 0.5 <= high:
        lines.append(
            "The bounds are about these texts; the interval is about others too, and holds 50 %: more texts would help, more "
            "listeners will not."
        )
    return lines


def check_text(one: Check) -> str:
    """What speaks against a listener, with its numbers; "" for nothing."""
    numbers = {
        "always one side": f"{one.first} times A, {one.second} times B",
        "faster than the audio": f"{one.fast} answers",
        "failed catch trials": f"{one.failed} of {one.worse}",
        "hidden reference below 90": f"{one.failed} of {one.worse}",
    }
    return "; ".join(f"{flag} ({numbers[flag]})" if flag in numbers else flag for flag in one.flags)
