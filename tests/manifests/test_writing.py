"""Recordings become a manifest: checks, splits and failed rows."""

import json
import os

import bad_audio
import pytest
from bad_audio import BROKEN, NAMES, SILENT

from lpo_tts.artefacts import Provenance, loads, read_rows
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.manifests.examining import examine
from lpo_tts.manifests.options import Options
from lpo_tts.manifests.recordings import Dropped, Recording
from lpo_tts.manifests.splits import split_of, split_of_speaker
from lpo_tts.manifests.writing import write
from lpo_tts.records import Utterance

PROVENANCE = Provenance("test", {}, {})


@pytest.fixture
def corpus(tmp_path, record):
    def make(count=4, **changes):
        return [
            Recording(
                **{
                    "id": f"u{k}",
                    "audio": record(tmp_path / "raw" / f"u{k}.wav", 1 + k / 4),
                    "text": f"sentence {k}",
                    "speaker": f"s{k % 2}",
                    **changes,
                }
            )
            for k in range(count)
        ]

    return make


def test_manifest_rows_hold_seconds_and_paths_relative_to_the_table(tmp_path, corpus, rows):
    out = tmp_path / "out" / "deep" / "manifest.jsonl"
    line = write(corpus(), Options(out=out), PROVENANCE)
    assert rows(out)[1]["audio"] == "../../raw/u1.wav"
    assert [row.duration for row in read_rows(out, Utterance)] == [1.0, 1.25, 1.5, 1.75]
    assert (out.parent / rows(out)[1]["audio"]).is_file()
    assert line.startswith(f"{out}: 4 utterances, 0.1 minutes, 2 speakers;")
    assert line.splitlines()[0].endswith("0 failed, 0 left out")
    assert sorted(os.listdir(out.parent)) == ["manifest.jsonl", "manifest.jsonl.meta.json"]
    meta = json.loads((out.parent / "manifest.jsonl.meta.json").read_text())
    assert meta["complete"]
    assert meta["counts"]["rows"] == 4


def test_absolute_paths_on_demand(tmp_path, corpus, rows):
    out = tmp_path / "out" / "manifest.jsonl"
    write(corpus(1), Options(out=out, absolute=True), PROVENANCE)
    assert rows(out)[0]["audio"] == str((tmp_path / "raw" / "u0.wav").resolve())


def test_equal_sentences_share_a_split_whatever_their_case_and_punctuation():
    options = {"dev": 0.3, "test": 0.3, "seed": 3}
    for k in range(50):
        same = {split_of(text, **options) for text in (f"Well, {k} it is.", f"well {k} IT is", f"“Well” – {k} it is!")}
        assert len(same) == 1


def test_split_shares_are_what_was_asked_for_and_the_seed_draws_others():
    texts = [f"sentence number {k}" for k in range(4000)]
    splits = [split_of(text, dev=0.1, test=0.2) for text in texts]
    assert splits.count("dev") / 4000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("test") / 4000 == pytest.approx(0.2, abs=0.02)
    assert splits != [split_of(text, dev=0.1, test=0.2, seed=1) for text in texts]
    assert {split_of(text, dev=0.0, test=0.0) for text in texts} == {"train"}


def test_split_of_a_sentence_never_moves():
    # Written down once: a change here would leak test sentences into other people's training sets.
    splits = [split_of(f"sentence {k}", dev=0.25, test=0.25) for k in range(8)]
    assert splits == ["train", "test", "dev", "test", "train", "train", "test", "dev"]


def test_a_corpus_own_split_is_kept_and_sentences_in_two_of_them_are_told(tmp_path, record, rows):
    out = tmp_path / "manifest.jsonl"
    found = [
        Recording(id=split, audio=record(tmp_path / f"{split}.wav"), text="The same.", speaker="s", split=split)
        for split in ("train", "test")
    ]
    line = write(found, Options(out=out, test=0), PROVENANCE)
    assert [row["split"] for row in rows(out)] == ["train", "test"]
    assert "warning: 1 sentences stand in more than one" in line


def test_broken_rows_are_listed_with_their_reason(tmp_path, corpus, record, rows):
    found = corpus(5)
    found[0].audio.unlink()
    found[1].audio.write_bytes(b"RIFF")
    found[2] = Recording(id="u2", audio=found[2].audio, text=" ... ", speaker="s")
    found.append(Recording(id="u4", audio=found[4].audio, text="again", speaker="s"))
    found.append(Dropped(id="line 7", reason="no fields"))
    out = tmp_path / "manifest.jsonl"
    line = write(found, Options(out=out, max_failed=0.8), PROVENANCE)
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert list(reasons) == ["u0", "u1", "u2", "u4", "line 7"]
    assert reasons["u0"].startswith("no audio file ")
    assert reasons["u1"].startswith("unreadable audio: ")
    assert reasons["u2"] == "empty text ' ... '"
    assert reasons["u4"].startswith("the id comes twice")
    assert [row["id"] for row in rows(out)] == ["u3", "u4"]
    assert line.splitlines()[0].endswith("5 failed, 0 left out")


