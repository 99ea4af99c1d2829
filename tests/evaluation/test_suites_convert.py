"""Local copies in the published layouts become prompts: each voice with its text, what is lost with its reason."""

import json

import pytest
import torch

from evaluation import suites
from evaluation.test_sets.drawn import Draw
from evaluation.test_sets.minimax import LANGUAGES
from lpo_tts import audio, files
from lpo_tts.artefacts import read_rows
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Prompt, Utterance


@pytest.fixture
def record():
    """Writes a tone of so many seconds."""

    def write(path, seconds=1.0, rate=8000):
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path.with_suffix(".wav"), 0.1 * torch.sin(torch.arange(int(seconds * rate)) / 5), rate)
        path.with_suffix(".wav").rename(path)  # libsndfile looks at the contents, not at the name
        return path

    return write


def run(name, local, out, *more):
    return suites.main([str(name), "--from", str(local), "--out", str(out), *map(str, more)])


def prompts(out):
    return read_rows(out / "prompts.jsonl", Prompt)


def lost(out):
    return {row["id"]: row["reason"] for row in map(json.loads, (out / "prompts.failed.jsonl").read_text().splitlines())}


def assert_recordings_are_there(out):
    for one in prompts(out):
        for recording in (one.voice, one.target):
            assert recording is None or (out / recording.audio).is_file()


@pytest.fixture
def seed(tmp_path, record):
    local = tmp_path / "seedtts_testset"
    rows = [
        "common_voice_en_1-common_voice_en_2|We asked over twenty people.|prompt-wavs/common_voice_en_1.wav|Get the fund early.",
        "common_voice_en_1-common_voice_en_3|We asked over twenty people.|prompt-wavs/common_voice_en_1.wav|I never said that.",
        "common_voice_en_4-common_voice_en_5|Excuse me.|prompt-wavs/common_voice_en_4.wav|How much is it?|wavs/truth.wav",
    ]
    for name in ("prompt-wavs/common_voice_en_1", "prompt-wavs/common_voice_en_4", "wavs/truth"):
        record(local / "en" / f"{name}.wav", 2.0)
    (local / "en" / "meta.lst").write_text("\n".join(rows) + "\n")
    record(local / "zh" / "prompt-wavs" / "10002287-00000094.wav", 3.0)
    line = "10002287-00000095|在此奉劝别乱打美白针。|prompt-wavs/10002287-00000094.wav|四是四，十是十，十四是十四。"
    (local / "zh" / "hardcase.lst").write_text(line + "\n", "utf-8")
    return local


def test_seed_tts_eval(seed, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("seed-tts-eval-en", seed, out) == 0
    assert [(one.id, one.text, one.voice.text, one.target and one.target.duration) for one in prompts(out)] == [
        ("common_voice_en_1-common_voice_en_2", "Get the fund early.", "We asked over twenty people.", None),
        ("common_voice_en_1-common_voice_en_3", "I never said that.", "We asked over twenty people.", None),
        ("common_voice_en_4-common_voice_en_5", "How much is it?", "Excuse me.", 2.0),
    ]
    assert_recordings_are_there(out)
    said = capsys.readouterr().out
    assert "prompts.jsonl: 3 prompts" in said
    assert "warning: 1,088 prompts were expected, so figures are not those of the whole set" in said
    assert not (out / "prompts.failed.jsonl").exists()
    assert run("seed-tts-eval-en", seed, out, "--strict") == 2
    assert "expected 1088 prompts, found 3 (--strict)" in capsys.readouterr().err


def test_seed_tts_eval_hard_is_chinese(seed, tmp_path):
    assert run("seed-tts-eval-hard", seed, tmp_path / "out") == 0
    (prompt,) = prompts(tmp_path / "out")
    assert (prompt.language, prompt.voice.language, prompt.split) == ("zh", "zh", "test")


def test_the_same_command_changes_nothing_and_mends_what_was_lost(seed, tmp_path, capsys, record):
    out = tmp_path / "out"
    voice = seed / "en" / "prompt-wavs" / "common_voice_en_4.wav"
    voice.rename(voice.with_suffix(".gone"))
    assert run("seed-tts-eval-en", seed, out) == 0
    assert len(prompts(out)) == 2
    assert lost(out) == {"common_voice_en_4-common_voice_en_5": f"its voice cannot be used: {voice}"}
    assert "1 rows became none and stand in prompts.failed.jsonl, first: common_voice_en_4" in capsys.readouterr().out
    voice.with_suffix(".gone").rename(voice)
    assert run("seed-tts-eval-en", seed, out) == 0
    assert len(prompts(out)) == 3
    assert not (out / "prompts.failed.jsonl").exists()
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix == ".jsonl"}
    capsys.readouterr()
    assert run("seed-tts-eval-en", seed, out) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix == ".jsonl"} == before
    assert "utterances" not in capsys.readouterr().err, "no recording was decoded again"


