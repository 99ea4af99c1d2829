"""Hard prompts, and new ones in every round, through the whole loop in the tiny world, whose model knows four words."""

import json

import pytest

from lpo_tts import artefacts, cli, pipeline, recipe
from lpo_tts.records import Prompt
from lpo_tts.steps import blocks
from lpo_tts.steps.candidates import iterate_candidates

HARD = "prompts.hard={share: 0.4, kinds: [repetition, short], splits: [train, test]}"


def test_hard_prompts_are_sampled_like_others(tiny, tmp_path):
    out = tmp_path / "out"
    arguments = ["run", str(tiny / "recipe.yaml"), f"out={out}", HARD, "--until", "sample", "--quiet"]
    assert cli.main(arguments) == 0
    prompts = artefacts.read_rows(out / "prompts.jsonl", Prompt)
    hard = {one.id for one in prompts if "hard" in one.tags and one.split == "train"}
    assert len(hard) == 8  # beside twelve
    assert hard <= {row.prompt_id for row in iterate_candidates(out / "candidates")}
    assert cli.main(arguments) == 0
    assert "split_by" not in artefacts.read_json(out / "prompts.jsonl.meta.json")["settings"]


def test_what_cannot_be_made_is_said_before_anything_works(tiny, tmp_path, capsys):
    path, out = str(tiny / "recipe.yaml"), tmp_path / "out"

    def refused(*overrides):
        assert cli.main(["run", path, f"out={out}", *overrides, "--quiet"]) == 2
        assert not (out / "prompts.jsonl").exists()
        return capsys.readouterr().err

    told = refused("rounds=2", "prompts.train=7", "prompts.per_round=new")
    assert "round 2 takes 7 new utterances of split train, but earlier rounds have left 5 of 12" in told
    assert "no kind named 'riddles'" in refused("prompts.hard={share: 0.1, kinds: [riddles]}")
    assert "found 2 of 2 in several, first: 's0' in test and train" in refused("prompts.split_by=speaker")


@pytest.mark.slow
def test_two_rounds_take_different_prompts_and_resume(tiny, tmp_path, monkeypatch):
    path, out = str(tiny / "recipe.yaml"), tmp_path / "out"
    settings = ["rounds=2", "prompts.train=10", "prompts.per_round=new", HARD, "pair.dev_share=0", "train.epochs=1"]
    assert cli.main(["run", path, f"out={out}", *settings, "--quiet"]) == 0
    tables = [artefacts.read_rows(folder / "prompts.jsonl", Prompt) for folder in (out / "rounds" / "1", out)]
    first, second = ({one.id for one in table if one.split == "train"} for table in tables)
    assert len(first) == len(second) == 10
    assert not first & second
    assert {one.id for one in tables[0] if one.split == "test"} == {one.id for one in tables[1] if one.split == "test"}
    sampled = [{row.prompt_id for row in iterate_candidates(folder / "candidates")} for folder in (out / "rounds" / "1", out)]
    assert sampled == [first, second]
    report = json.loads((out / "report" / "report.json").read_text())
    assert any("prompts: rounds/1/prompts.jsonl" in row["step"] for row in report["steps"])
    groups = {row["value"]: row["num_prompts"] for row in report["groups"] if row["tag"] == "hard"}
    assert groups == {"repetition": 2, "short": 2}

    real, left = blocks.write_part, [7]

    def dies(*what):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(*what)

    again = tmp_path / "again"
    monkeypatch.setattr(blocks, "write_part", dies)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(recipe.load(path, [f"out={again}", *settings]))
    monkeypatch.setattr(blocks, "write_part", real)
    assert (again / "rounds" / "1" / "run" / "final").exists()
    assert not (again / "candidates.meta.json").exists() or not artefacts.read_json(again / "candidates.meta.json")["complete"]
    assert cli.main(["run", path, f"out={again}", *settings, "--quiet"]) == 0
    for name in ("rounds/1/candidates", "prompts.jsonl", "candidates", "pairs.jsonl"):
        assert artefacts.content_hash(again / name) == artefacts.content_hash(out / name)
