"""The contract over every pair rule, a rule of one's own, and its name in a recipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lpo_tts import recipe
from lpo_tts.errors import ConfigError
from lpo_tts.records import Candidate, LabelledCandidate, PreferencePair, RankedList
from lpo_tts.rules import REGISTRY
from lpo_tts.rules.base import Pair, Scored
from lpo_tts.rules.labelled import Labelled
from lpo_tts.rules.ranked import Ranked
from lpo_tts.rules.selection import Limits, select
from lpo_tts.steps.pair import PairSettings, Preferences
from lpo_tts.testing import check_rule

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "decoupled": {"aspect": "content", "tolerance": 0.3},
    "preferred": {"comparison": "judge"},
    "votes": {"path": Path("votes.jsonl")},
}


@pytest.mark.parametrize("name", REGISTRY)
def test_every_rule_keeps_the_contract(name):
    check_rule(REGISTRY.get(name)(**SETTINGS.get(name, {})))


@dataclass(frozen=True)
class Shortest:
    """The shortest candidate is preferred to the longest one: a rule of one's own."""

    metric: str = "wer"
    needs_targets = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair]:
        order = sorted(candidates, key=lambda one: (one.candidate.num_tokens, one.candidate.id))
        if len(order) > 1:
            yield Pair(order[0], order[-1])


@dataclass(frozen=True)
class Unsorted(Shortest):
    """Takes candidates as they come."""

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair]:
        if len(candidates) > 1:
            yield Pair(candidates[0], candidates[1])


@dataclass(frozen=True)
class Careless(Shortest):
    """Yields what is no pair."""

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair]:
        yield tuple(candidates)  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Nameless(Shortest):
    """Names a score twice."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("wer", "wer")


@dataclass(frozen=True)
class Prying(Shortest):
    """Reads the details of what it does not score."""

    detail_metrics = ("ending",)


@dataclass
class Loose:
    """May be changed while it is in use."""


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Unsorted(), "in another order"),
        (Careless(), "expected Pair, Label, Ranking or Dropped"),
        (Nameless(), "expected a tuple of names, each once"),
        (Prying(), "expected some of its metrics"),
        (Loose(), "expected an instance of a class under @dataclass"),
        (Shortest, "expected an instance"),
    ],
)
def test_a_rule_that_breaks_the_contract_is_named(rule, message):
    with pytest.raises(AssertionError, match=message):
        check_rule(rule)


def test_a_rule_may_label_candidates_or_rank_them():
    scores = {"wer": {"p#0": 0.3, "p#1": 0.0, "p#2": 0.0, "p#3": 1.7}, "similarity": {}}
    table = [row(index) for index in range(4)]
    (ranked,), _ = select(Ranked(), Limits(), table, scores, UP)
    assert ranked == RankedList(id="p#1>p#0>p#3", prompt_id="p", candidates=("p#1", "p#0", "p#3"), scores=(1.0, 0.7, 0.0))
    labelled, _ = select(Labelled(), Limits(pairs_per_prompt=2), table, scores, UP, split="dev")
    assert [one.id for one in labelled] == ["p#1+", "p#2+", "p#3-", "p#0-"]
    assert labelled[0] == LabelledCandidate(id="p#1+", prompt_id="p", candidate="p#1", desirable=True, split="dev")
    few, _ = select(Labelled(), Limits(), table, scores, UP)
    assert [one.id for one in few] == ["p#1+", "p#3-"]
    none, dropped = select(Ranked(), Limits(min_gap=2.0), table, scores, UP)
    assert (none, dropped) == ([], {"gap below min_gap": 1})
    none, dropped = select(Ranked(), Limits(), table[1:3], scores, UP)
    assert (none, dropped) == ([], {"no two finished candidates of different score": 1})


def own(**settings):
    name = f"{__name__}:Shortest"
    change = f"pair.rules=[{{rule: {{name: '{name}', {', '.join(f'{k}: {v}' for k, v in settings.items())}}}, min_gap: 0.1}}]"
    return recipe.load(ROOT / "recipes" / "mini" / "mini.yaml", [change])


def test_a_rule_of_ones_own_works_and_keeps_its_name():
    check_rule(Shortest())
    loaded = own(metric="similarity")
    rule = loaded.pair.rules[0].rule
    assert rule == Shortest("similarity")
    plain = recipe.STRUCTURER.unstructure(loaded)
    assert plain["pair"]["rules"][0]["rule"] == {"name": f"{__name__}:Shortest", "metric": "similarity"}
    assert recipe.STRUCTURER.structure(plain, recipe.Recipe) == loaded
    with pytest.raises(ConfigError, match="would import and run code"):
        recipe.structure({**plain, "variants": None}, trusted=False)


def test_drops_are_counted_by_the_name_of_the_rule():
    found = Preferences(PairSettings(dev_share=0.0), UP, seed=0)
    assert found.of_prompt([row(0), row(1)], {"wer": {"p#0": 0.0, "p#1": 0.01}, "similarity": {}}) == []
    assert found.drops() == {"best_worst": {"gap below min_gap": 1, "prompt without a pair": 1}}


UP = {"wer": False, "similarity": True, "pitch": True}


def row(index: int) -> Candidate:
    return Candidate(
        id=f"p#{index}",
        prompt_id="p",
        index=index,
        seed=index,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_tokens=10 + index,
        num_frames=10,
        finished=True,
    )


@dataclass(frozen=True)
class Three(Shortest):
    """Reads three scores."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("similarity", "wer", "pitch")


def test_every_metric_of_a_rule_has_its_margin_in_its_own_direction():
    scores = {
        "similarity": {"p#0": 0.9, "p#1": 0.4},
        "wer": {"p#0": 0.1, "p#1": 0.4},
        "pitch": {"p#0": 2.0},  # of the other one it is not known, so no margin can be stated
    }
    (pair,), dropped = select(Three(), Limits(), [row(0), row(1)], scores, UP)
    assert isinstance(pair, PreferencePair)
    assert pair.margins == pytest.approx({"similarity": 0.5, "wer": 0.3})
    assert not dropped
