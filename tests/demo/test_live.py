"""Live models: candidates by seed, judges that listen, the best first, and answers that grow."""

import dataclasses

import pytest
import torch

pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from demo.judges import Judges, entries
from demo.live import PATIENCE, Asked, Live
from demo.run_folder import RunSession, open_run
from demo.studio import best_first
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.steps.judges import JudgeSettings


@pytest.fixture(scope="module")
def session(tiny_run):
    return open_run(tiny_run)


@pytest.fixture(scope="module")
def live(session):
    return Live(session)


def asked(session, **changes):
    given = {"text": "gate one", "voice": session.voices()[0], "systems": ("base", "aligned"), "temperature": 1.0}
    return Asked(**{**given, **changes})


def with_judges(session, **judges):
    evaluate = dataclasses.replace(session.recipe.evaluate, judges=judges)
    return RunSession(dataclasses.replace(session.recipe, evaluate=evaluate), {"aligned": session.models["aligned"]})


def last(live, one):
    return list(live.speak(one))[-1]


def test_the_same_seed_says_the_same_and_the_systems_differ(session, live):
    first, again = (last(live, asked(session, seed=5)) for _ in range(2))
    for system in ("base", "aligned"):
        (one,), (two,) = first.of(system), again.of(system)
        assert torch.equal(one.candidate.audio, two.candidate.audio)
        assert one.candidate.sample_rate == 16000
    base, aligned = (first.of(system)[0].candidate.audio for system in ("base", "aligned"))
    assert not (base.shape == aligned.shape and torch.equal(base, aligned))


def test_temperature_and_top_p_are_those_of_the_sampler(session, live):
    greedy = [last(live, asked(session, systems=("base",), temperature=0.0, seed=seed)).takes[0] for seed in (1, 2)]
    narrow = last(live, asked(session, systems=("base",), top_p=1e-6, seed=1)).takes[0]
    assert torch.equal(greedy[0].candidate.audio, greedy[1].candidate.audio)
    assert torch.equal(greedy[0].candidate.audio, narrow.candidate.audio)
    with pytest.raises(ConfigError, match="top_p"):
        last(live, asked(session, top_p=0.0))


def test_judges_listen_and_the_best_candidate_comes_first(session, live):
    answer = last(live, asked(session, count=4, seed=3))
    assert answer.ranked
    for system in ("base", "aligned"):
        takes = answer.of(system)
        assert sorted(take.seed for take in takes) == [3, 4, 5, 6]
        keys = [best_first(take.figures) for take in takes]
        assert keys == sorted(keys)
        figure = takes[0].figures[0]
        assert (figure.name, figure.judge, figure.main) == ("WER", "held-out recogniser", True)
        assert figure.judgement.detail["reference"] == "gate one"
        assert [one.name for one in takes[0].figures] == ["WER", "CER"]
        assert not takes[0].figures[1].main


def test_a_candidate_among_several_is_the_one_that_is_spoken_alone(session, live):
    several = {take.seed: take for take in last(live, asked(session, systems=("base",), count=3)).takes}
    alone = last(live, asked(session, systems=("base",), seed=2)).takes[0]
    assert several[2].candidate.audio.shape == alone.candidate.audio.shape
    assert torch.allclose(several[2].candidate.audio, alone.candidate.audio, atol=1e-4)


def test_candidates_of_a_slow_model_appear_one_by_one_the_systems_in_turn(session, live):
    live._pace = {"base": 2 * PATIENCE, "aligned": 2 * PATIENCE}
    grown = [[(take.system, take.seed) for take in answer.takes] for answer in live.speak(asked(session, count=2))]
    assert grown[:5] == [
        [],
        [("base", 0)],
        [("base", 0), ("aligned", 0)],
        [("base", 0), ("aligned", 0), ("base", 1)],
        [("base", 0), ("aligned", 0), ("base", 1), ("aligned", 1)],
    ]
    live._pace = {"base": 0.0, "aligned": 0.0}
    assert [len(answer.takes) for answer in live.speak(asked(session, count=2))] == [0, 2, 4, 4]