def test_a_suite_reads_its_prompts_with_recordings_relative_to_the_working_folder(seed, tmp_path, monkeypatch):
    out = tmp_path / "data" / "suites" / "seed-tts-eval-en"
    monkeypatch.chdir(tmp_path)
    suite = suites.load("seed-tts-eval-en", "parity")
    with pytest.raises(ArtefactError, match=r"make them: python -m evaluation.suites seed-tts-eval-en --from LOCAL_COPY"):
        suite.read()
    assert run("seed-tts-eval-en", seed, out) == 0
    found = suite.read()
    assert len(found) == 3
    assert all((tmp_path / one.voice.audio).is_file() for one in found)
    assert found[0].voice.text == "We asked over twenty people."


def test_the_folder_of_another_suite_is_not_written_over(seed, tmp_path, capsys):
    assert run("seed-tts-eval-hard", seed, tmp_path / "out") == 0
    assert run("seed-tts-eval-en", seed, tmp_path / "out") == 2
    assert "found tables of the suite seed-tts-eval-hard; choose another --out" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.jsonl").write_text("{}\n")
    assert run("seed-tts-eval-en", seed, tmp_path / "mine") == 2
    assert (tmp_path / "mine" / "manifest.jsonl").read_text() == "{}\n"


ROWS = [
    "4992-41806-0009\t4.355\texclaimed Bill Harmon.\t4992-23283-0000\t6.645\tBut the more forgetfulness had prevailed.",
    '4992-23283-0001\t2.71\tMiss Milner\'s health is not good"!\t4992-23283-0003\t4.645\tSo there is to me"!',
]


@pytest.fixture
def cross(tmp_path, record):
    local = tmp_path / "librispeech_pc"
    for name in ("4992-41806-0009", "4992-23283-0000", "4992-23283-0001", "4992-23283-0003"):
        speaker, chapter, _ = name.split("-")
        record(local / "LibriSpeech" / "test-clean" / speaker / chapter / f"{name}.flac", 2.5)
    (local / "librispeech_pc_test_clean_cross_sentence.lst").write_bytes("\r\n".join([*ROWS, ""]).encode())
    return local


def test_cross_sentence_list_of_f5_tts(cross, tmp_path, capsys):
    assert run("librispeech-pc", cross, tmp_path / "out") == 0
    first, second = prompts(tmp_path / "out")
    assert (first.id, first.text) == ("4992-23283-0000", "But the more forgetfulness had prevailed.")
    assert (first.voice.id, first.voice.text) == (
        "LibriSpeech-test-clean-4992-41806-4992-41806-0009",
        "exclaimed Bill Harmon.",
    )
    assert (second.voice.text, second.text) == ("Miss Milner's health is not good\"!", 'So there is to me"!')
    assert (first.target.duration, first.voice.speaker, first.target.speaker) == (2.5, "4992", "4992")
    assert_recordings_are_there(tmp_path / "out")
    said = capsys.readouterr().out
    assert "warning: 1,127 prompts were expected" in said
    assert "is another list than the one that was verified (sha256 09811d521eff" in said


@pytest.mark.parametrize(
    ("line", "name", "reason"),
    [
        ("a\tb\tc", "cross.lst:3", "expected 6 cells (ref_utt, ref_dur, ref_txt, gen_utt, gen_dur, gen_txt), found 3"),
        ("../x-1-2\t1\tsaid\t1-2-3\t1\ttext", "cross.lst:3", "expected ids such as 4992-41806-0009, found '../x-1-2'"),
        (ROWS[0], "4992-23283-0000", "cross.lst:3: the id stands twice"),
        ("1-2-3\t1\t\t1-2-4\t1\ttext", "1-2-4", "expected the text and that of the voice, found an empty cell"),
        ("1-2-3\t1\tsaid\t1-2-4\t1\ttext", "1-2-4", "its voice cannot be used"),
    ],
)
def test_rows_that_are_wrong_are_told(cross, tmp_path, line, name, reason):
    path = cross / "librispeech_pc_test_clean_cross_sentence.lst"
    path.write_text("\n".join([*ROWS, line]) + "\n")
    out = tmp_path / "out"
    assert run("librispeech-pc", cross, out) == 0
    assert len(prompts(out)) == 2
    (found,) = lost(out).items()
    assert found[0] == name.replace("cross.lst", path.name)
    assert reason.replace("cross.lst", path.name) in found[1]


