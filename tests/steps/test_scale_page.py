"""docs/scale.md: its engines are read, and its scripts run, by a scheduler that runs two tasks of every array at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lpo_tts import artefacts, cli
from lpo_tts.engines.base import Engine
from lpo_tts.recipe import STRUCTURER

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")

# Runs the script at once, of an array only tasks 0 and 3, and says a number as the job's.
SBATCH = """#!/bin/bash
set -e
while [[ $1 == --* ]]; do shift; done
if grep -q '^#SBATCH --array=0-15$' "$1"; then
    for task in 0 3; do SLURM_ARRAY_TASK_ID=$task bash "$@" >&2; done
else
    bash "$@" >&2
fi
echo 7
"""


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_engine_of_the_page_is_one():
    engines = [STRUCTURER.structure(yaml.safe_load(block)["engine"], Engine) for block in blocks("yaml")]
    assert [type(one).__name__ for one in engines] == ["Local", "Ray"]
    keys = re.findall(r"^\| `(\w+)` \|", PAGE.partition("| key | says |")[2], re.MULTILINE)
    assert set(keys) == set(type(engines[1]).__dataclass_fields__)


def test_every_command_of_the_page_is_one():
    for verb in re.findall(r"lpo-tts (\w+)", PAGE):
        if verb != "VERB":
            assert cli.parser().parse_args([verb, "RECIPE"]).verb == verb
    assert cli.parser().parse_args(["score", "RECIPE", "--shard", "0/16"]).shard == "0/16"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_the_slurm_scripts_make_what_one_process_makes(tiny, tmp_path):
    array, whole, order, *_ = blocks("bash")
    for name, text in (("array.sbatch", array), ("whole.sbatch", whole), ("sbatch", SBATCH)):
        (tmp_path / name).write_text(text)
    command = f'#!/bin/bash\nexec "{sys.executable}" -m lpo_tts.cli "$@" --quiet\n'
    (tmp_path / "lpo-tts").write_text(command)
    for name in ("sbatch", "lpo-tts"):
        (tmp_path / name).chmod(0o755)
    tree = yaml.safe_load((tiny / "recipe.yaml").read_text())
    tree["sample"]["part_size"] = 4
    for name in ("slurm", "alone"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**tree, "out": str(tmp_path / name)}))
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}",
    }
    ended = subprocess.run(
        ["bash", "-e", "-c", order, "order", "slurm.yaml"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "slurm" / "report" / "report.html").exists()
    assert cli.main(["run", str(tmp_path / "alone.yaml"), "--until", "reference", "--quiet"]) == 0
    for name in ("candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "pairs.jsonl", "reference.safetensors"):
        assert artefacts.content_hash(tmp_path / "slurm" / name) == artefacts.content_hash(tmp_path / "alone" / name), name
