"""Voices through the codec: each once, again where the recording is another one, and what judges make of them."""

import json
import shutil

import pytest
import torch

from lpo_tts import artefacts, audio, cli, recipe
from lpo_tts.artefacts import read_object, read_rows
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.judging import voice_copies, voice_copy_path
from lpo_tts.records import Prompt, Utterance
from lpo_tts.steps import synthesize
from lpo_tts.steps.codec_copies import copy_voices
from lpo_tts.steps.judged import Heard


def voice(name):
    return Utterance(id=name, audio=f"{name}.wav", text="one", duration=0.5, speaker=name)


def prompts(*names):
    return [Prompt(id=f"p{number}", text="one", voice=voice(name)) for number, name in enumerate(names)]


def write(out, name, pitch):
    audio.write(out / f"{name}.wav", 0.1 * torch.sin(torch.arange(8000) * pitch), 16000)


@pytest.fixture
def run(tiny, tmp_path):
    one = recipe.load(str(tiny / "recipe.yaml"), [f"out={tmp_path / 'out'}"]).run()
    for number, name in enumerate("ab"):
        write(one.out, name, 0.05 + 0.02 * number)
    return one


def test_each_voice_is_copied_once_and_later_ones_join(run):
    folder = copy_voices(run, run.codec, prompts("a", "a"), 0.0)
    assert folder == voice_copies(run.out)
    first = voice_copy_path(folder, "a")
    wave, rate = audio.read(first)
    codec = run.codec.load()
    assert rate == codec.sample_rate
    assert abs(len(wave) / rate - 0.5) < 2 / codec.frame_rate
    before = first.stat().st_mtime_ns
    copy_voices(run, run.codec, prompts("a", "b"), 0.0)
    assert first.stat().st_mtime_ns == before
    assert voice_copy_path(folder, "b").exists()
    assert read_object(folder.with_name(f"{folder.name}.meta.json"))["counts"] == {"rows": 2, "failed": 0}


def test_another_recording_under_the_same_id_is_copied_again_alone(run):
    folder = copy_voices(run, run.codec, prompts("a", "b"), 0.0)
    bytes_before = {name: voice_copy_path(folder, name).read_bytes() for name in "ab"}
    write(run.out, "a", 0.2)
    copy_voices(run, run.codec, prompts("a", "b"), 0.0)
    assert voice_copy_path(folder, "a").read_bytes() != bytes_before["a"]
    assert voice_copy_path(folder, "b").read_bytes() == bytes_before["b"]
    assert len(read_object(folder.with_name(f"{folder.name}.meta.json"))["parts"]) == 2


def test_voices_that_cannot_be_read_are_counted_and_tried_again(run):
    with pytest.raises(ArtefactError, match=r"1 of 2 rows failed, first: gone: .*gone\.wav.*more than the limit of 0\.0%"):
        copy_voices(run, run.codec, prompts("a", "gone"), 0.0)
    folder = copy_voices(run, run.codec, prompts("a", "gone"), 0.5)
    meta = folder.with_name(f"{folder.name}.meta.json")
    assert read_object(meta)["counts"] == {"rows": 1, "failed": 1}
    write(run.out, "gone", 0.1)
    copy_voices(run, run.codec, prompts("a", "gone"), 0.0)
    assert read_object(meta)["counts"] == {"rows": 2, "failed": 0}
    # What cannot be read any more leaves no copy of what was there.
    (run.out / "gone.wav").unlink()
    copy_voices(run, run.codec, prompts("a", "gone"), 0.5)
    assert not voice_copy_path(folder, "gone").exists()


def test_without_voices_there_is_nothing_to_copy(run):
    assert not copy_voices(run, run.codec, [Prompt(id="a", text="one")], 0.0).exists()


SIM_R = "{name: similarity, to: codec_copy, encoder: {name: 'ears:HashEncoder', salt: other}}"
JUDGE = f"evaluate.judges.copied={{label: other voices, role: judge, metric: {SIM_R}}}"


def test_copies_are_a_plan_where_a_judge_asks_for_them(tiny, tmp_path):
    plain, asked = (recipe.load(str(tiny / "recipe.yaml"), [f"out={tmp_path}", *more]).run() for more in ([], [JUDGE]))
    assert voice_copies(tmp_path) not in {plan.path for plan in synthesize.plans(plain)}
    assert voice_copies(tmp_path) in {plan.path for plan in synthesize.plans(asked)}


def test_a_metric_that_needs_copies_scores_no_candidates(tiny):
    with pytest.raises(ConfigError, match=r"metrics\.copied: it compares with the voice's copy through the codec"):
        recipe.load(str(tiny / "recipe.yaml"), [f"score.metrics.copied={SIM_R}"])


@pytest.mark.slow
def test_the_report_has_both_similarities(tiny, tmp_path, capsys):
    out = tmp_path / "run" / "out"
    shutil.copytree(tiny / "corpus", out.parent / "corpus")  # of which a recording will be taken away
    manifest = f"prompts.manifest={out.parent / 'corpus' / 'manifest.jsonl'}"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", manifest, JUDGE, "--quiet"]) == 0
    report = json.loads((out / "report" / "report.json").read_text())
    shorts = {metric["name"]: metric["short"] for metric in report["metrics"]}
    assert (shorts["voice"], shorts["copied"]) == ("SIM-o", "SIM-r")
    judged = {name: read_rows(out / "judgements" / name / "base.jsonl", Heard) for name in ("voice", "copied")}
    values = {name: [row.value for row in rows] for name, rows in judged.items()}
    assert values["voice"] != values["copied"]
    assert [one is None for one in values["voice"]] == [one is None for one in values["copied"]]
    rows = [row for row in read_rows(out / "prompts.jsonl", Prompt) if row.split == "test"]
    voices = {row.voice.id for row in rows if row.voice is not None}
    assert len(list((voice_copies(out) / "wavs").iterdir())) == len(voices)

    # A judge that joins later finds its copies made by evaluate. Without a recording the run is refused, or, where so many may be
    # missing, its prompts are unscorable, and counted.
    artefacts.remove(voice_copies(out))
    (lost,) = {row.voice.audio for row in rows if row.voice is not None and row.voice.id == min(voices)}
    (out / lost).unlink()
    arguments = ["evaluate", str(tiny / "recipe.yaml"), f"out={out}", manifest, JUDGE, JUDGE.replace("copied", "later")]
    assert cli.main([*arguments, "--redo", "evaluate", "--quiet"]) == 2
    assert "1 of 20 recordings are not there" in capsys.readouterr().err
    assert cli.main([*arguments, "sample.max_failed=0.1", "--redo", "evaluate", "--quiet"]) == 0
    judged = {row.candidate_id: row for row in read_rows(out / "judgements" / "later" / "base.jsonl", Heard)}
    for row in rows:
        reasons = {one.detail.get("reason", "") for key, one in judged.items() if key.startswith(f"{row.id}#")}
        unread = [reason for reason in reasons if reason.startswith("the voice cannot be read")]
        assert bool(unread) == (row.voice is not None and row.voice.id == min(voices))
