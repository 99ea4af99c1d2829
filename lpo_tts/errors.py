"""Everything that can go wrong, as one tree, and the two places that turn an error into one line for people."""

import _thread
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class LpoTtsError(Exception):
    """Base of all errors a user can cause; says what was expected, found, where, and what to do."""


class ConfigError(LpoTtsError):
    """A recipe or an override is wrong: unknown key, wrong type, value out of range."""


class ArtefactError(LpoTtsError):
    """A table, shard, audio file or checkpoint is missing, torn, or was made by other settings."""


class ComponentError(LpoTtsError):
    """A codec, backbone, recogniser, ... cannot be loaded (missing extra, unreadable checkpoint)."""


class ContractError(LpoTtsError):
    """Two parts do not fit each other: a code outside its codebook, a word outside the vocabulary."""


class TrainingError(LpoTtsError):
    """Training cannot go on: non-finite loss, policy and reference that disagree at the first step."""


WHAT_TO_DO = {
    errno.ENOSPC: "free space, then run again: nothing that was finished is lost",
    errno.EDQUOT: "free space, then run again: nothing that was finished is lost",
    errno.EROFS: "choose another place, or make this one writable",
    errno.EACCES: "check the permissions, or choose another place",
    errno.EPERM: "check the permissions, or choose another place",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is no folder",
    errno.EEXIST: "check the path: a part of it is a file",
    errno.EISDIR: "check the path: it is a folder",
    errno.ELOOP: "check the path: its links lead in a circle",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "the disk or network drive reports a fault; check it",
}


def os_error_text(action: str, path: str | os.PathLike, error: OSError, missing: str | None = None) -> str:
    """One line for an error of the operating system: what failed, on which file, why, and what to do."""
    advice = missing if missing and error.errno == errno.ENOENT else WHAT_TO_DO.get(error.errno or 0)
    return f"cannot {action} {_shown(path)}: {error.strerror or error}" + (f"; {advice}" if advice else "")


@contextmanager
def os_errors(action: str, path: str | os.PathLike, missing: str | None = None) -> Iterator[None]:
    """Turns an operating-system error of its block into ArtefactError, with `action` and `path` in the message.

    A path that no file can have (a NUL byte, a lone surrogate) is treated alike. `missing` is the advice where there is no
    such file.
    """
    try:
        yield
    except OSError as error:
        raise ArtefactError(os_error_text(action, path, error, missing)) from error
    except UnicodeDecodeError:
        raise  # about the contents: the caller says which encoding it expects
    except (UnicodeEncodeError, ValueError) as error:
        if not unusable(path):
            raise
        raise ArtefactError(f"cannot {action} {_shown(path)}: no file can have this name; check the path") from error


def unusable(path: str | os.PathLike) -> bool:
    """Whether a path holds what no file name can: a NUL byte, or a character that is no text."""
    try:
        return b"\0" in os.fspath(path).encode()  # type: ignore[union-attr]
    except UnicodeEncodeError:
        return True


def _shown(path: str | os.PathLike) -> str:
    text = os.fspath(path)
    shown = text if not unusable(text) else ascii(text)
    return shown if len(shown) <= 300 else f"{shown[:140]}...{shown[-140:]}"


def exit_code(program: str, work: Callable[[], int | None], interrupted: str = "the same command goes on where it was") -> int:
    """Runs the work of a command; returns 0, 2 for what a user can mend (one line on stderr), or 130 when interrupted.

    Every program of the project ends through this function, so that none of them shows a traceback for a full disk.
    """
    try:
        with _no_interrupt_lost():
            return work() or 0
    except LpoTtsError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted; {interrupted}\n")
        return 130
    except BrokenPipeError:  # `lpo-tts list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in WHAT_TO_DO:
            raise
        sys.stderr.write(f"{program}: {os_error_text('use', error.filename or 'a file', error)}\n")
        return 2


def _interrupt() -> None:
    """Ctrl-C for the main thread, from another one."""
    if hasattr(signal, "pthread_kill"):  # a signal ends a wait of the system, which `interrupt_main` does not
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


@contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Ctrl-C ends the work even when it falls into a call whose errors Python only prints.

    Such calls are destructors, callbacks of weak references and of the garbage collector, and what libraries do around a
    fork. Python gives their errors to `sys.unraisablehook` and goes on; here an interrupt is raised anew a moment later.
    """
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            again = threading.Timer(0.01, _interrupt)  # not at once: it would fall into this very hook
            again.daemon = True
            again.start()
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
