"""What holds of every rule with every limit, on random prompts: no order, no forged end, nobody twice, every drop counted."""

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpo_tts.records import Candidate, LabelledCandidate, PreferencePair, RankedList
from lpo_tts.rules import REGISTRY
from lpo_tts.rules.base import Dropped, detail_metrics_of
from lpo_tts.rules.compared import ComparisonRule
from lpo_tts.rules.selection import Limits, scored, select

sys.path.insert(0, str(Path(__file__).parent))
from tables import UP, candidate

RULES = {
    "decoupled": [{"aspect": "content", "tolerance": 0.3}],
    "pareto": [{}, {"crossed": True}],
    "weighted": [{}, {"weights": {"utmos": 1, "wer": 2}, "ranges": {"wer": [0, 1]}, "depth": 2, "finished_only": True}],
    "per_dimension": [{"gaps": {"wer": 0.05, "similarity": 0.1, "utmos": 0}}],
    "ground_truth": [{}, {"metric": None, "max_tokens": 40}],
    "inter_model": [{}, {"within": True}],
    "ranked": [{}, {"length": 3}],
    "ending": [{"max_error": 0.1}],
}
# Rules that read comparisons find nothing in scores: test_compared.py has theirs.
SCORED = [name for name in REGISTRY if not issubclass(REGISTRY.get(name), ComparisonRule)]
EVERY = [(name, given) for name in SCORED for given in RULES.get(name, [{}])]
KINDS = ("good", "cut_off", "trailing_sound", "trailing_silence", "silent")


@st.composite
def prompts(draw):
    """Candidates of one prompt with few different values, their scores and details, and sometimes a recording."""
    rows, scores, details = [], {name: {} for name in UP}, {}
    for index in range(draw(st.integers(0, 8))):
        tokens = draw(st.sampled_from([0, 10, 50, 200]))
        given = {"num_tokens": tokens, "finished": draw(st.booleans()), "model": draw(st.sampled_from(["", "b", "c"]))}
        row = candidate(f"p#{chr(ord('a') + index)}", **given)
        rows.append(row)
        for name in ("wer", "similarity", "utmos"):
            scores[name][row.id] = draw(st.sampled_from([None, 0.0, 0.05, 0.1, 0.5, 1.0]))
        kind = draw(st.sampled_from([*KINDS, None]))
        scores["ending"][row.id] = None if kind is None else float(kind == "good")
        details[row.id] = {} if kind is None else {"kind": kind, "trailing_sound": draw(st.sampled_from([0.0, 1.0]))}
    target = candidate("p#target", num_tokens=30) if draw(st.booleans()) else None
    return rows, scores, {"ending": details}, target


limits = st.builds(
    Limits,
    min_gap=st.sampled_from([0.0, 0.06, 0.4]),
    max_chosen=st.sampled_from([None, 0.1]),
    min_rejected=st.sampled_from([None, 0.5]),
    floors=st.sampled_from([{}, {"utmos": 0.1}, {"wer": 0.05}]),
    pairs_per_prompt=st.integers(1, 5),
    max_uses=st.integers(1, 3),
    max_length_ratio=st.sampled_from([None, 2.0]),
    min_duration=st.sampled_from([None, 0.2]),
    max_duration=st.sampled_from([None, 2.0]),
)


@pytest.mark.parametrize(("name", "own"), EVERY, ids=[f"{name}-{number}" for number, (name, _) in enumerate(EVERY)])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(prompt=prompts(), limited=limits, data=st.data())
def test_every_rule_with_every_limit(name, own, prompt, limited, data):
    rule = REGISTRY.get(name)(**own)
    rows, scores, details, target = prompt
    told = {metric: details.get(metric, {}) for metric in detail_metrics_of(rule)}
    more = {"details": told, "frame_rate": 50.0}
    before = [dataclasses.asdict(row) for row in rows]

    found, dropped = select(rule, limited, rows, scores, UP, "train", target, **more)

    shuffled = data.draw(st.permutations(rows))
    assert select(rule, limited, shuffled, scores, UP, "train", target, **more) == (found, dropped)
    assert [dataclasses.asdict(row) for row in rows] == before, "no candidate is given an end, or anything else"
    known = {row.id: row for row in ([*rows, target] if target else rows)}
    uses = Counter()
    for row in found:
        best, others = sides(row, known)
        assert best is None or (best.finished and best.status == "ok"), "only what ended by itself is chosen"
        assert all(other.num_tokens for other in others)
        uses.update(one.id for one in (best, *others) if one is not None and one is not target)
        if best is not None and best is not target:
            check_floors(limited, best, scores)
        for one in filter(None, (best, *others)):
            assert (limited.min_duration or 0) <= one.num_frames / 50 <= (limited.max_duration or 1e9)
    assert all(count <= limited.max_uses for count in uses.values())
    assert len({row.id for row in found}) == len(found)
    kinds = Counter((type(row), getattr(row, "desirable", None)) for row in found)
    assert all(count <= limited.pairs_per_prompt for count in kinds.values())

    # Every find is kept, dropped for a reason, or beyond pairs_per_prompt.
    usable = [one for row in rows if (one := scored(rule, row, scores, UP, told)) is not None]
    assert dropped["unscorable candidate"] == len(rows) - len(usable)
    if not rule.needs_targets:
        every = list(rule.match(usable))
        said = Counter(one.reason for one in every if isinstance(one, Dropped))
        assert all(dropped[reason] >= count for reason, count in said.items())
        finds = len(every) - said.total()
        others = dropped.total() - dropped["unscorable candidate"] - said.total()
        full = any(count == limited.pairs_per_prompt for count in kinds.values())
        assert len(found) + others == finds or (full and len(found) + others < finds)


def sides(row, known: dict[str, Candidate]):
    """Whom a model learns to speak like (None: nobody), and the others."""
    if isinstance(row, PreferencePair):
        return known[row.chosen], [known[row.rejected]]
    if isinstance(row, RankedList):
        best, *others = row.candidates
        return known[best], [known[name] for name in others]
    assert isinstance(row, LabelledCandidate)
    one = known[row.candidate]
    return (one, []) if row.desirable else (None, [one])


def check_floors(limited, best, scores):
    for metric, floor in limited.floors.items():
        value = scores[metric][best.id]
        assert value is not None
        assert value >= floor if UP[metric] else value <= floor
