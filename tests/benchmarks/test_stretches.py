"""What stretches of long recordings cost: the program runs, and its table says what was read."""

from benchmarks import stretches
from lpo_tts import decoding


def test_every_format_is_read_and_the_leads_are_put_back(capsys):
    before = dict(decoding.LEAD)
    assert stretches.main(["--minutes", "0.2", "--stretches", "2", "--formats", "wav", "flac", "mp3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 1 + 2 * (1 + len(stretches.LEADS))
    for name in ("wav", "flac", "mp3"):
        assert any(line.startswith(f"| {name} | as the library does | 100 % | 0.0e+00 | none |") for line in lines)
    assert before == decoding.LEAD


def test_a_folder_without_recordings_is_told_in_one_line(tmp_path, capsys):
    assert stretches.main(["--speech", str(tmp_path)]) == 2
    assert "expected .wav or .flac files below it" in capsys.readouterr().err
