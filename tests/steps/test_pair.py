"""The pair step: what is held out together, limits that need other tables, details for the rule `ending`."""

from collections import Counter

import pytest

from lpo_tts import artefacts, cli, recipe
from lpo_tts.errors import ConfigError
from lpo_tts.records import Candidate, PreferencePair, Prompt, Score
from lpo_tts.steps import check
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.pair import PairSettings, Preferences, twins_of


def test_prompts_of_one_text_are_twins_of_the_first():
    texts = {"p1": "One two.", "p2": "Three.", "p3": "one  TWO.", "p4": "One two", "p5": " One two. "}
    assert twins_of(Prompt(id=name, text=text) for name, text in texts.items()) == {"p3": "p1", "p5": "p1"}


def candidate(prompt, index):
    row = {"seed": 0, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "num_tokens": 10, "num_frames": 10, "finished": True}
    return Candidate(id=f"{prompt}#{index}", prompt_id=prompt, index=index, **row)


def test_twins_are_held_out_together():
    names = [f"p{number}" for number in range(60)]
    twins = dict.fromkeys(names[1:30], "p0") | dict.fromkeys(names[31:], "p30")
    found = Preferences(PairSettings(dev_share=0.5), {"wer": False, "similarity": True}, seed=2, twins=twins)
    splits = {}
    for name in names:
        scores = {"wer": {f"{name}#0": 0.0, f"{name}#1": 1.0}, "similarity": {}}
        (row,) = found.of_prompt([candidate(name, 0), candidate(name, 1)], scores)
        splits[name] = row.split
    assert len({splits[name] for name in names[:30]}) == len({splits[name] for name in names[30:]}) == 1
    alone = Preferences(PairSettings(dev_share=0.5), {"wer": False, "similarity": True}, seed=2)
    scores = {"wer": {"p7#0": 0.0, "p7#1": 1.0}, "similarity": {}}
    assert alone.of_prompt([candidate("p7", 0), candidate("p7", 1)], scores)[0].split in ("train", "dev")


def load(tiny, tmp_path, rule):
    return recipe.load(tiny / "recipe.yaml", [f"out={tmp_path}", f"pair.rules=[{rule}]"])


def test_floors_name_metrics_that_must_be_scored(tiny, tmp_path):
    loaded = load(tiny, tmp_path, "{rule: {name: best_worst}, floors: {utmos: 3}}")
    with pytest.raises(ConfigError, match="metric utmos is not scored by this recipe"):
        loaded.pair.check(loaded.directions)
    loaded = load(tiny, tmp_path, "{rule: {name: ending, ending_metric: wer, metric: similarity}}")
    with pytest.raises(ConfigError, match="expected an error as metric"):
        loaded.pair.check(loaded.directions)


@pytest.mark.parametrize(("limit", "parts"), [("max_duration: 9", [check.CODEC]), ("max_length_ratio: 9", [])])
def test_the_codec_is_looked_at_where_limits_speak_of_seconds(tiny, tmp_path, limit, parts):
    run = load(tiny, tmp_path, f"{{rule: {{name: best_worst}}, {limit}}}").run()
    assert [part.where for part in check._parts(run, ("pair",))] == parts


@pytest.mark.slow
def test_rules_read_durations_floors_and_details(tiny, tmp_path):
    out = tmp_path / "out"
    rules = (
        "pair.rules=[{rule: {name: best_worst}, min_gap: 0, pairs_per_prompt: 2, floors: {similarity: 0.8}, min_duration: 0.1}, "
        "{rule: {name: ending, max_error: 9}, pairs_per_prompt: 4, max_uses: 4}]"
    )
    ending = "score.metrics.ending={name: 'ears:HashEnding'}"
    arguments = [str(tiny / "recipe.yaml"), f"out={out}", ending, rules, "pair.dev_share=0"]
    assert cli.main(["run", *arguments, "--until", "pair", "--quiet"]) == 0
    rows = {row.id: row for row in iterate_candidates(out / "candidates")}
    scores = {
        name: {row.candidate_id: row for row in artefacts.read_rows(out / f"scores-{name}.jsonl", Score)}
        for name in ("wer", "similarity", "ending")
    }

    def kind(name):
        return scores["ending"][name].detail.get("kind") if rows[name].finished else "trailing_sound"

    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    by_rule = Counter("ending" if "ending" in pair.margins else "best_worst" for pair in pairs)
    assert min(by_rule["ending"], by_rule["best_worst"]) > 0
    for pair in pairs:
        assert rows[pair.chosen].finished
        if "ending" in pair.margins:
            assert kind(pair.chosen) == "good" != kind(pair.rejected)
        else:
            assert scores["similarity"][pair.chosen].value >= 0.8
            assert all(rows[name].num_frames / 50 >= 0.1 for name in (pair.chosen, pair.rejected))
    meta = artefacts.read_json(out / "pairs.jsonl.meta.json")
    assert "codec" in meta["settings"]
    assert set(meta["inputs"]) == {"candidates", "prompts", "scores-wer", "scores-similarity", "scores-ending"}
    # a bad kind of every prompt with a good ending is rejected once
    prompts = {row.prompt_id for row in rows.values()}
    for prompt in prompts:
        own = [name for name, row in rows.items() if row.prompt_id == prompt and scores["ending"][name].value is not None]
        good = [one for one in own if kind(one) == "good" and rows[one].status == "ok" and scores["wer"][one].value is not None]
        bad = {kind(one) for one in own} - {"good"} if good else set()
        found = [pair for pair in pairs if pair.prompt_id == prompt and "ending" in pair.margins]
        also = [pair for pair in pairs if pair.prompt_id == prompt and "ending" not in pair.margins]
        rejected = {kind(pair.rejected) for pair in found}
        assert rejected <= bad
        assert len(found) == len(rejected)
        assert bad - rejected <= {kind(pair.rejected) for pair in also}, "found by the first rule already"