def test_the_share_only_grows_and_the_last_answer_has_no_stage(session, live):
    answers = list(live.speak(asked(session, count=2)))
    shares = [answer.share for answer in answers]
    assert shares == sorted(shares)
    assert [answer.stage == "" for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert answers[-1].spoken > 0
    assert answers[-1].judged > 0


def test_a_listener_who_asks_again_is_not_kept_waiting_by_the_first_answer(session, live):
    first = live.speak(asked(session), "ann")
    next(first)
    other = live.speak(asked(session), "bob")
    next(other)
    assert list(live.speak(asked(session), "ann"))
    assert list(first) == []
    assert list(other)


class Guess:
    """A metric that guesses at quality."""

    higher_is_better = True
    advisory = True
    title = short = "guess"

    def load(self, device="cpu"):
        return self

    def judge(self, speech):
        from lpo_tts.metrics.base import Judgement

        return [Judgement(value=3.0) for _ in speech]


class Missing(Guess):
    title = short = "missing"

    def load(self, device="cpu"):
        from lpo_tts.errors import ComponentError

        raise ComponentError("missing: its weights are not on this machine")


def test_quality_comes_after_all_else_and_a_judge_that_cannot_be_loaded_is_left_out(session):
    heard = session.recipe.evaluate.judges["heard"]
    guess, missing = (JudgeSettings(metric, "advisory", metric.title) for metric in (Guess(), Missing()))
    live = Live(with_judges(session, guess=guess, missing=missing, heard=heard))
    answers = list(live.speak(asked(session)))
    names = [[figure.name for take in answer.takes for figure in take.figures] for answer in answers]
    assert names[3] == ["WER", "CER", "WER", "CER"]
    assert names[-1] == ["WER", "CER", "guess", "WER", "CER", "guess"]
    assert answers[3].pending == ("guess",)
    assert answers[-1].pending == ()
    assert live.judges.unavailable == {"missing": "missing: its weights are not on this machine"}
    assert list(live.speak(asked(session)))[-1].takes[0].figures


def test_a_slow_judge_ranks_as_well_and_further_ones_are_asked_when_the_order_is_known(session):
    heard = session.recipe.evaluate.judges["heard"]
    live = Live(with_judges(session, heard=heard, again=dataclasses.replace(heard, label="another one")))
    live.judges._is_slow = lambda name: name == "heard"
    assert live.judges.in_order() == ([], ["heard"], ["again"], [])
    answers = list(live.speak(asked(session, count=2)))
    assert [answer.ranked for answer in answers] == [False] * 9 + [True] * 2
    assert [len(take.figures) for take in answers[-1].takes] == [4] * 4
    assert all(take.figures[0].judge == "held-out recogniser" for take in answers[-1].takes)
    assert answers[5].pending == ("WER",)


def test_judges_of_the_training_are_not_asked(session):
    heard = session.recipe.evaluate.judges["heard"]
    ranked = dataclasses.replace(heard, role="training judge")
    outside = dataclasses.replace(heard, role="outside", label="another one")
    found = entries(with_judges(session, ranked=ranked, heard=heard, again=heard, outside=outside).recipe)
    assert [(one.name, one.main) for one in found] == [("heard", True), ("again", False), ("outside", False)]


def test_without_a_held_out_judge_nothing_is_ranked(session):
    answer = last(Live(with_judges(session)), asked(session, count=2))
    assert not answer.ranked
    assert len(answer.takes) == 4


def test_everything_is_warm_before_somebody_asks(session):
    live = Live(session)
    live.warm()
    assert set(live._pace) == {"base", "aligned"}
    assert live.judges.in_order() == (["heard"], [], [], [])


def test_what_cannot_be_warmed_up_is_no_end(session, monkeypatch, caplog):
    live = Live(session)

    def broken(*_):
        raise ContractError("the word 'x' is not in the vocabulary")

    monkeypatch.setattr(live, "_say", broken)
    live.warm()
    assert "could not be warmed up: the word 'x'" in caplog.text


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"text": "gate " * 500}, "expected a text of at most 1000 characters, found 2500; speak it in parts"),
        ({"seed": 2**32}, "seed must be at least 0 and at most 4294967295"),
        ({"count": 9}, "candidates must be at least 1 and at most 8, found 9"),
        ({"count": 0}, "candidates must be at least 1"),
    ],
)
def test_what_is_asked_has_bounds(session, changes, fault):
    with pytest.raises((ConfigError, ContractError), match=fault):
        asked(session, **changes)


def test_a_text_or_system_that_does_not_fit_is_refused(session, live):
    with pytest.raises(ContractError, match="the word 'hello' is not in the vocabulary"):
        last(live, asked(session, text="gate hello"))
    with pytest.raises(ContractError, match="expected a text to speak, found an empty one"):
        last(live, asked(session, text="  "))
    with pytest.raises(ConfigError, match="expected one of base, aligned, found 'dpo'"):
        last(live, asked(session, systems=("dpo",)))
    assert Judges(session.recipe, "cpu").labels == ["held-out recogniser"]