def test_too_many_broken_rows_are_an_error_that_leaves_an_earlier_manifest_alone(tmp_path, corpus, rows):
    out = tmp_path / "manifest.jsonl"
    found = corpus()
    write(found, Options(out=out), PROVENANCE)
    before = out.read_bytes()
    found[0].audio.unlink()
    with pytest.raises(
        ArtefactError,
        match=r"1 of 4 rows failed, more than --max-failed 0\.01; see .*manifest\.failed\.jsonl, first: u0: no audio",
    ):
        write(found, Options(out=out), PROVENANCE)
    assert out.read_bytes() == before
    assert [row["id"] for row in rows(tmp_path / "manifest.failed.jsonl")] == ["u0"]


def test_what_the_user_leaves_out_is_listed_but_no_failure(tmp_path, corpus, rows):
    found = corpus()
    found[3].audio.unlink()
    out = tmp_path / "manifest.jsonl"
    line = write(found, Options(out=out, min_duration=1.1, max_duration=1.3, allow_missing=True), PROVENANCE)
    assert [row["id"] for row in rows(out)] == ["u1"]
    assert [row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")][:2] == [
        "duration 1.00 s lies outside 1.1 to 1.3 s",
        "duration 1.50 s lies outside 1.1 to 1.3 s",
    ]
    assert line.splitlines()[0].endswith("0 failed, 3 left out")


def test_a_clean_run_removes_the_failed_rows_of_the_run_before(tmp_path, corpus):
    out = tmp_path / "manifest.jsonl"
    write([*corpus(), Dropped(id="x", reason="bad")], Options(out=out, max_failed=0.5), PROVENANCE)
    assert (tmp_path / "manifest.failed.jsonl").exists()
    write(corpus(), Options(out=out), PROVENANCE)
    assert not (tmp_path / "manifest.failed.jsonl").exists()


def test_nothing_left_is_an_error(tmp_path, corpus):
    with pytest.raises(ArtefactError, match=r"no utterance to write \(2 left out, first: u0: duration 1\.00 s"):
        write(corpus(2), Options(out=tmp_path / "manifest.jsonl", min_duration=9), PROVENANCE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dev": 1.5}, "dev must be at least 0 and at most 1, found 1.5"),
        ({"dev": 0.6, "test": 0.6}, "dev \\+ test must be at most 1"),
        ({"max_duration": 0.1}, "max_duration must be at least 0.5, found 0.1"),
        ({"out": "manifest.csv"}, "out must be the path of a .jsonl file"),
    ],
)
def test_options_out_of_range_are_refused_with_the_range(tmp_path, changes, message):
    changes = {"out": "manifest.jsonl", **changes}
    with pytest.raises(ConfigError, match=message):
        Options(**{**changes, "out": tmp_path / changes["out"]})


@pytest.mark.parametrize("name", [*BROKEN, *SILENT])
def test_what_is_no_recording_of_speech_does_not_enter(tmp_path, corpus, rows, name):
    make, message = {**BROKEN, **SILENT}[name]
    found = corpus(1)
    make(found[0].audio.with_name(name))
    found.append(Recording(id="bad", audio=found[0].audio.with_name(name), text="said", speaker="s"))
    out = tmp_path / "manifest.jsonl"
    options = Options(out=out, max_failed=0.5, max_duration=60)
    assert write(found, options, PROVENANCE).splitlines()[0].endswith("1 failed, 0 left out")
    assert [row["id"] for row in rows(out)] == ["u0"]
    (row,) = rows(tmp_path / "manifest.failed.jsonl")
    assert row["id"] == "bad"
    assert ("no audio file" if name == "missing.wav" else message) in row["reason"]


@pytest.mark.parametrize("name", [path for path, _ in NAMES.values()], ids=NAMES)
def test_a_path_that_no_file_can_have_is_a_failed_row(tmp_path, corpus, rows, name):
    found = [*corpus(1), Recording(id="bad", audio=tmp_path / name, text="said", speaker="s")]
    write(found, Options(out=tmp_path / "manifest.jsonl", max_failed=0.5), PROVENANCE)
    assert [row["id"] for row in rows(tmp_path / "manifest.failed.jsonl")] == ["bad"]


