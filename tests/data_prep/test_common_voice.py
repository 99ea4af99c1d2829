"""Common Voice: tables without quoting, columns that differ between releases, languages in folders."""

import hashlib
import shutil

import pytest
from tones import tone

from data_prep import common_voice
from data_prep.common_voice import unquoted

# Of release 25; the first releases have client_id, path, sentence, up_votes, down_votes, age, gender and accent only.
OLD = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent"]
NEW = ["client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender", "accents"]
NEW += ["variant", "locale", "segment"]
ANN, BOB, CAT = (hashlib.sha512(name.encode()).hexdigest() for name in ("ann", "bob", "cat"))


def table(folder, name, rows, columns=NEW, audio=True):
    lines = ["\t".join(columns)]
    for row in rows:
        row = {"up_votes": "2", "down_votes": "0", "locale": folder.name} | row
        lines.append("\t".join(row.get(column, "") for column in columns))
        if audio:
            tone(folder / "clips" / f"{row['path'].removesuffix('.mp3')}.mp3", 1, 32000)
    (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture
def raw(tmp_path):
    release = tmp_path / "cv-corpus-25.0-2026-03-09"
    german, french = release / "de", release / "fr"
    first = {
        "client_id": ANN,
        "path": "common_voice_de_1.mp3",
        "sentence": 'Er sagte "nein.',
        "age": "twenties",
        "gender": "female_feminine",
        "accents": "Deutschland Deutsch,Bayern",
    }
    second = {"client_id": BOB, "path": "common_voice_de_2.mp3", "sentence": '"""Nein"", sagte er."', "down_votes": "1"}
    third = {"client_id": CAT, "path": "common_voice_de_3.mp3", "sentence": "Grüße", "gender": "do_not_wish_to_say"}
    table(german, "train", [first])
    table(german, "dev", [second])
    table(german, "test", [third | {"segment": "Singleword"}])
    more = {"client_id": ANN, "path": "common_voice_de_4.mp3", "sentence": "Grüße", "up_votes": "5"}
    table(german, "validated", [first, second, third, more])
    table(german, "other", [{"client_id": ANN, "path": "common_voice_de_5.mp3", "sentence": "Ja", "up_votes": "0"}])
    (german / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_de_1.mp3\t1000\n")
    for name in ("train", "dev", "test"):
        row = {"client_id": CAT, "path": f"common_voice_fr_{name}.mp3", "sentence": f"Oui {name}"}
        table(french, name, [row])
    return release


def prepare(raw, tmp_path, *options):
    out = tmp_path / "out" / "manifest.jsonl"
    return common_voice.main([str(raw), "--out", str(out), *options]), out


def failed(out, rows):
    return {row["id"]: row["reason"] for row in rows(out.with_name("manifest.failed.jsonl"))}


def test_one_language_with_the_splits_of_the_corpus(raw, tmp_path, rows):
    code, out = prepare(raw / "de", tmp_path)
    assert code == 0
    found = rows(out)
    assert [(row["id"], row["text"], row["speaker"], row["language"], row["split"]) for row in found] == [
        ("common_voice_de_1", 'Er sagte "nein.', ANN[:16], "de", "train"),
        ("common_voice_de_2", '"Nein", sagte er.', BOB[:16], "de", "dev"),
        ("common_voice_de_3", "Grüße", CAT[:16], "de", "test"),
    ]
    assert [row["tags"] for row in found] == [
        {"age": "twenties", "gender": "female"},
        {},
        {"gender": "do_not_wish_to_say", "segment": "Singleword"},
    ]
    assert found[0]["audio"] == "../cv-corpus-25.0-2026-03-09/de/clips/common_voice_de_1.mp3"


def test_a_release_with_all_its_languages_or_some(raw, tmp_path, rows, one_line, capfd):
    code, out = prepare(raw, tmp_path)
    assert code == 0
    assert sorted({row["language"] for row in rows(out)}) == ["de", "fr"]
    capfd.readouterr()
    code, out = prepare(raw, tmp_path, "--language", "fr")
    assert code == 0
    assert {row["language"] for row in rows(out)} == {"fr"}
    capfd.readouterr()
    assert prepare(raw, tmp_path, "--language", "pl")[0] == 2
    assert "no part pl; there are: de, fr" in one_line()


def test_the_folder_that_holds_a_release_will_do_but_not_two(raw, tmp_path, rows, one_line, capfd):
    holder = tmp_path / "common_voice"
    holder.mkdir()
    release = raw.rename(holder / raw.name)
    code, out = prepare(holder, tmp_path)
    assert code == 0
    assert len(rows(out)) == 6
    capfd.readouterr()
    shutil.copytree(release / "fr", holder / "cv-corpus-24.0-2025-12-05" / "fr")
    assert prepare(holder, tmp_path)[0] == 2
    assert f"{holder}: expected one release, found fr in two; give one of them as RAW_DIR" in one_line()


def test_more_tables_take_each_clip_once_and_need_splits_by_sentence(raw, tmp_path, rows, one_line):
    options = ("--table", "train", "--table", "validated", "--table", "other")
    assert prepare(raw / "de", tmp_path, *options)[0] == 2
    assert "the table validated belongs to no split of the corpus; add --splits hash" in one_line()
    code, out = prepare(raw / "de", tmp_path, *options, "--splits", "hash")
    assert code == 0
    found = rows(out)
    assert [row["id"][-1] for row in found] == ["1", "2", "3", "4", "5"]
    assert found[2]["split"] == found[3]["split"]  # the same sentence, two speakers
    assert failed(out, rows) == {"common_voice_de_1": "validated.tsv: the clip stands in an earlier table too"}


def test_votes_leave_rows_out(raw, tmp_path, rows):
    options = ("--table", "validated", "--splits", "hash", "--min-up-votes", "3")
    code, out = prepare(raw / "de", tmp_path, *options)
    assert code == 0
    assert [row["id"] for row in rows(out)] == ["common_voice_de_4"]
    assert failed(out, rows)["common_voice_de_1"] == "validated.tsv: 2 up_votes, fewer than 3"
    code, out = prepare(raw / "de", tmp_path, "--max-down-votes", "0")
    assert code == 0
    assert failed(out, rows) == {"common_voice_de_2": "dev.tsv: 1 down_votes, more than 0"}


def test_the_first_releases_have_fewer_columns_and_no_suffix(tmp_path, rows):
    raw = tmp_path / "cy"
    row = {"client_id": "short-id", "path": "common_voice_cy_1", "sentence": "Bore da.", "accent": "", "gender": "male"}
    table(raw, "train", [row], OLD)
    table(raw, "dev", [], OLD)
    table(raw, "test", [], OLD)
    code, out = prepare(raw, tmp_path)
    assert code == 0
    assert [(one["id"], one["speaker"], one["language"], one["tags"]) for one in rows(out)] == [
        ("common_voice_cy_1", "short-id", "cy", {"gender": "male"})
    ]


def test_broken_rows_are_failed_rows(raw, tmp_path, rows):
    with (raw / "de" / "train.tsv").open("a") as file:
        file.write(f"{ANN}\tgone.mp3\ts1\tFehlt\n")  # cells at the end may be missing
        file.write(f"\tx.mp3\ts2\tOhne Sprecher\n{ANN}\t../x.mp3\ts3\tDraußen\n")
        file.write(f"{ANN}\ty.mp3\ts4\tWirr\t\tviele\t0\n" + "\t".join(["z"] * 14) + "\n")
    code, out = prepare(raw / "de", tmp_path, "--max-failed", "0.9")
    assert code == 0
    assert len(rows(out)) == 3
    assert failed(out, rows) == {
        "gone": f"no audio file {raw / 'de' / 'clips' / 'gone.mp3'}",
        "train.tsv:4": "train.tsv:4: expected something in the column client_id, found nothing",
        "../x": "train.tsv: expected the name of a file in clips, found '../x.mp3'",
        "y": "train.tsv: expected up_votes and down_votes to be numbers, found viele, 0",
        "train.tsv:7": "train.tsv:7: expected 13 cells, found 14: a tab within a text",
    }


def test_a_delta_release_has_no_splits(raw, tmp_path, one_line):
    (raw / "de" / "dev.tsv").unlink()
    assert prepare(raw, tmp_path)[0] == 2
    said = one_line()
    assert f"{raw / 'de' / 'dev.tsv'}: expected the table dev of Common Voice, found none; name others by --table" in said


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ('"""Nein"", sagte er."', '"Nein", sagte er.'),
        ('"Nein."', '"Nein."'),  # shown with quotes, or quoted without need: nobody can tell
        ('"Ja" und "nein"', '"Ja" und "nein"'),
        ('Er sagte ""nein""', 'Er sagte ""nein""'),
        ('"', '"'),
        ('""', '""'),
        ("", ""),
    ],
)
def test_only_what_was_quoted_as_csv_does_is_unquoted(cell, sentence):
    assert unquoted(cell) == sentence
