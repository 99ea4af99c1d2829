"""A child process behind two pipes, and the messages of the codec protocol (docs/extend/codec.md) that pass through them.

No thread reads the pipes: the process that loads a codec must stay one that workers can be forked from.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import struct
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from lpo_tts.errors import ComponentError

PROTOCOL = 1
MAGIC = b"LPOC"
HEAD = struct.Struct("<4sII")  # magic, bytes of the JSON header, bytes of the data behind it
MAX_HEADER = 2**20  # bytes; the lengths of a batch take a few thousand
CHUNK = 2**16  # bytes taken from a pipe at once
TAIL = 4000  # bytes of stderr that are kept
GRACE = 2.0  # seconds in which a child may end by itself when its input has ended

log = logging.getLogger(__name__)


class Child:
    """A process started from a command; one message goes in, one comes out.

    It is killed, with all that it started, when this object is collected, when this process ends, and at any fault. When this
    process is killed the child's input ends, and so does the child.

    Args:
        command: program and arguments; a relative path starts from the working folder.

    Raises:
        ComponentError: the program cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.name = " ".join(command)
        # The child lives in an environment of its own, which ours must not shine into.
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment,
                start_new_session=True,  # a group of its own: Ctrl-C reaches it through us, and kill reaches what it started
            )
        except (OSError, ValueError) as error:
            told = getattr(error, "strerror", None) or error
            raise ComponentError(f"cannot start the codec server {self.name!r}: {told}; check `command`") from error
        self.pid = os.getpid()
        self._errors = bytearray()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
        self._close = weakref.finalize(self, _end, self._process, self.pid)

    @property
    def alive(self) -> bool:
        """Whether this process may use the child: it started it, has not closed it, and the child still runs."""
        return self.pid == os.getpid() and self._close.alive and self._process.poll() is None

    def close(self) -> None:
        """Ends the child, or, in a process forked from the one that started it, drops the pipes to it alone."""
        self._close()

    def ask(self, header: Mapping[str, Any], data: Sequence[memoryview], seconds: float, limit: int) -> tuple[dict, bytearray]:
        """Sends one message and returns the one that answers it.

        Args:
            header: what JSON can say.
            data: what stands behind the header.
            seconds: to wait in all.
            limit: bytes of data that the answer may have.

        Raises:
            ComponentError: the child has ended, does not answer in time, or answers with what is no message. It is closed then.
        """
        try:
            return self._ask(header, data, time.monotonic() + seconds, limit)
        except TimeoutError:
            told = f"no answer within {seconds:g} s; raise `timeout` or `start_timeout`, or lower `batch_size`"
        except EOFError:
            told = f"it ended ({self._ending()})"
        except _NoMessageError as error:
            told = str(error)
        except BaseException:
            # An interrupt in the midst of a message: what follows in the pipe would be taken for another answer.
            self.close()
            raise
        words = self._last_words()
        self.close()
        raise ComponentError(f"codec server {self.name!r}: {told}{words}")

    def _ask(self, header: Mapping[str, Any], data: Sequence[memoryview], end: float, limit: int) -> tuple[dict, bytearray]:
        text = json.dumps(header).encode()
        out = [memoryview(HEAD.pack(MAGIC, len(text), sum(one.nbytes for one in data)) + text), *data]
        got, wanted, answer = bytearray(), HEAD.size, None
        with selectors.DefaultSelector() as waiting:
            for pipe, kind in ((self._process.stdout, selectors.EVENT_READ), (self._process.stderr, selectors.EVENT_READ)):
                waiting.register(pipe, kind)  # type: ignore[arg-type]
            waiting.register(self._process.stdin, selectors.EVENT_WRITE)  # type: ignore[arg-type]
            while True:
                left = end - time.monotonic()
                ready = [key.fileobj for key, _ in waiting.select(max(left, 0))]
                if left <= 0 and self._process.stdout not in ready:  # one that writes to stderr without end is late, too
                    raise TimeoutError
                if self._process.stderr in ready and not self._hear():
                    waiting.unregister(self._process.stderr)  # type: ignore[arg-type]
                if self._process.stdin in ready and not self._send(out):
                    waiting.unregister(self._process.stdin)  # type: ignore[arg-type]
                if self._process.stdout not in ready:
                    continue
                piece = os.read(self._process.stdout.fileno(), min(CHUNK, wanted - len(got)))  # type: ignore[union-attr]
                if not piece:
                    raise EOFError
                got += piece
                if answer is None and (len(got) == HEAD.size or not MAGIC.startswith(bytes(got[:4]))):
                    header_size, data_size = self._sizes(got, limit)
                    answer, got, wanted = (header_size, data_size), bytearray(), header_size + data_size
                if answer is not None and len(got) == wanted:
                    return _header(bytes(got[: answer[0]])), got[answer[0] :]

    def _sizes(self, head: bytearray, limit: int) -> tuple[int, int]:
        if head[:4] != MAGIC:
            rest = b""
            with contextlib.suppress(BlockingIOError):
                rest = os.read(self._process.stdout.fileno(), 80)  # type: ignore[union-attr]
            found = (bytes(head) + rest)[:80].decode(errors="replace")
            raise _NoMessageError(
                f"expected a message of the codec protocol on its stdout, found {found!r}; a server prints to stderr alone"
            )
        _, header_size, data_size = HEAD.unpack(head)
        if not 2 <= header_size <= MAX_HEADER or data_size > limit:
            raise _NoMessageError(
                f"expected an answer with at most {limit} bytes of data, found {data_size} (and a header of {header_size})"
            )
        return header_size, data_size

    def _send(self, out: list[memoryview]) -> bool:
        """Writes what the pipe takes; returns whether there is more."""
        while out:
            if not out[0].nbytes:
                del out[0]
                continue
            try:
                sent = os.write(self._process.stdin.fileno(), out[0][:CHUNK])  # type: ignore[union-attr]
            except BlockingIOError:
                return True
            except BrokenPipeError:  # it has ended: what it said last, and the end of its output, tell why
                return False
            out[0] = out[0][sent:]
        return False

    def _hear(self) -> bool:
        """Takes what stands in stderr; returns whether more can come."""
        try:
            piece = os.read(self._process.stderr.fileno(), CHUNK)  # type: ignore[union-attr]
        except BlockingIOError:
            return True
        self._errors = (self._errors + piece)[-TAIL:]
        for line in piece.decode(errors="replace").splitlines():
            log.debug("codec server %d: %s", self._process.pid, line)
        return bool(piece)

    def _ending(self) -> str:
        """How the child ended."""
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "its stdout is closed, the process goes on"
        if code >= 0:
            return f"exit status {code}"
        return f"killed by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"killed by signal {-code}"

    def _last_words(self) -> str:
        """The last lines of stderr, for the end of a message in one line."""
        for _ in range(4):  # a pipe holds one piece; a child that goes on writing is not heard to an end
            before = bytes(self._errors)
            if not self._hear() or before == self._errors:
                break
        lines = [line.strip() for line in self._errors.decode(errors="replace").splitlines() if line.strip()]
        return f"; last on its stderr: {' | '.join(lines[-3:])}" if lines else "; its stderr is empty"


class _NoMessageError(Exception):
    """What came is no message of the protocol."""


def _header(text: bytes) -> dict:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _NoMessageError(f"expected a header of JSON, found {text[:80]!r}") from error
    if not isinstance(found, dict):
        raise _NoMessageError(f"expected a header that is a JSON object, found {text[:80]!r}")
    return found


def _end(process: subprocess.Popen, owner: int) -> None:
    """Drops the pipes, and in the process that started the child kills it and what it started."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if os.getpid() == owner and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
