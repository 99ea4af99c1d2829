"""`lpo-tts check manifest.jsonl`: every fault of every row is found and told, the sums are right, the page is written."""

import json
import re
from html.parser import HTMLParser

import pytest
import torch

from lpo_tts import audio, cli
from lpo_tts.steps import manifest_check

RATE = 8000


@pytest.fixture
def manifest(tmp_path):
    """Writes a manifest of rows (changes of a good one), or of lines as they are."""
    wave = 0.1 * torch.sin(torch.arange(2 * RATE) / 5)
    audio.write(tmp_path / "a.wav", wave, RATE)
    audio.write(tmp_path / "silent.wav", 0 * wave, RATE)
    (tmp_path / "broken.wav").write_bytes(b"broken")

    def write(*rows, name="manifest.jsonl"):
        lines = []
        for k, row in enumerate(rows):
            good = {"id": f"u{k}", "audio": "a.wav", "text": f"sentence {k}", "duration": 2.0, "speaker": "s", "split": "train"}
            lines.append(row if isinstance(row, bytes) else json.dumps({**good, **row}).encode())
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
        return tmp_path / name

    return write


@pytest.fixture
def checked(manifest, capfd):
    """Exit code and lines on stdout of the command."""

    def run(*rows, options=()):
        code = cli.main(["check", str(manifest(*rows)), *options])
        found = capfd.readouterr()
        assert not found.err
        return code, found.out.splitlines()

    return run


def faults_of(lines):
    return [line.removeprefix("manifest.jsonl: ") for line in lines if line.startswith("manifest.jsonl: line ")]


def test_a_manifest_in_order(checked, tmp_path):
    code, lines = checked({}, {"split": "test", "speaker": "t", "language": "de"}, b"")
    assert code == 0
    assert lines == [
        f"{tmp_path / 'manifest.jsonl'}: every row is in order",
        "2 rows, 0.1 minutes, 2 speakers",
        "  split: train 1 row, 0.0 minutes; test 1 row, 0.0 minutes",
        "  language: de 1 row, 0.0 minutes; en 1 row, 0.0 minutes",
        "  duration in s: 2 to 2, median 2, 90 % from 2 to 2",
        "  characters per s: 4.5 to 4.5, median 4.5, 90 % from 4.5 to 4.5",
        f"page: {tmp_path / 'manifest.html'}",
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b'{"id": "to', ["line 2: not valid JSON (Unterminated string starting at: line 1 column 8 (char 7))"]),
        (b"[1]", ['line 2: expected {"id": ..., "audio": ..., "text": ...}, found list']),
        (b'{"id": "\xff"}', ["line 2: expected UTF-8 text, found other bytes (invalid start byte at byte 8 of the line)"]),
        (b'{"id": "x", "id": "y"}', ["line 2: not valid JSON (the key 'id' stands twice)"]),
        ({"pitch": 3}, ["line 2, u1: pitch: unknown key; did you mean split?"]),
        ({"split": "trian"}, ["line 2, u1: split: 'trian' is none of train, dev, test"]),
        ({"text": 7}, ["line 2, u1: text: expected text, found 7"]),
        ({"text": " — "}, ["line 2, u1: text: expected words, found ' — '"]),
        ({"id": " "}, ["line 2,  : id: expected an id, found ' '"]),
        ({"id": "u0"}, ["line 2, u0: id: expected one that no other row has, found that of line 1"]),
        ({"speaker": ""}, ["line 2, u1: speaker: expected a name, found ''"]),
        ({"duration": 0}, ["line 2, u1: duration: expected seconds above 0, found 0"]),
        ({"duration": "2"}, []),
        ({"duration": 2.09}, ["line 2, u1: duration: expected the 2.0000 s of DIR/a.wav, found 2.09"]),
        ({"duration": 2.07}, []),
        ({"audio": "none.wav"}, ["line 2, u1: audio: expected a file DIR/none.wav, found none"]),
        ({"audio": "."}, ["line 2, u1: audio: expected a file DIR, found a folder"]),
        (
            {"audio": "a\0b.wav"},
            ["line 2: not valid JSON (expected text, found a NUL character or a lone surrogate in 'a\\x00b.wav')"],
        ),
        (
            {"audio": "silent.wav"},
            ["line 2, u1: audio: DIR/silent.wav: expected speech, found silence (a level of -inf dB, below -80 dB)"],
        ),
        (
            {"audio": "broken.wav"},
            ["line 2, u1: audio: DIR/broken.wav: expected audio libsndfile can read, found another format or torn data"],
        ),
    ],
)
def test_what_is_wrong_with_a_row(checked, tmp_path, row, said):
    code, lines = checked({}, row)
    found = [line.replace(str(tmp_path), "DIR") for line in faults_of(lines)]
    assert len(found) == len(said)
    assert all(line.startswith(wanted) for line, wanted in zip(found, said, strict=True)), found
    assert code == (2 if said else 0)


def test_every_fault_of_a_row_is_told_and_counted(checked):
    row = {"pitch": 3, "split": 1, "text": "", "duration": -1, "speaker": None, "id": "u0", "language": " "}
    code, lines = checked({}, row, {"audio": "silent.wav", "duration": 9, "text": "?"})
    assert code == 2
    found = faults_of(lines)
    keys = [re.match(r"line \d, \w+: (\w+):", line)[1] for line in found]
    assert sorted(keys[:7]) == ["duration", "id", "language", "pitch", "speaker", "split", "text"]
    assert keys[7:] == ["text", "audio", "duration"]
    assert "10 faults: keys and values 5, empty text 2, doubled id 1, no speech 1, duration 1" in lines


