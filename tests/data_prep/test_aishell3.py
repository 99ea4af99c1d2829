"""AISHELL-3: characters and pinyin in turn, speakers that are in both parts."""

import pytest
from tones import tone

from data_prep import aishell3

LINES = {
    "train": ["SSB00050001.wav\t广 guang3 州 zhou1 女 nv3", "SSB00050002.wav\t玩 wan2 点儿 dianr3"],
    "test": ["SSB00050353.wav\t你 ni3 好 hao3", "SSB09990001.wav\t你 ni3 好 hao3"],
}


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "data_aishell3"
    for part, lines in LINES.items():
        for line in lines:
            name = line.partition("\t")[0]
            tone(root / part / "wav" / name[:7] / name, 1, 44100)
        (root / part / "content.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (root / "spk-info.txt").write_text(
        "# In years, A:< 14, B:14 - 25, C:26 - 40, D:> 41.\nSSB0005\tB\tfemale\tnorth\nSSB0011\tC\tfemale\tnorth\n"
    )
    return root


def prepare(raw, tmp_path, *options):
    out = tmp_path / "out" / "manifest.jsonl"
    return aishell3.main([str(raw), "--out", str(out), *options]), out


def test_characters_speakers_and_tags(raw, tmp_path, rows):
    code, out = prepare(raw, tmp_path)
    assert code == 0
    found = rows(out)
    assert [(row["id"], row["text"], row["speaker"], row["language"]) for row in found] == [
        ("SSB00050001", "广州女", "SSB0005", "zh"),
        ("SSB00050002", "玩点儿", "SSB0005", "zh"),
        ("SSB00050353", "你好", "SSB0005", "zh"),
        ("SSB09990001", "你好", "SSB0999", "zh"),
    ]
    assert found[0]["tags"] == {"age": "14 to 25", "gender": "female", "accent": "north"}
    assert found[3]["tags"] == {}
    assert found[2]["split"] == found[3]["split"]  # the same sentence


def test_own_splits_on_demand(raw, tmp_path, rows):
    code, out = prepare(raw, tmp_path, "--splits", "corpus")
    assert code == 0
    assert [row["split"] for row in rows(out)] == ["train", "train", "test", "test"]


def test_lines_that_are_not_in_turn_and_strange_names_are_failed_rows(raw, tmp_path, rows):
    with (raw / "train" / "content.txt").open("a", encoding="utf-8") as file:
        file.write("SSB00050003.wav\t你 ni3 好\nSSB00050004.wav\t你 好 ni3 hao3\n../x.wav\t你 ni3\nSSB00050005.wav 你 ni3\n")
        file.write("SSB00050006.wav\t你 ni3\n")
    code, out = prepare(raw, tmp_path, "--max-failed", "0.9")
    assert code == 0
    assert len(rows(out)) == 4
    assert {row["id"]: row["reason"] for row in rows(out.with_name("manifest.failed.jsonl"))} == {
        "SSB00050003": "train/content.txt: expected characters and pinyin in turn, found '你 ni3 好'",
        "SSB00050004": "train/content.txt: expected characters and pinyin in turn, found '你 好 ni3 hao3'",
        "../x.wav": "train/content.txt: expected a name such as SSB00050001.wav, found '../x.wav'",
        "SSB00050005.wav 你 ni3": "content.txt:6: expected name.wav<TAB>characters and pinyin in turn, found 1 cells",
        "SSB00050006": f"no audio file {raw / 'train' / 'wav' / 'SSB0005' / 'SSB00050006.wav'}",
    }


def test_a_part_that_is_missing_is_refused(raw, tmp_path, one_line):
    (raw / "test" / "content.txt").unlink()
    assert prepare(raw, tmp_path)[0] == 2
    assert f"{raw / 'test' / 'content.txt'}: expected AISHELL-3's transcripts, found none" in one_line()
