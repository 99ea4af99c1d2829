"""The mini corpus: sentences, splits, faults, and the speech itself."""

import random

import numpy as np
import pytest

from lpo_tts.artefacts import read_rows
from lpo_tts.errors import ConfigError
from lpo_tts.records import Utterance
from recipes.mini import corpus


def test_sentences_follow_the_grammar_and_their_split():
    texts = {split: corpus.sentences(300, 5, split) for split in ("train", "dev", "test")}
    for split, found in texts.items():
        assert len(set(found)) == 300
        assert all(corpus.split_of(text) == split for text in found)
    for text in texts["train"]:
        words = text.split()
        digits = words[2:] if words[1] in corpus.COLOURS else words[1:]
        assert words[0] in corpus.CARRIERS
        assert 2 <= len(digits) <= 5
        assert set(digits) <= set(corpus.DIGITS)
    assert corpus.sentences(20, 5, "dev") == texts["dev"][:20]
    assert corpus.sentences(20, 6, "dev") != texts["dev"][:20]


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match="expected train, dev or test, found 'valid'"):
        corpus.sentences(1, 0, "valid")


def test_split_is_stable_across_versions():
    assert [corpus.split_of(text) for text in ("gate blue seven four two", "bus one one")] == ["train", "train"]
    shares = [corpus.split_of(corpus.sentence(random.Random(number))) for number in range(4000)]
    assert shares.count("dev") / 4000 == pytest.approx(0.05, abs=0.015)
    assert shares.count("test") / 4000 == pytest.approx(0.05, abs=0.015)


def test_a_fault_is_exactly_one_word():
    rng = random.Random(0)
    changes = set()
    for _ in range(300):
        text = corpus.sentence(rng)
        before, after = text.split(), corpus.faulty(text, rng).split()
        changes.add(len(after) - len(before))
        if len(after) == len(before):
            assert sum(one != other for one, other in zip(before, after, strict=True)) == 1
        longer, shorter = sorted((before, after), key=len, reverse=True)
        if len(longer) > len(shorter):
            assert any(longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer)))
    assert changes == {-1, 0, 1}


def test_voices_seen_and_held_out_share_no_variant():
    assert (len(corpus.VOICES_SEEN), len(corpus.VOICES_HELD_OUT)) == (39, 6)
    assert not {voice.variant for voice in corpus.VOICES_SEEN} & {voice.variant for voice in corpus.VOICES_HELD_OUT}
    assert len({voice.name for voice in corpus.VOICES_SEEN + corpus.VOICES_HELD_OUT}) == 45


def test_speech_is_normalised_and_the_same_for_any_number_of_processes():
    pytest.importorskip("espeakng_loader")
    specs = [(text, corpus.VOICES_SEEN[number % 39]) for number, text in enumerate(corpus.sentences(80, 1, "train"))]
    one, two = list(corpus.generate(specs, 1)), list(corpus.generate(specs, 2))
    assert all(np.array_equal(left, right) for left, right in zip(one, two, strict=True))
    assert {audio.dtype for audio in one} == {np.dtype("float32")}
    assert all(0.4 < len(audio) / 16000 < 4 for audio in one)
    assert all(np.sqrt(np.mean(audio**2)) == pytest.approx(0.08, rel=0.1) for audio in one)


def test_the_program_writes_a_manifest_and_is_up_to_date_the_second_time(tmp_path, capsys):
    pytest.importorskip("espeakng_loader")
    arguments = ["--out", str(tmp_path), "--train", "12", "--dev", "12", "--test", "6", "--processes", "1"]
    assert corpus.main(arguments) == 0
    rows = read_rows(tmp_path / "manifest.jsonl", Utterance)
    assert [sum(row.split == split for row in rows) for split in ("train", "dev", "test")] == [12, 12, 6]
    assert {row.tags["voice"] for row in rows if row.split == "train"} == {"seen"}
    assert sum(row.tags["voice"] == "held-out" for row in rows if row.split == "dev") == 6
    for split in ("train", "dev", "test"):
        speakers = [row.speaker for row in rows if row.split == split]
        assert min(map(speakers.count, speakers)) >= 3
    assert all(corpus.split_of(row.text) == row.split for row in rows)
    assert not list(tmp_path.rglob("*.partial"))
    for row in rows:  # 16 bit behind a header of 44 bytes; the manifest's durations have four decimals
        assert (tmp_path / row.audio).stat().st_size == pytest.approx(44 + 32000 * row.duration, abs=4)
    capsys.readouterr()
    assert corpus.main(arguments) == 0
    assert "up to date" in capsys.readouterr().err
    assert corpus.main([*arguments, "--seed", "2"]) == 2
    assert "made by other settings (seed)" in capsys.readouterr().err


def test_a_recording_that_was_lost_or_cut_is_spoken_again_and_comes_out_the_same(tmp_path, capsys):
    pytest.importorskip("espeakng_loader")
    arguments = ["--out", str(tmp_path), "--train", "6", "--dev", "6", "--test", "6", "--processes", "1"]
    assert corpus.main(arguments) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "audio").iterdir()}
    first, second = sorted((tmp_path / "audio").iterdir())[:2]
    first.unlink()
    second.write_bytes(before[second.name][:1000])
    assert corpus.main(arguments) == 0
    assert "up to date" not in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "audio").iterdir()} == before


def test_a_torn_side_car_and_a_place_that_cannot_be_written_are_one_line(tmp_path, capsys):
    arguments = ["--train", "1", "--dev", "0", "--test", "0", "--processes", "1"]
    (tmp_path / "corpus.json").write_text('{"seed": 1, "si')
    assert corpus.main(["--out", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "corpus.json" in error
    (tmp_path / "file").write_text("")
    assert corpus.main(["--out", str(tmp_path / "file" / "below"), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("option", ["--train", "--dev", "--test", "--seed", "--processes"])
def test_a_size_below_its_least_value_is_refused(tmp_path, capsys, option):
    assert corpus.main(["--out", str(tmp_path / "c"), option, "-1"]) == 2
    assert f"{option[2:]} must be at least" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
