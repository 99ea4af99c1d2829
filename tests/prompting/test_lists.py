"""Test lists: every form that is read, every fault with its line, and recordings that are not there."""

import json
import os
import tarfile

import pytest

from lpo_tts.errors import ArtefactError
from lpo_tts.prompting.lists import check_recordings, load_list


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


def test_line_separators_within_a_sentence_and_a_byte_order_mark_are_no_faults(tmp_path):
    rows = [{"id": "a", "text": "one\u2028two\x85three"}, {"id": "b", "text": "four"}]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    (tmp_path / "a.jsonl").write_text("\ufeff" + text, encoding="utf-8")
    assert [(item.id, item.text) for item in load_list(tmp_path / "a.jsonl")] == [("a", "one\u2028two\x85three"), ("b", "four")]
    (tmp_path / "a.lst").write_text("\ufeffa|one\u2028two\n", encoding="utf-8")
    assert load_list(tmp_path / "a.lst")[0].text == "one\u2028two"


def test_rows_of_other_splits_are_left_out_where_one_is_asked_for(tmp_path, caplog):
    caplog.set_level("INFO", logger="lpo_tts")
    rows = [
        {"id": name, "text": "x"} | ({} if split is None else {"split": split})
        for name, split in zip("abc", ("train", "test", None), strict=True)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [one.id for one in load_list(tmp_path / "a.jsonl")] == ["a", "b", "c"]
    assert [one.id for one in load_list(tmp_path / "a.jsonl", split="test")] == ["b", "c"]
    assert "1 rows of other splits than test are left out" in caplog.text
    (tmp_path / "b.jsonl").write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(ArtefactError, match="at least one utterance of split test, found 1 rows of other splits"):
        load_list(tmp_path / "b.jsonl", split="test")


REMEDY = "; put each recording in its place, correct the paths (they start from the folder of the list), or leave them out"


def refusal(path):
    """What is said of the recordings of a list, its folder left out."""
    with pytest.raises(ArtefactError) as error:
        check_recordings(path, load_list(path))
    return str(error.value).replace(f"{path.parent}{os.sep}", "")


def test_a_recording_that_is_not_there_is_named_with_its_line(tmp_path):
    (tmp_path / "v.wav").touch()
    path = tmp_path / "meta.lst"
    path.write_text("a|said|v.wav|text|v.wav\n\nwavs/b.wav|said|v.wav|text|truth.wav\n")
    assert refusal(path) == f"meta.lst:3: the target of 'b': expected a recording truth.wav, found none{REMEDY}"
    check_recordings(path, load_list(path)[:1])  # a row that is not used may name anything
    (tmp_path / "truth.wav").mkdir()
    assert "expected a recording truth.wav, found a folder" in refusal(path)


def test_of_many_the_first_three_are_named_each_once(tmp_path):
    rows = [{"id": f"u{k}", "text": "x", "voice": {"audio": "v.wav"}, "target": f"t{k}.wav"} for k in range(4)]
    path = tmp_path / "l.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert refusal(path).split("\n") == [
        "l.jsonl:1: the voice of 'u0': expected a recording v.wav, found none",
        "l.jsonl:1: the target of 'u0': expected a recording t0.wav, found none",
        "l.jsonl:2: the target of 'u1': expected a recording t1.wav, found none",
        f"and 2 more of its recordings are not there{REMEDY}",
    ]


def test_members_of_a_tar_and_stretches_are_looked_for_and_not_read(tmp_path):
    (tmp_path / "v.wav").write_bytes(b"no audio")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "v.wav", "in/v.wav")
    path = tmp_path / "l.jsonl"
    row = {"id": "u", "text": "x", "voice": "a.tar/in/v.wav#t=0,1", "target": "v.wav#t=1,2"}
    path.write_text(json.dumps(row) + "\n")
    check_recordings(path, load_list(path))
    path.write_text(json.dumps(row | {"voice": "a.tar/in/w.wav"}) + "\n")
    assert "the voice of 'u': expected a recording a.tar/in/w.wav, found none" in refusal(path)
    path.write_text(json.dumps(row | {"voice": f"{'x' * 300}.wav"}) + "\n")
    assert "l.jsonl:1: the voice of 'u': cannot read " in refusal(path)
