"""benchmarks/verdicts.py: worlds have the difference they promise, and every line of its tables is printed."""

import numpy as np
import pytest

from benchmarks import verdicts


@pytest.mark.parametrize("world", [verdicts.FAILURES, verdicts.NORMAL, verdicts.HEAVY, verdicts.WORDS])
def test_each_world_is_worse_by_what_is_asked_for(world):
    old, new = world.draw(np.random.default_rng(1), 400_000, 0.05)
    assert (new[:, 0].sum() / new[:, 1].sum()) - (old[:, 0].sum() / old[:, 1].sum()) == pytest.approx(0.05, abs=0.003)


def test_every_line_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(verdicts, "RESAMPLES", 50)
    monkeypatch.setattr(verdicts, "COVERED", ((40, 0.02),))
    monkeypatch.setattr(verdicts, "AT_MARGIN", verdicts.AT_MARGIN[:2])
    monkeypatch.setattr(verdicts, "AS_GOOD", verdicts.AS_GOOD[2:3])
    assert verdicts.main(["--trials", "3"]) == 0
    shown = capsys.readouterr().out
    assert "| prompts that fail wholly | 0.01 | 180 | 100.0 % | 0.0 % |" in shown
    assert [len(line.split("|")) for line in shown.splitlines() if line] == [7] * 4 + [7] * 3 + [7] * 3
