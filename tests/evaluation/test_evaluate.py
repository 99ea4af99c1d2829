"""The evaluation program end to end on synthetic audio, with missing, unreadable and silent files."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from echo import RATE, speak
from evaluate import compare, main
from judges import make_judges, parse_spec
from judging import Panel, judge_folder
from lists import load_list

from lpo_tts import audio
from lpo_tts.errors import ArtefactError, ConfigError

ROOT = Path(__file__).parents[2]
ASR = "exact=echo:EchoRecogniser"
TEXTS = {f"u{k}": f"gate number {word} now" for k, word in enumerate(["one", "two", "three", "four", "five", "six"])}


@pytest.fixture
def world(tmp_path):
    """A list of six with voices; a baseline with two wrong words; a new system with a missing, a torn and a silent file."""
    rows = [
        {"id": name, "text": text, "voice": "voice.wav", "tags": {"set": "even" if int(name[1]) % 2 == 0 else "odd"}}
        for name, text in TEXTS.items()
    ]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    speak(tmp_path / "voice.wav", "voice")
    for name, text in TEXTS.items():
        speak(tmp_path / "old" / f"{name}.wav", text.replace("gate", "bus") if name in ("u0", "u1") else text, voice=0.75)
        speak(tmp_path / "new" / f"{name}.wav", text)
    (tmp_path / "new" / "u3.wav").unlink()
    (tmp_path / "new" / "u4.wav").write_bytes(b"RIFF no audio")
    audio.write(tmp_path / "new" / "u5.wav", torch.zeros(RATE), RATE)
    return tmp_path


def evaluate(world, *more, wavs="new"):
    out = world / "out"
    arguments = ["--wavs", world / wavs, "--list", world / "list.jsonl", "--out", out, "--asr", ASR, "--num-resamples", "200"]
    code = main([str(argument) for argument in (*arguments, *more)])
    return code, json.loads((out / "report.json").read_text()) if (out / "report.json").exists() else None


def test_missing_unreadable_and_silent_files_count_and_are_named(world, caplog, capsys):
    code, report = evaluate(world, "--speaker", "echo:EchoSpeaker")
    assert code == 0
    row = report["results"]["new"]["metrics"]["wer-exact"]
    assert row["wer"]["estimate"] == pytest.approx(12 / 24)  # three answers of four words are lost, silence included
    assert row["wer_evaluated"]["estimate"] == pytest.approx(4 / 16)  # silence was heard, as nothing
    assert (row["asked"], row["evaluated"], row["missing"]) == (6, 4, 2)
    assert [(one["id"], one["status"]) for one in report["not_judged"]] == [("u3", "missing"), ("u4", "unreadable")]
    assert "libsndfile" in report["not_judged"][1]["reason"]
    assert "u3.wav" in caplog.text
    similarity = report["results"]["new"]["metrics"]["similarity-EchoSpeaker"]
    assert (similarity["evaluated"], similarity["missing"], similarity["unscorable"]) == (3, 2, 1)
    assert similarity["mean"]["estimate"] == pytest.approx(1.0)
    assert "50.00 % [" in capsys.readouterr().out


def test_two_folders_are_compared_on_the_same_prompts(world, capsys):
    speak(world / "new" / "u3.wav", TEXTS["u3"])
    speak(world / "new" / "u4.wav", TEXTS["u4"])
    speak(world / "new" / "u5.wav", TEXTS["u5"])
    code, report = evaluate(world, "--baseline", world / "old", "--speaker", "voice=echo:EchoSpeaker")
    assert code == 0
    wer, similarity = report["differences"]
    assert (report["baseline"], wer["system"]) == ("old", "new")
    assert (wer["old"], wer["new"]) == (pytest.approx(2 / 24), 0.0)
    assert (wer["prompts_better"], wer["prompts_worse"], wer["prompts_equal"]) == (2, 0, 4)
    assert similarity["difference"]["estimate"] == pytest.approx(1 - math.cos(0.5), abs=1e-3)
    assert {group["value"] for group in report["groups"]} == {"even", "odd"}
    assert "new − old" in capsys.readouterr().out
    html = (world / "out" / "report.html").read_text()
    assert 'src="samples/new/u0.wav"' in html
    assert (world / "out" / "samples" / "new" / "u0.wav").exists()
    assert '<mark title="should be: gate">bus</mark>' in html


def test_wavs_b_is_the_same_comparison_the_other_way_round(world):
    _, first = evaluate(world, "--baseline", world / "old")
    _, second = evaluate(world, "--wavs-b", world / "new", "--force", wavs="old")
    assert first["differences"] == second["differences"]


def test_seed_tts_eval_protocol_averages_over_utterances_with_its_own_punctuation(tmp_path):
    (tmp_path / "meta.lst").write_text("a|well-known gate\nb|one two three four, five six seven eight\n")
    speak(tmp_path / "w" / "a.wav", "wellknown bus")
    speak(tmp_path / "w" / "b.wav", "one two three four five six seven eight")
    arguments = [
        "--wavs",
        tmp_path / "w",
        "--list",
        tmp_path / "meta.lst",
        "--out",
        tmp_path / "o",
        "--asr",
        ASR,
        "--num-resamples",
        "50",
    ]
    assert main([str(argument) for argument in (*arguments, "--protocol", "seed-tts-eval")]) == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    row = report["results"]["w"]["metrics"]["wer-exact"]
    assert row["mean_utterance_wer"]["estimate"] == pytest.approx((1 / 2 + 0) / 2)
    assert row["wer"]["estimate"] == pytest.approx(1 / 10)
    assert "mean utterance WER 25.00 %" in report["headline"][0]


def test_what_was_judged_is_not_judged_again(world, caplog):
    caplog.set_level("INFO", logger="echo")
    _, first = evaluate(world)
    assert caplog.text.count("heard") == 1
    caplog.clear()
    _, second = evaluate(world)
    assert "heard" not in caplog.text
    assert first == second
    speak(world / "new" / "u0.wav", "something else")
    speak(world / "new" / "u3.wav", TEXTS["u3"])  # was missing, is there now
    _, third = evaluate(world)
    assert "heard 2" in caplog.text
    assert third["results"]["new"]["missing"] == 1
    caplog.clear()
    evaluate(world, "--force")
    assert "heard 5" in caplog.text


def test_interrupted_and_resumed_equals_uninterrupted(world):
    _, whole = evaluate(world)
    path = world / "out" / "judgements-new.jsonl"
    lines = sorted(path.read_text().splitlines(keepends=True))
    path.write_text("".join(lines[:2]) + lines[2][:20])
    _, resumed = evaluate(world)
    assert resumed == whole
    assert sorted(path.read_text().splitlines(keepends=True)) == lines


def test_other_judges_are_not_mixed_in(world, capsys):
    evaluate(world)
    code, _ = evaluate(world, "--normaliser", "characters")
    assert code == 2
    message = capsys.readouterr().err
    assert "normaliser" in message
    assert "--force" in message


def test_outside_and_training_judges_and_their_gap(world):
    more = ["--asr", "deaf=echo:EchoRecogniser:deaf_to=now", "--training-asr", "trained=echo:EchoRecogniser"]
    _, report = evaluate(world, "--baseline", world / "old", *more)
    assert [(m["name"], m["role"]) for m in report["metrics"]] == [
        ("wer-exact", "judge"),
        ("wer-deaf", "outside"),
        ("wer-trained", "training judge"),
    ]
    assert report["results"]["old"]["metrics"]["wer-deaf"]["wer"]["estimate"] == pytest.approx((2 + 6) / 24)
    assert [gap["judge"] for gap in report["gaps"]] == ["wer-exact", "wer-deaf"]
    assert report["gaps"][0]["gap"]["estimate"] == 0


def test_a_voice_that_cannot_be_read_is_the_lists_fault(world):
    (world / "voice.wav").unlink()
    items = load_list(world / "list.jsonl")
    judges = make_judges([ASR], ["voice=echo:EchoSpeaker"])
    rows = judge_folder(world / "old", items, Panel(judges), world / "rows.jsonl")
    assert rows[0]["judgements"]["similarity-voice"]["value"] is None
    assert "the voice cannot be read" in rows[0]["judgements"]["similarity-voice"]["detail"]["reason"]
    report = compare({"old": rows}, items, judges, None, num_resamples=20)
    assert report["results"]["old"]["metrics"]["similarity-voice"]["unscorable"] == 6


def test_the_program_runs_from_a_checkout(world):
    command = [sys.executable, ROOT / "evaluation" / "evaluate.py", "--wavs", world / "new", "--list", world / "list.jsonl"]
    command += ["--out", world / "out", "--asr", ASR, "--num-resamples", "50", "--json"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "evaluation")])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, cwd=world, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]["new"]["missing"] == 2
    assert "u4.wav" in done.stderr


@pytest.mark.parametrize(
    ("line", "text", "voice", "target"),
    [
        ("utt|to say", "to say", None, None),
        ("utt|to say|prompt.wav", "to say", "prompt.wav", None),
        ("utt|prompt text|prompt.wav|to say", "to say", "prompt.wav", None),
        ("utt|prompt text|prompt.wav|to say|truth.wav", "to say", "prompt.wav", "truth.wav"),
    ],
)
def test_meta_lists_of_two_to_five_fields(tmp_path, line, text, voice, target):
    (tmp_path / "meta.lst").write_text(line + "\n\n")
    (item,) = load_list(tmp_path / "meta.lst", language="zh")
    assert (item.id, item.text, item.language) == ("utt", text, "zh")
    assert item.voice == (tmp_path / voice if voice else None)
    assert item.target == (tmp_path / target if target else None)


def test_prompts_of_this_project_are_a_list(tmp_path):
    voice = {"id": "v", "audio": "wavs/v.wav", "text": "hi", "duration": 1.0, "speaker": "s"}
    row = {
        "id": "p",
        "text": "to say",
        "language": "en",
        "voice": voice,
        "target": None,
        "split": "test",
        "tags": {"speaker": "seen"},
    }
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row) + "\n")
    (item,) = load_list(tmp_path / "prompts.jsonl")
    assert item.voice == tmp_path / "wavs" / "v.wav"
    assert item.tags == {"speaker": "seen"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.lst", "only-id\n", "a.lst:1: expected 2 to 5 fields between '|', found 1"),
        ("a.lst", "u|a\nu|b\n", "a.lst:2: id 'u' stands twice"),
        ("a.lst", "\n", "expected at least one utterance"),
        ("a.jsonl", '{"id": "u"}\n', "a.jsonl:1: expected an object with 'id' and 'text'"),
        ("a.jsonl", '{"id": "u", "te', "a.jsonl:1: expected a JSON object, found a torn"),
        ("a.jsonl", '{"id": "u", "text": "x", "voice": 3}\n', "expected 'voice' to be a path"),
    ],
)
def test_broken_lists_are_refused_with_their_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ArtefactError) as error:
        load_list(tmp_path / name)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("whisper", ("whisper", "whisper", {})),
        ("whisper:model=openai/whisper-large-v3", ("whisper", "whisper", {"model": "openai/whisper-large-v3"})),
        ("held=mini:model=a/b,batch_size=8", ("held", "mini", {"model": "a/b", "batch_size": 8})),
        ("my.module:Class:flag=true,rate=0.5", ("Class", "my.module:Class", {"flag": True, "rate": 0.5})),
        ("my.module:Class", ("Class", "my.module:Class", {})),
        ("ctc:model=a,b=c,d", ("ctc", "ctc", {"model": "a", "b": "c,d"})),
    ],
)
def test_judge_specs(spec, expected):
    assert parse_spec(spec) == expected


@pytest.mark.parametrize(
    ("asr", "message"),
    [
        (["wisper:model=x"], "no member named 'wisper'"),
        (["echo:EchoRecogniser:deaf=x"], "deaf"),
        (["echo:EchoRecogniser:sample_rate=8"], "sample_rate must be 16000, found 8"),
        (["mini:"], "expected name:key=value"),
        ([ASR, ASR], "two judges are called 'wer-exact'"),
        ([], "nobody is to judge"),
    ],
)
def test_wrong_judges_are_refused(asr, message):
    with pytest.raises(ConfigError, match=message):
        make_judges(asr)


def test_wrong_folders_and_names_end_with_one_line(world, capsys):
    assert evaluate(world, wavs="nowhere")[0] == 2
    assert "nowhere: expected a folder of audio" in capsys.readouterr().err
    assert evaluate(world, "--baseline", world / "old", "--names", "one")[0] == 2
    assert "expected 2 names (baseline first), found 1" in capsys.readouterr().err
    assert evaluate(world, "--protocol", "seed-tts-eval", "--normaliser", "basic")[0] == 2
    assert "fixes it to seed-tts" in capsys.readouterr().err
