"""The programs beside the library: run as modules from a checkout, without tricks with paths, and not installed."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("data_prep", "evaluation", "benchmarks", "recipes")
# Codec servers are started by their paths in environments that know nothing of this checkout.
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path.parent.name != "codec_servers")
PROGRAMS = [path for path in FILES if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")]


def module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_nothing_changes_where_modules_are_looked_for():
    changed = [path for path in FILES if "sys.path" in path.read_text(encoding="utf-8")]
    assert [module(path) for path in changed] == []  # for the demo, which is one app


def test_every_folder_of_programs_is_a_package():
    assert all((path.parent / "__init__.py").is_file() for path in FILES)


@pytest.mark.parametrize("path", PROGRAMS, ids=module)
def test_a_program_that_needs_its_neighbours_says_how_to_run_it(path):
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^from (?:{'|'.join(FOLDERS)})\b", text, re.MULTILINE)
    if found:
        assert f'python -m {module(path)}"' in text[: found.start()]


def test_run_by_its_path_it_ends_with_one_line():
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "data_prep/ljspeech.py", "RAW"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "run it as a module, from the checkout: python -m data_prep.ljspeech\n"


def test_only_the_library_is_installed():
    setuptools = pytest.importorskip("setuptools")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = setuptools.find_packages(str(ROOT), **settings["packages"]["find"])
    assert {name.partition(".")[0] for name in found} == {"lpo_tts"}