def test_what_is_missing_is_said_with_what_to_do(cross, tmp_path, capsys):
    (cross / "LibriSpeech").rename(cross / "elsewhere")
    assert run("librispeech-pc", cross, tmp_path / "out") == 2
    assert "expected the folder LibriSpeech/test-clean in it, found none; unpack test-clean.tar.gz" in capsys.readouterr().err
    (cross / "librispeech_pc_test_clean_cross_sentence.lst").unlink()
    assert run("librispeech-pc", cross, tmp_path / "out") == 2
    assert "(F5-TTS's repository, data/) into the folder that --from names" in capsys.readouterr().err
    assert run("librispeech-pc", tmp_path / "nothing", tmp_path / "out") == 2
    assert "expected the local copy of librispeech-pc, found nothing; check --from" in capsys.readouterr().err
    assert suites.main(["librispeech-pc", "--out", str(tmp_path)]) == 2
    assert "expected --from LOCAL_COPY and --out DIR together" in capsys.readouterr().err


@pytest.fixture
def minimax(tmp_path, record):
    local = tmp_path / "TTS-Multilingual-Test-Set"
    (local / "text").mkdir(parents=True)
    texts = {
        "english": ["english_female|The bell rang.", "english_male|He said: a|b."],
        "cantonese": ["cantonese_female|你食咗飯未呀？"],
        "polish": ["polish_female|Dzień dobry.", "nobody|Do widzenia.", "no bar"],
    }
    for name, rows in texts.items():
        (local / "text" / f"{name}.txt").write_text("\n".join(rows) + "\n", "utf-8")
    said = []
    for label in ("english_female", "english_male", "cantonese_female", "polish_female"):
        name = f"common_voice_{label}.mp3"
        record(local / "speaker" / label.partition("_")[0] / label / name, 3.0)
        said.append(f"{name}|What {label} says.")
    (local / "speaker" / "prompt_text.txt").write_text("\n".join(said) + "\n")
    return local


