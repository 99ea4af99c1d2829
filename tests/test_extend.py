"""The code on pages of docs/extend does what the page says, on material that is made here."""

import importlib
import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from lpo_tts import audio
from lpo_tts.artefacts import read_rows
from lpo_tts.recipe import STRUCTURER
from lpo_tts.records import Utterance
from lpo_tts.steps.prompts import PromptsSettings

PAGES = Path(__file__).parents[1] / "docs" / "extend"


def blocks(page, language):
    """The blocks of code of one language, in their order."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Saves a block of code as a module in the working folder, as the page asks for, and imports it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def save(name, code):
        Path(f"{name}.py").write_text(code, encoding="utf-8")
        return importlib.import_module(name)

    return save


ROWS = {  # id -> text, speaker, seconds of a tone (None: no file; 0: silence)
    "a1": ("Gate seven, please.", "ann", 1.0),
    "a2": ("Room four two.", "ann", 1.5),
    "b1": ("Line nine.", "bob", 2.0),
    "b2": ("A recording that is lost.", "bob", None),
    "b3": ("Nothing is heard.", "bob", 0),
    "b4": ("Too short.", "bob", 0.1),
    "b5": ("", "bob", 1.0),
}
FAILED = {"b2": "no audio file", "b3": "unusable audio", "b5": "empty text", "torn": "table.tsv:8: expected 3 fields, found 2"}
LEFT_OUT = {"b4": "lies outside 0.5 to 30 s"}


def make_corpus(raw):
    """A table with a torn row, and tones in place of speech."""
    for name, (_, _, seconds) in ROWS.items():
        if seconds is not None:
            tone = torch.sin(torch.arange(int((seconds or 1) * 8000)) / 5) * (0.1 if seconds else 0)
            (raw / "wavs").mkdir(parents=True, exist_ok=True)
            audio.write(raw / "wavs" / f"{name}.wav", tone, 8000)
    lines = ["\t".join((name, text, speaker)) for name, (text, speaker, _) in ROWS.items()]
    (raw / "table.tsv").write_text("\n".join([*lines, "torn\tno speaker"]) + "\n", encoding="utf-8")


def says(found, expected):
    """Every row of a list of failures has its reason, and no other row is there."""
    reasons = {row["id"]: row["reason"] for row in found}
    assert reasons.keys() == expected.keys()
    assert all(expected[name] in reasons[name] for name in expected), reasons


def test_the_corpus_of_the_page_becomes_a_manifest(own_module, capsys):
    program, notebook = blocks("corpus", "python")
    my_corpus = own_module("my_corpus", program)
    make_corpus(Path("RAW_DIR"))

    (command,) = blocks("corpus", "bash")
    python, dash_m, name, *arguments = shlex.split(command)
    assert (python, dash_m, name) == ("python", "-m", "my_corpus")
    assert my_corpus.main(arguments) == 2
    assert "my_corpus: 4 of 7 rows failed, more than --max-failed 0.01" in capsys.readouterr().err
    assert my_corpus.main([*arguments, "--max-failed", "0.6", "--language", "de"]) == 0
    assert "3 utterances, 0.1 minutes, 2 speakers" in capsys.readouterr().err

    (tree,) = blocks("corpus", "yaml")
    manifest = STRUCTURER.structure(yaml.safe_load(tree)["prompts"], PromptsSettings).manifest
    rows = read_rows(manifest, Utterance)
    assert [(row.id, row.text, row.speaker, row.duration, row.language) for row in rows] == [
        (name, text, speaker, seconds, "de") for name, (text, speaker, seconds) in list(ROWS.items())[:3]
    ]
    assert all((manifest.parent / row.audio).samefile(f"RAW_DIR/wavs/{row.id}.wav") for row in rows)
    failed = manifest.with_name("manifest.failed.jsonl").read_text(encoding="utf-8").splitlines()
    says(map(json.loads, failed), FAILED | LEFT_OUT)
    counts = json.loads(manifest.with_name("manifest.jsonl.meta.json").read_text(encoding="utf-8"))["counts"]
    assert (counts["failed"], counts["left_out"]) == (len(FAILED), len(LEFT_OUT))

    place = {}
    exec(compile(notebook, "corpus.md", "exec"), place)
    assert place["seconds"] == Counter(ann=2.5, bob=2.0)
    assert [row.id for row in place["rows"]] == ["a1", "a2", "b1"]
    says([vars(one) for one in place["dropped"]], FAILED | LEFT_OUT)
