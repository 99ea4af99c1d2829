"""The advice to stop on trials as the design deals them out: every listener hears a part of the texts, and they differ."""

import math
import random

import pytest

from lpo_tts.statistics.anytime import Evidence


@pytest.mark.slow
def test_texts_that_differ_do_not_make_the_advice_err_more_often():
    from demo.listening.design import Design, Plan
    from tests.demo.listening.test_design import Listed

    runs, wrong = 600, 0
    for seed in range(runs):
        source = random.Random(seed)
        plan = Plan(Design("words", trials_per_listener=10, catch_share=0.0, seed=seed), [Listed(f"p{k}") for k in range(40)])
        lean = {f"p{k}": 0.3 * (-1) ** k for k in range(40)}  # each text is clearly better by one system, and as many by either
        values = []
        for seat in range(60):
            own = source.gauss(0, 0.1)
            trials = plan.trials_for(f"l{seat}", seat)
            values.append(sum(source.random() < 0.5 + own + lean[trial.item] for trial in trials) / len(trials))
        wrong += bool((Evidence(values).path(0.5) >= math.log(20)).any())
    assert wrong / runs <= 0.05 + 0.018  # standard error 0.9 points
