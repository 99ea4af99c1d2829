"""The commands and the code of docs/in-and-out.md run as they stand there, one after the other."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from lpo_tts import cli
from lpo_tts.steps import VERBS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "in-and-out.md"


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_page_runs(tiny, finished, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("trl")
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished.parent, "build")
    tree = yaml.safe_load((tiny / "recipe.yaml").read_text())
    tree |= {"out": "build/out", "prompts": {"manifest": "build/corpus/manifest.jsonl"}}
    Path("recipe.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    (commands,) = blocks("bash")
    for command in commands.splitlines():
        program, *arguments = shlex.split(command)
        assert program == "lpo-tts"
        assert cli.main([*arguments, "--quiet"]) == 0
    assert {path.name for path in Path("build").iterdir()} == {"out", "corpus", "tables", "pairs", "again", "model"}
    shutil.copytree(tiny / "model", "base")
    tokenizer = AutoTokenizer.from_pretrained("base")
    tokenizer.pad_token = tokenizer.eos_token = "<|unk|>"
    tokenizer.save_pretrained("base")
    here = {
        '"canopylabs/orpheus-3b-0.1-ft"': '"base"',
        "max_length=None": 'max_length=None, use_cpu=True, bf16=False, max_steps=1, report_to="none", save_strategy="no"',
    }
    found = blocks("python")
    assert len(found) == 2
    for block in found:
        for written, real in here.items():
            block = block.replace(written, real)
        exec(compile(block, PAGE.name, "exec"), {})


def test_the_page_names_every_option():
    text = PAGE.read_text(encoding="utf-8")
    flags = {"source": "--from"}
    for verb in ("export", "import", "push"):
        for option in VERBS[verb].options:
            assert flags.get(option, f"--{option.replace('_', '-')}") in text, option
