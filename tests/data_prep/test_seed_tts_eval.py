"""seed-tts-eval: lists of texts and voices become voices in a manifest, and prompts that keep each pair."""

import os

import pytest

from data_prep import seed_tts_eval
from lpo_tts import artefacts
from lpo_tts.records import Prompt
from lpo_tts.steps.prompts import PromptsSettings, make_prompts

EN = [
    "common_voice_en_1-common_voice_en_2|We asked over twenty people.|prompt-wavs/common_voice_en_1.wav|Get the fund early.",
    "common_voice_en_1-common_voice_en_3|We asked over twenty people.|prompt-wavs/common_voice_en_1.wav|I never said that.",
    "common_voice_en_4-common_voice_en_5|Excuse me.|prompt-wavs/common_voice_en_4.wav|How much is it?|elsewhere/truth.wav",
]
ZH = ["10002287-00000095|在此奉劝别乱打美白针。|prompt-wavs/10002287-00000094.wav|四是四，十是十，十四是十四。"]


@pytest.fixture
def raw(tmp_path, record):
    folder = tmp_path / "seedtts_testset"
    for name in ("common_voice_en_1", "common_voice_en_4"):
        record(folder / "en" / "prompt-wavs" / f"{name}.wav", 2.0)
    record(folder / "en" / "wavs" / "common_voice_en_1-common_voice_en_2.wav", 1.5)
    record(folder / "en" / "elsewhere" / "truth.wav", 1.0)
    record(folder / "zh" / "prompt-wavs" / "10002287-00000094.wav", 3.0)
    (folder / "en" / "meta.lst").write_text("\n".join(EN) + "\n", "utf-8")
    (folder / "zh" / "hardcase.lst").write_text("\n".join(ZH) + "\n", "utf-8")
    return folder


def test_each_text_keeps_its_voice_and_each_voice_is_measured_once(raw, tmp_path, rows, capsys):
    out = tmp_path / "data" / "manifest.jsonl"
    assert seed_tts_eval.main([str(raw), "--out", str(out)]) == 0
    found = {row["id"]: row for row in rows(out)}
    assert {name: (row["text"], row["duration"]) for name, row in found.items()} == {
        "en-prompt-wavs-common_voice_en_1": ("We asked over twenty people.", 2.0),
        "en-wavs-common_voice_en_1-common_voice_en_2": ("Get the fund early.", 1.5),
        "en-prompt-wavs-common_voice_en_4": ("Excuse me.", 2.0),
        "en-elsewhere-truth": ("How much is it?", 1.0),
    }
    assert {row["split"] for row in found.values()} == {"test"}
    assert found["en-elsewhere-truth"]["speaker"] == "en-prompt-wavs-common_voice_en_4"
    prompts = artefacts.read_rows(out.with_name("prompts.jsonl"), Prompt)
    assert [(one.id, one.text, one.voice.id, one.voice.text, one.target and one.target.duration) for one in prompts] == [
        ("common_voice_en_1-common_voice_en_2", "Get the fund early.", *voice(1, "We asked over twenty people."), 1.5),
        ("common_voice_en_1-common_voice_en_3", "I never said that.", *voice(1, "We asked over twenty people."), None),
        ("common_voice_en_4-common_voice_en_5", "How much is it?", *voice(4, "Excuse me."), 1.0),
    ]
    assert (out.parent / prompts[0].voice.audio).samefile(raw / "en" / "prompt-wavs" / "common_voice_en_1.wav")
    assert "prompts.jsonl: 3 prompts of en/meta.lst" in capsys.readouterr().err


def voice(number, text):
    return f"en-prompt-wavs-common_voice_en_{number}", text


def test_the_folder_of_a_list_says_its_language(raw, tmp_path, one_line):
    out = tmp_path / "zh" / "manifest.jsonl"
    assert seed_tts_eval.main([str(raw), "--out", str(out), "--list", "zh/hardcase.lst"]) == 0
    (prompt,) = artefacts.read_rows(out.with_name("prompts.jsonl"), Prompt)
    assert (prompt.id, prompt.language, prompt.voice.language) == ("10002287-00000095", "zh", "zh")
    (raw / "de").mkdir()
    (raw / "de" / "meta.lst").write_text("a|b|c.wav|d\n")
    with pytest.raises(artefacts.ArtefactError, match="expected a list in a folder en or zh, found 'de'; give --language"):
        list(seed_tts_eval.find(raw, table="de/meta.lst"))
    assert next(seed_tts_eval.find(raw, table="de/meta.lst", language="de")).language == "de"


