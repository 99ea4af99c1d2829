"""One prompt's candidates from a table of text, for tests of rules."""

from lpo_tts.records import Candidate, LabelledCandidate, PreferencePair
from lpo_tts.rules.base import detail_metrics_of
from lpo_tts.rules.selection import Limits, select

FRAME_RATE = 50.0
UP = dict.fromkeys(("similarity", "utmos", "chat", "ending"), True) | dict.fromkeys(("wer", "cer", "mer", "cmi", "f0"), False)
RECORDING = "recording"


def candidate(name, **given):
    """A finished candidate of 100 tokens, or as it is given."""
    tokens = given.pop("num_tokens", 100)
    row = {
        "id": name,
        "prompt_id": "p",
        "index": -1 if name == RECORDING else ord(name[-1]) - ord("a"),
        "seed": 0,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "num_tokens": tokens,
        "num_frames": tokens,
        "finished": True,
        "status": "ok" if tokens else "empty",
    }
    return Candidate(**{**row, **given})


def chosen_by(rule, limits: Limits, rows):
    """What a rule keeps of one prompt, ["a > b", "c +", ...], what it drops, and the rows.

    Args:
        rule: to be tried.
        limits: to be applied.
        rows: mappings with `candidate` and what is known of it: metrics by name, `tokens`, `seconds`, `ended`, `model`, and
            `kind` and `trailing` (seconds) of the metric `ending`. What is missing was not scored.
    """
    group, target = [], None
    scores = {name: {} for name in UP}
    details = {name: {} for name in detail_metrics_of(rule)}
    for row in rows:
        given = {}
        if "tokens" in row:
            given["num_tokens"] = int(row["tokens"])
        if "seconds" in row:
            given["num_frames"] = round(float(row["seconds"]) * FRAME_RATE)
        if "ended" in row:
            given["finished"] = row["ended"] == "yes"
        if row.get("model", "own") != "own":
            given["model"] = row["model"]
        one = candidate(row["candidate"], **given)
        if one.id == RECORDING:
            target = one
            continue
        group.append(one)
        for name in UP:
            if name in row:
                scores[name][one.id] = float(row[name])
        if "ending" in details and "kind" in row:
            trailing = float(row.get("trailing", 0.0))
            silence = row["kind"] == "trailing_silence"
            detail = {"kind": row["kind"], "trailing_sound": 0.0 if silence else trailing}
            details["ending"][one.id] = {**detail, "trailing_silence": trailing if silence else 0.0}
    found, dropped = select(rule, limits, group, scores, UP, "train", target, details=details, frame_rate=FRAME_RATE)
    return [shown(row) for row in found], dict(dropped), found


def shown(row):
    if isinstance(row, PreferencePair):
        return f"{row.chosen} > {row.rejected}"
    if isinstance(row, LabelledCandidate):
        return f"{row.candidate} {'+' if row.desirable else '-'}"
    return " > ".join(row.candidates)