@pytest.mark.parametrize("name", ["dangling.wav", "circle.wav", "pipe.wav", "folder.wav"])
def test_only_audio_that_is_not_there_may_be_missing(tmp_path, corpus, name):
    found = corpus(1)
    BROKEN[name][0](tmp_path / name)
    found.append(Recording(id="bad", audio=tmp_path / name, text="said", speaker="s"))
    options = Options(out=tmp_path / "manifest.jsonl", max_failed=0.5, allow_missing=True)
    assert write(found, options, PROVENANCE).splitlines()[0].endswith("1 failed, 0 left out")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ""}, "empty id, for "),
        ({"id": "  "}, "empty id, for "),
        ({"id": "a\0b"}, "id is no text: 'a\\x00b'"),
        ({"id": "a\ud800"}, "id is no text: 'a\\ud800'"),
        ({"text": "said \udcff"}, "text is no text: "),
        ({"speaker": "\udcff"}, "speaker is no text: "),
        ({"language": "\0"}, "language is no text: "),
        ({"tags": {"subset": "\udcff"}}, "tags is no text: "),
        ({"tags": {"\0": "x"}}, "tags is no text: "),
    ],
)
def test_what_cannot_stand_in_a_table_is_a_failed_row_and_the_list_can_be_read(tmp_path, corpus, rows, changes, reason):
    good, bad = corpus(1), corpus(1, **{"id": "bad", **changes})
    write([*good, *bad], Options(out=tmp_path / "manifest.jsonl", max_failed=0.5), PROVENANCE)
    assert [row["id"] for row in rows(tmp_path / "manifest.jsonl")] == ["u0"]
    (row,) = rows(tmp_path / "manifest.failed.jsonl")
    assert row["reason"].startswith(reason)
    loads((tmp_path / "manifest.failed.jsonl").read_text(), "the list of failed rows")


def test_the_seconds_of_a_piped_flac_are_counted(tmp_path, rows):
    bad_audio.flac(tmp_path / "a.flac", 0)
    found = [Recording(id="a", audio=tmp_path / "a.flac", text="said", speaker="s")]
    write(found, Options(out=tmp_path / "manifest.jsonl"), PROVENANCE)
    assert rows(tmp_path / "manifest.jsonl")[0]["duration"] == 1.0


def test_the_order_of_rows_is_that_of_the_corpus_whatever_process_was_first(tmp_path, record):
    places = [record(tmp_path / f"{k}.wav", 0.6 + (k * 7 % 5)) for k in range(40)]
    found = [Recording(id=f"u{k}", audio=place, text=f"said {k}", speaker="s") for k, place in enumerate(places)]
    one, two = (list(examine(found, Options(out=tmp_path / "manifest.jsonl", workers=count))) for count in (0, 2))
    assert [row.id for row in one] == [f"u{k}" for k in range(40)]
    assert two == one


def test_an_out_folder_whose_links_lead_in_a_circle_is_refused(tmp_path, corpus):
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(ArtefactError, match="ring"):
        write(corpus(1), Options(out=tmp_path / "ring" / "manifest.jsonl"), PROVENANCE)


def test_splits_by_speaker_share_no_speaker_and_shared_sentences_are_told(tmp_path, record, rows):
    place = record(tmp_path / "a.wav")
    found = [Recording(id=f"u{k}", audio=place, text=f"said {k // 40}", speaker=f"s{k % 40}") for k in range(80)]
    out = tmp_path / "manifest.jsonl"
    line = write(found, Options(out=out, by="speaker", dev=0.2, test=0.2), PROVENANCE)
    splits = {split: {row["speaker"] for row in rows(out) if row["split"] == split} for split in ("train", "dev", "test")}
    assert all(splits.values())
    assert sum(map(len, splits.values())) == 40
    assert "warning: 2 sentences stand in more than one split, with --by speaker" in line


def test_a_speaker_in_two_of_the_corpus_own_splits_is_told(tmp_path, record):
    place = record(tmp_path / "a.wav")
    found = [Recording(id=s, audio=place, text=f"said {s}", speaker="s", split=s) for s in ("train", "dev")]
    line = write(found, Options(out=tmp_path / "manifest.jsonl", by="speaker"), PROVENANCE)
    assert "warning: 1 speakers stand in more than one of the corpus' own splits" in line


def test_the_split_of_a_speaker_never_moves():
    splits = [split_of_speaker(f"speaker {k}", dev=0.25, test=0.25) for k in range(8)]
    assert splits == ["train", "dev", "train", "train", "dev", "train", "test", "train"]


def test_the_corpus_is_read_as_rows_are_written(tmp_path, corpus):
    """What was found and not yet written is bounded, whatever the size of the corpus."""
    asked = []
    found = (asked.append(k) or Recording(id=f"u{k}", audio=tmp_path / "none.wav", text="x", speaker="s") for k in range(10_000))
    for number, _ in enumerate(examine(found, Options(out=tmp_path / "manifest.jsonl"))):
        assert len(asked) <= number + 16
