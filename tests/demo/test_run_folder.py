"""A real, small run folder opened for listening, and the handlers of the tabs on it."""

import dataclasses
import json
import shutil
import warnings

import numpy as np
import pytest
import torch

from lpo_tts import audio
from lpo_tts.errors import ArtefactError, ContractError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    gradio = pytest.importorskip("gradio")

import blind_tab
import pairs_tab
import run_folder
import try_tab
import votes

# Outside a page Gradio prints its notices as warnings.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:gradio")


@pytest.fixture(scope="module")
def session(tiny_run):
    return run_folder.open_run(tiny_run)


def test_a_run_tells_its_systems_voices_words_and_judges(session):
    assert session.systems == ("base", "aligned")
    assert session.vocabulary == ("blue", "gate", "one", "room", "three", "two")
    assert [voice.label for voice in session.voices()] == ["s0", "s1"] or [voice.label for voice in session.voices()] == [
        "s1",
        "s0",
    ]
    assert all(voice.path.is_file() for voice in session.voices())
    assert all(voice.id.startswith("test-") for voice in session.voices())
    assert {kind: judge.label for kind, judge in session.judge_settings.items()} == {"wer": "held-out recogniser"}
    assert len(session.examples) == 4


def test_the_same_seed_says_the_same_and_the_systems_differ(session):
    voice = session.voices()[0]
    first, again = (session.synthesise("base", "gate one", voice, 1.0, 5) for _ in range(2))
    assert torch.equal(first.audio, again.audio)
    assert first.sample_rate == 16000
    assert first.duration == pytest.approx(first.audio.numel() / 16000)
    others = [session.synthesise(system, "gate one", voice, 1.0, seed).audio for system, seed in (("base", 6), ("aligned", 5))]
    assert not any(first.audio.shape == other.shape and torch.equal(first.audio, other) for other in others)


def test_judges_listen_to_a_take(session):
    voice = session.voices()[0]
    verdict = session.judge(session.synthesise("base", "gate one", voice, 1.0, 5), "gate one", voice)
    assert verdict.wer.detail["reference"] == "gate one"
    assert verdict.wer.detail["num_words"] == 2
    assert verdict.similarity is None


def test_words_outside_the_vocabulary_and_empty_text_give_the_library_message_on_the_page(session):
    voice = session.voices()[0]
    with pytest.raises(ContractError, match="the word 'hello' is not in the vocabulary"):
        session.synthesise("base", "gate hello", voice, 1.0, 0)
    out = try_tab.speak(session, "gate hello", voice.id, None, 1.0, 0, "aligned")
    assert out[:4] == (None, None, "", "")
    assert "the word &#x27;hello&#x27; is not in the vocabulary" in out[4]
    assert "expected a text to speak, found an empty one" in try_tab.speak(session, "  ", voice.id, None, 1.0, 0, "aligned")[4]


def test_try_gives_two_players_of_16_bits_and_two_verdicts(session):
    out = try_tab.speak(session, "gate one", session.voices()[0].id, None, 1.0, 3, "aligned")
    for rate, samples in out[:2]:
        assert rate == 16000
        assert samples.dtype == np.int16
    assert "of 2 words" in out[2]
    assert "of 2 words" in out[3]
    assert out[4] == ""


def test_an_uploaded_recording_is_a_voice_when_its_length_will_do(session, tmp_path):
    audio.write(tmp_path / "mine.wav", 0.1 * torch.sin(torch.arange(24000) * 0.1), 24000)
    out = try_tab.speak(session, "gate one", None, str(tmp_path / "mine.wav"), 1.0, 3, "aligned")
    assert out[0] is not None
    audio.write(tmp_path / "short.wav", torch.zeros(2400), 24000)
    out = try_tab.speak(session, "gate one", None, str(tmp_path / "short.wav"), 1.0, 3, "aligned")
    assert "expected 0.8 to 30 s of one voice, found 0.1 s" in out[4]


def test_pairs_are_listed_widest_first_and_filtered_by_margin(session):
    pairs = session.pairs("aligned")
    assert len(pairs) >= 2
    assert pairs_tab.metrics_of(pairs) == ["length"]
    rows, count = pairs_tab.table(session, "aligned", "length", 0.0, "all")
    margins = [float(row[3]) for row in rows]
    assert margins == sorted(margins, reverse=True)
    assert f"{len(pairs)} of {len(pairs)} pairs" in count
    least = (margins[0] + margins[-1]) / 2
    rows, _ = pairs_tab.table(session, "aligned", "length", least, "train")
    assert 0 < len(rows) < len(pairs)
    assert pairs_tab.table(session, "aligned", "length", 0.0, "dev")[0] == []


