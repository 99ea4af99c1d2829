"""What the evaluation refuses, in one line and before anything is judged."""

import json

import pytest
from echo import speak
from program import ASR, TEXTS, assert_one_line, evaluate

from evaluation.evaluate import main
from lpo_tts.steps.audio_folder import AudioFolder


def test_wrong_folders_and_names_end_with_one_line(world, capsys):
    assert evaluate(world, systems=("nowhere",))[0] == 2
    assert_one_line(capsys, "nowhere: expected a folder of audio")
    assert evaluate(world, "--baseline", "other", systems=("old", "new"))[0] == 2
    assert_one_line(capsys, "--baseline: no system is called 'other' (there are: old, new)")
    assert evaluate(world, "--protocol", "seed-tts-eval", "--normaliser", "basic")[0] == 2
    assert_one_line(capsys, "fixes it to seed-tts")


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        ([], "--system: expected at least one"),
        (["folder"], "expected NAME=SOURCE, such as new=FOLDER, found 'folder'"),
        (["=folder"], "expected NAME=SOURCE"),
        (["name="], "expected NAME=SOURCE"),
        (["../a=old"], "--system: expected a name of letters"),
        (["a=old", "a=new"], "the name 'a' is taken"),
        (["recording=old"], "the name 'recording' is taken"),
        (["a=b\udcff"], "expected paths and names of plain text"),
        (["a=b\0c"], "expected paths and names of plain text"),
    ],
)
def test_wrong_systems_are_refused(world, capsys, systems, message):
    given = [part for one in systems for part in ("--system", one)]
    assert main([*given, "--list", str(world / "list.jsonl"), "--out", str(world / "out"), "--asr", ASR]) == 2
    assert_one_line(capsys, message)
    assert not (world / "out").exists()


def test_something_must_be_said_and_somebody_must_judge(world, capsys):
    system = ["--system", f"old={world / 'old'}", "--out", str(world / "out")]
    assert main([*system, "--asr", ASR]) == 2
    assert_one_line(capsys, "expected what is said: --list FILE, --suite NAME, or --recipe FILE")
    assert main([*system, "--list", str(world / "list.jsonl")]) == 2
    assert_one_line(capsys, "nobody is to judge: give at least one --asr, --speaker or --metric, or --judges FILE")
    assert main([*system, "--list", str(world / "list.jsonl"), "--asr", ASR, "sample.num_candidates=3"]) == 2
    assert_one_line(capsys, "sample.num_candidates=3: expected evaluate.KEY=VALUE where there is no --recipe")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--num-resamples", "999"], "--num-resamples must be at least 1000, found 999"),
        (["--num-permutations", "0"], "--num-permutations must be at least 1000, found 0"),
        (["--num-examples", "-1"], "--num-examples must be at least 0, found -1"),
        (["--num-prompts", "0"], "--num-prompts must be at least 1, found 0"),
        (["--batch-size", "0"], "--batch-size must be at least 1, found 0"),
        (["--workers", "-1"], "--workers must be at least 0"),
        (["--confidence", "1"], "confidence must be above 0 and below 1, found 1"),
        (["--language", " "], "--language: expected a code"),
        (["--device", "gpu0"], "device: expected auto, cpu, cuda or cuda:<number>, found 'gpu0'"),
        (["--title", "a\udcff"], "expected paths and names of plain text"),
        (["--margin", "wer=1"], "no judge is called 'wer'"),
        (["evaluate.num_examples=many"], "num_examples: expected a whole number"),
        (["--judges", "nowhere.yaml"], "nowhere.yaml"),
        (["--codec", "nocodec"], "no member named 'nocodec'"),
        (["--asr", "mini:model=nowhere"], "nowhere"),
    ],
)
def test_wrong_options_are_refused_before_work(world, capsys, caplog, more, words):
    caplog.set_level("INFO", logger="echo")
    code, report = evaluate(world, *more)
    assert (code, report) == (2, None)
    assert_one_line(capsys, words)
    assert "heard" not in caplog.text


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"a|\xff\n")])
def test_a_list_that_cannot_be_read_ends_with_one_line(world, capsys, make):
    path = world / "other.lst"
    make(path)
    assert evaluate(world, rows="other.lst")[0] == 2
    assert_one_line(capsys, "other.lst")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("u0|one\nu0|two\n", ["list.lst:2: id 'u0' stands twice"]),
        ("u0|one\nu1| \n", ["list.lst:2: the text is empty"]),
        ("u0|a|b|c|d|e\n", ["list.lst:1: expected 2 to 5 fields between '|', found 6"]),
        ("u0\n", ["list.lst:1: expected 2 to 5 fields between '|', found 1"]),
    ],
)
def test_faults_of_a_list_are_named_with_their_line(world, capsys, text, words):
    (world / "list.lst").write_text(text)
    assert evaluate(world, rows="list.lst")[0] == 2
    assert_one_line(capsys, *words)


