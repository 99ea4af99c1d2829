"""A recipe with `sampling: {name: vllm}`: from prompts to candidates and spoken texts, also in worker processes."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from lpo_tts import artefacts, cli, recipe
from lpo_tts.records import Candidate
from lpo_tts.steps.candidates import read_parts
from lpo_tts.synthesis import Synthesizer

FAKE = Path(__file__).parents[1] / "sampling" / "fake"

pytestmark = pytest.mark.slow


@pytest.fixture
def path(tiny, tmp_path, monkeypatch):
    """The tiny recipe, with another sampler and a folder of its own."""
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    made = yaml.safe_load((tiny / "recipe.yaml").read_text())
    sampling = {"name": "vllm", "max_tokens": 24, "part_size": 16}
    made["sample"]["sampling"] = made["synthesize"]["sampling"] = sampling
    made["out"] = str(tmp_path / "out")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(made))
    return tmp_path / "recipe.yaml"


def test_candidates_come_of_a_recipe(path, tmp_path, capsys):
    for verb in ("prompts", "sample"):
        assert cli.main([verb, str(path), "--quiet"]) == 0
    out = tmp_path / "out" / "candidates"
    ends = recipe.load(str(path)).backbone.token_map().end_ids
    rows = [one.row for one in read_parts(out)]
    assert len(rows) == 48
    assert len({row.seed for row in rows}) == 48
    assert [row.id for row in rows] == [f"{row.prompt_id}#{number % 4}" for number, row in enumerate(rows)]
    assert {row.finished for row in rows} == {True, False}
    for one in read_parts(out):
        assert (int(one.tokens[-1]) in ends) == one.row.finished
        assert sum(int(token) in ends for token in one.tokens) == int(one.row.finished)
        assert one.row.num_frames == len(one.tokens) - one.row.finished
    parts = sorted(file.name for file in out.glob("part-*.jsonl"))
    assert len(parts) == 3, "parts of 16 candidates"
    made = artefacts.content_hash(out)

    (out / parts[1]).unlink()
    (out / parts[1]).with_suffix(".safetensors").unlink()
    other = [str(path), "engine={name: local, workers: 2}", "--quiet"]
    assert cli.main(["sample", *other]) == 0
    assert artefacts.content_hash(out) == made, "the same from a worker process, in another batch"
    assert len(artefacts.read_rows(out / parts[1], Candidate)) == 16
    assert json.loads((out / parts[1]).read_text().splitlines()[0])["seed"] == rows[16].seed
    capsys.readouterr()

    assert cli.main(["sample", str(path), "sample.sampling.ras_window=10"]) == 2
    assert "ras_window: expected 0, found 10: vLLM cannot draw a token again" in capsys.readouterr().err


def test_a_text_is_spoken(path, tiny):
    synthesizer = Synthesizer.from_recipe(path)
    voice = tiny / "corpus" / "0.wav"
    sound, rate = synthesizer.say("one two", voice, seed=4)
    again, _ = synthesizer.say("one two", voice, seed=4)
    other, _ = synthesizer.say("one two", voice, seed=5, temperature=1.5)
    assert rate == 16000
    assert len(sound)
    assert torch.equal(sound, again)
    assert sound.shape != other.shape or not torch.equal(sound, other)