def test_a_pair_is_heard_from_its_tokens_with_its_scores(session):
    pair = session.pairs("aligned")[0]
    chosen, rejected = session.sides(pair)
    assert rejected.take.duration - chosen.take.duration == pytest.approx(pair.margins["length"], abs=1e-6)
    assert set(chosen.scores) == {"wer", "length"}
    text, voice, *players, chosen_html, _ = pairs_tab.listen(session, "aligned", pair.id)
    assert pair.text in text
    assert voice[0] == 16000
    assert [len(player[1]) for player in players] == [side.take.audio.numel() for side in (chosen, rejected)]
    assert f"length {chosen.take.duration:.3f}" in chosen_html


def test_a_blind_test_hides_names_until_the_vote_and_keeps_it(session, tmp_path):
    path = tmp_path / "votes.jsonl"
    test = blind_tab.BlindTest(session, path)
    trials = session.trials("aligned")
    assert len(trials) == 8
    sitting, text, _, *_, reveal, tally = test.begin(" ann ", "aligned")
    assert sitting.trial.text in text
    assert not any(name in reveal + tally + text for name in ("aligned", "base"))
    assert not sitting.may_vote

    same, *_ = test.vote("A", sitting)  # refused: nothing was played
    assert same == sitting
    assert votes.read(path) == []

    once, *buttons = test.heard("A", sitting)
    assert not once.may_vote
    assert [button.interactive for button in buttons] == [False] * 3
    both, *buttons = test.heard("B", once)
    assert [button.interactive for button in buttons] == [True] * 3

    after, *_, reveal, tally = test.vote("B", both)
    assert f"A was {sitting.sides[0]}" in reveal
    assert f"B was {sitting.sides[1]}</strong> — your choice" in reveal
    assert "Votes: 1 (listeners: 1)" in tally
    assert "p = 1 " in tally
    kept = votes.read(path)
    assert [(vote.listener, vote.winner, vote.prompt_id) for vote in kept] == [("ann", sitting.sides[1], sitting.trial.prompt_id)]
    assert not after.may_vote
    assert not test.heard("A", after)[1].interactive
    assert test.begin("ann", "aligned")[0].trial != sitting.trial


def test_the_judges_of_the_report_are_shown_after_the_vote(session):
    trial = session.trials("aligned")[0]
    verdicts = session.verdicts(trial)
    assert set(verdicts) == {"base", "aligned"}
    assert verdicts["base"].wer.detail["reference"] == trial.text


def test_answers_that_are_the_same_are_no_trial(tiny_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    opened = run_folder.open_run(copy)
    before = opened.trials("aligned")
    shutil.copy(before[0].wavs["base"], before[0].wavs["aligned"])
    before[1].wavs["base"].unlink()
    after = run_folder.open_run(copy).trials("aligned")
    assert [trial.key for trial in after] == [trial.key for trial in before[2:]]


def test_a_folder_without_a_run_or_with_several_says_what_to_do(tiny_run, tmp_path):
    with pytest.raises(ArtefactError, match=r"expected a run folder with recipe\.<name>\.json, found none"):
        run_folder.open_run(tmp_path)
    resolved = json.loads((tiny_run / "recipe.tiny.json").read_text())
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("one", "three"):
        (folder / f"recipe.{name}.json").write_text(json.dumps({**resolved, "name": name}))
    with pytest.raises(ArtefactError, match=r"one of its recipes \(one, three\), found 'two'; give --recipe"):
        run_folder.open_run(folder)
    assert run_folder.open_run(folder, "three").recipe.name == "three"
    assert run_folder.open_run(folder, "one").systems == ("base",)  # no aligned model there
    (folder / "recipe.two.json").write_text(json.dumps({**resolved, "name": "two"}))
    assert run_folder.open_run(folder).recipe.name == "two"  # the one named like the folder


def test_a_recipe_without_a_held_out_judge_says_so(session):
    bare = run_folder.RunSession(
        dataclasses.replace(session.recipe, evaluate=dataclasses.replace(session.recipe.evaluate, judges={}))
    )
    take = session.synthesise("base", "gate one", session.voices()[0], 1.0, 5)
    assert "no judge that took no part in the training" in bare.judge(take, "gate one", None).notes[0]


def test_the_page_is_built_for_a_whole_run_and_for_one_that_has_only_begun(session, tmp_path):
    import app

    blocks = app.page(session, tmp_path / "votes.jsonl")
    labels = {component.label for component in blocks.blocks.values() if getattr(component, "label", None)}
    assert {"Try", "Pairs", "Blind test", "Base", "Aligned", "Chosen", "Rejected", "Clip A", "Clip B"} <= labels
    begun = run_folder.RunSession(dataclasses.replace(session.recipe, out=tmp_path / "begun"))
    (tmp_path / "begun").mkdir()
    shutil.copy(session.world.prompts_path, tmp_path / "begun" / "prompts.jsonl")
    text = json.dumps(app.page(begun, tmp_path / "votes.jsonl").config, default=str)
    assert "has no preference pairs yet" in text
    assert "run RECIPE --until synthesize" in text