def test_a_sentence_in_two_splits_is_a_fault_unless_the_splits_are_disjoint_by_speaker(checked):
    code, lines = checked({"text": "Same."}, {"text": "same", "split": "test"}, {"split": "dev"})
    assert code == 2
    assert faults_of(lines) == [
        "line 2, u1: text: expected a sentence of one split, found it in split train too; its first row is line 1"
    ]
    assert "note: 1 speaker stands in more than one split, such as s" in lines
    code, lines = checked({"text": "Same."}, {"text": "same", "split": "test", "speaker": "t"})
    assert code == 0
    assert "note: 1 sentence stands in more than one split; the splits are disjoint by speaker" in lines


def test_the_limit_is_on_what_is_printed(checked, tmp_path):
    code, lines = checked(*[{"text": ""}] * 30, options=("--limit", "2", "--quick"))
    assert code == 2
    assert len(faults_of(lines)) == 2
    assert "manifest.jsonl: 28 more faults; --limit shows more" in lines
    assert "30 faults: empty text 30" in lines
    assert len(faults_of(checked(*[{"text": ""}] * 30)[1])) == 20
    assert len(faults_of(checked(*[{"text": ""}] * 300, options=("--limit", "250", "--quick"))[1])) == 250


def test_quick_decodes_nothing(checked, monkeypatch, tmp_path):
    monkeypatch.setattr(audio, "measure", None)
    code, lines = checked({"audio": "broken.wav"}, {"duration": 9.0}, {"audio": "none.wav"}, options=("--quick",))
    assert code == 2
    assert len(faults_of(lines)) == 1


def test_worker_processes_find_the_same(checked):
    rows = [{"audio": ("a.wav", "silent.wav", "none.wav")[k % 3], "text": f"s {k // 2}", "id": f"u{k % 90}"} for k in range(100)]
    assert checked(*rows, options=("--workers", "2")) == checked(*rows)


def test_bytes_before_and_behind(manifest, tmp_path, capfd):
    path = manifest({}, {"speaker": "t"}, {"speaker": "t", "split": "dev"})
    data = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(data.splitlines()))  # a byte-order mark, no last line end
    assert cli.main(["check", str(path)]) == 0
    assert "note: 1 speaker stands in more than one split, such as t" in capfd.readouterr().out


def test_a_line_without_end_takes_no_memory(manifest, monkeypatch):
    monkeypatch.setattr(manifest_check, "MAX_LINE", 1000)
    path = manifest(b'{"id": "' + b"x" * 5000, {})
    result = manifest_check.check(path)
    assert (result.num_rows, result.num_faults) == (2, 1)
    assert result.summary.speakers.places[0] == 5009


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jsonl"], "none.jsonl: expected a manifest, found none; check the path"),
        (["m.jsonl", "out=x"], "check: a manifest takes no settings of a recipe, found out=x"),
        (["m.jsonl", "--workers", "1000000"], "--workers must be at least 0 and at most 1024, found 1000000"),
        (["m.jsonl", "--limit", "-1"], "--limit must be at least 0, found -1"),
        (["r.yaml", "--quick"], "check: --quick is for a manifest (.jsonl), found the recipe r.yaml"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", *arguments]) == 2
    assert capfd.readouterr().err == f"lpo-tts: {message}\n"


def test_a_manifest_without_rows_is_none(checked, tmp_path):
    code, lines = checked(b"", b"  ")
    assert code == 2
    assert lines == [
        f"{tmp_path / 'manifest.jsonl'}: expected rows, found none",
        "0 rows, 0.0 minutes, 0 speakers",
        f"page: {tmp_path / 'manifest.html'}",
    ]


class _Page(HTMLParser):
    """Text of a page, and the tags that are open."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.addresses = [], "", []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "line", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta", "line", "rect"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_holds_all_that_was_found_and_loads_nothing(manifest, tmp_path, capfd):
    rows = [{"speaker": f"<b>{k % 30}</b>", "language": f"l{k % 3}", "duration": 2.0 + k / 1000} for k in range(60)]
    path = manifest(*rows, {"text": "<script>"}, *[{"text": ""}] * 25)
    page = tmp_path / "deep" / "page.html"
    assert cli.main(["check", str(path), "--page", str(page)]) == 2
    assert f"page: {page}" in capfd.readouterr().out
    read = _Page()
    read.feed(page.read_text())
    assert not read.open
    assert not read.addresses
    text = " ".join(read.text.split())
    assert "86 rows, 2.9 minutes, 31 speakers, 4 languages.25 faults; 25 rows cannot be used as they are." in text
    assert "The other 5" in text
    assert "The 20 with the most audio, of 31" in text
    for caption in ("Rows by their duration in seconds", "Rows by letters and digits", "Speakers by the minutes"):
        assert caption in text
    assert "<b>14</b>" in read.text


def test_the_page_says_how_the_manifest_was_made(manifest, tmp_path):
    path = manifest({})
    side_car = {"verb": "data_prep/x", "settings": {"seed": 0, "max_silence": None}, "counts": {"left_out_by": {"duration": 3}}}
    (tmp_path / "manifest.jsonl.meta.json").write_text(json.dumps(side_car))
    assert cli.main(["check", str(path)]) == 0
    read = _Page()
    read.feed((tmp_path / "manifest.html").read_text())
    text = " ".join(read.text.split())
    assert 'counts.left_out_by{"duration": 3}' in text.replace("left_out_by {", "left_out_by{")
    assert "max_silence" not in text
