"""The evaluation program end to end on synthetic audio, with missing, unreadable and silent files."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import echo
import pytest
import torch
from echo import RATE, speak
from evaluation.folders import compare, main

from evaluation.audio_folder import AudioFolder, judge_folder
from evaluation.judges import make_judges, parse_spec
from lpo_tts import audio, rows
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.prompting.lists import load_list

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
        ("wer-exact", "unstated"),
        ("wer-deaf", "unstated"),
        ("wer-trained", "training judge"),
    ]
    assert report["results"]["old"]["metrics"]["wer-deaf"]["wer"]["estimate"] == pytest.approx((2 + 6) / 24)
    assert [gap["judge"] for gap in report["gaps"]] == ["wer-exact", "wer-deaf"]
    assert report["gaps"][0]["gap"]["estimate"] == 0


def test_a_voice_that_cannot_be_read_is_the_lists_fault(world):
    (world / "voice.wav").unlink()
    items = load_list(world / "list.jsonl")
    judges = make_judges([ASR], ["voice=echo:EchoSpeaker"])
    rows = judge_folder(world / "old", items, judges, world / "rows.jsonl")
    assert rows[0].judgements["similarity-voice"].value is None
    assert "the voice cannot be read" in rows[0].judgements["similarity-voice"].detail["reason"]
    report = compare({"old": rows}, items, judges, None, num_resamples=20)
    assert report.results["old"].metrics["similarity-voice"].unscorable == 6


@pytest.mark.slow
def test_the_program_runs_from_a_checkout(world):
    command = [sys.executable, "-m", "evaluation.folders", "--wavs", world / "new", "--list", world / "list.jsonl"]
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
    assert (item.voice and item.voice.audio) == (str(tmp_path / voice) if voice else None)
    assert (item.target and item.target.audio) == (str(tmp_path / target) if target else None)


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
    assert item.voice.audio == str(tmp_path / "wavs" / "v.wav")
    assert item.tags == {"speaker": "seen"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.lst", "only-id\n", "a.lst:1: expected 2 to 5 fields between '|', found 1"),
        ("a.lst", "u|a\nu|b\n", "a.lst:2: id 'u' stands twice"),
        ("a.lst", "\n", "expected at least one utterance"),
        ("a.jsonl", '{"id": "u"}\n', "a.jsonl:1: expected an object with 'id' and 'text'"),
        ("a.jsonl", '{"id": "u", "te', "a.jsonl:1: not valid JSON"),
        ("a.jsonl", '{"id": "u", "text": "x", "voice": 3}\n', "expected 'voice' to be a path"),
        ("a.jsonl", '{"id": "u", "text": "x", "voice": {"id": "v"}}\n', "expected 'voice' to be a path"),
        ("a.jsonl", '{"id": "u", "text": "x", "target": ""}\n', "expected 'target' to be a path"),
        (
            "a.jsonl",
            '{"id": "u", "text": "x", "voice": "v\\u0000.wav"}\n',
            "not valid JSON (expected text, found a NUL",
        ),
        (
            "a.jsonl",
            '{"id": "u", "text": "x", "language": 5}\n',
            "a.jsonl:1: expected 'language' to be text such as 'en', found 5",
        ),
        ("a.jsonl", '{"id": "u", "text": "x", "language": " "}\n', "expected 'language' to be text"),
        ("a.jsonl", '{"id": "u", "text": "x", "tags": ["a"]}\n', "expected 'tags' to map names to values"),
        ("a.jsonl", '{"id": "u", "text": "x", "tags": {"a": {"b": 1}}}\n', "expected the tag 'a' to be text or a number"),
        ("a.jsonl", '{"id": "u", "text": "x", "tags": {"a": 1e999}}\n', "a.jsonl:1: not valid JSON (expected finite numbers"),
        ("a.jsonl", '{"id": "u", "text": "x", "duration": NaN}\n', "expected finite numbers, found NaN"),
        ("a.jsonl", '{"id": "u", "text": "\\ud800"}\n', "a lone surrogate"),
        ("a.jsonl", "[" * 100_000 + "\n", "nested too deep"),
        ("a.jsonl", "[1, 2]\n", "expected an object with 'id' and 'text'"),
        ("a.jsonl", '{"id": 7, "text": "x"}\n', "expected an object with 'id' and 'text', both text"),
        ("a.jsonl", '{"id": "u", "text": "  "}\n', "a.jsonl:1: the text of 'u' is empty"),
        ("a.jsonl", '{"id": "", "text": "x"}\n', "a.jsonl:1: the id is empty"),
        ("a.jsonl", '\n{"id": "../x", "text": "x"}\n', "a.jsonl:2: expected an id that names a file below the folder"),
        ("a.jsonl", '{"id": "/abs/x", "text": "x"}\n', "found '/abs/x'"),
        ("a.jsonl", '{"id": "a/../../x", "text": "x"}\n', "found 'a/../../x'"),
        ("a.jsonl", '{"id": "a//x", "text": "x"}\n', "found 'a//x'"),
        ("a.jsonl", '{"id": ".", "text": "x"}\n', "found '.'"),
        ("a.lst", "u||to say\n", "a.lst:1: the text is empty: 3 fields are read as id|text|voice"),
        ("a.lst", "u|voice text|v.wav|\n", "a.lst:1: the text is empty: 4 fields are read as id|voice text|voice|text"),
        ("a.lst", "|x\n", "a.lst:1: the id is empty"),
        ("a.lst", "/|x\n", "a.lst:1: the id is empty"),
        ("a.lst", "..|x\n", "a.lst:1: expected an id that names a file below the folder"),
        ("a.lst", "u|x\0y\n", "a.lst:1: expected text, found a NUL"),
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


def test_line_separators_within_a_sentence_and_a_byte_order_mark_are_no_faults(tmp_path):
    rows = [{"id": "a", "text": "one\u2028two\x85three"}, {"id": "b", "text": "four"}]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    (tmp_path / "a.jsonl").write_text("\ufeff" + text, encoding="utf-8")
    assert [(item.id, item.text) for item in load_list(tmp_path / "a.jsonl")] == [("a", "one\u2028two\x85three"), ("b", "four")]
    (tmp_path / "a.lst").write_text("\ufeffa|one\u2028two\n", encoding="utf-8")
    assert load_list(tmp_path / "a.lst")[0].text == "one\u2028two"


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"a|\xff\n")])
def test_a_list_that_cannot_be_read_ends_with_one_line(world, capsys, make):
    path = world / "other.lst"
    make(path)
    assert evaluate(world, "--list", path)[0] == 2
    assert_one_line(capsys, "other.lst")


def assert_one_line(capsys, *words):
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("folders: ")]) == 1, lines
    assert not any("Traceback" in line for line in lines)
    for word in words:
        assert word in lines[-1]


def test_no_id_reads_audio_outside_the_folder(world, capsys):
    speak(world / "secret.wav", TEXTS["u0"])
    for name in ("../secret", str(world / "secret"), "u0/../../secret"):
        (world / "list.jsonl").write_text(json.dumps({"id": name, "text": TEXTS["u0"]}) + "\n")
        assert evaluate(world)[0] == 2
        assert_one_line(capsys, "list.jsonl:1: expected an id that names a file below the folder")
        assert AudioFolder(world / "new").find(name) is None
    assert not (world / "out").exists()


def test_ids_may_name_files_in_folders_below_and_their_copies_do_not_collide(world):
    names = ["a/b", "a_b", "a~b", "a#b", "speaker one/x", "b"]
    (world / "list.jsonl").write_text("".join(json.dumps({"id": name, "text": TEXTS["u0"]}) + "\n" for name in names))
    for k, name in enumerate(names):
        speak(world / "new" / f"{name}.wav", TEXTS["u0"], voice=k / 10)
    code, report = evaluate(world, "--num-examples", "6")
    assert code == 0
    assert report["results"]["new"]["missing"] == 0
    copies = {row["prompt_id"]: world / "out" / row["sides"][0]["audio"] for row in report["examples"]["rows"]}
    assert len(set(copies.values())) == 6
    for name, copy in copies.items():
        assert copy.parent == world / "out" / "samples" / "new"
        assert copy.read_bytes() == (world / "new" / f"{name}.wav").read_bytes()


def test_a_link_within_the_folder_is_followed(world):
    speak(world / "blobs" / "0123", TEXTS["u3"])
    (world / "new" / "u3.wav").symlink_to("../blobs/0123")
    _, report = evaluate(world, "--num-examples", "6")
    assert report["results"]["new"]["missing"] == 1  # u4 alone
    assert (world / "out" / "samples" / "new" / "u3.wav").read_bytes() == (world / "blobs" / "0123").read_bytes()


def test_suffixes_are_found_in_any_case_and_what_is_no_file_is_missing(world):
    (world / "new" / "u0.wav").rename(world / "new" / "u0.WAV")
    (world / "new" / "u1.wav").unlink()
    (world / "new" / "u1.wav").mkdir()
    (world / "new" / "u2.wav").unlink()
    (world / "new" / "u2.wav").symlink_to("u2.wav")
    speak(world / "new" / "u2.Flac", TEXTS["u2"])  # a wav of another name
    _, report = evaluate(world)
    assert [one["id"] for one in report["not_judged"]] == ["u1", "u3", "u4"]


def test_names_longer_than_a_file_name_are_missing_and_not_a_crash(world):
    long = "x" * 300
    rows = [{"id": name, "text": TEXTS["u0"]} for name in (long, f"{long}/y", "ü" * 120)]
    rows += [{"id": "u0", "text": TEXTS["u0"], "voice": f"{long}.wav"}]
    speak(world / "new" / f"{'ü' * 120}.wav", TEXTS["u0"])
    (world / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, report = evaluate(world, "--speaker", "echo:EchoSpeaker", "--names", "n" * 300)
    assert code == 0
    assert [(one["id"], one["status"]) for one in report["not_judged"]] == [(long, "missing"), (f"{long}/y", "missing")]
    copies = [side["audio"] for row in report["examples"]["rows"] for side in row["sides"]]
    assert len(copies) == 2
    assert all((world / "out" / copy).exists() for copy in copies)
    rows = [json.loads(line) for line in next((world / "out").glob("judgements-*.jsonl")).read_text().splitlines()]
    (reason,) = {row["judgements"]["similarity-EchoSpeaker"]["detail"]["reason"] for row in rows if row["id"] == "u0"}
    assert reason.startswith("the voice cannot be read: ")


def test_an_empty_folder_is_no_result_and_is_noticed_before_the_other_is_judged(world, capsys, caplog):
    caplog.set_level("INFO", logger="echo")
    (world / "empty").mkdir()
    code, report = evaluate(world, "--baseline", world / "old", wavs="empty")
    assert (code, report) == (2, None)
    assert_one_line(capsys, "no utterance of the list can be judged: 6 missing, first: no u0.wav in", "empty")
    assert "heard" not in caplog.text


def test_a_folder_of_unreadable_files_is_no_result(world, capsys):
    for name in TEXTS:
        (world / "new" / f"{name}.wav").write_bytes(b"RIFF no audio")
    for _ in range(2):  # remembered rows are no result either
        code, report = evaluate(world)
        assert (code, report) == (2, None)
        assert_one_line(capsys, "6 unreadable, first: ", "libsndfile")


def test_speech_of_which_no_judge_can_say_anything_is_no_result(world, capsys):
    (world / "list.jsonl").write_text(json.dumps({"id": "u0", "text": "..."}) + "\n")
    code, report = evaluate(world)
    assert (code, report) == (2, None)
    assert_one_line(capsys, "no judge could say anything of 1 files", "has no words after normalisation")


def test_a_judge_that_does_not_exist_is_noticed_though_there_is_no_audio(world, capsys):
    (world / "empty").mkdir()
    code, _ = evaluate(world, "--asr", f"mini:model={world / 'nowhere'}", wavs="empty")
    assert code == 2
    assert_one_line(capsys, "nowhere")


def test_what_was_judged_needs_no_judge_in_memory(world, monkeypatch):
    evaluate(world)
    monkeypatch.setattr(echo.EchoRecogniser, "load", lambda self, device: pytest.fail("loaded again"))
    assert evaluate(world)[0] == 0


def test_any_metric_can_be_named_beside_recognisers(world):
    more = ["--metric", "duration", "--metric", "loud=echo:Loudness:scale=2", "--metric", "echo:Loudness"]
    _, report = evaluate(world, "--baseline", world / "old", *more)
    assert [(m["name"], m["unit"], m["graded"], m["label"], m["higher_is_better"]) for m in report["metrics"][1:]] == [
        ("duration", "s", False, "duration", False),
        ("loud", "", True, "loud", True),
        ("Loudness", "", True, "Loudness", True),
    ]
    found = report["results"]["old"]["metrics"]
    assert found["duration"]["mean"]["estimate"] == pytest.approx(0.1)
    assert found["loud"]["mean"]["estimate"] == pytest.approx(2 * found["Loudness"]["mean"]["estimate"])
    assert found["Loudness"]["evaluated"] == 6


def test_a_metric_alone_is_a_report(world, capsys):
    out = world / "out"
    arguments = ["--wavs", world / "old", "--list", world / "list.jsonl", "--out", out, "--metric", "duration"]
    assert main([str(argument) for argument in arguments]) == 0
    assert "duration" in capsys.readouterr().out
    assert "0.100 s<small>" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dnsmoss", "no member named 'dnsmoss'; did you mean dnsmos"),
        ("duration:normaliser=none", "expected one of basic"),
        ("wer:recogniser={name: 'echo:EchoRecogniser'},normaliser=characters", "words are counted by the normaliser basic here"),
        ("echo:speak", "expected a class, found <function speak"),
        ("echo:EchoRecogniser", "says `higher_is_better: ClassVar\\[bool\\]`, found none"),
        ("duration:name=wer", "found another one among the settings"),
        ("echo:Nothing", "cannot be imported"),
    ],
)
def test_wrong_metrics_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        make_judges([], metric_specs=[spec])


@pytest.mark.parametrize(("gives", "words"), [("nan", "found nan"), ("'text'", "found 'text'"), ("short", "found 0")])
def test_a_metric_that_gives_no_numbers_is_named(world, capsys, gives, words):
    assert evaluate(world, "--metric", f"echo:Loudness:gives={gives}", wavs="old")[0] == 2
    assert_one_line(capsys, "metric 'Loudness'", words)


def test_who_is_held_out_is_said_by_the_caller_alone(world):
    more = ["--speaker", "echo:EchoSpeaker", "--metric", "duration", "--training-asr", "trained=echo:EchoRecogniser"]
    _, report = evaluate(world, *more, wavs="old")
    assert "by WER, exact on 6 prompts" in report["headline"][0]
    page = (world / "out" / "report.html").read_text()
    assert "held out" not in page
    assert "held-out" not in page
    assert "chose the pairs" in page
    _, report = evaluate(world, *more, "--held-out", wavs="old")
    assert "by WER, exact (held-out judge) on 6 prompts" in report["headline"][0]
    assert [m["role"] for m in report["metrics"]] == ["judge", "training judge", "judge", "judge"]


def test_the_terminal_shows_the_figure_of_the_benchmark_and_the_one_with_missing_counted(world, capsys):
    code, report = evaluate(world, "--baseline", world / "old", "--protocol", "seed-tts-eval", "--num-resamples", "50")
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    (comparable,) = [
        line for line in lines if line.startswith("new ") and "(as the benchmark: missing left out)  25.00 %" in line
    ]
    (counted,) = [line for line in lines if line.startswith("new  ") and "(missing counted)" in line]
    assert "50.00 % [" in counted
    assert "(no interval)" in comparable  # four files were heard
    assert any(line.startswith("new − old") and "(missing counted)" in line for line in lines)
    assert "Caution: only 6 prompts" in lines[-1]
    assert "Caution: only 6 prompts" in report["headline"][0]


def test_few_prompts_have_no_interval_in_terminal_and_report(world, capsys):
    (world / "list.jsonl").write_text("".join(json.dumps({"id": f"u{k}", "text": TEXTS[f"u{k}"]}) + "\n" for k in range(3)))
    _, report = evaluate(world, "--baseline", world / "old")
    difference = report["differences"][0]["difference"]
    assert (difference["low"], difference["high"], difference["num_clusters"]) == (None, None, 3)
    shown = capsys.readouterr().out
    assert "−16.67 % (no interval)" in shown
    assert "too few prompts to tell a change in word error rate" in shown
    assert "Caution: 3 prompts; below 5 no interval can be given" in shown


def test_a_folder_that_cannot_be_written_ends_with_one_line_before_anything_is_judged(world, capsys, caplog):
    caplog.set_level("INFO", logger="echo")
    (world / "file").write_text("")
    assert evaluate(world, "--out", world / "file")[0] == 2
    assert_one_line(capsys, "cannot create", "file")
    assert evaluate(world, "--out", world / "file" / "below")[0] == 2
    assert_one_line(capsys, "cannot create", "is no folder")
    assert evaluate(world, "--out", "/proc/none")[0] == 2
    assert_one_line(capsys, "/proc/none")
    assert "heard" not in caplog.text
    (world / "out").mkdir()
    (world / "out" / "samples").write_text("")
    assert evaluate(world)[0] == 2
    assert_one_line(capsys, "cannot write", "samples/new/u")


def test_a_full_disk_at_the_rows_ends_with_one_line(world, capsys, monkeypatch):
    def full(row):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows, "row_line", full)
    assert evaluate(world)[0] == 2
    assert_one_line(capsys, "cannot write", "judgements-new.jsonl", "free space")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[1, 2]", "found none with an id and a status"),
        (b'{"id": "u0"}', "found none with an id and a status"),
        (b'{"id": "u0", "status": "missing"}', "found no reason"),
        (b'{"id": "u0", "status": "ok"}', "no sha256 or no duration for 'u0'"),
        (b'{"id": "u0", "status": "ok", "sha256": "x", "duration": NaN}', "expected finite numbers"),
        (b'{"id": "u0", "status": "ok", "sha256": "x", "duration": 1.0, "judgements": {}}', "by 'wer-exact' that cannot be"),
        (
            b'{"id": "u0", "status": "ok", "sha256": "x", "duration": 1, "judgements": {"wer-exact": {"value":1,"detail": {}}}}',
            "expected counts of words",
        ),
        (b"\xff\xfe", "found none with an id and a status"),
        (b"{", "not valid JSON"),
    ],
)
def test_damaged_rows_of_an_earlier_run_are_named_with_their_line(world, capsys, line, words):
    evaluate(world)
    capsys.readouterr()
    path = world / "out" / "judgements-new.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert evaluate(world)[0] == 2
    assert_one_line(capsys, "judgements-new.jsonl:1: ", words, "--force")
    assert evaluate(world, "--force")[0] == 0


def test_a_row_torn_within_a_character_is_judged_again(world):
    (world / "list.jsonl").write_text(json.dumps({"id": "u0", "text": "größe"}) + "\n")
    _, whole = evaluate(world)
    path = world / "out" / "judgements-new.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[: data.index("ß".encode()) + 1])
    _, resumed = evaluate(world)
    assert resumed == whole
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--num-resamples", "0"], "--num-resamples must be at least 1, found 0"),
        (["--num-examples", "-1"], "--num-examples must be at least 0, found -1"),
        (["--language", " "], "--language: expected a code"),
        (["--names", ""], "--names: expected names, found an empty one"),
        (["--names", "a\udcff"], "expected paths and names of plain text"),
        (["--wavs", "a\0b"], "expected paths and names of plain text"),
    ],
)
def test_wrong_options_are_refused_before_work(world, capsys, more, words):
    code, report = evaluate(world, *more)
    assert (code, report) == (2, None)
    assert_one_line(capsys, words)
