"""LibriTTS and LibriTTS-R: transcripts of chapters, wavs beside them, books with signal-to-noise ratios."""

import json

import pytest
from tones import tone

from data_prep import libritts


def chapter(root, subset, speaker, number, sayings):
    """A chapter as both editions ship it: wav, two texts and a line of each table for every saying."""
    folder = root / subset / speaker / number
    trans, book = [], []
    for k, said in enumerate(sayings):
        name = f"{speaker}_{number}_00000{k}_000000"
        tone(folder / f"{name}.wav", 1 + k, 24000)
        spoken = said.replace("10", "ten")
        (folder / f"{name}.original.txt").write_text(said)
        (folder / f"{name}.normalized.txt").write_text(spoken)
        trans.append(f"{name}\t{said}\t{spoken}\n")
        book.append(f"{name}\t{said}\t{spoken}\ttrue\t1.95\t4.18\t{20 + 9 * k}.152367\n")
    book.append(f"{speaker}_{number}_000009_000000\tExcluded.\tExcluded.\tfalse\t\t\t\n")
    (folder / f"{speaker}_{number}.trans.tsv").write_text("".join(trans))
    (folder / f"{speaker}_{number}.book.tsv").write_text("".join(book))
    return folder


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "LibriTTS"
    chapter(root, "train-clean-100", "19", "198", ['He "said" 10.', "And left."])
    chapter(root, "dev-clean", "84", "121123", ["Maximilian."])
    chapter(root, "test-clean", "1089", "134686", ["He hoped."])
    (root / "SPEAKERS.txt").write_text(
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n19   | F | train-clean-100  | 25.19 | Kara Shallenberg\n"
        "84   | F | dev-clean        | 8.02  | Christie Nowak\n60   | M | train-clean-100  | 20.18 | |CBW|Simon\n"
    )
    return root


def prepare(raw, tmp_path, *options):
    out = tmp_path / "out" / "manifest.jsonl"
    return libritts.main([str(raw), "--out", str(out), *options]), out


def failed(out, rows):
    return {row["id"]: row["reason"] for row in rows(out.with_name("manifest.failed.jsonl"))}


def test_normalised_text_own_splits_and_tags(raw, tmp_path, rows):
    code, out = prepare(raw, tmp_path)
    assert code == 0
    found = rows(out)
    assert [(row["id"], row["text"], row["speaker"], row["split"], row["duration"]) for row in found] == [
        ("84_121123_000000_000000", "Maximilian.", "84", "dev", 1.0),
        ("1089_134686_000000_000000", "He hoped.", "1089", "test", 1.0),
        ("19_198_000000_000000", 'He "said" ten.', "19", "train", 1.0),
        ("19_198_000001_000000", "And left.", "19", "train", 2.0),
    ]
    assert found[0]["tags"] == {"subset": "dev-clean", "gender": "female", "snr": "20 to 30 dB"}
    assert found[1]["tags"] == {"subset": "test-clean", "snr": "20 to 30 dB"}  # a speaker without a row
    assert found[0]["audio"] == "../LibriTTS/dev-clean/84/121123/84_121123_000000_000000.wav"


def test_original_text_one_subset_and_splits_by_sentence(raw, tmp_path, rows):
    code, out = prepare(
        raw, tmp_path, "--text", "original", "--subset", "train-clean-100", "--splits", "hash", "--dev", "0", "--test", "1"
    )
    assert code == 0
    assert [(row["text"], row["split"]) for row in rows(out)] == [('He "said" 10.', "test"), ("And left.", "test")]


def test_any_folder_above_the_chapters_will_do_and_linked_subsets_are_followed(raw, tmp_path, rows):
    code, out = prepare(raw / "dev-clean" / "84" / "121123", tmp_path)
    assert code == 0
    assert rows(out)[0]["tags"]["subset"] == "dev-clean"
    assert rows(out)[0]["tags"]["gender"] == "female"
    other = tmp_path / "LibriTTS_R"
    other.mkdir()
    (other / "dev-clean").symlink_to(raw / "dev-clean")
    (raw / "dev-clean" / "84" / "circle").symlink_to(raw / "dev-clean")
    code, out = prepare(other, tmp_path)
    assert code == 0
    assert [row["id"] for row in rows(out)] == ["84_121123_000000_000000"]


def test_what_mac_os_leaves_is_no_recording(raw, tmp_path, rows):
    for name in ("._84_121123_000000_000000.wav", "._84_121123.trans.tsv", "._84_121123_000000_000000.normalized.txt"):
        (raw / "dev-clean" / "84" / "121123" / name).write_bytes(b"\0\5\x16\7")
    code, out = prepare(raw, tmp_path)
    assert code == 0
    assert len(rows(out)) == 4
    assert not out.with_name("manifest.failed.jsonl").exists()


