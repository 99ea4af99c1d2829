"""What judges cost: the table, and which candidates are heard by whom."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.judging import costs
from benchmarks.judging.costs import Cost
from lpo_tts import recipe
from lpo_tts.judging import Clip
from lpo_tts.records import Prompt

MINI = Path(__file__).resolve().parents[3] / "recipes" / "mini" / "mini.yaml"


def test_the_table_has_a_row_for_each_judge():
    lines = costs.table([Cost("wer", 1.26, 0.5, 40, 39), Cost("dnsmos", 0.0, 9.0, 6, 6)])
    assert lines[2:] == ["| wer | 1.3 | 12.5 | 39 of 40 |", "| dnsmos | 0.0 | 1500.0 | 6 of 6 |"]


@pytest.mark.slow
def test_judges_hear_as_many_candidates_as_in_an_evaluation(tmp_path):
    mini = recipe.load(MINI, [f"out={tmp_path}"])
    judges = {name: mini.evaluate.judges[name] for name in ("judge-ending", "judge-rate")}
    judges["judge-rate"] = replace(judges["judge-rate"], max_candidates=6)
    run = replace(mini, evaluate=replace(mini.evaluate, judges=judges)).run()
    tone = 0.1 * torch.sin(torch.arange(16000) / 5)
    clips = [Clip(id=str(k), prompt=Prompt(id=str(k), text="one two"), audio=tone.clone(), sample_rate=16000) for k in range(8)]
    found = list(costs.costs(run, clips))
    assert [(one.judge, one.count) for one in found] == [("judge-ending", 8), ("judge-rate", 6)]
    assert all(one.hearing > 0 for one in found)
