"""What a terminal shows of a training, byte by byte, and what the metrics file survives."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest

from lpo_tts.training.callbacks import MetricsFile

HERE = Path(__file__).parent
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*command):
    """What a program writes to a terminal."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=side, stderr=side, stdin=side, env=environment, close_fds=True) as process:
        os.close(side)
        data = b""
        while True:
            try:
                block = os.read(main, 4096)
            except OSError:  # the other side is closed
                break
            if not block:
                break
            data += block
        code = process.wait(timeout=60)
    os.close(main)
    assert code == 0, data.decode(errors="replace")[-3000:]
    return data.decode()


def screen(text):
    """The lines that stay on the terminal: a carriage return goes to the left edge, and what follows writes over."""
    lines, column = [""], 0
    for char in ESCAPE.sub("", text):
        if char == "\n":
            lines.append("")
            column = 0
        elif char == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column].ljust(column) + char + lines[-1][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal") / "run"
    return on_a_terminal(sys.executable, str(HERE / "terminal_run.py"), str(folder))


@pytest.mark.slow
def test_log_lines_and_the_progress_bar_keep_apart(written):
    lines = screen(written)
    told = [line for line in lines if "step " in line]
    assert len(told) == 12 + 4
    for line in told:
        assert re.fullmatch(r"lpo_tts\.training\.callbacks: step \d+/12: loss [\d.]+, .*tokens_per_second [\d.e+]+", line), line
    for piece in re.split(r"[\r\n]", ESCAPE.sub("", written)):  # nothing is written behind a bar or before one
        assert not ("it/s" in piece and "step " in piece), piece


@pytest.mark.slow
def test_the_bar_is_the_only_one_and_ends_whole(written):
    bars = [line for line in screen(written) if "it/s]" in line or "s/it]" in line]
    assert len(bars) == 2, bars  # one for each of the two trainings
    assert all("12/12" in bar for bar in bars)
    assert "Writing model shards" not in written


@pytest.mark.slow
def test_a_resumed_run_does_not_miss_the_tied_head(written):
    assert "missing keys" not in written
    assert any("checkpoint-12 is passed over for an older checkpoint" in line for line in screen(written))


def test_a_metrics_file_with_torn_lines_is_taken_up(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "note": "a\xe2\x80\xa8b"}\n[]\n{"loss": 1}\n{"step": 5}\n\xff\xfe\n{"step": 2}\n{"st')
    state = SimpleNamespace(is_world_process_zero=True, global_step=2, log_history=[])
    MetricsFile(path).on_train_begin(None, state, None)
    assert [json.loads(line)["step"] for line in path.read_text(encoding="utf-8").split("\n")[:-1]] == [1, 2]


@pytest.mark.parametrize("text", [None, "", '{"step": 1, "loss": 2.0}\n{"step": 2, "lo'])
def test_rows_that_the_metrics_file_lost_come_from_the_checkpoint(tmp_path, text):
    path = tmp_path / "metrics.jsonl"
    if text is not None:
        path.write_text(text)
    history = [{"loss": 2.0, "step": 1}, {"loss": 1.5, "step": 2}, {"train_runtime": 3.0, "step": 2}]
    state = SimpleNamespace(is_world_process_zero=True, global_step=2, log_history=history)
    MetricsFile(path).on_train_begin(None, state, None)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}]