def test_the_utterance_that_was_published_torn_is_left_out_of_the_restored_edition(raw, tmp_path, rows):
    folder = chapter(raw, "train-clean-360", "1092", "134562", ["Whole."])
    name = libritts.BROKEN
    (folder / f"{name}.wav").write_bytes(b"torn")
    (folder / f"{name}.normalized.txt").write_text("Torn.")
    code, out = prepare(raw, tmp_path)
    assert code == 2
    assert "unreadable audio" in failed(out, rows)[name]
    code, out = prepare(raw.rename(raw.with_name("LibriTTS_R")), tmp_path)
    assert code == 0
    assert failed(out, rows) == {name: "known to be torn in LibriTTS-R"}


def test_utterances_in_a_list_are_left_out_and_the_side_car_notices_the_list(raw, tmp_path, rows):
    listed = tmp_path / "train-clean-100_bad_sample_list.txt"
    listed.write_text("./train-clean-100/19/198/19_198_000001_000000.wav\n")
    code, out = prepare(raw, tmp_path, "--leave-out", str(listed))
    assert code == 0
    assert failed(out, rows) == {"19_198_000001_000000": "in a list of --leave-out"}
    assert listed.name in json.loads(out.with_name("manifest.jsonl.meta.json").read_text())["inputs"]
    code, out = prepare(raw, tmp_path, "--leave-out", str(tmp_path / "none"))
    assert code == 2


def test_a_wav_without_a_line_is_read_from_the_text_beside_it(raw, tmp_path, rows):
    folder = raw / "train-clean-100" / "19" / "198"
    (folder / "19_198.trans.tsv").unlink()
    (folder / "19_198.book.tsv").unlink()
    (folder / "19_198_000001_000000.normalized.txt").unlink()
    code, out = prepare(raw, tmp_path, "--max-failed", "0.3")
    assert code == 0
    assert rows(out)[-1]["text"] == 'He "said" ten.'
    assert failed(out, rows) == {
        "19_198_000001_000000": f"no line in {folder / '19_198.trans.tsv'}, and no 19_198_000001_000000.normalized.txt beside it"
    }
    inputs = json.loads(out.with_name("manifest.jsonl.meta.json").read_text())["inputs"]
    assert sorted(inputs) == ["dev-clean/*.trans.tsv", "test-clean/*.trans.tsv", "train-clean-100/*.normalized.txt"]


def test_a_text_that_cannot_be_read_costs_its_own_row(raw, tmp_path, rows):
    folder = raw / "train-clean-100" / "19" / "198"
    (folder / "19_198.trans.tsv").unlink()
    (folder / "19_198_000001_000000.normalized.txt").write_bytes(b"caf\xe9")
    code, out = prepare(raw, tmp_path, "--max-failed", "0.3")
    assert code == 0
    assert list(failed(out, rows)) == ["19_198_000001_000000"]
    assert "expected UTF-8 text, found other bytes" in failed(out, rows)["19_198_000001_000000"]


def test_broken_lines_missing_audio_and_strange_ids_are_failed_rows(raw, tmp_path, rows):
    folder = raw / "train-clean-100" / "19" / "198"
    with (folder / "19_198.trans.tsv").open("a") as file:
        file.write("19_198_000002_000000\ttwo cells\n19_198_000003_000000\tGone.\tGone.\n20_198_000000_000000\tA.\tA.\n")
        file.write("19_198_/../../84\tA.\tA.\n19_198_\0\tA.\tA.\n19_198_" + "n" * 300 + "\tA.\tA.\n\tA.\n")
    tone(folder / "19_198_000002_000000.wav")
    code, out = prepare(raw, tmp_path, "--max-failed", "0.9")
    assert code == 0
    assert len(rows(out)) == 4
    reasons = failed(out, rows)
    assert "nnn.wav" in reasons.pop("19_198_" + "n" * 300)
    assert reasons == {
        "19_198.trans.tsv:9": "19_198.trans.tsv:9: expected id<TAB>original<TAB>normalised text, found 2 cells",
        "19_198_/../../84": f"{folder}: expected an id that begins with 19_198_",
        "19_198_\\0": "id is no text: '19_198_\\x00' (a NUL byte or a lone surrogate)",
        "19_198_000002_000000": "19_198.trans.tsv:3: expected id<TAB>original<TAB>normalised text, found 2 cells",
        "19_198_000003_000000": f"no audio file {folder / '19_198_000003_000000.wav'}",
        "20_198_000000_000000": f"{folder}: expected an id that begins with 19_198_",
    }


def test_a_missing_subset_and_an_unreadable_folder_are_refused(raw, tmp_path, one_line, forbid):
    assert prepare(raw, tmp_path, "--subset", "dev-other")[0] == 2
    assert "no part dev-other; there are: dev-clean, test-clean, train-clean-100" in one_line()
    forbid(raw / "dev-clean" / "84")
    assert prepare(raw, tmp_path)[0] == 2
    assert "cannot read the folder" in one_line()
