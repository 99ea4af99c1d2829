"""The model that runs on: tails worked out by hand, and the program at the sizes that prove its wiring."""

import json

import pytest
import torch

from recipes.mini.pretrain import runaway
from recipes.mini.pretrain.base import Speech
from recipes.mini.pretrain.runaway import KINDS, LEAST_SILENCE, LEAST_TAIL, MOST_TAIL, run_on

SILENCE = torch.full((300,), 999)


def speech():
    """Twelve utterances of two speakers; each code says which utterance it is of, and where it stands."""
    codes = [1000 * (number + 1) + torch.arange(120) for number in range(12)]
    return Speech(["gate one"] * 12, ["ann", "bob"] * 6, codes)


def test_every_tail_is_of_its_kind():
    plain = speech()
    data, chosen = run_on(plain, 1.0, SILENCE, seed=0)
    assert set(chosen.values()) == set(KINDS)
    for index, kind in chosen.items():
        own, tail = data.codes[index][:120], data.codes[index][120:]
        assert torch.equal(own, plain.codes[index])
        assert LEAST_TAIL <= len(tail) <= MOST_TAIL
        if kind == "repeats":
            assert torch.equal(tail, own[-len(tail) :])
        elif kind == "falls silent":
            assert len(tail) >= LEAST_SILENCE
            assert set(tail.tolist()) == {999}
        else:
            other = int(tail[0]) // 1000 - 1
            assert other != index
            assert plain.speakers[other] == plain.speakers[index]
            assert torch.equal(tail, plain.codes[other][: len(tail)])


def test_a_share_runs_on_and_the_rest_stays():
    data, chosen = run_on(speech(), 0.4, SILENCE, seed=3)
    assert 0 < len(chosen) < 12
    assert all(len(codes) == 120 for index, codes in enumerate(data.codes) if index not in chosen)
    again, same = run_on(speech(), 0.4, SILENCE, seed=3)
    assert same == chosen
    assert all(torch.equal(one, other) for one, other in zip(data.codes, again.codes, strict=True))
    assert run_on(speech(), 0.0, SILENCE, seed=3)[1] == {}


@pytest.mark.slow
def test_the_program_makes_a_model_and_knows_when_it_is_done(tmp_path, capsys):
    arguments = ["--quick", "--out", str(tmp_path), "--processes", "1"]
    assert runaway.main(arguments) == 0
    assert (tmp_path / "checkpoints" / "base-runaway" / "model.safetensors").is_file()
    summary = json.loads((tmp_path / "work" / "base-runaway" / "summary.json").read_text())
    assert sum(summary[kind] for kind in KINDS) == round(summary["share"] * 64)
    assert runaway.main(arguments) == 0
    assert "up to date" in capsys.readouterr().out
    assert runaway.main([*arguments, "--share", "0.5"]) == 2
    assert "share" in capsys.readouterr().err
