"""What a newcomer meets first: the set-up says what is wrong in a line, hides what is not, and hides no error."""

import shutil
import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def set_up(tmp_path, pip, version="3.12.1", works=0):
    """`make` up to the stamp, by a Python whose pip does what `pip` says; the finished process."""
    fresh = tmp_path / "venv"
    program(tmp_path / "pip", f'[ "$2" = pip ] || exit 0\n{pip}')
    python = program(
        tmp_path / "python3",
        f"""case "$1" in
          -c) exit {works};;
          --version) echo Python {version};;
          -m) mkdir -p {fresh}/bin; cp {tmp_path}/pip {fresh}/bin/python;;
        esac
        """,
    )
    command = ["make", "-C", str(HOME), f"{fresh}/.installed", f"VENV={fresh}", f"PYTHON={python}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_old_python_is_one_clear_line_before_anything_is_made(tmp_path):
    done = set_up(tmp_path, "exit 0", version="3.10.4", works=1)
    assert done.returncode == 2
    assert "lpo-tts needs Python 3.11 or newer, found Python 3.10.4 as " in done.stderr
    assert "name another one: make PYTHON=python3.12 ..." in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_set_up_that_works_shows_progress_and_no_warning(tmp_path):
    collected = "\n".join(f"echo Collecting p{number}" for number in range(60))
    warning = "echo 'WARNING: please be careful' >&2"
    done = set_up(tmp_path, f"{collected}\n{warning}\necho 'Installing collected packages: a, b'\n")
    assert done.returncode == 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make")]
    assert lines[0].startswith(f"setting up {tmp_path}/venv with some 120 packages")
    assert lines[1:4] == ["  25 packages found", "  50 packages found", "  installing them"]
    assert len(lines) < 10
    assert not any("WARNING" in line for line in lines)
    assert "WARNING: please be careful" in (tmp_path / "venv" / "install.log").read_text()
    assert (tmp_path / "venv" / ".installed").exists()


def test_a_set_up_that_fails_shows_everything_and_is_not_taken_for_done(tmp_path):
    done = set_up(tmp_path, "echo 'Collecting torch'\necho 'ERROR: No matching distribution found for torch' >&2\nexit 1\n")
    assert done.returncode == 2
    assert "ERROR: No matching distribution found for torch" in done.stderr
    assert "failed: what pip said stands above" in done.stderr
    assert not (tmp_path / "venv" / ".installed").exists()
