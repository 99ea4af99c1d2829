"""Tables of corpora: columns, speakers; and what every corpus program says of a folder that is not its own."""

import importlib

import pytest

from data_prep import tables
from data_prep.manifest import Dropped
from lpo_tts.errors import ArtefactError

PROGRAMS = {
    "aishell3": "expected AISHELL-3's transcripts, found none; give the folder of AISHELL-3",
    "common_voice": "expected train.tsv, dev.tsv, test.tsv and the folder clips in it",
    "hifi_tts": "expected 92_manifest_clean_train.json and its like in it (clean or other), found none",
    "libritts": "expected *.trans.tsv and *.wav below it, found none; give the folder LibriTTS or LibriTTS_R",
    "mls": "expected mls_<language>/<part>/transcripts.txt in it, found none; give a folder such as mls_german",
    "vctk": "expected the folders txt and wav48_silence_trimmed in it, found none; give the folder VCTK-Corpus-0.92",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_folder_of_something_else_is_refused_in_one_line(name, tmp_path, one_line):
    program = importlib.import_module(f"data_prep.{name}")
    out = tmp_path / "out" / "manifest.jsonl"
    other = tmp_path / "other"
    (other / "train").mkdir(parents=True)
    (other / "metadata.csv").write_text("of another corpus")
    assert program.main([str(other), "--out", str(out)]) == 2
    said = one_line()
    assert said.startswith(f"{name}: {other}")
    assert PROGRAMS[name] in said
    assert "as RAW_DIR" in said
    assert program.main([str(tmp_path / "none"), "--out", str(out)]) == 2
    assert one_line() == f"{name}: {tmp_path / 'none'}: expected the folder of the corpus, found none; check the path\n"
    assert program.main([str(other / "metadata.csv"), "--out", str(out)]) == 2
    assert "expected the folder of the corpus, found none" in one_line()
    assert not out.exists()


def test_columns_by_name_and_rows_that_do_not_fit(tmp_path):
    table = tmp_path / "t.tsv"
    table.write_text('id\ttext\tage\na\t"one" said\nb\tx\ty\tz\nc\t \told\n')
    assert list(tables.columns(table, ("id", "text"))) == [
        {"id": "a", "text": '"one" said', "age": ""},
        Dropped(id="t.tsv:3", reason="t.tsv:3: expected 3 cells, found 4: a tab within a text"),
        Dropped(id="t.tsv:4", reason="t.tsv:4: expected something in the column text, found nothing"),
    ]
    with pytest.raises(ArtefactError, match="expected the column path in the first line, found id, text, age"):
        list(tables.columns(table, ("path",)))
    table.write_text("\n")
    with pytest.raises(ArtefactError, match="expected a first line with the names of columns, found an empty file"):
        list(tables.columns(table, ("path",)))


def test_speakers_with_comments_genders_in_one_spelling_and_unknown_values(tmp_path):
    table = tmp_path / "SPEAKERS.txt"
    table.write_text(";ID | SEX | more\n14 | F | a | b\n16|M\n17 | Unknown | x\n14 | M | a second row of a speaker\n")
    assert tables.speakers(table, ("gender",), "|") == {"14": {"gender": "female"}, "16": {"gender": "male"}, "17": {}}
    assert tables.speakers(tmp_path / "none", ("gender",)) == {}
