"""The evaluation of folders of audio end to end, with missing, unreadable and silent files: what is counted and reported."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from echo import speak
from program import ASR, TEXTS, assert_one_line, evaluate

from evaluation.evaluate import main
from lpo_tts import audio

ROOT = Path(__file__).parents[2]


def test_missing_unreadable_and_silent_files_count_and_are_named(world, capsys):
    code, report = evaluate(world, "--speaker", "echo:EchoSpeaker")
    assert code == 0
    row = report["results"]["new"]["metrics"]["wer-exact"]
    assert row["wer"]["estimate"] == pytest.approx(12 / 24)  # three answers of four words are lost, silence included
    assert row["wer_evaluated"]["estimate"] == pytest.approx(4 / 16)  # silence was heard, as nothing
    assert [row[name] for name in ("asked", "evaluated", "missing", "unreadable", "unscorable")] == [6, 4, 1, 1, 0]
    assert [(one["id"], one["status"]) for one in report["not_judged"]] == [("u3#0", "missing"), ("u4#0", "unreadable")]
    assert "libsndfile" in report["not_judged"][1]["reason"]
    similarity = report["results"]["new"]["metrics"]["similarity-EchoSpeaker"]
    assert [similarity[name] for name in ("evaluated", "missing", "unreadable", "unscorable")] == [3, 1, 1, 1]
    assert similarity["mean"]["estimate"] == pytest.approx(1.0)
    shown = capsys.readouterr()
    heads, first, second = (re.split("  +", line) for line in shown.out.splitlines()[:3])
    assert heads[3:] == ["asked", "judged", "missing", "unreadable", "unscorable"]
    assert (first[3:], second[3:]) == (["6", "4", "1", "1", "0"], ["6", "3", "1", "1", "1"])
    assert "50.00 % [" in shown.out
    assert "2 of 6 candidates of new (1 missing, 1 unreadable) count as errors." in shown.out
    page, markdown = ((world / "out" / "report" / name).read_text() for name in ("report.html", "report.md"))
    assert "4 of 6 candidates evaluated, 1 missing, 1 unreadable, 0 unscorable" in page
    assert "| missing | unreadable |" in markdown
    assert "| 1 of 6 | 1 of 6 |" in markdown
    assert "new: missing: u3#0: no u3.wav in" in shown.err


def test_two_folders_are_compared_on_the_same_prompts(world, capsys):
    for name in ("u3", "u4", "u5"):
        speak(world / "new" / f"{name}.wav", TEXTS[name])
    code, report = evaluate(world, "--speaker", "voice=echo:EchoSpeaker", systems=("old", "new"))
    assert code == 0
    wer, similarity = (row for row in report["differences"] if report_of(report, row["metric"]) is None)
    assert (report["baseline"], wer["system"]) == ("old", "new")
    assert (wer["old"], wer["new"]) == (pytest.approx(2 / 24), 0.0)
    assert (wer["prompts_better"], wer["prompts_worse"], wer["prompts_equal"]) == (2, 0, 4)
    assert similarity["difference"]["estimate"] == pytest.approx(1 - math.cos(0.5), abs=1e-3)
    assert {group["value"] for group in report["groups"]} == {"even", "odd"}
    assert "new − old" in capsys.readouterr().out
    assert (world / "out" / "report" / "samples" / "new" / "u0~0.wav").exists()
    example = next(row for row in report["examples"]["rows"] if row["prompt_id"] == "u0")
    assert [side["hypothesis"] for side in example["sides"]] == ["bus number one now", "gate number one now"]
    for name in ("report.html", "report.md", "report.tex"):
        assert "WER" in (world / "out" / "report" / name).read_text()


def report_of(report, metric):
    """The metric that a figure is derived from; None for a metric of its own."""
    return next(one["of"] for one in report["metrics"] if one["name"] == metric)


def test_another_system_than_the_first_can_be_the_baseline(world):
    _, first = evaluate(world, systems=("old", "new"))
    _, second = evaluate(world, "--baseline", "old", systems=("new", "old"))
    assert second["systems"] == ["old", "new"]
    assert first["differences"] == second["differences"]


def test_three_systems_are_each_compared_with_the_first(world):
    for name, text in TEXTS.items():
        speak(world / "third" / f"{name}.wav", f"{text} now")
    code, report = evaluate(world, systems=("old", "new", "third"))
    assert code == 0
    wer = {row["system"]: row for row in report["differences"] if row["metric"] == "wer-exact"}
    assert set(wer) == {"new", "third"}
    assert wer["third"]["new"] == pytest.approx(6 / 24)


def test_a_system_added_later_is_judged_alone(world, caplog):
    caplog.set_level("INFO", logger="echo")
    evaluate(world, systems=("old",))
    caplog.clear()
    code, report = evaluate(world, systems=("old", "new"))
    assert (code, report["systems"]) == (0, ["old", "new"])
    assert "heard 4" in caplog.text  # those of `new` that can be read
    assert "heard 6" not in caplog.text


def test_seed_tts_eval_protocol_averages_over_utterances_with_its_own_punctuation(tmp_path):
    (tmp_path / "meta.lst").write_text("a|well-known gate\nb|one two three four, five six seven eight\n")
    speak(tmp_path / "w" / "a.wav", "wellknown bus")
    speak(tmp_path / "w" / "b.wav", "one two three four five six seven eight")
    code, report = evaluate(tmp_path, "--protocol", "seed-tts-eval", systems=("w",), rows="meta.lst")
    assert code == 0
    row = report["results"]["w"]["metrics"]["wer-exact"]
    assert row["mean_utterance_wer"]["estimate"] == pytest.approx((1 / 2 + 0) / 2)
    assert row["wer"]["estimate"] == pytest.approx(1 / 10)
    assert "mean utterance WER 25.00 %" in report["headline"][0]
    assert report["provenance"]["protocol"]["name"] == "seed-tts-eval"


def test_outside_and_training_judges_and_their_gap(world):
    more = ["--asr", "deaf=echo:EchoRecogniser:deaf_to=now", "--training-asr", "trained=echo:EchoRecogniser:deaf_to=never"]
    _, report = evaluate(world, *more, systems=("old", "new"))
    assert [(m["name"], m["role"]) for m in report["metrics"] if m["of"] is None] == [
        ("wer-exact", "unstated"),
        ("wer-deaf", "unstated"),
        ("wer-trained", "training judge"),
    ]
    assert report["results"]["old"]["metrics"]["wer-deaf"]["wer"]["estimate"] == pytest.approx((2 + 6) / 24)
    gaps = {gap["judge"]: gap for gap in report["gaps"]}
    assert {"wer-exact", "wer-deaf"} <= set(gaps)
    assert gaps["wer-exact"]["gap"]["estimate"] == 0


def test_a_voice_that_cannot_be_read_is_counted_with_its_reason(world):
    (world / "voice.wav").write_bytes(b"torn")
    code, report = evaluate(world, "--speaker", "voice=echo:EchoSpeaker", systems=("old",))
    assert code == 0
    assert report["results"]["old"]["metrics"]["similarity-voice"]["unscorable"] == 6
    row = json.loads((world / "out" / "judgements" / "similarity-voice" / "old.jsonl").read_text().splitlines()[0])
    assert row["value"] is None
    assert "the voice cannot be read" in row["detail"]["reason"]


def test_recordings_that_the_list_names_tell_the_judges_own_error(world):
    rows = [{"id": name, "text": text, "target": f"real/{name}.wav"} for name, text in TEXTS.items()]
    (world / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in TEXTS.items():
        speak(world / "real" / f"{name}.wav", text.replace("one", "won"))
    code, report = evaluate(world, systems=("old",))
    assert code == 0
    (floor,) = [row for row in report["floors"] if row["metric"] == "wer-exact"]
    assert (floor["condition"], floor["count"], floor["value"]) == ("recording", 6, pytest.approx(1 / 24))
    assert report["results"]["old"]["length_ratio"] is None or report["results"]["old"]["length_ratio"]["estimate"] == 1
    _, report = evaluate(world, "--floor-prompts", "2", systems=("old",))
    assert {row["count"] for row in report["floors"]} == {2}
    (world / "real" / "u0.wav").write_bytes(b"torn")
    _, report = evaluate(world, systems=("old",))
    assert {row["count"] for row in report["floors"]} == {5}


@pytest.mark.slow
def test_recordings_through_a_codec_are_judged_too(world):
    rows = [{"id": name, "text": text, "target": f"old/{name}.wav"} for name, text in TEXTS.items()]
    (world / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    codec = f"mini:model={ROOT / 'recipes' / 'mini' / 'checkpoints' / 'codec'}"
    code, report = evaluate(world, "--codec", codec, systems=("old",))
    assert code == 0
    floors = {row["condition"]: row for row in report["floors"] if row["metric"] == "wer-exact"}
    assert floors["recording"]["value"] == pytest.approx(2 / 24)
    assert floors["codec-copy"]["value"] > 0.5  # bytes written as samples do not survive a codec of speech
    assert (world / "out" / "synthesized" / "codec-copy" / "wavs" / "u0.wav").exists()


@pytest.mark.slow
def test_voices_through_a_codec_are_compared_with_too(world):
    codec = f"mini:model={ROOT / 'recipes' / 'mini' / 'checkpoints' / 'codec'}"
    code, report = evaluate(world, "--codec", codec, "--speaker", "voice=echo:EchoSpeaker", "--held-out", systems=("old", "new"))
    assert code == 0
    role = next(one for one in report["metrics"] if one["name"] == "similarity-copy-voice")
    assert (role["short"], role["label"], role["role"], role["tested"]) == ("SIM-r", "SIM-r, voice", "judge", False)
    (copy,) = (world / "out" / "synthesized" / "codec-copy-voices" / "wavs").iterdir()
    angle = float(audio.read(copy)[0][-1])
    row = report["results"]["new"]["metrics"]["similarity-copy-voice"]
    assert row["mean"]["estimate"] == pytest.approx(math.cos(0.25 - angle), abs=1e-3)
    assert [row[name] for name in ("evaluated", "missing", "unreadable", "unscorable")] == [3, 1, 1, 1]


def test_a_similarity_to_copies_without_a_codec_is_refused(world, capsys):
    metric = "{name: similarity, to: codec_copy, encoder: {name: 'echo:EchoSpeaker'}}"
    (world / "judges.yaml").write_text(f"judges: {{copied: {{label: voice, role: judge, metric: {metric}}}}}")
    code, _ = evaluate(world, "--judges", world / "judges.yaml")
    assert code == 2
    assert_one_line(capsys, "copied compares with the voice's copy through the codec; name the codec")


@pytest.mark.slow
def test_the_program_runs_from_a_checkout(world):
    command = [sys.executable, "-m", "evaluation.evaluate", "--system", f"new={world / 'new'}", "--list", world / "list.jsonl"]
    command += ["--out", world / "out", "--asr", ASR, "--num-resamples", "1000", "--json"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "evaluation")])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, cwd=world, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]["new"]["missing"] == 1
    assert "u4.wav" in done.stderr


def test_ids_may_name_files_in_folders_below_and_their_copies_do_not_collide(world):
    names = ["a/b", "a_b", "a~b", "a#b", "speaker one/x", "b"]
    (world / "list.jsonl").write_text("".join(json.dumps({"id": name, "text": TEXTS["u0"]}) + "\n" for name in names))
    for k, name in enumerate(names):
        speak(world / "new" / f"{name}.wav", TEXTS["u0"], voice=k / 10)
    code, report = evaluate(world, "--num-examples", "6")
    assert code == 0
    assert report["results"]["new"]["missing"] == 0
    folder = world / "out" / "report"
    copies = {row["prompt_id"]: folder / row["sides"][0]["audio"] for row in report["examples"]["rows"]}
    assert len(set(copies.values())) == 6
    for name, copy in copies.items():
        assert copy.parent == folder / "samples" / "new"
        assert copy.read_bytes() == (world / "new" / f"{name}.wav").read_bytes()


def test_a_link_within_the_folder_is_followed(world):
    speak(world / "blobs" / "0123", TEXTS["u3"])
    (world / "new" / "u3.wav").symlink_to("../blobs/0123")
    _, report = evaluate(world, "--num-examples", "6")
    assert (report["results"]["new"]["missing"], report["results"]["new"]["unreadable"]) == (0, 1)  # u4 alone
    copy = world / "out" / "report" / "samples" / "new" / "u3~0.wav"
    assert copy.read_bytes() == (world / "blobs" / "0123").read_bytes()


def test_names_longer_than_a_file_name_are_missing_and_not_a_crash(world):
    long = "x" * 300
    rows = [{"id": name, "text": TEXTS["u0"]} for name in (long, f"{long}/y", "ü" * 120)]
    speak(world / "new" / f"{'ü' * 120}.wav", TEXTS["u0"])
    (world / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, report = evaluate(world)
    assert code == 0
    assert [(one["id"], one["status"]) for one in report["not_judged"]] == [(f"{long}#0", "missing"), (f"{long}/y#0", "missing")]
    copies = [side["audio"] for row in report["examples"]["rows"] for side in row["sides"]]
    assert len(copies) == 1
    assert all((world / "out" / "report" / copy).exists() for copy in copies)


def test_any_metric_can_be_named_beside_recognisers(world):
    more = ["--metric", "duration", "--metric", "loud=echo:Loudness:scale=2", "--metric", "echo:Loudness"]
    _, report = evaluate(world, *more, systems=("old", "new"))
    mains = [m for m in report["metrics"] if m["of"] is None]
    assert [(m["name"], m["unit"], m["graded"], m["label"], m["higher_is_better"]) for m in mains[1:]] == [
        ("duration", "s", False, "duration", False),
        ("loud", "", True, "loud", True),
        ("Loudness", "", True, "Loudness", True),
    ]
    found = report["results"]["old"]["metrics"]
    assert found["duration"]["mean"]["estimate"] == pytest.approx(0.1)
    assert found["loud"]["mean"]["estimate"] == pytest.approx(2 * found["Loudness"]["mean"]["estimate"])
    assert found["Loudness"]["evaluated"] == 6


def test_a_metric_alone_is_a_report(world, capsys):
    arguments = [
        "--system",
        f"old={world / 'old'}",
        "--list",
        world / "list.jsonl",
        "--out",
        world / "out",
        "--metric",
        "duration",
    ]
    assert main([str(argument) for argument in arguments]) == 0
    assert "duration" in capsys.readouterr().out
    assert "0.100 s" in (world / "out" / "report" / "report.html").read_text()


def test_judges_of_a_file_and_of_the_command_line_judge_together(world, capsys):
    words = "words: {metric: {name: wer, recogniser: 'echo:EchoRecogniser'}, role: judge, label: exact ears, margin: 0.01}"
    (world / "judges.yaml").write_text(f"evaluate:\n  num_examples: 1\n  judges:\n    {words}\n")
    arguments = ["--system", f"old={world / 'old'}", "--list", world / "list.jsonl", "--out", world / "out"]
    arguments += [
        "--judges",
        world / "judges.yaml",
        "--metric",
        "duration",
        "evaluate.num_resamples=1040",
        "--margin",
        "duration=0.1",
    ]
    assert main([str(one) for one in arguments]) == 0
    report = json.loads((world / "out" / "report" / "report.json").read_text())
    roles = {one["name"]: one for one in report["metrics"] if one["of"] is None}
    assert {name: (one["role"], one["margin"], one["tested"]) for name, one in roles.items()} == {
        "words": ("judge", 0.01, True),
        "duration": ("unstated", 0.1, True),
    }
    assert report["bootstrap"]["num_resamples"] == 1040
    assert main([str(one) for one in (*arguments, "--metric", "words=echo:Loudness")]) == 2
    assert_one_line(capsys, "two judges are called 'words'")


def test_who_is_held_out_is_said_by_the_caller_alone(world):
    more = [
        "--speaker",
        "echo:EchoSpeaker",
        "--metric",
        "duration",
        "--training-asr",
        "trained=echo:EchoRecogniser:deaf_to=never",
    ]
    _, report = evaluate(world, *more, systems=("old",))
    assert "by WER, exact on 6 prompts" in report["headline"][0]
    page = (world / "out" / "report" / "report.html").read_text()
    assert "chose the pairs" in page
    _, report = evaluate(world, *more, "--held-out", systems=("old",))
    assert "by WER, exact (held-out judge) on 6 prompts" in report["headline"][0]
    assert [m["role"] for m in report["metrics"] if m["of"] is None] == ["judge", "training judge", "judge", "judge"]


COUNTED, LEFT_OUT = "(missing counted)   50.00 % [", "(missing left out)  25.00 % (no interval)"  # four files were heard


@pytest.mark.parametrize(
    ("asked", "figures", "prompts"),
    [
        (("--protocol", "seed-tts-eval"), (COUNTED, LEFT_OUT), 6),
        (("evaluate.average=utterance_evaluated",), (LEFT_OUT, COUNTED), 4),
    ],
)
def test_the_terminal_shows_both_figures_of_a_benchmark_that_of_verdict_and_tests_first(world, capsys, asked, figures, prompts):
    code, report = evaluate(world, *asked, systems=("old", "new"))
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line for line in lines if line.startswith("new  ")]
    assert [figure in line for figure, line in zip(figures, shown, strict=True)] == [True, True], shown
    (difference,) = [line for line in lines if line.startswith("new − old")]
    assert figures[0].partition(")")[0] in difference
    assert f"on {prompts} prompts × 1 seed" in report["headline"][0]
    assert "2 of 6 candidates of new (1 missing, 1 unreadable) " in report["headline"][0]


def test_few_prompts_have_no_interval_in_terminal_and_report(world, capsys):
    (world / "list.jsonl").write_text("".join(json.dumps({"id": f"u{k}", "text": TEXTS[f"u{k}"]}) + "\n" for k in range(3)))
    _, report = evaluate(world, systems=("old", "new"))
    difference = report["differences"][0]["difference"]
    assert (difference["low"], difference["high"], difference["num_clusters"]) == (None, None, 3)
    shown = capsys.readouterr().out
    assert "−16.67 points (no interval)" in shown
    assert "too few prompts" in shown


def test_only_the_first_prompts_are_judged_when_that_is_asked(world):
    code, report = evaluate(world, "--num-prompts", "5", systems=("old",))
    assert (code, report["num_prompts"]) == (0, 5)
    code, report = evaluate(world, systems=("old",))
    assert (code, report["num_prompts"]) == (0, 6)
