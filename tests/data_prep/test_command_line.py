"""The command line that all corpus programs share."""

import json

import numpy as np
import soundfile

from data_prep import folder

RATE = 8000
TONE = (0.5 * np.sin(np.arange(2 * RATE) / 5)).astype(np.float32)


def test_every_filter_is_an_option_of_the_command_line_and_a_count_of_the_side_car(tmp_path, record, rows, capfd):
    raw, out = tmp_path / "raw", tmp_path / "out" / "manifest.jsonl"
    loud = np.clip(4 * TONE, -1, 1)
    samples = {"clipped": loud, "half": np.concatenate([TONE, 0 * TONE]), "good": TONE, "short": TONE[:800], "fast": TONE}
    raw.mkdir()
    texts = {"fast": "a text that nobody says in two seconds of time", "other": "Привет, мир и люди", "german": "Zwölf Zeichen"}
    for name in (*samples, "other", "german"):
        soundfile.write(raw / f"{name}.wav", samples.get(name, TONE), RATE)
    lines = [
        {"audio": f"{name}.wav", "text": texts.get(name, "Twelve letters"), "language": "de" if name == "german" else "en"}
        for name in (*samples, "other", "german", "gone")
    ]
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = "--min-chars-per-second 1 --max-chars-per-second 12 --max-clipping 0.01 --max-silence 0.3 --check-script"
    given = [str(raw), "--out", str(out), "--table", str(table), *options.split(), "--allow-missing", "--languages", "en"]
    assert folder.main(given) == 0
    assert [row["id"] for row in rows(out)] == ["good"]
    failed = {row["id"]: row["filter"] for row in rows(out.with_name("manifest.failed.jsonl"))}
    names = {"clipped": "clipping", "half": "silence", "short": "duration", "fast": "characters_per_second"}
    assert failed == {**names, "other": "script", "german": "language", "gone": "missing"}
    side_car = json.loads(out.with_name("manifest.jsonl.meta.json").read_text())
    assert side_car["counts"]["left_out"] == 7
    assert side_car["counts"]["left_out_by"] == dict.fromkeys(sorted(failed.values()), 1)
    assert side_car["settings"]["max_silence"] == 0.3
    assert "left out by characters_per_second 1, clipping 1, " in capfd.readouterr().err