@pytest.mark.parametrize(
    ("voice", "words"),
    [
        ("nowhere.wav", "nowhere.wav, found none; put each recording in its place"),
        ("old", "old, found a folder; put each"),
        (f"{'x' * 300}.wav", "File name too long"),
        ("circle/v.wav", "circle"),
    ],
)
@pytest.mark.parametrize("name", ["voice", "target"])
def test_recordings_of_the_list_that_are_not_there_are_refused_before_anything_is_judged(world, capsys, name, voice, words):
    (world / "circle").symlink_to("circle")
    rows = [json.loads(line) for line in (world / "list.jsonl").read_text().splitlines()]
    rows[4][name] = voice
    (world / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert evaluate(world) == (2, None)
    assert_one_line(capsys, f"list.jsonl:5: the {name} of 'u4': ", words)
    assert not (world / "out").exists()
    assert evaluate(world, "--num-prompts", "4")[0] == 0, "rows that are not judged may name anything"


def test_no_id_reads_audio_outside_the_folder(world, capsys):
    speak(world / "secret.wav", TEXTS["u0"])
    for name in ("../secret", str(world / "secret"), "u0/../../secret"):
        (world / "list.jsonl").write_text(json.dumps({"id": name, "text": TEXTS["u0"]}) + "\n")
        assert evaluate(world)[0] == 2
        assert_one_line(capsys, "list.jsonl:1: expected an id that names a file below the folder")
        assert AudioFolder(world / "new", "--system").find(name) is None
    assert not (world / "out").exists()


def test_an_empty_folder_is_no_result_and_is_noticed_before_the_other_is_judged(world, capsys, caplog):
    caplog.set_level("INFO", logger="echo")
    (world / "empty").mkdir()
    code, report = evaluate(world, systems=("old", "empty"))
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


def test_a_judge_that_cannot_be_loaded_is_noticed_before_another_judges(world, capsys, caplog):
    caplog.set_level("INFO", logger="echo")
    assert evaluate(world, "--speaker", "ecapa:model=/nowhere/at/all")[0] == 2
    assert_one_line(capsys, "similarity-ecapa", "/nowhere/at/all")
    assert "heard" not in caplog.text


@pytest.mark.parametrize(("gives", "words"), [("nan", "found nan"), ("'text'", "found 'text'"), ("short", "found 0")])
def test_a_metric_that_gives_no_numbers_is_named(world, capsys, gives, words):
    assert evaluate(world, "--metric", f"echo:Loudness:gives={gives}", systems=("old",))[0] == 2
    assert_one_line(capsys, "metric 'Loudness'", words)


def test_a_folder_that_cannot_be_written_ends_with_one_line_before_anything_is_judged(world, capsys, caplog):
    caplog.set_level("INFO", logger="echo")
    (world / "file").write_text("")
    assert evaluate(world, "--out", world / "file")[0] == 2
    assert_one_line(capsys, "cannot make the run folder", "file")
    assert evaluate(world, "--out", world / "file" / "below")[0] == 2
    assert_one_line(capsys, "cannot make the run folder", "is no folder")
    assert evaluate(world, "--out", "/proc/none")[0] == 2
    assert_one_line(capsys, "/proc/none")
    assert "heard" not in caplog.text
    (world / "out" / "report").mkdir(parents=True)
    (world / "out" / "report" / "samples").write_text("")
    assert evaluate(world)[0] == 2
    assert_one_line(capsys, "cannot write", "samples/new/u")