def test_minimax(minimax, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("minimax", minimax, out) == 0
    found = {one.id: one for one in prompts(out)}
    assert list(found) == ["cantonese-001", "english-001", "english-002", "polish-001"]
    assert found["english-002"].text == "He said: a|b."
    assert found["english-001"].voice.text == "What english_female says."
    assert (found["cantonese-001"].language, found["cantonese-001"].tags) == ("yue", {"language": "cantonese"})
    assert set(lost(out)) == {"polish-002", "polish-003"}
    assert "no recording of the voice nobody" in lost(out)["polish-002"]
    assert "warning: 2,400 prompts were expected" in capsys.readouterr().out
    assert run("minimax", minimax, tmp_path / "two", "--language", "english", "--language", "polish") == 0
    assert [one.id for one in prompts(tmp_path / "two")] == ["english-001", "english-002", "polish-001"]
    assert "were expected" not in capsys.readouterr().out


def test_minimax_has_the_languages_of_its_suite():
    assert tuple(LANGUAGES.values()) == suites.read("minimax").languages
    assert len(LANGUAGES) == 24


def test_a_folder_that_is_not_minimax_is_refused(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    assert run("minimax", tmp_path / "x", tmp_path / "out") == 2
    assert "expected text/<language>.txt in it, found none; give the folder of the dataset" in capsys.readouterr().err


def utterance(name, speaker, seconds, text=None):
    return Utterance(
        id=name, audio=f"{name}.wav", text=text or f"Text of {name}.", duration=seconds, speaker=speaker, split="test"
    )


def drawn(rows, **settings):
    return {one.id: one for one in Draw(**settings).prompts(None, {one.id: one for one in rows})}


def test_a_draw_is_the_same_in_any_order_and_keeps_to_its_limits():
    rows = [utterance(f"{who}{number}", who, 2.0 + number) for who in "ab" for number in range(10)]
    found = drawn(rows, per_speaker=3)
    assert found == drawn(reversed(rows), per_speaker=3)
    assert [name[0] for name in found] == ["a"] * 3 + ["b"] * 3
    for one in found.values():
        assert 4 <= one.target.duration <= 10
        assert 3 <= one.voice.duration <= 10
        assert one.voice.speaker == one.target.speaker
        assert one.voice.id != one.target.id
    assert found != drawn(rows, per_speaker=3, seed=1)
    assert set(drawn(rows, per_speaker=2)) <= set(found), "fewer are the first of more"


def test_a_voice_never_says_the_text_however_it_is_written():
    rows = [utterance("a1", "a", 5.0, "Ask her, please!"), utterance("a2", "a", 5.0, "ask her please")]
    found = drawn(rows)
    assert {name: one.reason for name, one in found.items()} == dict.fromkeys(
        ("a1", "a2"),
        "speaker a has no other recording in split test to take the voice from (another text, language en, the wanted duration)",
    )
    assert set(drawn([*rows, utterance("a3", "a", 3.5, "Something else.")])["a1"].voice.text) == set("Something else.")


def test_a_speaker_without_recordings_of_the_length_is_told():
    found = drawn([utterance("a1", "a", 1.0), utterance("a2", "a", 1.0)])
    assert found["a"].reason == "speaker a has no recording of 4 to 10 s"


def test_libritts(tmp_path, record):
    chapter = tmp_path / "LibriTTS" / "test-clean" / "19" / "198"
    lines = []
    for number in range(4):
        name = f"19_198_000000_{number:06d}"
        record(chapter / f"{name}.wav", 4.5)
        lines.append(f"{name}\tOriginal {number}.\tNormalised {number}.")
    (chapter / "19_198.trans.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "LibriTTS" / "SPEAKERS.txt").write_text("; ID |SEX\n19 | F | test-clean | 1.0 | Name\n")
    assert run("libritts", tmp_path / "LibriTTS", tmp_path / "out") == 0
    found = prompts(tmp_path / "out")
    assert [one.id for one in found] == [f"19_198_000000_{number:06d}" for number in range(4)]
    assert (found[0].text, found[0].tags, found[0].split) == ("Normalised 0.", {"gender": "female"}, "test")
    assert all(one.voice.id != one.id for one in found)
    assert_recordings_are_there(tmp_path / "out")


def test_vctk(tmp_path, record):
    local = tmp_path / "VCTK-Corpus-0.92"
    for speaker in ("p225", "p226"):
        for number in range(1, 4):
            name = f"{speaker}_{number:03d}"
            (local / "txt" / speaker).mkdir(parents=True, exist_ok=True)
            (local / "txt" / speaker / f"{name}.txt").write_text(f"Sentence {number}.\n")
            record(local / "wav48_silence_trimmed" / speaker / f"{name}_mic2.flac", 3.5)
    assert run("vctk", local, tmp_path / "out") == 0
    found = prompts(tmp_path / "out")
    assert len(found) == 6
    assert all(one.voice.speaker == one.target.speaker != "" and one.voice.text != one.text for one in found)
    assert len(read_rows(tmp_path / "out" / "manifest.jsonl", Utterance)) == 6


def test_mini_has_the_prompts_of_the_mini_run(tmp_path, record):
    from lpo_tts.steps.prompts import PromptsSettings, make_prompts

    local = tmp_path / "corpus"
    rows = [
        utterance(f"test-{number:03d}", f"v{number % 3}", 1.0, f"gate {['one', 'two', 'three', 'four'][number // 3]}")
        for number in range(12)
    ]
    rows.append(Utterance(id="train-1", audio="t.wav", text="line one", duration=1.0, speaker="v0", split="train"))
    for one in rows:
        record(local / one.audio)
    files.write_rows(local / "manifest.jsonl", rows)
    assert run("mini", local, tmp_path / "out") == 0
    found = make_prompts(rows, PromptsSettings(manifest=local / "manifest.jsonl"), 0)
    expected = [one for _, one in found if isinstance(one, Prompt) and one.split == "test"]
    assert [(one.id, one.voice.id, one.text) for one in prompts(tmp_path / "out")] == [
        (one.id, one.voice.id, one.text) for one in expected
    ]
    assert_recordings_are_there(tmp_path / "out")


def test_a_list_of_ones_own(tmp_path, record, capsys):
    record(tmp_path / "voices" / "me.wav", 2.0)
    path = tmp_path / "list.jsonl"
    voice = {"audio": "voices/me.wav", "text": "What I say."}
    rows = [{"id": "a", "text": "One.", "voice": voice}, {"id": "b", "text": "Two.", "language": "de"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert run("own", path, tmp_path / "out") == 0
    first, second = prompts(tmp_path / "out")
    assert (first.voice.duration, first.voice.text, first.language) == (2.0, "What I say.", "en")
    assert (second.voice, second.language) == (None, "de")
    path = tmp_path / "list.lst"
    path.write_text("u1|Only a voice.|voices/me.wav\n")
    assert run("own", path, tmp_path / "voices-only") == 0
    assert [(one.voice.text, one.voice.duration) for one in prompts(tmp_path / "voices-only")] == [("", 2.0)]
    path.write_text("u1|Only texts.\nu2|Without voices.\n")
    assert run("own", path, tmp_path / "texts") == 0
    assert [(one.id, one.voice) for one in prompts(tmp_path / "texts")] == [("u1", None), ("u2", None)]
    assert not (tmp_path / "texts" / "manifest.jsonl").exists()
    path = tmp_path / "list.jsonl"
    path.write_text('{"id": "a"}\n')
    assert run("own", path, tmp_path / "out") == 2
    assert "list.jsonl:1: expected an object with 'id' and 'text'" in capsys.readouterr().err
