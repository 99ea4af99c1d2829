"""Bad audio of a system, heard by the real judges of the mini world: each kind is counted as what it is, and stops nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from evaluation.evaluate import main

CHECKPOINTS = Path(__file__).parents[2] / "recipes" / "mini" / "checkpoints"
RATE = 16000
JUDGES = f"""
judges:
  words:
    metric: {{name: wer, recogniser: {{name: mini, model: {CHECKPOINTS / "asr-train"}}}}}
    role: judge
    label: recogniser
  voice:
    metric: {{name: similarity, encoder: {{name: ecapa, model: {CHECKPOINTS / "speaker-judge"}, max_duration: 1.0}}}}
    role: judge
    label: speaker encoder
  ending:
    metric: {{name: ending, recogniser: {{name: ctc, model: {CHECKPOINTS / "asr-judge"}}}}}
    role: advisory
    label: endings
  length: {{metric: {{name: duration}}, role: advisory, label: duration}}
num_resamples: 1000
num_permutations: 1000
"""


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """The report on one prompt of each kind: prompt -> its row, and the report itself."""
    from recipes.mini.corpus import VOICES_SEEN, sentences, synthesise

    world = tmp_path_factory.mktemp("bad")
    voice = VOICES_SEEN[0]
    kinds = ("good", "other", "missing", "no_bytes", "no_samples", "silent", "clipped", "stereo48", "runaway", "german", "flac")
    texts = dict(zip(kinds, sentences(len(kinds), 5, "test"), strict=True))
    write(world / "voice.wav", synthesise(sentences(20, 6, "test")[-1], voice))
    waves = {kind: synthesise(text, voice) for kind, text in texts.items()}
    new = world / "new"
    for kind, wave in waves.items():
        write(new / f"{kind}.wav", wave)
        write(world / "old" / f"{kind}.wav", wave)
    (new / "missing.wav").unlink()
    (new / "no_bytes.wav").write_bytes(b"")
    write(new / "no_samples.wav", np.zeros(0))
    write(new / "silent.wav", np.zeros(2 * RATE))
    write(new / "clipped.wav", np.clip(40 * waves["clipped"], -1, 1))
    wide = soxr.resample(waves["stereo48"], RATE, 48000)
    write(new / "stereo48.wav", np.stack([wide, 0.5 * wide], axis=1), 48000)
    write(new / "runaway.wav", np.resize(waves["runaway"], 35 * RATE))
    write(new / "german.wav", synthesise("guten abend meine damen und herren", voice))
    (new / "flac.wav").unlink()
    soundfile.write(new / "flac.FLAC", waves["flac"], RATE)
    rows = [{"id": kind, "text": text, "voice": "voice.wav"} for kind, text in texts.items()]
    (world / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (world / "judges.yaml").write_text(JUDGES)
    command = ["--system", f"old={world / 'old'}", "--system", f"new={new}", "--list", world / "list.jsonl"]
    command += ["--judges", world / "judges.yaml", "--out", world / "out", "--device", "cpu"]
    assert main([str(one) for one in command]) == 0
    report = json.loads((world / "out" / "report" / "report.json").read_text())
    return {row["prompt_id"]: row for row in report["prompts"]}, report


@pytest.mark.slow
def test_what_is_not_there_or_no_audio_is_counted_as_all_words_lost(judged):
    rows, report = judged
    told = {one["id"].partition("#")[0]: (one["status"], one["reason"]) for one in report["not_judged"]}
    assert {kind: status for kind, (status, _) in told.items()} == {
        "missing": "missing",
        "no_bytes": "unreadable",
        "no_samples": "unreadable",
    }
    assert "no missing.wav in" in told["missing"][1]
    assert "libsndfile" in told["no_bytes"][1]
    assert "no samples" in told["no_samples"][1]
    for kind, (status, _) in told.items():
        assert rows[kind]["values"]["new"]["words"] == 1.0
        assert rows[kind]["missing"]["new"] == (status == "missing")
        assert rows[kind]["unreadable"] == ({"new": 1} if status == "unreadable" else {})
    words, new = report["results"]["new"]["metrics"]["words"], report["results"]["new"]
    assert [words[name] for name in ("asked", "evaluated", "missing", "unreadable", "unscorable")] == [11, 8, 1, 2, 0]
    assert (new["missing"], new["unreadable"]) == (1, 2)


@pytest.mark.slow
def test_what_can_be_heard_is_judged_as_it_sounds(judged):
    rows, report = judged

    def value(kind, judge, system="new"):
        return rows[kind]["values"][system][judge]

    assert value("silent", "words") == 1.0
    assert value("silent", "voice") is None  # neither like the voice nor unlike it
    assert value("good", "words") == value("good", "words", "old")
    assert value("flac", "words") == value("flac", "words", "old")  # another format and suffix, the same speech
    assert value("stereo48", "words") == value("stereo48", "words", "old")
    assert value("stereo48", "voice") == pytest.approx(value("stereo48", "voice", "old"), abs=0.1)
    assert value("runaway", "words") > 1  # every repetition is an insertion
    assert value("runaway", "length") == pytest.approx(35)
    assert value("runaway", "ending") == 0
    assert value("german", "words") > 0.5
    assert value("clipped", "words") is not None
    similarity = report["results"]["new"]["metrics"]["voice"]
    assert [similarity[name] for name in ("evaluated", "missing", "unreadable", "unscorable")] == [7, 1, 2, 1]
    bad = report["results"]["new"]["figures"]["words"]["bad_cases"]["estimate"]
    assert bad == pytest.approx(6 / 11)  # one missing, two unreadable, silence, the runaway, and the other language


@pytest.mark.slow
def test_the_verdict_says_that_candidates_are_missing(judged):
    _, report = judged
    assert "3 of 11 candidates of new (1 missing, 2 unreadable) count as errors" in report["verdict"]