def test_a_prompt_without_its_voice_is_told(raw, tmp_path, rows, capsys):
    (raw / "en" / "prompt-wavs" / "common_voice_en_4.wav").unlink()
    out = tmp_path / "manifest.jsonl"
    assert seed_tts_eval.main([str(raw), "--out", str(out)]) == 2
    assert not (tmp_path / "prompts.jsonl").exists()
    assert seed_tts_eval.main([str(raw), "--out", str(out), "--allow-missing"]) == 0
    assert [row["id"] for row in rows(tmp_path / "prompts.jsonl")] == [
        "common_voice_en_1-common_voice_en_2",
        "common_voice_en_1-common_voice_en_3",
    ]
    assert "1 have lost their voice, so figures are not those of the whole list" in capsys.readouterr().err


def test_lines_of_other_forms_are_counted(raw, tmp_path, rows):
    lines = ["u1|to say", "u2|to say|prompt-wavs/common_voice_en_1.wav", "torn", EN[0], "u4||x.wav|to say"]
    with (raw / "en" / "meta.lst").open("a") as file:
        file.write("\n".join(lines) + "\n")
    out = tmp_path / "manifest.jsonl"
    assert seed_tts_eval.main([str(raw), "--out", str(out), "--max-failed", "0.5"]) == 0
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert (
        reasons["u1"]
        == "meta.lst:4: no voice with its text, which a model that clones needs; see evaluation.evaluate for such lists"
    )
    assert set(reasons) == {"u1", "u2", "u4", "meta.lst:6", "common_voice_en_1-common_voice_en_2"}
    assert reasons["meta.lst:6"].startswith("meta.lst:6: expected 2 to 5 fields")
    assert reasons["common_voice_en_1-common_voice_en_2"] == "meta.lst:7: the id stands twice"
    assert len(rows(tmp_path / "prompts.jsonl")) == 3


def test_names_that_no_file_can_have_cost_their_row(raw, tmp_path, rows):
    with (raw / "en" / "meta.lst").open("a") as file:
        file.write(f"{'u' * 300}|said|{'v' * 300}.wav|to say\n")
    assert seed_tts_eval.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), "--max-failed", "0.5"]) == 0
    (failed,) = rows(tmp_path / "manifest.failed.jsonl")
    assert failed["id"] == f"en-{'v' * 300}"
    assert len(rows(tmp_path / "prompts.jsonl")) == 3


@pytest.mark.parametrize("content", [b"a|caf\xe9|v.wav|x\n", None])
def test_a_list_that_cannot_be_read_is_refused_in_one_line(raw, tmp_path, one_line, content):
    path = raw / "en" / "meta.lst"
    path.unlink()
    path.write_bytes(content) if content else os.mkfifo(path)
    assert seed_tts_eval.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert str(path) in one_line()


def test_another_folder_is_refused(tmp_path, one_line):
    assert seed_tts_eval.main([str(tmp_path), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "expected a list of seed-tts-eval, found none; give the folder that holds en/meta.lst as RAW_DIR" in one_line()


def test_a_recipe_takes_the_pairs_as_they_are(raw, tmp_path, record):
    """The pairs of the benchmark are the test, beside a manifest of another corpus."""
    assert seed_tts_eval.main([str(raw), "--out", str(tmp_path / "a" / "manifest.jsonl")]) == 0
    settings = PromptsSettings(manifest=tmp_path / "b" / "manifest.jsonl", test_prompts=tmp_path / "a" / "prompts.jsonl")
    found = [one for _, one in make_prompts([], settings, 0)]
    assert [(one.id, one.split) for one in found] == [(line.partition("|")[0], "test") for line in EN]
    record(tmp_path / "b" / "x.wav")
    assert (tmp_path / "b" / found[0].voice.audio).samefile(raw / "en" / "prompt-wavs" / "common_voice_en_1.wav")


@pytest.mark.parametrize("path", ["../../outside.wav", "{outside}"])
def test_a_list_takes_no_recording_from_outside_its_folder(raw, tmp_path, rows, record, path):
    record(tmp_path / "outside.wav", 2.0)
    line = f"a|Some words.|{path.format(outside=tmp_path / 'outside.wav')}|Other words."
    (raw / "en" / "meta.lst").write_text("\n".join([*EN, line]) + "\n")
    out = tmp_path / "data" / "manifest.jsonl"
    assert seed_tts_eval.main([str(raw), "--out", str(out), "--max-failed", "0.5"]) == 0
    assert "outside" not in out.read_text()
    (failed,) = rows(out.with_name("manifest.failed.jsonl"))
    assert failed["id"] == "a"
    assert "expected recordings below" in failed["reason"]
