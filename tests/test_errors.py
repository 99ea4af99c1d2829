"""The two places that turn an error into one line: around a file, and at the end of a command."""

import errno
import signal
import sys
import time

import pytest

from lpo_tts.errors import ArtefactError, ConfigError, exit_code, os_errors


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free space, then run again"),
        (errno.EACCES, "check the permissions"),
        (errno.EROFS, "choose another place, or make this one writable"),
        (errno.ENAMETOOLONG, "give it a shorter name"),
    ],
)
def test_an_error_of_the_operating_system_becomes_one_line_with_advice(tmp_path, number, advice):
    with (
        pytest.raises(ArtefactError, match=f"cannot write .*t.json: .*; {advice}") as error,
        os_errors("write", tmp_path / "t.json"),
    ):
        raise OSError(number, "what the system says")
    assert "\n" not in str(error.value)


def test_other_errors_pass(tmp_path):
    with pytest.raises(ValueError, match="of the program"), os_errors("write", tmp_path):
        raise ValueError("of the program")


def test_a_command_ends_with_a_code_and_one_line(capsys):
    def fails(error):
        raise error

    assert exit_code("prog", lambda: None) == 0
    assert exit_code("prog", lambda: 3) == 3
    assert exit_code("prog", lambda: fails(ConfigError("x must be 1"))) == 2
    assert exit_code("prog", lambda: fails(OSError(errno.ENOSPC, "No space left on device", "/disk/file"))) == 2
    assert exit_code("prog", lambda: fails(KeyboardInterrupt())) == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "prog: x must be 1"
    assert (
        lines[1]
        == "prog: cannot use /disk/file: No space left on device; free space, then run again: nothing that was finished is lost"
    )
    assert lines[2] == "prog: interrupted; the same command goes on where it was"
    assert len(lines) == 3
    with pytest.raises(OSError, match="odd"):
        exit_code("prog", lambda: fails(OSError(errno.ENOTTY, "odd")))
    with pytest.raises(ZeroDivisionError):
        exit_code("prog", lambda: fails(ZeroDivisionError()))


def test_an_interrupt_inside_a_destructor_ends_the_command(capsys):
    class Dying:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def work():
        dying = Dying()
        del dying
        time.sleep(30)

    hook, start = sys.unraisablehook, time.monotonic()
    assert exit_code("prog", work) == 130
    assert time.monotonic() - start < 20, "the wait was not ended"
    assert capsys.readouterr().err == "prog: interrupted; the same command goes on where it was\n"
    assert sys.unraisablehook is hook


def test_other_errors_of_destructors_are_shown_as_ever(monkeypatch):
    class Dying:
        def __del__(self):
            raise ValueError("of a destructor")

    def work():
        dying = Dying()
        del dying

    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    assert exit_code("prog", work) == 0
    assert [str(one.exc_value) for one in shown] == ["of a destructor"]
